#!/bin/sh
# Backs up into a repository that runs out of room, and shows that this is an error with a way out and nothing worse.
#
#   Tests/Support/full-disk.sh DOZO_BINARY
#
# For several sizes, so that the room ends at another step each time, in a small memory file system that only this
# script's own mount namespace sees: a first point is stored; a backup that does not fit must end with status 1 and one
# sentence that names the repository, says that it is full and what to do; no half point is listed, the first one still
# restores and verifies on the full disk; with more room the same backup succeeds and comes back byte for byte. Then the
# same for the folder where Dozo keeps its own state. Without user namespaces the script counts itself as skipped.
set -u
top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P) || exit 1
. "$top/scripts/environment.sh"
LC_ALL=C
export LC_ALL

binary=${1:-}
if [ $# -ne 1 ] || [ ! -x "$binary" ]; then echo "usage: Tests/Support/full-disk.sh DOZO_BINARY" >&2; exit 2; fi
case "$binary" in /*) ;; *) binary=$(pwd)/$binary ;; esac

if [ "${FULL_DISK_INSIDE:-}" = "" ]; then
    if ! why=$(unshare -Urm mount -t tmpfs -o size=1m tmpfs /mnt 2>&1); then
        echo "skip: full disk (a private mount namespace is not to be had: $why)"
        echo "full-disk: 0 passed, 0 failed, 1 skipped"
        exit 0
    fi
    FULL_DISK_INSIDE=yes exec unshare -Urm sh "$0" "$binary"
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/dozo full disk.XXXXXX") || exit 1
# shellcheck disable=SC2317  # called by the trap
clean_up() { umount "$folder/small" 2>/dev/null; rm -rf "$folder"; }
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$folder/small"
DOZO_PASSPHRASE_FILE=$folder/passphrase
export DOZO_PASSPHRASE_FILE
unset DOZO_REPOSITORY
(umask 077 && echo "full disk" >"$DOZO_PASSPHRASE_FILE")
passed=0
failures=0

# check SENTENCE COMMAND…: one expectation.
check() {
    sentence=$1
    shift
    if "$@"; then passed=$((passed + 1)); else failures=$((failures + 1)); echo "FAIL: $sentence"; fi
}

# disk FILE MIB SEED: a disk of bytes that do not compress; the same seed gives the same bytes.
disk() {
    "$DOZO_PYTHON" -c '
import random, sys
source = random.Random(int(sys.argv[3]))
with open(sys.argv[1], "wb") as disk:
    for _ in range(int(sys.argv[2])):
        disk.write(source.randbytes(1 << 20))' "$1" "$2" "$3"
}

# back_up FILE: its status is that of the backup; what it said is in `said`.
back_up() { "$binary" backup -r "$repository" --guest full --disk "guest=$1" >"$folder/said" 2>&1; }

points_are() {
    "$binary" points -r "$repository" --json >"$folder/points.json" 2>"$folder/said" || return 1
    "$DOZO_PYTHON" -c 'import json, sys; sys.exit(len(json.load(open(sys.argv[1]))) != int(sys.argv[2]))' \
        "$folder/points.json" "$1"
}

# comes_back FILE: the latest point is that file, byte for byte.
comes_back() {
    rm -f "$folder/restored.raw"
    "$binary" restore -r "$repository" full@latest --disk guest --to "$folder/restored.raw" >"$folder/said" 2>&1 &&
        cmp -s "$1" "$folder/restored.raw"
}

verifies() { "$binary" verify -r "$repository" >"$folder/said" 2>&1; }

# says_what_is_full FOLDER: few lines, the folder's name, a word for full, a remedy; and no crash.
says_what_is_full() {
    [ "$(wc -l <"$folder/said")" -le 4 ] && grep -qF "$1" "$folder/said" &&
        grep -qiE 'full|no space|no room|out of space' "$folder/said" &&
        grep -qiE 'free|make room|more room|larger|delete|prune|forget' "$folder/said" &&
        ! grep -qE 'Fatal error|Backtrace|Segmentation' "$folder/said"
}

# try MIB WHAT: WHAT is the folder that is too small, "repository" or "state".
try() {
    echo "$2 in $1 MiB:"
    small=$folder/small
    mount -t tmpfs -o "size=$1m" tmpfs "$small" || exit 1
    repository=$folder/repository.$1
    XDG_STATE_HOME=$folder/state.$1
    case "$2" in
        repository) repository=$small/repository; full=$repository ;;
        state) XDG_STATE_HOME=$small; full=$small ;;
    esac
    export XDG_STATE_HOME
    "$binary" init -r "$repository" >"$folder/said" 2>&1
    check "$2 $1: init: $(tail -n 1 "$folder/said")" [ $? -eq 0 ]
    back_up "$folder/first.raw"
    check "$2 $1: the first backup fits: $(tail -n 1 "$folder/said")" [ $? -eq 0 ]
    # A state folder is small in itself: fill it up by hand.
    [ "$2" = repository ] || dd if=/dev/zero of="$small/filler" bs=4096 2>/dev/null
    back_up "$folder/second.raw"
    status=$?
    sed 's/^/    /' "$folder/said"
    if [ "$2" = state ] && [ "$status" -eq 0 ]; then
        # What is kept there only saves time, so going on without it is as good as refusing.
        check "$2 $1: a backup that says it is done is a point" points_are 2
    else
        check "$2 $1: a backup without room ends with status 1, not $status" [ "$status" -eq 1 ]
        check "$2 $1: it says what is full and what to do" says_what_is_full "$full"
        check "$2 $1: nothing half written stays and takes room" [ -z "$(ls "$repository/tmp")" ]
        check "$2 $1: no half point is listed" points_are 1
        check "$2 $1: the point before comes back from the full disk" comes_back "$folder/first.raw"
        check "$2 $1: the full repository verifies: $(tail -n 1 "$folder/said")" verifies
    fi
    rm -f "$small/filler"
    # With its source named; else mount adds what it reads of the old mount, which an ordinary user may not say.
    mount -o remount,size=400m tmpfs "$small" || exit 1
    back_up "$folder/second.raw"
    check "$2 $1: with more room the backup succeeds: $(tail -n 1 "$folder/said")" [ $? -eq 0 ]
    check "$2 $1: it comes back byte for byte" comes_back "$folder/second.raw"
    check "$2 $1: the repository verifies" verifies
    umount "$small" || exit 1
}

disk "$folder/first.raw" 4 1
disk "$folder/second.raw" 96 2
# Inside the first pack, just after it, among the last packs, and near the commit.
for size in 12 40 72 98 100; do try "$size" repository; done
try 8 state
echo "full-disk: $passed passed, $failures failed, 0 skipped"
[ "$failures" -eq 0 ]
