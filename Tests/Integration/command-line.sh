#!/bin/sh
# The command line as scripts meet it: statuses, sentences, JSON, names (design §7), the four roles (§4.5), and damage.
. "$(dirname -- "$0")/cases.sh"

# --- wrong use and wrong keys
ends_with 4 "no folder" "a missing folder is status 4" "$dozo" points -r "$folder/nowhere"
mkdir "$folder/empty"
ends_with 4 "no repository here" "a folder without a repository is status 4" "$dozo" points -r "$folder/empty"
ends_with 2 "Usage" "an unknown command is status 2" "$dozo" bogus
ends_with 2 "say where to" "a restore to nowhere is status 2" "$dozo" restore x@latest
holds "init" "$dozo" init
ends_with 7 "already" "a second init is refused" "$dozo" init
echo other >"$folder/other"
ends_with 5 "opens none" "a wrong passphrase is status 5" "$dozo" points --passphrase-file "$folder/other"
: >"$folder/nothing"
ends_with 7 "empty" "an empty passphrase is refused" "$dozo" init -r "$folder/second" --passphrase-file \
    "$folder/nothing"
printf 'correct horse' >"$folder/no newline"
holds "a passphrase file without the newline is the same passphrase" "$dozo" points --passphrase-file \
    "$folder/no newline"
ln -s loop "$folder/loop"
ends_with 4 "cannot look at $folder/loop: Too many levels" "a folder that cannot be looked at is not called missing" \
    "$dozo" points -r "$folder/loop"
ends_with 4 "there is no folder $folder/nowhere" "one that is missing is" "$dozo" points -r "$folder/nowhere"
ends_with 4 "$folder/other is not a folder" "and a file is none" "$dozo" points -r "$folder/other"
ends_with 1 "there is no guest nosuch in this repository" "points of a guest that is not there are status 1" \
    "$dozo" points --guest nosuch
ends_with 2 "give one of" "two secrets at once are status 2" "$dozo" points --passphrase-file "$folder/other" \
    --key-file "$folder/nothing"
chmod 644 "$folder/no newline"
ends_with 0 "can be read by others" "a passphrase that others can read is told" "$dozo" points --passphrase-file \
    "$folder/no newline"
ends_with 2 "no passphrase" "no passphrase and no terminal is status 2" env -u DOZO_PASSPHRASE_FILE "$dozo" points
"$dozo" --help >"$folder/output" 2>&1 && pass "help is status 0" || fail "help is status 0" "status $?"
# Each command explains itself with an example that can be copied: 80 columns do not break it.
for words in "" init backup points restore show verify key "key list" "key add" "key remove" "key sheet" \
    "key enroll" doctor catalog "catalog rebuild" "catalog dump" agent "agent check"; do
    # shellcheck disable=SC2086  # words
    COLUMNS=80 "$dozo" $words --help >"$folder/output" 2>&1
    if grep -qE "^(Example: | *[a-z ]*[|]? *)dozo ${words:-init}( |\$)" "$folder/output" &&
        ! sed -n '/^Example/,/^$/p' "$folder/output" | grep -qE '^[^ E]'; then
        pass "dozo $words --help has an example"
    else fail "dozo $words --help has an example" "$(sed -n '/^Example/,/^$/p' "$folder/output" | tr '\n' '|')"; fi
done

# --- doctor: three verdicts
holds "doctor finds a sound host and repository" "$dozo" doctor
proven() { grep -cE "^(cryptography|state folder|image formats|repository|control log.*|what this.*|scratch.*)  +$1 " \
    "$folder/output"; }
if [ "$(proven proven)" -eq 7 ]; then pass "doctor proves seven things"
else fail "doctor proves seven things" "$(cat "$folder/output")"; fi
# What a host has or has not; a device that opens is not believed.
if [ "$(grep -c -E '^(KVM|libvirt|memory of running guests)  +(not )?proven  +[^ ]' "$folder/output")" -eq 3 ]; then
    pass "doctor says what this host can do with running guests (S70)"
