#!/bin/sh
# Proves that a bare Debian 12 is enough: runs ./demo and ./run-tests in a fresh minimal system, as root and as an
# ordinary user.
#
#   Tests/Support/debootstrap-trial.sh [--keep] [--only demo|run-tests] [--as root|user]
#
# By hand or in a long run, as root, with about 20 GB free in TMPDIR (or /tmp; debootstrap takes no space in that path),
# with debootstrap (apt-get install debootstrap) and a network for apt-get. It makes the system with debootstrap
# --variant=minbase, copies into it the Swift toolchain first on PATH and this folder without .build (uncommitted
# changes included) under paths with a space, one for each user, and runs there, one after the other:
#   an ordinary user, nothing installed, no sudo   ./demo and ./run-tests say which line root has to run, and stop
#   root                                           ./demo, ./demo again, ./run-tests; what that line names is there then
#   an ordinary user, everything installed         ./demo, ./demo again, ./run-tests
# With --as root the last line is left out; with --as user root runs nothing but the line that the user was told.
# Nothing of the host is bound into the new system; /proc is mounted for it in a mount and process namespace of its own,
# so that nothing stays mounted and nothing stays running whatever happens. DEBIAN_MIRROR names another mirror; a folder
# that git on this host is told to fetch from (url.….insteadOf) is copied too. The new system is removed at the end,
# unless --keep is given. Expect one to two hours on two cores. The status is 0 when everything ended well.
set -u
top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P) || exit 1
. "$top/scripts/environment.sh"

usage() {
    echo "usage: Tests/Support/debootstrap-trial.sh [--keep] [--only demo|run-tests] [--as root|user]" >&2
    exit 2
}
keep=no
only=both
as=both
while [ $# -gt 0 ]; do
    case "$1" in
        --keep) keep=yes; shift ;;
        --only) only=${2:-}; shift; shift || usage ;;
        --as) as=${2:-}; shift; shift || usage ;;
        *) usage ;;
    esac
done
case "$only" in both|demo|run-tests) ;; *) usage ;; esac
case "$as" in both) users="root visitor" ;; root) users=root ;; user) users=visitor ;; *) usage ;; esac
stop() { echo "debootstrap-trial: $1" >&2; exit 1; }

[ "$(id -u)" = 0 ] || stop "this needs root, to make a system and change into it."
command -v debootstrap >/dev/null 2>&1 || stop \
    "debootstrap is missing: apt-get install -y --no-install-recommends debootstrap"
