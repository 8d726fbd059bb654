#!/bin/sh
# Kills the real binary with signal 9 at many moments of a backup, and shows that nothing committed is ever lost.
#
#   Tests/Support/kill-loop.sh DOZO_BINARY [ROUNDS=30] [SEED=1]
#
# Each round ages a guest disk, backs a copy up to see what an uninterrupted run does, then starts the same backup and
# kills it, in turn after a random delay, when the n-th file appears or goes before the commit, when the n-th does from
# the commit on, and when one of the catalog does (n from what the copy did; drawn from SEED). Then it checks:
#   * the points committed before are all still listed; one of them, drawn at random, restores to the recorded SHA-256
#   * the killed run's point is listed if its commit entry lay in the store when it died, and not otherwise
#   * `dozo verify` passes
#   * the next backup of the same disk succeeds, and what both runs together added to the packs is at most what one
#     uninterrupted backup adds and one pack of 32 MiB per worker; behind a commit the next one adds next to nothing
#   * the catalog is then what a rebuild from nothing makes
# Every third round rewrites 160 MiB, so that several packs are full when the kill lands; the first one kills the first
# backup of an empty repository. At the end every point is restored. Exit status 0 when all of that held, 1 otherwise.
# Only the process that was started is killed, by its number. DOZO_WORKERS says how many packs may be open at a time
# (default: the number of processors).
set -u
top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P) || exit 1
. "$top/scripts/environment.sh"
LC_ALL=C
export LC_ALL

binary=${1:-}
rounds=${2:-30}
seed=${3:-1}
for number in "$rounds" "$seed"; do
    case "$number" in ''|*[!0-9]*|??????????*) binary= ;; esac