else fail "doctor says what this host can do with running guests (S70)" "$(cat "$folder/output")"; fi
if grep -q -E '^flags.* (vmx|svm)( |$)' /proc/cpuinfo || ! [ -e /dev/kvm ]; then
    skip "doctor does not believe a KVM that only opens (S70)" "this host has another"
else
    ends_with 0 "KVM .*not proven .*not usable: .*emulated" "doctor does not believe a KVM that only opens (S70)" \
        "$dozo" doctor
fi
ends_with 0 "repository .*not proven" "doctor does not call proven what it could not look at" \
    env -u DOZO_REPOSITORY "$dozo" doctor
ends_with 1 "repository .*failed .*opens none" "doctor says that a passphrase is wrong" "$dozo" doctor \
    --passphrase-file "$folder/other"
ends_with 1 "state folder .*failed" "doctor says that the state folder cannot be used" \
    env XDG_STATE_HOME="$folder/passphrase" "$dozo" doctor

# --- sizes and names
round_trip() { # NAME-OF-CASE FILE GUEST
    rm -f "$folder/restored"
    holds "backup: $1" "$dozo" backup --format raw --guest "$3" --disk "d=$2"
    holds "restore: $1" "$dozo" restore "$3@latest" --disk d --to "$folder/restored"
    holds "same bytes: $1" cmp "$2" "$folder/restored"
}
noise "$folder/noise" 2 3
: >"$folder/size 0"; round_trip "0 bytes" "$folder/size 0" "業務サーバ01"
printf x >"$folder/size 1"; round_trip "1 byte" "$folder/size 1" "a@b"
head -c 4097 "$folder/noise" >"$folder/size 4097"; round_trip "4097 bytes" "$folder/size 4097" "with space 'quote\""
head -c 1048577 "$folder/noise" >"$folder/size odd"; round_trip "1 MiB and 1 byte" "$folder/size odd" "../../etc/passwd"
if truncate -s 4T "$folder/huge" 2>/dev/null; then
    dd if="$folder/noise" of="$folder/huge" bs=1M seek=3000000 conv=notrunc status=none
    holds "backup: 4 TiB, nearly all a hole" "$dozo" backup --format raw --guest huge --disk "d=$folder/huge"
    holds "restore: 4 TiB, nearly all a hole" "$dozo" restore huge@latest --to "$folder/huge restored"
    holds "same bytes: 4 TiB, nearly all a hole" sh -c '
        [ "$(stat -c %s "$1")" = "$(stat -c %s "$2")" ] &&
        dd if="$2" bs=1M skip=3000000 count=2 status=none | cmp -n 2097152 - \
            "$3"' sh "$folder/huge" "$folder/huge restored" "$folder/noise"
    rm -f "$folder/huge" "$folder/huge restored"
else
    skip "4 TiB, nearly all a hole" "this file system holds no such file"
fi
ends_with 1 "no such file" "an image that is not there is status 1" "$dozo" backup --guest g "$folder/missing.raw"
ends_with 7 "exists already" "a restore never overwrites" "$dozo" restore "a@b@latest" --to "$folder/size 1"
ends_with 1 "no restore point\|no guest" "an unknown point is status 1" "$dozo" restore nobody@latest --to "$folder/x"
mkdir "$folder/out"
holds "two disks to a folder" sh -c \
    '"$1" backup --format raw --guest two --disk "../evil=$2" --disk "b/c=$3" &&
        "$1" restore two@latest --to-directory "$4"' sh "$dozo" "$folder/size 1" "$folder/size 4097" "$folder/out"
if [ "$(find "$folder/out" -type f | wc -l)" -eq 2 ] && [ ! -e "$folder/evil.raw" ]; then pass \
    "disks' names lead nowhere else"
else fail "disks' names lead nowhere else" "$(find "$folder/out" -type f | tr '\n' ' ')"; fi
"$dozo" points --json >"$folder/points.json" 2>/dev/null
frozen='{"id", "guest", "taken_at", "disks", "memory", "consistency", "trust", "verified_level"}'
if [ "$(json "$folder/points.json" "set(d[0]) >= $frozen")" = True ]; then
    pass "points --json has the frozen names"
