#!/bin/sh
# What the world does to a repository and to the program: objects that are lost, output that cannot be written, names
# in the way, closed descriptors, clocks that are wrong, folders that are exchanged.
. "$(dirname -- "$0")/cases.sh"
python=${DOZO_PYTHON:-python3}
holds "init" "$dozo" init
noise "$folder/disk" 3 5
noise "$folder/other" 2 6
holds "backup" "$dozo" backup --format raw --guest g --disk "d=$folder/disk"

# --- a new backup leans on nothing that is not there
lost() { # NAME CHANGE
    rm -rf "$folder/whole" && cp -a "$DOZO_REPOSITORY" "$folder/whole"
    pack=$(find "$DOZO_REPOSITORY/packs" -type f -size +500k | head -n 1)
    sh -c "$2" sh "$pack"
    ends_with 0 "is stored again" "a pack is $1: the next backup stores what it held" "$dozo" backup --format raw \
        --guest g --disk "d=$folder/disk"
    rm -f "$folder/restored"
    holds "and restores: $1" "$dozo" restore g@latest --to "$folder/restored"
    holds "the same bytes: $1" cmp "$folder/disk" "$folder/restored"
    rm -rf "$DOZO_REPOSITORY" && mv "$folder/whole" "$DOZO_REPOSITORY"
    rm -rf "$XDG_STATE_HOME" && mkdir "$XDG_STATE_HOME"
}
lost gone 'rm "$1"'
lost "cut short" 'truncate -s 1000 "$1"'
lost empty ': >"$1"'

# --- nothing is made among the remains of a repository
without() { # STATUS NAME OBJECT…
    wanted=$1; name=$2; shift 2
    cp -a "$DOZO_REPOSITORY" "$folder/remains"
    for object in "$@"; do rm -rf "$folder/remains/$object" "$folder/remains/spare/$object"; done
    find "$folder/remains" -type f | sort >"$folder/before"
    ends_with "$wanted" "missing" "a repository $name is not taken for none" "$dozo" points -r "$folder/remains"
    ends_with 6 "nothing was changed" "and nothing is made in it: $name" "$dozo" init -r "$folder/remains"
    find "$folder/remains" -type f | sort >"$folder/after"
    holds "nor was: $name" cmp "$folder/before" "$folder/after"
    rm -rf "$folder/remains"
}
without 6 "without its genesis" owner/00000000
without 6 "without its identity" store/00000000
without 6 "without both" owner/00000000 store/00000000
without 6 "without owner, store and keys" owner store keys

# --- output that cannot be written
for command in points "points --json" "show g@latest" verify "key list" doctor "key sheet"; do
    # shellcheck disable=SC2086  # words of a command
    "$dozo" $command >/dev/full 2>"$folder/output"
    status=$?
    if [ "$status" -eq 1 ] && grep -q "standard output\|was not written" "$folder/output"; then
        pass "a full standard output is status 1: $command"
    else fail "a full standard output is status 1: $command" "$status: $(tail -n 1 "$folder/output")"; fi
done
"$dozo" points >&- 2>"$folder/output"
status=$?
if [ "$status" -eq 1 ]; then pass "a closed standard output is status 1"
else fail "a closed standard output is status 1" "$status: $(cat "$folder/output")"; fi
"$dozo" points <&- >&- 2>&-
status=$?
if [ "$status" -eq 1 ]; then pass "all closed is status 1"; else fail "all closed is status 1" "$status"; fi
timeout 60 "$dozo" backup --guest closed --disk d=- <&- >"$folder/output" 2>&1
status=$?
if [ "$status" -eq 1 ]; then pass "a closed standard input is no disk"
else fail "a closed standard input is no disk" "$status: $(tail -n 1 "$folder/output")"; fi
holds "a recovery sheet to a file" "$dozo" key sheet --to "$folder/sheet"
if [ "$(stat -c %a "$folder/sheet")" = 600 ]; then pass "is private"
else fail "is private" "$(ls -l "$folder/sheet")"; fi

# --- names in the way of a restore
mkdir "$folder/targets"
partial=$folder/targets/t.partial
refused() { # NAME
    ends_with 7 "partial" "$1" "$dozo" restore g@latest --to "$folder/targets/t"
    rm -f "$partial"
}
echo mine >"$partial"; refused "a file called .partial is not written over"
truncate -s 3M "$folder/victim" && ln "$folder/victim" "$partial"
refused "nor one that has another name"
truncate -s 3M "$partial" && chmod 666 "$partial"; refused "nor one that others may write"
ln -s "$folder/victim" "$partial"
ends_with 7 "move it away first" "nor a link" "$dozo" restore g@latest --to "$folder/targets/t"
rm -f "$partial"
truncate -s 3M "$folder/zeros"
holds "what another name led to is as it was" cmp "$folder/victim" "$folder/zeros"

