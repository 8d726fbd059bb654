#!/bin/sh
# What stands twice, places that somebody filled, and keys that the owner takes back (format page §§1, 3; S52).
. "$(dirname -- "$0")/cases.sh"
noise "$folder/disk" 3 21
holds "init" "$dozo" init
holds "backup" "$dozo" backup --guest g --disk "d=$folder/disk"
holds "a reader's credential" "$dozo" key enroll --role reader --to "$folder/reader.key"
holds "a recovery sheet" "$dozo" key sheet --to "$folder/sheet"
(umask 077 && sed -n 's/^recovery key *//p' "$folder/sheet" >"$folder/recovery")
without_passphrase() { env -u DOZO_PASSPHRASE_FILE "$dozo" "$@"; }

# --- every small object lost in turn, then whole folders of them: everybody still restores
restores() { # NAME
    holds "a passphrase restores: $1" "$dozo" restore -r "$folder/copy" g@latest --to "$folder/1"
    holds "a recovery key restores: $1" without_passphrase restore -r "$folder/copy" g@latest --to "$folder/2" \
        --recovery-key-file "$folder/recovery"
    holds "a reader restores: $1" without_passphrase restore -r "$folder/copy" g@latest --to "$folder/3" \
        --key-file "$folder/reader.key"
    if cmp -s "$folder/disk" "$folder/1" && cmp -s "$folder/disk" "$folder/2" && cmp -s "$folder/disk" "$folder/3"
    then pass "the same bytes: $1"; else fail "the same bytes: $1" "they differ"; fi
    rm -f "$folder/1" "$folder/2" "$folder/3"
}
repaired() { # NAME OBJECT
    ends_with 6 "$2" "verify names it: $1" "$dozo" verify -r "$folder/copy"
    ends_with 0 "no damage found" "verify --repair puts it back: $1" "$dozo" verify -r "$folder/copy" --repair
    if diff -r "$DOZO_REPOSITORY" "$folder/copy" >"$folder/output"; then pass "byte for byte: $1"
    else fail "byte for byte: $1" "$(head -n 3 "$folder/output")"; fi
    rm -rf "$folder/copy"
}
slot=$(cd "$DOZO_REPOSITORY" && find keys -type f | sort | head -n 1)
for object in owner/00000000 owner/00000001 store/00000000 "$slot"; do
    cp -a "$DOZO_REPOSITORY" "$folder/copy"
    rm "$folder/copy/$object"
    restores "$object is lost"
    repaired "$object is lost" "$object"
    cp -a "$DOZO_REPOSITORY" "$folder/copy"
    printf 'wxyz' | dd of="$folder/copy/$object" bs=1 seek=150 conv=notrunc 2>/dev/null
    restores "$object has a changed byte"
    repaired "$object has a changed byte" "$object"
done
cp -a "$DOZO_REPOSITORY" "$folder/copy"
rm -r "$folder/copy/owner" "$folder/copy/store" "$folder/copy/keys"
restores "owner, store and keys are lost"
repaired "owner, store and keys are lost" owner/00000000
cp -a "$DOZO_REPOSITORY" "$folder/copy"
rm -r "$folder/copy/spare"
ends_with 0 "has no spare" "verify tells of objects without a spare" "$dozo" verify -r "$folder/copy"
holds "and makes them" "$dozo" verify -r "$folder/copy" --repair
if diff -r "$DOZO_REPOSITORY" "$folder/copy" >/dev/null; then pass "all of them"; else fail "all of them" "differ"; fi

# --- somebody who may create objects fills the places of a copy, which grows apart: a host of its own looks at it
own_state=$XDG_STATE_HOME
XDG_STATE_HOME="$folder/state of the copy"
mkdir "$XDG_STATE_HOME"
for number in 2 3 4; do echo squat >"$folder/copy/owner/0000000$number"; done
: >"$folder/copy/store/00000001"
ends_with 0 "owner/00000002" "garbage in the owner's places is told" "$dozo" points -r "$folder/copy"
restores "garbage in the owner's places"
holds "the owner enrols behind it" "$dozo" key enroll -r "$folder/copy" --role writer --to "$folder/writer.key"
holds "and the new writer writes" without_passphrase backup -r "$folder/copy" --guest other \
    --disk "d=$folder/disk" --key-file "$folder/writer.key"
