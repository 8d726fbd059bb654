#!/bin/sh
# Packs of locked points carry the immutable flag of the file system, by the real program: ext4 on a loop device, and
# what is said where there is no flag.
. "$(dirname -- "$0")/cases-clock.sh"

noise "$folder/disk.raw" 2 1
noise "$folder/other.raw" 2 2
backup() { at "$1" "$dozo" backup --quiet --nice 0 --guest "$2" "$folder/$3.raw"; }
sweep() { at "$1" "$dozo" sweep --yes --nice 0; }
# bound TIME: sweeps as root without the right to set the flag.
bound() { at "$1" setpriv --bounding-set=-linux_immutable "$dozo" sweep --yes --nice 0; }
# prepare: a repository with two points, the first of them forgotten and locked.
prepare() {
    "$dozo" init --quiet && backup "2028-04-01 22:00:00" web01 disk && backup "2028-04-02 22:00:00" db01 other &&
        first=$(ids "p['guest'] == 'web01'") && test -n "$first" &&
        at "2028-04-03 07:00:00" "$dozo" forget --quiet --yes --last "$first" &&
        at "2028-04-03 08:00:00" "$dozo" lock --quiet --yes "$first" --until 2028-05-01T00:00Z
}
# copy NAME: goes on with a copy of it as it was then, in the mounted file system, as another host.
copy() {
    DOZO_REPOSITORY=$mounted/repository
    XDG_STATE_HOME="$folder/state of $1"
    mkdir "$XDG_STATE_HOME" && cp -a "$folder/repository" "$DOZO_REPOSITORY"
}
# flagged: packs that carry the flag, one a line.
flagged() { find "$DOZO_REPOSITORY/packs" -type f -exec lsattr {} + 2>/dev/null | awk '$1 ~ /i/' | sed 's/^[^ ]* //'; }
flag_count() { flagged | wc -l | tr -d ' '; }
# told TIME: sweeps, and says which files it protected, which it did not, and which no more.
told() {
    at "$1" "$dozo" sweep --yes --nice 0 --quiet --json >"$folder/report" &&
        json "$folder/report" \
        "'%s %s %s' % tuple(d.get(n + '_files') for n in ('protected', 'unprotected', 'released'))"
}

echo "== a file system without the flag"
mounted=$folder/mounted
mkdir "$mounted"
device=
end_mount() {
    umount "$mounted" 2>/dev/null
    [ -z "$device" ] || losetup -d "$device"
    device=
}
trap 'end_mount; remove "$folder" "$clock_folder"' EXIT
holds "a repository with a locked point" prepare
if [ "$(id -u)" -ne 0 ] || ! mount -t ramfs none "$mounted" 2>"$folder/output"; then
    skip "a file system without the flag" "only root mounts one, where mounting is allowed"
else
    holds "a copy where there is no flag" copy ramfs
    ends_with 0 "not protected from .rm.: .*immutable flag.*the locks hold" \
        "a sweep says that it protects nothing there, and why" sweep "2028-04-04 08:00:00"
    holds "and counts" equal "$(told "2028-04-04 08:00:00" | sed 's/ [1-9][0-9]* / some /')" "0 some 0"
    end_mount
fi

echo "== a file system with the flag"
truncate -s 64M "$folder/file system"
mount_it() {
    device=$(losetup --find --show "$folder/file system") && mkfs.ext4 -q "$device" && mount "$device" "$mounted" &&
        echo x >"$mounted/try" && chattr +i "$mounted/try" && chattr -i "$mounted/try" && lsattr "$mounted/try"
}
if [ "$(id -u)" -ne 0 ]; then
    ends_with 0 "not protected from .rm.: .*immutable flag.*the locks hold" \
        "without root a sweep says that it protects nothing" sweep "2028-04-04 08:00:00"
    skip "packs of locked points on ext4" "only root mounts file systems and sets the flag"
elif ! setpriv --bounding-set=-linux_immutable true 2>"$folder/output"; then
    skip "packs of locked points on ext4" "setpriv cannot take the right away: $(tail -n 1 "$folder/output")"
elif ! mount_it >"$folder/output" 2>&1; then
    skip "packs of locked points on ext4" "no loop device, ext4 or flag here: $(tail -n 1 "$folder/output")"
else
    holds "a copy where there is one" copy ext4
    ends_with 0 "not protected from .rm.: .*immutable flag.*the locks hold" \
        "without the right a sweep says that it protects nothing" bound "2028-04-04 07:00:00"
    holds "and flags none" equal "$(flag_count)" 0
    foreign=$(find "$DOZO_REPOSITORY/owner" -type f | head -n 1)
    holds "somebody else has flagged a file" chattr +i "$foreign"
    ends_with 0 "of locked points protected from .rm. in" "a sweep flags the packs and says so" \
        sweep "2028-04-04 08:00:00"
    flagged >"$folder/flagged"
    number=$(flag_count)
    holds "some packs are flagged, and not all" sh -c '[ "$1" -gt 0 ] && [ "$1" -lt "$2" ]' sh "$number" \
        "$(find "$DOZO_REPOSITORY/packs" -type f | wc -l)"
    holds "the next one finds it so" equal "$(told "2028-04-04 09:00:00")" "$number 0 0"
    pack=$(head -n 1 "$folder/flagged")
    ends_with 1 "Operation not permitted" "root cannot remove one" rm -f "$pack"
    sh -c 'echo x >"$1"' sh "$pack" 2>/dev/null
    holds "nor is it written" test "$(stat -c %s "$pack")" -gt 2
    holds "it restores" "$dozo" restore --quiet "$first" --disk disk --to "$folder/back.raw"
    holds "byte for byte" cmp "$folder/back.raw" "$folder/disk.raw"
    holds "everything verifies" "$dozo" verify --quiet --content
    holds "a backup in June" backup "2028-06-01 22:00:00" db01 other
    ends_with 3 "could not be deleted.*chattr -i" "a sweep without the right cannot free them, and says what to do" \
        bound "2028-06-02 08:00:00"
    holds "they are there yet" equal "$(flag_count)" "$number"
    holds "the point is gone all the same" test -z "$(ids "p['id'] == '$first'")"
    holds "the next sweep with the right frees them" sweep "2028-06-02 09:00:00"
    holds "no flag is left" equal "$(flag_count)" 0
    holds "and no such file" sh -c 'while read -r file; do [ ! -e "$file" ] || exit 1; done <"$1"' sh "$folder/flagged"
    holds "what somebody else flagged is flagged" sh -c 'lsattr "$1" | cut -d" " -f1 | grep -q i' sh "$foreign"
    holds "all is sound after it" "$dozo" verify --quiet --content
    holds "a lock of all points" at "2028-06-02 10:00:00" "$dozo" lock --quiet --all --for 10 --yes
    holds "has later ones flagged" test "$(told "2028-06-02 11:00:00" | cut -d" " -f1)" -gt 0
    holds "a backup after it" backup "2028-06-20 22:00:00" web01 disk
    released=$(told "2028-06-21 08:00:00" | cut -d" " -f3)
    holds "what is locked no more is released, though it stays" test "${released:-0}" -gt 0
fi
echo done