done
if [ $# -gt 3 ] || [ ! -x "$binary" ] || [ "$rounds" -lt 1 ]; then
    echo "usage: Tests/Support/kill-loop.sh DOZO_BINARY [ROUNDS=30] [SEED=1]" >&2
    exit 2
fi
case "$binary" in /*) ;; *) binary=$(pwd)/$binary ;; esac
workers=${DOZO_WORKERS:-$(getconf _NPROCESSORS_ONLN)}
# A pack is full when it has reached 32 MiB: then the chunk that filled it (256 KiB at most) and the trailer (32 KiB for
# some 500 blobs) are in it too.
pack_limit=$((32 * 1048576 + 256 * 1024 + 64 * 1024))

folder=$(mktemp -d "${TMPDIR:-/tmp}/dozo kill loop.XXXXXX") || exit 1
running=
# shellcheck disable=SC2317  # called by the trap
clean_up() { [ -z "$running" ] || kill -9 "$running" 2>/dev/null; rm -rf "$folder"; }
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
repository=$folder/repository
image=$folder/guest.raw
states=$folder/states          # one line for each committed point: its id and the SHA-256 of the disk it holds
XDG_STATE_HOME=$folder/state
DOZO_PASSPHRASE_FILE=$folder/passphrase
export XDG_STATE_HOME DOZO_PASSPHRASE_FILE
unset DOZO_REPOSITORY
mkdir -p "$XDG_STATE_HOME"
(umask 077 && echo "kill loop" >"$DOZO_PASSPHRASE_FILE")
: >"$states"
failures=0

# failed SENTENCE: counts and goes on, so that one run shows everything that is wrong.
failed() { failures=$((failures + 1)); echo "  FAIL: $1"; }

# unusable SENTENCE: nothing further can be learnt.
unusable() { echo "FAIL: $1"; echo "kill-loop: 0 passed, 1 failed, 0 skipped"; exit 1; }

# random_number LIMIT STREAM: a number from 0 to LIMIT-1 that only the seed, the round and the stream decide.
random_number() {
    awk -v limit="$1" -v seed="$((seed * 1000003 + round * 101 + $2))" 'BEGIN {
        state = seed % 2147483646 + 1
        for (i = 0; i < 10; i++) state = (state * 16807) % 2147483647
        print state % limit
    }'
}

milliseconds_now() { echo $(($(date +%s%N) / 1000000)); }
seconds_of() { printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)); }
digest() { sha256sum <"$1" | cut -d ' ' -f 1; }

# packed FOLDER: the bytes in the packs of a repository.
packed() { find "$1/packs" -type f -printf '%s\n' 2>/dev/null | awk '{ sum += $1 } END { printf "%.0f\n", sum }'; }

# listed_points FILE: writes the ids of all listed points, oldest first.
listed_points() {
    "$binary" points -r "$repository" --json >"$folder/points.json" 2>"$folder/said" || return 1
    "$DOZO_PYTHON" -c '
import json, sys
for point in sorted(json.load(open(sys.argv[1])), key=lambda point: point["taken_at"]):
    print(point["id"])' "$folder/points.json" >"$1"
}

# note_new_points DIGEST: points that were not known hold the disk as it is now. Sets new_points to their number, and
# says so when a known one has vanished.
note_new_points() {
    new_points=0
    listed_points "$folder/listed" || { failed "points cannot be listed: $(tail -n 1 "$folder/said")"; return; }
    while read -r id; do
        grep -q "^$id " "$states" || { echo "$id $1" >>"$states"; new_points=$((new_points + 1)); }
    done <"$folder/listed"
    while read -r id _; do
        grep -qx -e "$id" "$folder/listed" || failed "the committed point $id is not listed any more"
    done <"$states"
}

# check_point LINE: restores the point of that line of the states and compares it.
check_point() {
    sed -n "$1p" "$states" >"$folder/chosen"
    read -r id wanted <"$folder/chosen"
    rm -f "$folder/restored.raw"
    if ! "$binary" restore -r "$repository" "$id" --disk guest --to "$folder/restored.raw" >"$folder/said" 2>&1; then
        failed "the point $id cannot be restored: $(tail -n 1 "$folder/said")"
    elif [ "$(digest "$folder/restored.raw")" != "$wanted" ]; then
        failed "the point $id came back different"
    fi
    rm -f "$folder/restored.raw"
}

# check_repository OPTIONS…: the binary's own look at everything.
check_repository() {
    "$binary" verify -r "$repository" "$@" >"$folder/said" 2>&1 || failed "verify $*: $(tail -n 1 "$folder/said")"
}

# back_up REPOSITORY: one backup nobody kills.
back_up() { "$binary" backup -r "$1" --guest kill-loop --disk "guest=$image" >"$folder/said" 2>&1; }

# The last 160 MiB of the disk lie outside its partition; large rounds fill them with bytes that do not compress.
change_disk() {
    if [ $((round % 3)) -eq 1 ]; then
        "$DOZO_PYTHON" -c '
import random, sys
source = random.Random(int(sys.argv[2]))
with open(sys.argv[1], "r+b") as disk:
    disk.seek(256 << 20)
    for _ in range(160):
        disk.write(source.randbytes(1 << 20))' "$image" "$((seed * 1000 + round))"
    else
        "$top/scripts/make-guest-image" "$image" --change "$((seed % 1000 * 1000 + round))" 2>/dev/null
    fi || unusable "the guest's disk could not be changed."
}

# events_to LIST STORE STATE COMMAND…: runs it, with what it does in the two folders followed into the list, and kills
# it at the event of the number `at`, if that is above 0. Sets status, 137 when it was killed.
events_to() {
    list=$1
    followed=$2
    state=$3
    shift 3
    XDG_STATE_HOME=$state "$DOZO_PYTHON" "$top/Tests/Support/kill-at-event.py" --events "$list" --at "$at" \
        "$followed" "$state" -- "$@" >"$folder/killed" 2>&1 &
    running=$!
    wait "$running"
    status=$?
    running=
}

# measure_uninterrupted: what one backup of the disk adds, how long it takes, its events, and the numbers of the commit
# and of the first that concerns the catalog, on a copy of repository and state.
measure_uninterrupted() {
    rm -rf "$folder/twin" "$folder/twin state"
    cp -a "$repository" "$folder/twin" || unusable "there is no room for a copy."
    cp -a "$folder/state" "$folder/twin state" || unusable "there is no room for a copy."
    began=$(milliseconds_now)
    at=0
    events_to "$folder/events" "$folder/twin" "$folder/twin state" \
        "$binary" backup -r "$folder/twin" --guest kill-loop --disk "guest=$image"
    duration=$(($(milliseconds_now) - began))
    [ "$status" -eq 0 ] || unusable "an uninterrupted backup ended with an error: $(tail -n 1 "$folder/killed")"
    uninterrupted=$(($(packed "$folder/twin") - before))
    event_count=$(wc -l <"$folder/events")
    commit_event=$(grep -nE '^create .*/s/[0-9a-f]{32}/[0-9a-f]{32}/[0-9]{8}$' "$folder/events" | tail -n 1 |
        cut -d : -f 1)
    [ -n "$commit_event" ] || unusable "an uninterrupted backup put no entry."
    # The last event of all is that the process ends and lets its lock go.
    catalog_event=$(grep -n '/catalog\.sqlite' "$folder/events" | sed -n 1p | cut -d : -f 1)
    [ -n "$catalog_event" ] || unusable "an uninterrupted backup left the catalog alone."
    rm -rf "$folder/twin" "$folder/twin state"
}