else fail "points --json has the frozen names" "$(head -c 300 "$folder/points.json")"; fi
holds "GUEST@TIME finds the last at or before" "$dozo" show "a@b@$(date -u +%Y-%m-%dT%H:%M:%SZ -d '+1 minute')"
ends_with 1 "at or before" "GUEST@TIME before the first point is status 1" "$dozo" show "a@b@2020-01-01"

# --- roles
for role in writer maintainer reader verifier; do
    holds "enroll a $role" "$dozo" key enroll --role "$role" --label "$role" --to "$folder/$role.key"
done
ends_with 5 "does not open" "a writer lists nothing" "$dozo" points --key-file "$folder/writer.key"
ends_with 5 "does not open" "a writer restores nothing" "$dozo" restore "a@b@latest" --to "$folder/w" --key-file \
    "$folder/writer.key"
before=$(repository_bytes)
holds "a writer backs up" env XDG_STATE_HOME="$folder/state of another host" "$dozo" backup --format raw --guest w \
    --disk "d=$folder/size odd" --key-file "$folder/writer.key"
added=$(($(repository_bytes) - before))
if [ "$added" -lt 16384 ]; then pass "and dedups against what it cannot open ($added bytes)"; else fail \
    "a writer dedups" "$added bytes"; fi
# A writer that may write one guest only, and that guest goes by its id, whatever it is called.
only=$(json "$folder/points.json" '[p for p in d if p["guest"] == "a@b"][0]["guest_id"]')
holds "enroll a writer of one guest" "$dozo" key enroll --role writer --guest "a@b" --to "$folder/one.key"
holds "a writer of one guest writes it under any name" env XDG_STATE_HOME="$folder/state of one" "$dozo" backup \
    --format raw --guest renamed --disk "d=$folder/size odd" --key-file "$folder/one.key"
"$dozo" points --json >"$folder/of one.json" 2>/dev/null
if [ "$(json "$folder/of one.json" '[p["guest_id"] for p in d if p["guest"] == "renamed"][0]')" = "$only" ]; then
    pass "and it is that guest"
else fail "and it is that guest" "$(head -c 300 "$folder/of one.json")"; fi
ends_with 7 "may not write guest" "a writer of one guest writes no other" env XDG_STATE_HOME="$folder/state of one" \
    "$dozo" backup --format raw --new-guest --guest other --disk "d=$folder/size odd" --key-file "$folder/one.key"
ends_with 2 "goes with --role writer" "a reader of one guest is status 2" "$dozo" key enroll --role reader --guest g \
    --to "$folder/x.key"
holds "a maintainer lists" "$dozo" points --key-file "$folder/maintainer.key"
ends_with 5 "does not hold" "a maintainer opens no guest byte" "$dozo" restore "a@b@latest" --to "$folder/m" \
    --key-file "$folder/maintainer.key"
ends_with 5 "may not add" "a maintainer adds no point" "$dozo" backup --format raw --guest m --disk \
    "d=$folder/size 1" --key-file "$folder/maintainer.key"
rm -f "$folder/restored"
holds "a reader restores" "$dozo" restore "a@b@latest" --to "$folder/restored" --key-file "$folder/reader.key"
ends_with 5 "may not add" "a reader adds no point" "$dozo" backup --format raw --guest m --disk "d=$folder/size 1" \
    --key-file "$folder/reader.key"
holds "a verifier verifies" "$dozo" verify --key-file "$folder/verifier.key"
holds "no key verifies" "$dozo" verify --no-key
ends_with 7 "not 0000" "no key with another owner's fingerprint is refused" "$dozo" verify --no-key --owner 0000

