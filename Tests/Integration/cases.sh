# Sourced by the integration scripts: a folder of its own, the real binary, and cases that are counted.
# shellcheck shell=sh
set -u
top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P) || exit 1
. "$top/scripts/environment.sh"
dozo=${DOZO_BINARY:-$top/.build/debug/dozo}
[ -x "$dozo" ] || { echo "FAIL: $dozo does not exist; build it with: swift build --product dozo"; exit 1; }
# A path with spaces and a quote: whatever breaks on one breaks here.
folder=$(mktemp -d "${TMPDIR:-/tmp}/dozo it's a test.XXXXXX") || exit 1
# Sweeps that run as root make the packs of locked points immutable.
remove() { chattr -R -f -i "$@" 2>/dev/null; rm -rf "$@"; }
trap 'remove "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
XDG_STATE_HOME=$folder/state
DOZO_PASSPHRASE_FILE=$folder/passphrase
DOZO_REPOSITORY=$folder/repository
export XDG_STATE_HOME DOZO_PASSPHRASE_FILE DOZO_REPOSITORY
mkdir -p "$XDG_STATE_HOME"
(umask 077 && echo "correct horse" >"$DOZO_PASSPHRASE_FILE")

# pass NAME, fail NAME WHY, skip NAME WHY: one counted case each.
pass() { echo "pass: $1"; }
fail() { echo "FAIL: $1 ($2)"; }
skip() { echo "skip: $1 ($2)"; }

# holds NAME COMMAND…: the command must succeed.
holds() {
    case_name=$1
    shift
    if "$@" >"$folder/output" 2>&1; then pass "$case_name"
    else fail "$case_name" "status $?: $(tail -n 3 "$folder/output" | tr '\n' ' ')"; fi
}

# ends_with STATUS PATTERN NAME COMMAND…: the command must end with the status and say what matches the pattern.
ends_with() {
    wanted=$1; pattern=$2; case_name=$3
    shift 3
    "$@" >"$folder/output" 2>&1 </dev/null
    status=$?
    if [ "$status" -ne "$wanted" ]; then
        fail "$case_name" "status $status instead of $wanted: $(tail -n 2 "$folder/output" | tr '\n' ' ')"
    elif ! grep -q -- "$pattern" "$folder/output"; then
        fail "$case_name" "does not say '$pattern' but: $(tail -n 2 "$folder/output" | tr '\n' ' ')"
    else
        pass "$case_name"
    fi
}

# json FILE EXPRESSION: evaluates a Python expression over the document `d`.
json() { python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }

# noise FILE MIB SEED: bytes that nothing compresses, the same for the same seed.
noise() {
    python3 - "$1" "$2" "$3" <<'PY'
import random, sys
generator = random.Random(int(sys.argv[3]))
with open(sys.argv[1], "wb") as out:
    for _ in range(int(sys.argv[2])):
        out.write(generator.randbytes(1 << 20))
PY
}

# repository_bytes: bytes of all objects of the repository.
repository_bytes() { find "$DOZO_REPOSITORY" -type f -exec cat {} + | wc -c | tr -d ' '; }