unshare --mount --pid --fork true 2>/dev/null || stop "mount and process namespaces are not to be had here."
check_swift || exit 1
compiler=$(readlink -f "$(command -v swift)")
toolchain=${compiler%/usr/bin/*}
# A toolchain that was unpacked over the host's own /usr cannot be told from it.
if [ -z "$toolchain" ] || [ "$toolchain" = "$compiler" ]; then
    stop "the Swift toolchain must lie in a folder of its own, as in /opt/swift/usr/bin, not at $compiler."
fi

root=$(mktemp -d "${TMPDIR:-/tmp}/dozo-trial.XXXXXX") || exit 1
case "$root" in
    *' '*) rmdir "$root"; stop "debootstrap fails in a path with a space; set TMPDIR to one without." ;;
esac
# shellcheck disable=SC2317  # called by the trap
clean_up() {
    rm -f "$root.log" "$root.said" "$root.status" "$root.times" "$root.named"
    if [ "$keep" = yes ]; then echo "Kept: $root"; else rm -rf --one-file-system "$root"; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$root"
free=$(df -Pk "$root" | awk 'NR == 2 { printf "%d", $4 / 1000000 }')
[ "$free" -ge 20 ] || stop "20 GB are needed in ${TMPDIR:-/tmp}, and $free are free; set TMPDIR."

echo "== a minimal Debian 12 in $root"
debootstrap --variant=minbase bookworm "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$root.log" 2>&1 ||
    { tail -n 5 "$root.log" >&2; rm -f "$root.log"; stop "debootstrap failed."; }
rm -f "$root.log"
# How this host reaches the network, which a bare machine would be told too.
cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null
grep -lis 'proxy' /etc/apt/apt.conf.d/* | while read -r file; do cp "$file" "$root/etc/apt/apt.conf.d/"; done

# Folders with copies of the packages' repositories. They belong to root there, which git wants to be told.
git config --get-regexp '^url\..*\.insteadof$' 2>/dev/null | while read -r key original; do
    mirror=${key#url.}
    mirror=${mirror%.insteadof}
    [ -d "$mirror" ] || continue
    if [ ! -d "$root$mirror" ]; then
        mkdir -p "$root$mirror" && tar -C "$mirror" -cf - . | tar -C "$root$mirror" -xf - --no-same-owner || exit 1
        git config --file "$root/etc/gitconfig" safe.directory '*'
    fi
    git config --file "$root/etc/gitconfig" --add "url.$mirror.insteadOf" "$original"
done || stop "the folder that git fetches from could not be copied."

echo "== the toolchain from $toolchain"
user=visitor
home_of_root=$root/root
mkdir -p "$root/opt/swift" "$home_of_root/dozo trial"
tar -C "$toolchain" -cf - usr | tar -C "$root/opt/swift" -xf - --no-same-owner || stop \
    "the toolchain could not be copied."
tar -C "$top" --exclude=./.build -cf - . | tar -C "$home_of_root/dozo trial" -xf - --no-same-owner ||
    stop "this folder could not be copied."
chroot "$root" /usr/sbin/useradd --create-home --shell /bin/sh "$user" &&
    cp -a "$home_of_root/dozo trial" "$root/home/$user/dozo trial" &&
    chroot "$root" /bin/chown -R "$user:$user" "/home/$user/dozo trial" || stop "no ordinary user could be made."

# as USER COMMAND…: runs it in the new system, in that user's copy of this folder. The namespaces end with it. What it
# says goes to `said` too. Sets status and took.
as() {
    who=$1
    shift
    home=/home/$who
    [ "$who" != root ] || home=/root
    echo "== $who: $*"
    began=$(seconds_now)
    { unshare --mount --pid --fork --kill-child sh -c '
        mount --make-rprivate / && mount -t proc proc "$1/proc" || exit 1
        root=$1 who=$2 home=$3
        shift 3
        exec chroot --userspec="$who:$who" "$root" env -i HOME="$home" TERM=dumb LANG=C.UTF-8 \
            PATH=/usr/sbin:/usr/bin:/sbin:/bin:/opt/swift/usr/bin \
            http_proxy="$http_proxy" https_proxy="$https_proxy" sh -c "cd \"\$HOME/dozo trial\" && exec \"\$@\"" \
                inside "$@"
    ' namespaces "$root" "$who" "$home" "$@" 2>&1; echo $? >"$root.status"; } | tee "$root.said"
    status=$(cat "$root.status")
    took=$(($(seconds_now) - began))
    echo "== $who: $* ended with status $status after $took s"
    echo "$who: $*: status $status, $took s" >>"$root.times"
    runs=$((runs + 1))
}

failed() { echo "FAIL: $1"; failures=$((failures + 1)); }

# works USER COMMAND…: must end with status 0.
works() {
    as "$@"
    [ "$status" -eq 0 ] || failed "$* ended with status $status"
}

# is_told COMMAND: without packages an ordinary user must be told what root has to run, and nothing may be tried. The
# packages that were named go to the file `named`.
is_told() {
    as "$user" "$1"
    line=$(sed -n 's/^ *apt-get update && apt-get install -y --no-install-recommends //p' "$root.said")
    if [ "$status" -eq 0 ]; then failed "$1 ended with status 0 where nothing is installed"; fi
    if [ -z "$line" ]; then failed "$1 does not say what root has to run"; fi
    if [ -e "$root/home/$user/dozo trial/.build" ]; then failed "$1 began to build all the same"; fi
    echo "$line" | tr ' ' '\n' >>"$root.named"
}

# line_was_enough: every package that the line named is there now.
line_was_enough() {
    runs=$((runs + 1))
    sort -u "$root.named" | while read -r package; do
        chroot "$root" /usr/bin/dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null |
            grep -qx installed || { echo "  $package was named and root did not install it"; exit 1; }
    done || failed "the line for root names other packages than root's own run installs"
}

http_proxy=${http_proxy:-}
https_proxy=${https_proxy:-}
export http_proxy https_proxy
runs=0
failures=0
: >"$root.times"
[ "$only" = run-tests ] || is_told ./demo
[ "$only" = demo ] || is_told ./run-tests
if [ "$as" = user ]; then
    line=$(sort -u "$root.named" | tr '\n' ' ')
    works root sh -c "apt-get update && apt-get install -y --no-install-recommends $line"
fi
for who in $users; do
    [ "$only" = run-tests ] || { works "$who" ./demo; works "$who" ./demo; }
    [ "$only" = demo ] || works "$who" ./run-tests
    [ "$who" != root ] || line_was_enough
done
leftovers=$(find "$root/tmp" -mindepth 1 -maxdepth 1 | wc -l)
runs=$((runs + 1))
[ "$leftovers" -eq 0 ] || failed "$leftovers things were left in /tmp"
echo "== seconds"
cat "$root.times"
echo "debootstrap-trial: $((runs > failures ? runs - failures : 0)) passed, $failures failed, 0 skipped"
[ "$failures" -eq 0 ]
