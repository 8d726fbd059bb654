#!/bin/sh
# The real binary while the system refuses calls: EIO and ENOSPC at several places of a backup, a restore to a new file
# and in place, and a verification. Each ends with a published status and names an object, and afterwards a plain run
# succeeds, everything verifies, and earlier points restore as before.
. "$(dirname -- "$0")/cases.sh"
if ! strace -f -o /dev/null true 2>/dev/null; then
    skip "injected faults" "needs strace and the right to trace"
    echo done
    exit 0
fi
holds "init" "$dozo" init
noise "$folder/first" 2 1
noise "$folder/second" 2 2
holds "backup" "$dozo" backup --format raw --guest g --disk "d=$folder/first"
point=$("$dozo" points --json 2>/dev/null | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["id"])')
cp -a "$DOZO_REPOSITORY" "$folder/good" && cp -a "$XDG_STATE_HOME" "$folder/good state"

# refused CALLS ERROR WHEN COMMAND…: runs the command while the calls fail: at the n-th, or from then on (n+). What the
# process does before its own work (loading libraries) uses openat, so that one fails for files of the test only.
refused() {
    calls=$1; error=$2; when=$3
    shift 3
    strace -f -q -o /dev/null $paths -e "trace=$calls" -e "inject=$calls:error=$error:when=$when" "$@" \
        >"$folder/output" 2>&1 </dev/null
    status=$?
}
# told NAME: the status is a published one, and what failed names an object.
told() {
    case $status in
        0) ;;
        1|3|4|6|7)
            grep -q "$folder\|packs/\|runs/\|log/\|sessions/\|owner/\|store/\|keys/\|tmp/\|spare/\|standard output" \
                "$folder/output" || wrong="$wrong; $1 names nothing: $(tail -n 1 "$folder/output")"
            failures=$((failures + 1)) ;;
        *) wrong="$wrong; $1 ends with $status: $(tail -n 1 "$folder/output")" ;;
    esac
    runs=$((runs + 1))
}
# summed NAME: one case for all runs since the last.
summed() {
    if [ -z "$wrong" ] && [ "$failures" -gt 0 ]; then pass "$1 ($runs runs, $failures failed and said so)"
    else fail "$1" "$runs runs, $failures failed$wrong"; fi
    wrong=; runs=0; failures=0
}
wrong=; runs=0; failures=0
paths=

# --- backup
put_back() {
    rm -rf "$DOZO_REPOSITORY" "$XDG_STATE_HOME"
    cp -a "$folder/good" "$DOZO_REPOSITORY" && cp -a "$folder/good state" "$XDG_STATE_HOME"
}
sound() { # NAME: the next backup succeeds, all verifies, and both points are what they were.
    rm -f "$folder/a" "$folder/b"
    "$dozo" backup --format raw --guest g --disk "d=$folder/second" >"$folder/output" 2>&1 &&
        "$dozo" verify --content >"$folder/output" 2>&1 &&
        "$dozo" restore "$point" --to "$folder/a" >"$folder/output" 2>&1 && cmp "$folder/a" "$folder/first" &&
        "$dozo" restore g@latest --to "$folder/b" >"$folder/output" 2>&1 && cmp "$folder/b" "$folder/second" ||
        wrong="$wrong; after $1: $(tail -n 1 "$folder/output")"
}
for case in "pwrite64 EIO 1" "pwrite64 ENOSPC 3+" "fsync EIO 1" "fsync EIO 20+" \
    "fdatasync ENOSPC 4+" "link,linkat EIO 2" "link,linkat ENOSPC 5+" \
    "mkdir,mkdirat EIO 12+" "unlink,unlinkat EIO 3+"
do
    put_back
    # shellcheck disable=SC2086  # three words
    refused $case "$dozo" backup --format raw --guest g --disk "d=$folder/second"
    told "$case"
    sound "$case"
done
summed "a backup"
# Opening fails for one file or folder of the repository.
for object in log packs tmp; do
    put_back
    saved=$IFS; IFS='|'; paths="-P|$DOZO_REPOSITORY/$object"
    refused openat EIO 1+ "$dozo" backup --format raw --guest g --disk "d=$folder/second"
    IFS=$saved; paths=
    told "opening $object"
    sound "opening $object"
done
summed "a backup that cannot open something"
put_back

# --- restore to a new file
for case in "pwrite64 EIO 1" "pwrite64 ENOSPC 2+" "fsync EIO 1+" "fsync EIO 2+" "fsync EIO 3" "link,linkat EIO 1" \
    "link,linkat ENOSPC 1+" "unlink,unlinkat EIO 1+" "ftruncate ENOSPC 1" "mkdir,mkdirat EIO 1+"
do
    rm -rf "$folder/new" "$folder/new.partial"
    # shellcheck disable=SC2086  # three words
    refused $case "$dozo" restore "$point" --to "$folder/new"
    told "$case"
    if [ "$status" -eq 0 ] || [ -e "$folder/new" ]; then :
    else "$dozo" restore "$point" --to "$folder/new" >"$folder/output" 2>&1; fi
    cmp "$folder/new" "$folder/first" >"$folder/output" 2>&1 || wrong="$wrong; $case: other bytes"
done
summed "a restore to a new file, and again"

# --- restore in place
for case in "pwrite64 EIO 1" "pwrite64 EIO 1+" "pwrite64 ENOSPC 4+" "fsync EIO 1" "fsync EIO 2+" "fsync EIO 1+" \
    "pread64 EIO 9+" "ftruncate EIO 1"
do
    cp "$folder/second" "$folder/there" && truncate -s 3M "$folder/there"
    # shellcheck disable=SC2086  # three words
    refused $case "$dozo" restore "$point" --to "$folder/there" --in-place --force
    told "$case"
    if [ "$status" -ne 0 ]; then
        "$dozo" restore "$point" --to "$folder/there" --in-place --force >"$folder/output" 2>&1 ||
            wrong="$wrong; $case: $(tail -n 1 "$folder/output")"
    fi
    cmp "$folder/there" "$folder/first" >"$folder/output" 2>&1 || wrong="$wrong; $case: other bytes"
done
summed "a restore in place, and again"

# --- verify
for case in "pread64 EIO 4+" "read EIO 40+" "fsync EIO 1+" "mkdir,mkdirat ENOSPC 1+"; do
    # shellcheck disable=SC2086  # three words
    refused $case "$dozo" verify --content
    told "$case"
done
summed "a verification"
holds "and then nothing is wrong" "$dozo" verify --content
echo done
