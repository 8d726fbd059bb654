#!/bin/sh
# Stores the golden repository anew with today's program: only a draft of the format may do that.
#
#   Tests/Support/make-golden.sh [DOZO]
#
# The disks are those of the golden repository that is there: it is restored first, so they stay the same bytes.
set -eu
# As root and in a host name of its own, so that the files name no machine.
[ "$(hostname)" = golden ] || exec unshare --uts sh -c 'hostname golden && exec "$0" "$@"' "$0" "$@"
top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
dozo=${1:-$top/.build/debug/dozo}
golden=$top/Tests/RecoveryTests/Golden/first
folder=$(mktemp -d "${TMPDIR:-/tmp}/dozo golden.XXXXXX")
trap 'rm -rf "$folder"' EXIT
XDG_STATE_HOME=$folder/state
export XDG_STATE_HOME
unset DOZO_REPOSITORY DOZO_PASSPHRASE_FILE
new=$folder/new
mkdir -p "$folder/old" "$new" "$folder/images"
(umask 077 && cp "$golden/passphrase" "$folder/passphrase")

# The three points in their order, with a disk each in a file.
cut -d ' ' -f 3 "$golden/expected" | while read -r file; do
    point=${file%%/*}
    disk=${file#*/}
    mkdir -p "$folder/old/$point"
    "$dozo" restore -q -r "$golden/repository" --passphrase-file "$folder/passphrase" "$point" --disk "${disk%.raw}" \
        --to "$folder/old/$file" 2>/dev/null
done
points=$(cut -d ' ' -f 3 "$golden/expected" | cut -d / -f 1 | uniq)
# shellcheck disable=SC2086  # three ids
set -- $points

DOZO_REPOSITORY=$new/repository
DOZO_PASSPHRASE_FILE=$folder/passphrase
export DOZO_REPOSITORY DOZO_PASSPHRASE_FILE
cp "$golden/passphrase" "$new/passphrase"
"$dozo" init -q
"$dozo" key sheet | sed -n 's/^recovery key  //p' >"$new/recovery-key"
"$dozo" key add --new-passphrase-file "$folder/passphrase" >/dev/null
"$dozo" key enroll --role reader --to "$new/reader-credential" >/dev/null
system=$folder/images/system.raw
empty=$folder/images/empty.raw
: >"$empty"
for point in "$1" "$2"; do
    cp --sparse=always "$folder/old/$point/system.raw" "$system"
    "$dozo" backup -q --guest "golden 金" --disk "system=$system" --disk "empty=$empty"
done
qemu-img convert -q -O qcow2 "$folder/old/$3/data.raw" "$folder/images/data.qcow2"
"$dozo" backup -q --guest other --disk "data=$folder/images/data.qcow2"

"$dozo" points --json | python3 -c '
import json, sys
for point in json.load(sys.stdin):
    for disk in point["disks"]: print(point["id"], disk["name"])
' >"$folder/disks"
while read -r point disk; do
    mkdir -p "$folder/back/$point"
    "$dozo" restore -q "$point" --disk "$disk" --to "$folder/back/$point/$disk.raw"
    (cd "$folder/back" && sha256sum "$point/$disk.raw") >>"$new/expected"
done <"$folder/disks"
# The same disks as before, whatever the points are called now.
cut -d ' ' -f 1 "$golden/expected" >"$folder/before"
cut -d ' ' -f 1 "$new/expected" | cmp - "$folder/before"
chmod 644 "$new/passphrase" "$new/recovery-key" "$new/reader-credential"
rm -rf "$golden"
cp -r "$new" "$golden"
echo "stored anew: $(find "$golden" -type f | wc -l) files, $(du -sb "$golden" | cut -f 1) bytes"