# --- keys
holds "a second passphrase" "$dozo" key add --new-passphrase-file "$folder/other"
holds "opens the repository" "$dozo" points --passphrase-file "$folder/other"
"$dozo" key sheet --json >"$folder/sheet.json" 2>/dev/null
json "$folder/sheet.json" 'd["recovery_key"]' >"$folder/recovery"
rm -f "$folder/restored"
holds "a recovery sheet restores" env -u DOZO_PASSPHRASE_FILE XDG_STATE_HOME="$folder/bare" "$dozo" restore \
    "a@b@latest" --to "$folder/restored" --recovery-key-file "$folder/recovery"
sed 's/^./0/;s/^0\(.\)/1\1/' "$folder/recovery" | tr 'a-f' 'b-g' >"$folder/mistyped"
ends_with 5 "recovery key" "a mistyped recovery key is status 5" env -u DOZO_PASSPHRASE_FILE "$dozo" points \
    --recovery-key-file "$folder/mistyped"
slot=$("$dozo" key list --json 2>/dev/null | python3 -c \
    'import json,sys; print([s["id"] for s in json.load(sys.stdin)["slots"] if s["label"] == "passphrase"][0])')
ends_with 7 "say --yes" "a slot is not removed without --yes" "$dozo" key remove "$slot"
holds "a slot is removed" "$dozo" key remove "$slot" --yes
ends_with 5 "opens none" "and opens nothing any more" "$dozo" points --passphrase-file "$folder/other"

# --- catalog
"$dozo" catalog rebuild >"$folder/output" 2>&1
"$dozo" catalog dump >"$folder/dump one"
find "$XDG_STATE_HOME" -name 'catalog.sqlite*' -exec rm -f {} +
holds "the catalog is rebuilt from the repository alone" "$dozo" catalog rebuild
"$dozo" catalog dump >"$folder/dump two"
if [ -s "$folder/dump one" ]; then holds "and is the same" cmp "$folder/dump one" "$folder/dump two"
else fail "and is the same" "the dump is empty"; fi
printf 'not a database, but long enough to look like a file that was damaged' >"$folder/garbage"
catalog=$(find "$XDG_STATE_HOME" -name catalog.sqlite)
cp "$folder/garbage" "$catalog"
holds "a backup succeeds though the catalog is damaged" "$dozo" backup --format raw --guest "a@b" \
    --disk "d=$folder/size 1"
holds "a damaged catalog is set aside and made anew" "$dozo" catalog rebuild
if [ "$(find "$XDG_STATE_HOME" -name 'catalog.sqlite*' | wc -l)" -ge 2 ]; then pass "and never deleted"
else fail "and never deleted" "$(ls "$(dirname "$catalog")")"; fi

# --- two at once, and interruptions
noise "$folder/left" 40 11
noise "$folder/right" 40 12
cat "$folder/noise" >>"$folder/left"
cat "$folder/noise" >>"$folder/right"
XDG_STATE_HOME="$folder/state left" "$dozo" backup --format raw --guest left --disk "d=$folder/left" \
    >"$folder/left.log" 2>&1 &
left=$!
XDG_STATE_HOME="$folder/state right" "$dozo" backup --format raw --guest right --disk "d=$folder/right" \
    >"$folder/right.log" 2>&1 &
right=$!
holds "the first of two hosts at once commits" wait "$left"
holds "the second of two hosts at once commits" wait "$right"
for side in left right; do
    rm -f "$folder/restored"
    holds "restore what $side wrote" "$dozo" restore "$side@latest" --to "$folder/restored"
    holds "same bytes: $side" cmp "$folder/$side" "$folder/restored"
done
for signal in INT TERM; do
    mkfifo "$folder/pipe"
    (cat "$folder/left"; exec sleep 20) >"$folder/pipe" &
    writer=$!
    # A shell starts what runs in the background with SIGINT ignored; a person's terminal does not.
    python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$dozo" backup --guest pipe --disk d=- <"$folder/pipe" >"$folder/output" 2>&1 &
    backup=$!
    waited=0
    # Once its slot is claimed it reads all there is and waits for more; then it is interrupted.
    slots=$(find "$DOZO_REPOSITORY/log" -type f | wc -l)
    while [ "$(find "$DOZO_REPOSITORY/log" -type f | wc -l)" -le "$slots" ] && [ "$waited" -lt 100 ]; do
        sleep 0.1; waited=$((waited + 1))
    done
    sleep 0.5
    kill -s "$signal" "$backup"
    wait "$backup"
    status=$?
    kill "$writer" 2>/dev/null
    if [ "$status" -eq 130 ]; then pass "SIG$signal ends a backup with status 130"
    else fail "SIG$signal ends a backup with status 130" "status $status: $(cat "$folder/output")"; fi
    rm -f "$folder/pipe"