# commit_entries: how many commit entries lie in the store. Their clear part says so, whatever dozo makes of it.
commit_entries() { find "$repository/s" -type f -exec grep -la 'dtypefcommit' {} + 2>/dev/null | wc -l; }

# kill_backup: starts a backup and kills it at the moment that this round's turn and the seed decide. Sets outcome,
# moment and committed.
kill_backup() {
    committed=$(commit_entries)
    at=0
    case $((round % 5)) in
        1|4) kill_after_delay ;;
        3) at=$(($(random_number "$((commit_event - 1))" 1) + 1)) ;;
        2) at=$((commit_event + $(random_number "$((event_count - commit_event + 1))" 1))) ;;
        0) at=$((catalog_event + $(random_number "$((event_count - catalog_event))" 1))) ;;
    esac
    if [ "$at" -gt 0 ]; then
        : >"$folder/followed"
        events_to "$folder/followed" "$repository" "$folder/state" \
            "$binary" backup -r "$repository" --guest kill-loop --disk "guest=$image"
        moment="event $at of $event_count, $(sed -n "${at}s,^\([a-z]*\) .*/\([^/]*/[^/]*\)$,\1 \2,p" \
            "$folder/followed" | sed 's/[0-9a-f]\{24\}\([^0-9a-f]\|$\)/…\1/g')"
    fi
    committed=$(($(commit_entries) - committed))
    note_new_points "$now"
    [ "$new_points" -eq "$committed" ] ||
        failed "$committed commit entries lay in the store, and $new_points new points are listed"
    case "$status:$committed" in
        137:0) outcome="killed before the commit"; killed_before=$((killed_before + 1)) ;;
        137:1) outcome="killed after the commit"; killed_after=$((killed_after + 1)) ;;
        0:1) outcome="done before the kill"; not_killed=$((not_killed + 1)) ;;
        *)
            outcome="status $status and $committed commits"
            failed "a killed backup left $outcome: $(tail -n 1 "$folder/killed")" ;;
    esac
}

# kill_after_delay: up to a tenth past the usual duration.
kill_after_delay() {
    delay=$(random_number "$((duration * 11 / 10 + 1))" 1)
    moment="$delay of $duration ms"
    "$binary" backup -r "$repository" --guest kill-loop --disk "guest=$image" >"$folder/killed" 2>&1 &
    running=$!
    sleep "$(seconds_of "$delay")"
    kill -9 "$running" 2>/dev/null
    wait "$running" 2>/dev/null
    status=$?
    running=
}