ends_with 6 "owner/00000003" "verify names the garbage" "$dozo" verify -r "$folder/copy"
rm -rf "$folder/copy"
XDG_STATE_HOME=$own_state

# --- keys that the owner takes back
ends_with 1 "No such file or directory" "a key for which no file can be made is not enrolled" \
    "$dozo" key enroll --role writer --label nobody --to "$folder/nowhere/nobody.key"
"$dozo" key list >"$folder/keys" 2>&1
if grep -q nobody "$folder/keys"; then fail "and nobody has it" "$(grep nobody "$folder/keys")"
else pass "and nobody has it"; fi
holds "a second writer" "$dozo" key enroll --role writer --label thief --to "$folder/thief.key"
thief() { without_passphrase backup --key-file "$folder/thief.key" --guest stolen --disk "d=$folder/disk" "$@"; }
holds "it writes" env XDG_STATE_HOME="$folder/thief" sh -c 'unset DOZO_PASSPHRASE_FILE
    "$1" backup --key-file "$2" --guest stolen --disk "d=$3"' sh "$dozo" "$folder/thief.key" "$folder/disk"
"$dozo" key list --json >"$folder/list.json"
key=$(json "$folder/list.json" '[k["fingerprint"] for k in d["enrolled"] if k["label"] == "thief"][0]')
ends_with 7 "would revoke writer thief" "revoking says first what it would do" "$dozo" key revoke "$key"
ends_with 0 "" "and changes nothing" "$dozo" verify
ends_with 1 "no enrolled keys" "a key that is not there is status 1" "$dozo" key revoke 00000000 --yes
ends_with 2 "at least 4" "too few digits are status 2" "$dozo" key revoke 00 --yes
ends_with 5 "only the owner" "a reader revokes nothing" without_passphrase key revoke "$key" --yes --key-file \
    "$folder/reader.key"
ends_with 0 "points that stay: 1" "a key is revoked" "$dozo" key revoke "$key" --yes
ends_with 7 "has revoked the key" "a revoked writer is refused" thief
holds "what it made before restores" "$dozo" restore stolen@latest --to "$folder/1"
holds "the same bytes: of a revoked writer" cmp "$folder/disk" "$folder/1"
ends_with 0 "no damage found" "a revocation is no damage" "$dozo" verify
ends_with 0 "points that are void: 1" "the revocation is narrowed to nothing" "$dozo" key revoke "$key" --nothing --yes
ends_with 1 "no guest stolen\|no restore point" "its points are void" "$dozo" restore stolen@latest --to "$folder/2"
ends_with 0 "VOID" "which is told and is no damage" "$dozo" verify --content
holds "the other guest restores" "$dozo" restore g@latest --to "$folder/3"
holds "the same bytes: beside a revoked writer" cmp "$folder/disk" "$folder/3"
holds "and is backed up" "$dozo" backup --guest g --disk "d=$folder/disk"
holds "all is sound after it" "$dozo" verify --content
json "$folder/list.json" '[k["fingerprint"] for k in d["enrolled"] if k["label"] != "thief"][0]' >"$folder/own"
holds "this host's own key is revoked" "$dozo" key revoke "$(cat "$folder/own")" --yes
ends_with 7 "enroll --renew" "it is told how to go on" "$dozo" backup --guest g --disk "d=$folder/disk"
holds "it gets a new key" "$dozo" key enroll --renew
holds "and writes again" "$dozo" backup --guest g --disk "d=$folder/disk"

# --- what the owner said last is remembered, and nothing is stated over it when it is gone
cp -a "$XDG_STATE_HOME" "$folder/seen"
last=$(cd "$DOZO_REPOSITORY" && find owner -type f | sort | tail -n 1)
cp -a "$DOZO_REPOSITORY" "$folder/copy"
holds "a revocation" "$dozo" key revoke "$key" --nothing --yes
hidden=$(cd "$DOZO_REPOSITORY" && find owner -type f | sort | tail -n 1)
[ "$last" != "$hidden" ] || fail "a revocation is a statement" "there is none"
mv "$DOZO_REPOSITORY/$hidden" "$folder/owner"; mv "$DOZO_REPOSITORY/spare/$hidden" "$folder/spare"
for command in points verify "key list" "key add --new-passphrase-file $folder/p" "key sheet --to $folder/s" \
    "key enroll --role writer --to $folder/w" "key enroll --renew" "key revoke $key --yes" "key remove 0000 --yes"; do
    IFS='