done
"$dozo" points --json >"$folder/points.json" 2>/dev/null
if [ "$(json "$folder/points.json" 'sum(p["guest"] == "pipe" for p in d)')" -eq 0 ]; then
    pass "an interrupted backup makes no point"
else fail "an interrupted backup makes no point" "there is one"; fi
holds "all is sound after it" "$dozo" verify --content

# --- a store that goes back, a host that was copied, a store that shows another owner
cp -a "$DOZO_REPOSITORY" "$folder/yesterday"
cp -a "$XDG_STATE_HOME" "$folder/copied state"
holds "another night" "$dozo" backup --format raw --guest "a@b" --disk "d=$folder/size odd"
cp -a "$DOZO_REPOSITORY" "$folder/rotten"
newest=$(cd "$folder/rotten" && find s -type f -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
printf '\377' | dd of="$folder/rotten/$newest" bs=1 seek=200 conv=notrunc 2>/dev/null
ends_with 3 "left" "a host whose own last commit rotted still lists the other points" "$dozo" points \
    -r "$folder/rotten"
rm -f "$folder/restored"
ends_with 3 "newer point" "and restores them" "$dozo" restore -r "$folder/rotten" "left@latest" --to "$folder/restored"
holds "same bytes: beside a rotten entry" cmp "$folder/left" "$folder/restored"
ends_with 6 "$newest" "verify names the rotten entry" "$dozo" verify -r "$folder/rotten"
"$dozo" verify -r "$folder/rotten" --json >"$folder/verify.json" 2>/dev/null
if [ "$(json "$folder/verify.json" '[f["object"] for f in d["findings"]][0]')" = "$newest" ] &&
    [ "$(json "$folder/verify.json" 'len(d["findings"][0]["points"])')" -eq 1 ]; then
    pass "and the point that it named, as JSON"
else fail "and the point that it named, as JSON" "$(cat "$folder/verify.json")"; fi
ends_with 6 "$newest" "a backup by that host is refused as damaged" "$dozo" backup -r "$folder/rotten" --format raw \
    --guest "a@b" --disk "d=$folder/size odd"
ends_with 7 "went back\|does not show\|not shown" "a store that went back is refused" "$dozo" points -r \
    "$folder/yesterday"
ends_with 7 "copied" "a copied host is noticed" env XDG_STATE_HOME="$folder/copied state" "$dozo" backup --format \
    raw --guest "a@b" --disk "d=$folder/size 1"
holds "and writes again with a key of its own" sh -c \
    'export XDG_STATE_HOME="$1"
        "$2" key enroll --renew && "$2" backup --format raw --guest "a@b" --disk "d=$3"' \
    sh "$folder/copied state" "$dozo" "$folder/size 1"
DOZO_REPOSITORY=$folder/evil "$dozo" init >/dev/null 2>&1
cp -a "$DOZO_REPOSITORY" "$folder/swapped"
cp "$folder/evil/owner/00000000" "$folder/swapped/owner/00000000"
ends_with 0 "owner/00000000 is damaged" "an exchanged genesis beside its whole spare is told" "$dozo" points \
    -r "$folder/swapped" --key-file "$folder/reader.key"
cp "$folder/evil/owner/00000000" "$folder/swapped/spare/owner/00000000"
ends_with 7 "another repository\|swapped\|other owner" "a store that shows another owner is refused" "$dozo" points \
    -r "$folder/swapped" --key-file "$folder/reader.key"
cp "$folder/evil/owner/00000000" "$folder/swapped/owner/00000099"
echo done