# --- names and formats
ends_with 2 "is no name" "a guest of blanks is refused" "$dozo" backup --guest " " "$folder/disk"
ends_with 2 "is no name" "a guest that is no UTF-8 is refused" "$dozo" backup --guest "$(printf 'x\377')" "$folder/disk"
ends_with 2 "is no name" "a guest that turns a terminal is refused" "$dozo" backup \
    --guest "$(printf 'a\342\200\256b')" "$folder/disk"
ends_with 2 "raw disk" "a format of standard input other than raw is refused" "$dozo" backup --guest g --format qcow2 \
    --disk d=-
"$dozo" key add --new-passphrase-file "$DOZO_PASSPHRASE_FILE" --label again >"$folder/output" 2>&1
slot=$(grep -o 'keys/[0-9a-f]*' "$folder/output" | head -n 1)
holds "a key slot goes by the name that add printed" "$dozo" key remove "$slot" --yes

# --- loops and damaged state
for number in 1 2 3 4; do ln -s . "$DOZO_REPOSITORY/keys/self$number"; done
holds "links in the repository lead nowhere" timeout 60 "$dozo" points
rm -f "$DOZO_REPOSITORY"/keys/self*
holds "look" "$dozo" points
for file in "$XDG_STATE_HOME"/dozo/repositories/*/heads.*; do echo garbage >"$file"; done
"$dozo" doctor >"$folder/output" 2>&1
if grep -q "what this host remembers.*failed" "$folder/output"; then pass "a damaged memory is no memory that is fine"
else fail "a damaged memory is no memory that is fine" "$(grep remembers "$folder/output")"; fi
ends_with 0 "was not checked" "and reading says so" "$dozo" points
ends_with 1 "is damaged" "and a backup does not go on without it" "$dozo" backup --format raw --guest g \
    --disk "d=$folder/disk"
rm -f "$XDG_STATE_HOME"/dozo/repositories/*/heads.*
holds "until it is moved away" "$dozo" backup --format raw --guest g --disk "d=$folder/disk"

# --- a store that is exchanged while a backup runs
cp -a "$DOZO_REPOSITORY" "$folder/older"
mkfifo "$folder/stream"
"$dozo" backup --guest slow --disk d=- <"$folder/stream" >"$folder/output" 2>&1 &
backup=$!
exec 3>"$folder/stream"
cat "$folder/other" >&3
slots=$(find "$folder/older/log" -type f | wc -l)
while [ "$(find "$DOZO_REPOSITORY/log" -type f | wc -l)" -eq "$slots" ] && kill -0 "$backup" 2>/dev/null; do :; done
mv "$DOZO_REPOSITORY" "$folder/moved" && mv "$folder/older" "$DOZO_REPOSITORY"
exec 3>&-
wait "$backup"
status=$?
if [ "$status" -eq 7 ] && grep -q "exchanged or put back" "$folder/output"; then pass "an exchanged store is noticed"
else fail "an exchanged store is noticed" "$status: $(tail -n 1 "$folder/output")"; fi
# --- private under any umask, and nothing of a guest in clear
private=$folder/private
mkdir "$private"
"${DOZO_PYTHON:-python3}" -c 'import sys; open(sys.argv[1], "w").write("a sentence of the guest. " * 200000)' \
    "$private/payroll-2026.raw"
(
    umask 000
    DOZO_REPOSITORY=$private/repository
    XDG_STATE_HOME=$private/state
    "$dozo" init && "$dozo" backup --guest bookkeeping --disk "ledgerdisk=$private/payroll-2026.raw" &&
        "$dozo" restore bookkeeping@latest --to-directory "$private/back" &&
        "$dozo" key sheet --to "$private/sheet" && "$dozo" verify --content
) >"$folder/output" 2>&1 || fail "a backup and a restore under umask 000" "$(tail -n 3 "$folder/output")"
open=$(find "$private/repository" "$private/state" "$private/back" "$private/sheet" ! -type l -perm /077 | head -n 3)
made=$(find "$private/repository" "$private/state" "$private/back" | wc -l)
if [ -z "$open" ] && [ "$made" -gt 20 ]; then pass "what is made is private under any umask"
else fail "what is made is private under any umask" "$made made; open: $open"; fi
for word in bookkeeping ledgerdisk payroll "sentence of the guest"; do
    if grep -rqaF "$word" "$private/repository" || find "$private/repository" -name "*$word*" | grep -q .; then
        fail "nothing of a guest is in clear: $word" "$(grep -rlaF "$word" "$private/repository" | head -n 2)"
    else pass "nothing of a guest is in clear: $word"; fi
done
if grep -rqaF bookkeeping "$private/state"; then pass "and the search would find it"
else fail "and the search would find it" "the host's own notes name the guest"; fi
echo done
