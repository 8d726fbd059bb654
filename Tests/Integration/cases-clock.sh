# Sourced by the integration scripts that need points of many dates: what cases.sh gives, and a clock that is set.
# shellcheck shell=sh
. "$(dirname -- "$0")/cases.sh"
# A path that the loader can name: it splits LD_PRELOAD at spaces.
clock_folder=$(mktemp -d "${TMPDIR:-/tmp}/dozo-clock.XXXXXX") || exit 1
trap 'remove "$folder" "$clock_folder"' EXIT
clock_library=$clock_folder/other-clock.so
gcc -shared -fPIC -O1 -o "$clock_library" "$top/Tests/Support/other-clock.c" -ldl 2>"$folder/output" ||
    { skip "a clock that is set" "other-clock.c does not compile: $(tail -n 1 "$folder/output")"; echo done; exit 0; }

# at TIME COMMAND…: with the clock on the wall at the time, as date(1) reads it in UTC.
at() {
    clock=$(date -u -d "$1" +%s)
    shift
    env DOZO_TEST_CLOCK="$clock" LD_PRELOAD="$clock_library" "$@"
}
equal() { test "$1" = "$2" || { echo "$1 instead of $2"; return 1; }; }
# ids FILTER: of the points that Python's FILTER chooses, a point being p.
ids() {
    "$dozo" points --json 2>/dev/null |
        python3 -c 'import json,sys
for p in json.load(sys.stdin):
    if eval(sys.argv[1]): print(p["id"])' "$1"
}
count() { ids "$1" | wc -l | tr -d ' '; }
# one_policy FILE ZONE UNDO-TIME RETENTION: an agent's file with the policy nightly for web*.
one_policy() {
    cat >"$1" <<YAML
time-zone: $2
repositories:
  main: {location: "$DOZO_REPOSITORY", credential-file: /etc/dozo/none, undo-time: $3}
guests:
  web: {connection: libvirt, patterns: ["web*"]}
tiers:
  1: {name: all, largest-rpo: 24h}
policies:
  nightly: {guests: [web], repository: main, tier: 1, schedule: "30 22 * * *", retention: $4}
YAML
    chmod 600 "$1"
}