'
    # shellcheck disable=SC2046  # words of a command, one a line
    set -- $(echo "$command" | sed "s|$folder|FOLDER|" | tr ' ' '\n' | sed "s|FOLDER|$folder|")
    unset IFS
    ends_with 7 "known to exist" "after a lost statement this is refused: $command" "$dozo" "$@"
done
mv "$folder/owner" "$DOZO_REPOSITORY/$hidden"; mv "$folder/spare" "$DOZO_REPOSITORY/spare/$hidden"
holds "and goes on when it is back" "$dozo" points

# --- a host whose own key is believed no longer still reads, and writes again with a new one
cp -a "$DOZO_REPOSITORY" "$folder/void"
cp -a "$XDG_STATE_HOME" "$folder/void state"
void() { env XDG_STATE_HOME="$folder/void state" "$dozo" "$@" -r "$folder/void"; }
void key list --json >"$folder/list.json" 2>/dev/null
own=$(json "$folder/list.json" '[k["fingerprint"] for k in d["enrolled"] if not k["revoked"]][-1]')
holds "a host makes its own key void" void key revoke "$own" --nothing --yes
holds "and still lists" void points
holds "and gets a new key" void key enroll --renew
holds "and writes" void backup --guest again --disk "d=$folder/disk"

# --- folders where files belong
cp -a "$DOZO_REPOSITORY" "$folder/folders"
cp -a "$XDG_STATE_HOME" "$folder/folders state"
# The place behind the last one that holds a statement.
next_statement() {
    last=$(find "$folder/folders/owner" -type f -name '0*' | sort | tail -n 1 | tail -c 9)
    printf 'owner/%08d' "$(expr "$last" + 1)"
}
folders() { env XDG_STATE_HOME="$folder/folders state" "$dozo" "$@" -r "$folder/folders"; }
next=$(next_statement)
mkdir "$folder/folders/spare/$next"
holds "a folder in the way of a spare stops no enrolment" folders key enroll --role writer --to "$folder/f1"
next=$(next_statement)
mkdir "$folder/folders/$next"
holds "a folder in the way of a statement is passed over" folders key enroll --role writer --to "$folder/f2"
ends_with 6 "$next" "and found by verify" folders verify
rmdir "$folder/folders/$next"
holds "and out of the way all goes on" folders key enroll --role writer --to "$folder/f3"

# --- a bad sector in a small file, a pack, a slot
if strace -o /dev/null true 2>/dev/null; then
    unreadable() { # OBJECT COMMAND…
        object=$1; shift
        strace -f -o /dev/null -P "$DOZO_REPOSITORY/$object" -e trace=read,pread64 \
            -e inject=read,pread64:error=EIO "$dozo" "$@"
    }
    for object in owner/00000000 owner/00000001 store/00000000 "$slot"; do
        ends_with 0 "g " "with an unreadable $object points are listed" unreadable "$object" points
        ends_with 6 "$object" "and verify names it: $object" unreadable "$object" verify
    done
    pack=$(cd "$DOZO_REPOSITORY" && find packs -type f -size +500k | head -n 1)
    ends_with 6 "suffers" "verify names an unreadable pack and what suffers" unreadable "$pack" verify
    ends_with 3 "could not be read" "a salvage goes on behind it" unreadable "$pack" restore g@latest --salvage \
        --to "$folder/salvaged"
    ends_with 6 "" "a restore stops" unreadable "$pack" restore g@latest --to "$folder/stopped"
    first=$(cd "$DOZO_REPOSITORY" && find log -type f | sort | head -n 1)
    ends_with 0 "cannot be read\|nput/output" "an unreadable slot costs nothing" unreadable "$first" points
    ends_with 1 "nput/output" "but nothing is written behind it" unreadable "$first" backup --guest g \
        --disk "d=$folder/disk"
else skip "bad sectors" "needs strace and the right to trace"; fi
cp -a "$DOZO_REPOSITORY" "$folder/blocked"
rm "$folder/blocked/spare/owner/00000000" && mkdir -p "$folder/blocked/spare/owner/00000000/x"
: >"$folder/blocked/owner/00000001"
ends_with 6 "could not be put back" "a repair goes on where one object cannot be mended" "$dozo" verify --repair \
    -r "$folder/blocked"
