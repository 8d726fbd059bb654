#!/bin/sh
# Locked points stay until their date by the real program, whatever is forgotten and whatever one clock says (S49).
. "$(dirname -- "$0")/cases-clock.sh"

noise "$folder/disk.raw" 1 1
backup() { at "$1" "$dozo" backup --quiet --nice 0 --guest web01 "$folder/disk.raw"; }
sweep() { at "$1" "$dozo" sweep --yes --nice 0 --quiet; }
holds "init" "$dozo" init --quiet
for day in 01 02 03; do holds "a backup on the $day" backup "2028-04-$day 22:00:00"; done
first=$(ids 'True' | sed -n 1p)
second=$(ids 'True' | sed -n 2p)
lock() { at "$1" "$dozo" lock "$first" --until "$2" --reason audit ${3:---yes}; }

echo "== what is said"
ends_with 7 "cannot be taken back" "a lock without --yes changes nothing" lock "2028-04-04 08:00:00" 2028-05-01 --quiet
ends_with 2 "in the past" "a date of the past is refused" lock "2028-04-04 08:00:00" 2028-04-01
ends_with 2 "30 years" "so is one of another century" lock "2028-04-04 08:00:00" 2128-04-01
ends_with 2 "is no time" "and what is no date" lock "2028-04-04 08:00:00" soon
at "2028-04-04 08:00:00" "$dozo" forget --quiet --yes "$first" "$second" >/dev/null
holds "a point that is forgotten already is locked" lock "2028-04-04 08:01:00" 2028-05-01T00:00Z
ends_with 0 "locked until" "the list says so" "$dozo" points
holds "an earlier date is said" lock "2028-04-04 08:02:00" 2028-04-05T00:00Z
holds "and changes nothing" test -n "$(ids "p['id'] == '$first' and p['locked_until'][:10] == '2028-05-01'")"
ends_with 7 "is locked until" "a locked point is not forgotten again" \
    at "2028-04-04 09:00:00" "$dozo" forget --yes "$first"

echo "== swept"
holds "a sweep" sweep "2028-04-04 09:00:00"
holds "the other forgotten point is gone, the locked one is not" equal "$(ids 'True' | tr '\n' ' ' | wc -w)" 2
holds "a sweep with a clock of next year" sweep "2029-04-04 09:00:00"
holds "leaves it" test -n "$(ids "p['id'] == '$first'")"
holds "it restores" "$dozo" restore --quiet "$first" --disk disk --to "$folder/back.raw"
holds "byte for byte" cmp "$folder/back.raw" "$folder/disk.raw"
holds "a backup in June" backup "2028-06-01 22:00:00"
holds "a sweep behind it" sweep "2028-06-02 08:00:00"
holds "lets it go" test -z "$(ids "p['id'] == '$first'")"
holds "verify agrees" "$dozo" verify --quiet --content

echo "== all points, and by policy"
lock_all() { at "2028-06-02 09:00:00" "$dozo" lock --all --for 30 "$@"; }
ends_with 2 "name points and give" "points and all of them is one too much" lock_all "$second" --yes
ends_with 7 "cannot be taken back" "without --yes nothing is" lock_all
ends_with 0 "locked for 30 days after its run" "all points are locked for a month after their runs" lock_all --yes
june=$(ids "p['taken_at'][:7] == '2028-06'")
holds "a later backup" backup "2028-06-10 22:00:00"
holds "is locked too" equal "$(ids "p.get('locked_until', '')[:10] == '2028-07-10'" | wc -l | tr -d ' ')" 1
ends_with 7 "is locked until 2028-07-01" "a locked one is not forgotten" \
    at "2028-06-10 23:00:00" "$dozo" forget --yes "$june"
ends_with 7 "asks for no approvals" "nobody unlocks them" at "2028-06-10 23:00:00" "$dozo" unlock --all --yes
file=$folder/dozo.yaml
configure() {
    cat >"$file" <<YAML
time-zone: Etc/UTC
repositories:
  main: {location: "$DOZO_REPOSITORY", credential-file: /etc/dozo/none$1}
guests:
  web: {connection: libvirt, patterns: ["web*"]}
tiers:
  1: {name: all, largest-rpo: 24h}
policies:
  nightly: {guests: [web], repository: main, tier: 1, schedule: "30 22 * * *", retention: {last: 1}, lock: 60d}
YAML
    chmod 600 "$file"
}
configure ""
ends_with 7 "locked with a maintainer's credential" "a policy without a maintainer's credential locks nothing" \
    "$dozo" agent check --config "$file"
configure ", maintainer-credential-file: /etc/dozo/none"
ends_with 0 "2 are locked" "a prune locks what the policy says" \
    at "2028-06-11 08:00:00" "$dozo" prune --nice 0 --config "$file" --yes
holds "until its days are over" equal "$(ids "p.get('locked_until', '')[:10] == '2028-08-10'" | wc -l | tr -d ' ')" 1
ends_with 0 "2 stay" "and forgets nothing of it" \
    at "2028-06-11 09:00:00" "$dozo" prune --nice 0 --config "$file" --yes
holds "the older one is locked for its days" test -n \
    "$(ids "p['id'] == '$june' and p['locked_until'][:10] == '2028-08-01'")"

echo "== not by everybody"
"$dozo" key enroll --quiet --role writer --label w --to "$folder/writer.key" >/dev/null
unset DOZO_PASSPHRASE_FILE
ends_with 5 . "a writer may not lock" "$dozo" lock web01@latest --until 2030-01-01 --yes --key-file "$folder/writer.key"
echo done
