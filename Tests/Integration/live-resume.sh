#!/bin/sh
# Backups of a real guest under QEMU that are stopped and go on: what was read is not read again, by counts, whatever
# the guest wrote meanwhile; stopped three times in a row, killed, with its lists of changes taken away. Each point is
# what the disk was at its one instant.
. "$(dirname -- "$0")/cases-guests.sh"
disk=$((192 << 20)); region=$((16 << 20)); pack=$((32 << 20)); workers=1
cp --sparse=always "$guest/vda.raw" "$run/vda.raw"
noise "$run/noise" 192 3
qemu-img convert -O qcow2 "$run/noise" "$run/vdb.qcow2"
rm "$run/noise"
holds "the guest starts" tiny start "$guest" "$run/g" --disk "$run/vda.raw:raw" --disk "$run/vdb.qcow2:qcow2"
# For the background: $! is the program itself, and not a shell that waits for it.
become() { exec "$dozo" backup --qmp "$run/g/qmp.sock" --guest tiny --exclude vda --sample 0 --json \
    --jobs $workers --quiesce never "$@"; }
lists() { tiny qmp "$run/g" query-named-block-nodes | "$python" -c '
import json, sys
print(len({b["name"] for n in json.load(sys.stdin) for b in n.get("dirty-bitmaps", [])
           if b["name"].startswith("dozo-")}))'; }
packs() { find "$DOZO_REPOSITORY/packs" -type f 2>/dev/null | wc -l; }
packed() { find "$DOZO_REPOSITORY/packs" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum + 0 }'; }
told() { tail -n 1 "$folder/told" >"$folder/line"; json "$folder/line" "$1"; }
is_at_most() { if [ "$2" -le "$3" ]; then pass "$1 ($2 of $3)"; else fail "$1" "$2 is more than $3"; fi; }
# stopped SIGNAL PACKS ARGUMENT…: a run that gets the signal when the store has so many more packs.
stopped() {
    signal=$1; wanted=$(($(packs) + $2)); shift 2
    become --limit-read 40M "$@" >"$folder/output" 2>"$folder/told" & program=$!
    for _ in $(seq 1 600); do [ "$(packs)" -ge "$wanted" ] && break; sleep 0.05; done
    began=$(date +%s%3N)
    kill -s "$signal" "$program"
    wait "$program"; status=$?
    took=$(($(date +%s%3N) - began))
}
# right NAME: the last point is what the disk is, while the guest stands still.
right() {
    rm -rf "$run/out"
    "$dozo" restore tiny@latest --to-directory "$run/out" >/dev/null 2>&1
    qemu-img convert -U -O raw "$run/vdb.qcow2" "$run/wanted"
    if cmp "$run/wanted" "$run/out/vdb.raw" >"$folder/output" 2>&1; then pass "$1"
    else fail "$1" "$(cat "$folder/output")"; fi
    rm -rf "$run/out" "$run/wanted"
}
# Of a list that names whole clusters of 64 KiB, the chunks that those touch are read.
dirty() { echo $(($1 * 65536 * 26 / 10)); }
holds "init" "$dozo" init

# --- stopped three times before there is a point
read=0
for number in 1 2 3; do
    stopped TERM 1
    is "stop $number: status 130" "$status" 130
    is_at_most "stop $number: it ends within seconds, in ms" "$took" 8000
    is "stop $number: the line of the failure says what was read" \
        "$(told '0 < d["read_bytes"] and 0 < d["stored_bytes"] and d["status"]')" 130
    is "stop $number: one list of changes is left, and nothing else" "$(lists)" 1
    read=$((read + $(told 'd["read_bytes"]')))
    tiny run "$run/g" "guest-work scatter /dev/vdb $number 20" >/dev/null
done
tiny qmp "$run/g" stop >/dev/null
(become) >"$folder/output" 2>"$folder/told"
is "the fourth run makes a point of changes" "$(json "$folder/output" 'd["point"]["trust"]')" bitmap
again=$(json "$folder/output" 'd["read_again_bytes"]')
read=$((read + $(json "$folder/output" 'd["read_bytes"]')))
is_at_most "of what was read it reads again one region and what is dirty" "$again" $((region + $(dirty 20)))
is_at_most "all four together have read the disk once, a region a stop, and what was dirty" "$read" \
    $((disk + 3 * region + $(dirty 60)))
is "the parts of the run have their times" "$(json "$folder/output" '[p["name"] for p in d["phases"]]')" \
    "['prepare', 'still', 'wait', 'read', 'commit']"
right "and the point is what the disk was"
is "one list of changes is left" "$(lists)" 1

# --- stopped behind a point, then another run
tiny qmp "$run/g" cont >/dev/null
tiny run "$run/g" "guest-work scatter /dev/vdb 7 3000" >/dev/null
stopped TERM 1
is "stopped behind a point: two lists, of that point and of what was read since" "$status $(lists)" "130 2"
first=$(told 'd["read_bytes"]')
tiny run "$run/g" "guest-work scatter /dev/vdb 8 20" >/dev/null
tiny qmp "$run/g" stop >/dev/null
(become) >"$folder/output" 2>"$folder/told"
is_at_most "the next run reads again one region and what is dirty" \
    "$(json "$folder/output" 'd["read_again_bytes"]')" $((region + $(dirty 20)))
is_at_most "both have read the disk once, a region, and what was dirty" \
    "$((first + $(json "$folder/output" 'd["read_bytes"]')))" $((disk + region + $(dirty 20)))
right "and its point is what the disk was"
is "and one list is left" "$(lists)" 1

# --- all lists taken away behind a stop
tiny qmp "$run/g" cont >/dev/null
tiny run "$run/g" "guest-work scatter /dev/vdb 9 3000" >/dev/null
stopped TERM 1
ends_with 0 "taken away" "both lists are taken away" "$dozo" guests --forget-changes --qmp "$run/g/qmp.sock"
is "and are gone" "$(lists)" 0
tiny qmp "$run/g" stop >/dev/null
(become) >"$folder/output" 2>"$folder/told"
is "then all is read, and it is told that it was read before" "$(json "$folder/output" \
    'd["point"]["trust"], d["read_bytes"] >= 192 << 20, d["read_again_bytes"] > 0')" "('scanned', True, True)"
right "and the point is what the disk was: lists taken away"

# --- killed, without lists: what was stored is not stored again
tiny qmp "$run/g" cont >/dev/null
DOZO_REPOSITORY=$folder/other
holds "another repository" "$dozo" init
stopped KILL 2
is "killed in the middle" "$status" 137
tiny qmp "$run/g" stop >/dev/null
(become) >"$folder/output" 2>"$folder/told"
is "the next run reads all" "$(json "$folder/output" 'd["read_bytes"] >= 192 << 20')" True
is_at_most "what is stored twice is one pack a worker" "$(($(packed) - disk - disk / 50))" $((workers * pack))
right "and its point is what the disk was: killed"
holds "no damage" "$dozo" verify --content
echo done