if [ -s "$folder/blocked/owner/00000001" ]; then pass "the others are"; else fail "the others are" "one is empty"; fi

# --- a lost index run is listed anew, a damaged pack's chunks are stored again
run=$(cd "$DOZO_REPOSITORY" && find runs -type f | sort | head -n 1)
mv "$DOZO_REPOSITORY/$run" "$folder/run"
ends_with 6 "$run is missing" "a lost index run is found" "$dozo" verify
ends_with 0 "listed anew: $run" "and listed anew" "$dozo" verify --repair --content
holds "after which nothing is missing" "$dozo" verify --content
for run in $(cd "$DOZO_REPOSITORY" && find runs -type f | sort | tail -n 2); do
    "${DOZO_PYTHON:-python3}" - "$DOZO_REPOSITORY/$run" <<'PY'
import sys
with open(sys.argv[1], "r+b") as run:
    run.seek(150)
    byte = run.read(1)
    run.seek(150)
    run.write(bytes([byte[0] ^ 1]))
PY
done
cp -a "$XDG_STATE_HOME" "$folder/kept state"
rm -rf "$XDG_STATE_HOME"
ends_with 0 "listed anew" "flipped bits in index runs are made good, from a host that knows nothing" \
    "$dozo" verify --repair --content
holds "for good" "$dozo" verify --content
rm -rf "$XDG_STATE_HOME"
mv "$folder/kept state" "$XDG_STATE_HOME"
head -c 3000000 /dev/urandom >"$folder/mended.raw"
holds "a disk" "$dozo" backup --guest mended --disk "d=$folder/mended.raw"
pack=$(cd "$DOZO_REPOSITORY" && find packs -type f -size +2000k -newer "$folder/mended.raw" | head -n 1)
printf 'x' | dd of="$DOZO_REPOSITORY/$pack" bs=1 seek=1000000 conv=notrunc status=none
ends_with 6 "store again" "a damaged pack is found, and what to do is said" "$dozo" verify
holds "the next backup" "$dozo" backup --guest mended --disk "d=$folder/mended.raw"
"$dozo" verify --content --json >"$folder/verify.json" 2>/dev/null
if [ "$(json "$folder/verify.json" 'len(d["points_whole"]) == d["points_checked"]')" = True ]; then
    pass "makes all points whole again"
else fail "makes all points whole again" "$(head -c 300 "$folder/verify.json")"; fi
holds "and its own restores" "$dozo" restore mended@latest --to "$folder/mended.back"
holds "byte for byte" cmp "$folder/mended.raw" "$folder/mended.back"
ends_with 3 "nothing needs them" "a damaged pack whose content stands elsewhere alarms no more" "$dozo" verify
rm "$DOZO_REPOSITORY/$pack"
ends_with 3 "all damage was replaced" "nor does one that is gone" "$dozo" verify
# The copy that took its place is needed.
copy=$(cd "$DOZO_REPOSITORY" && find packs -type f -size +2000k -newer "$folder/mended.raw" | head -n 1)
mv "$DOZO_REPOSITORY/$copy" "$folder/copy"
ends_with 6 "DAMAGE FOUND" "but the next loss does" "$dozo" verify
mv "$folder/copy" "$DOZO_REPOSITORY/$copy"

# --- two guests of one name, by two writers
holds "a third writer" "$dozo" key enroll --role writer --label twin --to "$folder/twin.key"
holds "which writes a guest of the same name" env XDG_STATE_HOME="$folder/twin" sh -c 'unset DOZO_PASSPHRASE_FILE
    "$1" backup --key-file "$2" --guest g --disk "d=$3"' sh "$dozo" "$folder/twin.key" "$folder/disk"
holds "the first host goes on with its own" "$dozo" backup --guest g --disk "d=$folder/disk"
ends_with 7 "2 guests are called g" "@latest asks which one is meant" "$dozo" restore g@latest --to "$folder/which"

# --- a host that lost its state gets a new key, and is told
mv "$XDG_STATE_HOME" "$folder/old state"
mkdir "$XDG_STATE_HOME"
ends_with 0 "was enrolled before" "a lost state folder is told" "$dozo" backup --guest h --disk "d=$folder/disk"
echo done