# check_catalog: what followed the killed run and the next one is what the repository alone gives.
check_catalog() {
    ! grep -q 'catalog was not' "$folder/said" || failed "$(grep 'catalog was not' "$folder/said")"
    "$binary" catalog dump >"$folder/dump followed" 2>"$folder/said" ||
        failed "the catalog cannot be read: $(tail -n 1 "$folder/said")"
    rm -f "$XDG_STATE_HOME"/dozo/catalog.sqlite*
    "$binary" catalog rebuild -r "$repository" >"$folder/said" 2>&1 ||
        failed "the catalog cannot be rebuilt: $(tail -n 1 "$folder/said")"
    "$binary" catalog dump >"$folder/dump rebuilt" 2>"$folder/said"
    cmp -s "$folder/dump followed" "$folder/dump rebuilt" ||
        failed "the catalog differs from one that is made anew: $(diff "$folder/dump followed" \
            "$folder/dump rebuilt" | head -n 3 | cut -c 1-100 | tr '\n' ' ')"
}

play_round() {
    change_disk
    now=$(digest "$image")
    before=$(packed "$repository")
    measure_uninterrupted
    kill_backup
    left=$(($(packed "$repository") - before))
    check_repository
    known=$(wc -l <"$states")
    [ "$known" -eq 0 ] || check_point "$(($(random_number "$known" 2) + 1))"
    back_up "$repository" || failed "the backup after the kill ended with an error: $(tail -n 1 "$folder/said")"
    check_catalog
    note_new_points "$now"
    [ "$new_points" -eq 1 ] || failed "the backup after the kill left $new_points new points"
    added=$(($(packed "$repository") - before))
    [ "$added" -le $((uninterrupted + workers * pack_limit)) ] ||
        failed "both runs added $added bytes of packs; one alone $uninterrupted, and $workers packs may be repeated"
    [ "$committed" -eq 0 ] || [ $((added - left)) -le 65536 ] ||
        failed "behind a commit of the same disk the next backup added $((added - left)) bytes of packs"
    extra=$((added - uninterrupted))
    [ "$extra" -le "$most_extra" ] || most_extra=$extra
    awk -v round="$round" -v moment="$moment" -v outcome="$outcome" -v left="$left" \
        -v added="$added" -v alone="$uninterrupted" 'BEGIN {
            mib = 1048576
            printf "round %2d: kill at %s: %s; packs grew %.1f MiB, with the next run %.1f, alone %.1f\n", \
                round, moment, outcome, left / mib, added / mib, alone / mib
        }'
}

echo "kill-loop: $rounds rounds, seed $seed, $workers workers, $binary"
packages="base-files bash coreutils libc6 perl-base python3.11-minimal libpython3.11-stdlib libicu72 openssl tzdata"
"$top/scripts/make-guest-image" "$image" --name kill-loop --size-mib 256 --packages "$packages" 2>"$folder/said" ||
    unusable "$(tail -n 1 "$folder/said")"
truncate -s 416M "$image" || unusable "the guest's disk cannot be made larger."
"$binary" init -r "$repository" >"$folder/said" 2>&1 || unusable "init: $(tail -n 1 "$folder/said")"
killed_before=0 killed_after=0 not_killed=0 most_extra=0
round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    play_round
done

line=0
total=$(wc -l <"$states")
while [ "$line" -lt "$total" ]; do
    line=$((line + 1))
    check_point "$line"
done
check_repository --content
echo "kills: $killed_before before the commit, $killed_after after it, $not_killed too late;" \
    "$total points compared at the end; a killed run cost at most $((most_extra / 1048576)) MiB of packs more"
[ $((killed_before + killed_after)) -gt 0 ] || failed "no kill landed in a running backup, so nothing was tried"
# From five rounds on each kind of moment had its turn.
[ "$rounds" -lt 5 ] || [ "$killed_before" -gt 0 ] || failed "no kill landed before a commit"
[ "$rounds" -lt 5 ] || [ "$killed_after" -gt 0 ] || failed "no kill landed behind a commit"
if [ "$failures" -eq 0 ]; then echo "kill-loop: $rounds passed, 0 failed, 0 skipped"; exit 0; fi
echo "kill-loop: $failures checks failed; repeat with seed $seed"
exit 1
