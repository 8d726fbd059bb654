#!/bin/sh
# A real guest under QEMU, backed up through its monitor while it writes: every point is what the disks were at its
# instant, only what changed is read, the guest goes on whatever happens to the store, the scratch space, or the
# program, and no list of changes lies. (S59)
. "$(dirname -- "$0")/cases-guests.sh"
start() { # FORMAT: new disks, of which vdb has the format
    mkdir -p "$run/g"
    cp --sparse=always "$guest/vda.raw" "$run/vda.raw"
    qemu-img convert -O "$1" "$guest/vdb.raw" "$run/vdb.$1"
    truncate -s 256M "$run/vdc.raw"
    boot "$1"
}
boot() { holds "the guest starts" tiny start "$guest" "$run/g" \
    --disk "$run/vda.raw:raw" --disk "$run/vdb.$1:$1" --disk "$run/vdc.raw:raw"; }
control() { "$python" - "$run/g/control.sock" "$top/Tests/Support" "$@" <<'PY'
import json, sys
sys.path.insert(0, sys.argv[2])
import tiny_guest
talk = tiny_guest.Conversation(sys.argv[1])
print(json.dumps(talk.ask(sys.argv[3], json.loads(sys.argv[4]) if len(sys.argv) > 4 else None)))
PY
}
backup() { "$dozo" backup --qmp "$run/g/qmp.sock" --guest tiny --json "$@"; }
# For the background: $! is the program itself, and not a shell that waits for it.
become() { exec "$dozo" backup --qmp "$run/g/qmp.sock" --guest tiny --json "$@"; }
bitmaps() { control query-named-block-nodes | "$python" -c '
import json, sys
print(sum(b["name"].startswith("dozo-") for n in json.load(sys.stdin) for b in n.get("dirty-bitmaps", [])))'; }
ours() { control query-named-block-nodes 2>/dev/null | "$python" -c '
import json, sys
print(sum(n["node-name"].startswith("dozo-") for n in json.load(sys.stdin)))'; }
is_running() { control query-status | grep -q '"running": true'; }

holds "init" "$dozo" init
start qcow2
tiny run "$run/g" 'guest-work writer /dev/vdb /dev/vdc /run/written 500 >/dev/null 2>&1 &' >/dev/null

vdb=$run/vdb.qcow2   # the file that vdb is written to
# The guest stands still until the disks are copied, goes on while they are read, and the point is what was copied.
night() { # NUMBER ARGUMENT…
    number=$1; shift
    tiny run "$run/g" "guest-work scatter /dev/vdc $number 40" >/dev/null
    control stop >/dev/null
    become --limit-read 40M "$@" >"$folder/night" 2>"$folder/told" & program=$!
    for _ in $(seq 1 300); do [ "$(ours)" -ge 9 ] && break; sleep 0.1; done
    mkdir -p "$run/frozen"
    cp --sparse=always "$run/vda.raw" "$run/vdc.raw" "$run/frozen"
    cp "$vdb" "$run/frozen/vdb.qcow2"
    control cont >/dev/null
    tiny run "$run/g" 'guest-work scatter /dev/vdc 999 30' >/dev/null
    wait "$program"; status=$?
    [ "$status" = 0 ] || { fail "night $number" "status $status: $(tail -n 2 "$folder/told")"; return; }
    qemu-img convert -U -O raw "$run/frozen/vdb.qcow2" "$run/frozen/vdb.raw"
    rm -rf "$run/out"
    "$dozo" restore tiny@latest --to-directory "$run/out" >/dev/null 2>&1
    for disk in vda vdb vdc; do
        cmp -s "$run/frozen/$disk.raw" "$run/out/$disk.raw" || fail "night $number, $disk" "not what it was"
    done
    tiny twins "$run/out/vdb.raw" "$run/out/vdc.raw" >"$folder/twins" 2>&1 &&
        pass "night $number: all disks as they were at one instant" || fail "night $number" "$(cat "$folder/twins")"
    rm -rf "$run/frozen" "$run/out"
}
night 1
is "the first point read everything that is no hole" "$(json "$folder/night" 'd["point"]["trust"]')" scanned
for number in 2 3 4 5 6 7 8 9 10 11; do
    night "$number" --sample 0
    # Of what the list names, the chunks that it touches are read, and nothing else.
    is "night $number: read from the list of changes" \
        "$(json "$folder/night" 'd["point"]["trust"], d["read_bytes"] <= 2.6 * d["changed_bytes"] + 4096')" \
        "('bitmap', True)"
done
is "one list of changes a disk is left" "$(bitmaps)" 3
is "nothing else of ours is left in QEMU" "$(ours)" 0
is_running && pass "the guest runs" || fail "the guest runs" "it does not"

# --- a running guest stands still for milliseconds, and goes on while the store does not take a byte
become --sample 100 --limit-read 3M >"$folder/night" 2>&1 & program=$!
for _ in $(seq 1 300); do [ "$(ours)" -ge 9 ] && break; sleep 0.1; done
# Not in the middle of a question to QEMU, which waits for a minute at most.
sleep 1
kill -STOP "$program"
# The number has leading zeros, which a shell takes for octal.
written() { tiny run "$run/g" 'cat /run/written' | sed 's/^0*//'; }
before=$(written)
for _ in $(seq 1 200); do
    after=$(written); [ "$((after - before))" -ge 1000 ] && break; sleep 0.2
done
[ "$((after - before))" -ge 1000 ] && pass "with the backup stopped dead the guest writes 1,000 blocks durably" ||
    fail "with the backup stopped dead the guest writes 1,000 blocks durably" "$before to $after"
kill -CONT "$program"; wait "$program"
status=$?
if [ "$status" = 0 ]; then pass "and the backup goes on"
else fail "and the backup goes on" "status $status: $(tail -n 2 "$folder/night" | tr '\n' ' ')"; fi

# --- killed at any moment: the guest runs, and the next point is right
# Moments are told by what happens in its folders: the third is before the instant, the fourth in it, the next while it
# reads, the last ones behind the commit.
mkdir -p "$run/scratch"
left=0; missed=
for event in 3 4 5 6 8 12 16 20 24 28 32; do
    tiny run "$run/g" "guest-work scatter /dev/vdc 77 20" >/dev/null
    "$python" "$top/Tests/Support/kill-at-event.py" --at "$event" "$run/scratch" "$XDG_STATE_HOME" -- \
        "$dozo" backup --qmp "$run/g/qmp.sock" --guest tiny --scratch "$run/scratch" >/dev/null 2>&1
    [ $? = 137 ] || missed="$missed $event"
    [ "$(ours)" -eq 0 ] || left=$((left + 1))
    sleep 1
    is_running || fail "killed at event $event: the guest runs" "it does not"
done
if [ "$left" -ge 3 ] && [ -z "$missed" ]; then pass "killed at eleven moments before and behind the instant: it runs"
else fail "killed at eleven moments before and behind the instant" "$left behind it; not killed at:$missed"; fi
tiny run "$run/g" "guest-work scatter /dev/vdc 78 200" >/dev/null
become --limit-read 1M >/dev/null 2>&1 & program=$!
for _ in $(seq 1 300); do [ "$(ours)" -ge 9 ] && break; sleep 0.1; done
kill -KILL "$program"; wait "$program" 2>/dev/null
is "and once with all it puts into QEMU in there" "$(ours)" 9
backup >"$folder/output" 2>"$folder/told"
is "it is no other guest for that: the next point is made of changes" \
    "$(json "$folder/output" 'd["point"]["trust"]')" bitmap-sampled
tiny run "$run/g" "guest-work scatter /dev/vdc 79 100" >/dev/null
become --limit-read 1M --full-read-every 1 >/dev/null 2>&1 & program=$!
for _ in $(seq 1 300); do [ "$(ours)" -ge 9 ] && break; sleep 0.1; done
kill -KILL "$program"; wait "$program" 2>/dev/null
backup --sample 0 >"$folder/output" 2>"$folder/told"
is "a whole read that is killed costs no list of changes" "$(json "$folder/output" 'd["point"]["trust"]')" bitmap
"$dozo" show tiny@latest --json >"$folder/shown" 2>&1
is "the point says how long the guest stood still (S75)" \
    "$(json "$folder/shown" '0 < d["machine"]["pause_ms"] < 60000')" True
"$dozo" show tiny@latest >"$folder/shown" 2>&1
says "and it is shown" "stood still.* ms" "$folder/shown"
night 12
is "what killed runs left is taken out" "$(ours) $(bitmaps)" "0 3"

# --- scratch space that is full
if small 2; then
    # What is overwritten must be data: zeros take no room.
    tiny run "$run/g" 'guest-work scatter /dev/vdc 5 400' >/dev/null
    become --sample 100 --limit-read 3M --scratch "$run/small" >"$folder/output" 2>&1 & program=$!
    for _ in $(seq 1 300); do [ "$(ours)" -ge 9 ] && break; sleep 0.1; done
    tiny run "$run/g" 'guest-work scatter /dev/vdc 5 400' >"$folder/scatter" 2>&1
    grep -q "^" "$folder/scatter" && fail "full scratch space: the guest's writes succeed" "$(cat "$folder/scatter")" ||
        pass "full scratch space: the guest's writes succeed"
    wait "$program"; is "and the point fails" "$?" 1
    says "with the reason" "scratch" "$folder/output"
    umount "$run/small"
    night 13 --sample 0
    is "the list of changes is as it was" "$(json "$folder/night" 'd["point"]["trust"]')" bitmap
else skip "scratch space that is full" "this user may not mount a tmpfs"; fi

# --- rebooted: QEMU is the same, and so are its lists; two repositories have lists of their own
ready() { grep -ac GUEST-READY "$run/g/serial.log"; }
boots=$(ready)
control system_reset >/dev/null
for _ in $(seq 1 600); do [ "$(ready)" -gt "$boots" ] && break; sleep 0.2; done
[ "$(ready)" -gt "$boots" ] && pass "the guest boots again" || fail "the guest boots again" "it does not"
tiny run "$run/g" 'guest-work writer /dev/vdb /dev/vdc /run/written 500 >/dev/null 2>&1 &' >/dev/null
night 22 --sample 0
is "a rebooted guest is read from its lists" "$(json "$folder/night" 'd["point"]["trust"]')" bitmap
holds "another repository" "$dozo" init -r "$folder/other"
ends_with 0 "" "a point in another repository" backup -r "$folder/other"
night 23 --sample 0
is "takes nothing from the first one's lists" "$(json "$folder/night" 'd["point"]["trust"]') $(bitmaps)" "bitmap 6"
become --limit-read 300K --sample 100 >/dev/null 2>&1 & program=$!
for _ in $(seq 1 300); do [ "$(ours)" -ge 9 ] && break; sleep 0.1; done
ends_with 7 "captured for another repository" "two at once on one guest: the second is refused" \
    "$dozo" backup -r "$folder/other" --qmp "$run/g/control.sock" --guest tiny
ends_with 7 "another backup of tiny" "two at once of one guest into one repository: the second is refused" backup
kill -TERM "$program"; wait "$program"
is "interrupted, the first ends with 130" "$?" 130
is "and leaves nothing in QEMU" "$(ours)" 0

# --- QEMU killed while its disks are read
become --limit-read 300K --sample 100 >"$folder/output" 2>&1 & program=$!
for _ in $(seq 1 300); do [ "$(ours)" -ge 9 ] && break; sleep 0.1; done
tiny stop "$run/g" --kill >/dev/null
wait "$program"
is "QEMU killed in the middle: no point" "$?" 1
says "and the reason is told" "gone\|cannot be reached" "$folder/output"
boot qcow2
tiny run "$run/g" 'guest-work writer /dev/vdb /dev/vdc /run/written 500 >/dev/null 2>&1 &' >/dev/null
night 24

# --- a snapshot beside us: the disk is another image from then on
control blockdev-snapshot-sync "{\"node-name\": \"node-vdb\", \"snapshot-file\": \"$run/over.qcow2\",
    \"snapshot-node-name\": \"over\"}" >/dev/null
vdb=$run/over.qcow2
night 25
says "after a snapshot the disk is read whole" "vdb: read whole, because it is another image" "$folder/told"
night 26 --sample 0
is "and from its list again" "$(json "$folder/night" 'd["point"]["trust"]')" bitmap
control block-commit '{"device": "over", "job-id": "commit"}' >/dev/null
for _ in $(seq 1 100); do control query-block-jobs | grep -q '"ready": true' && break; sleep 0.1; done
control job-complete '{"id": "commit"}' >/dev/null
for _ in $(seq 1 100); do control query-block-jobs | grep -q '\[\]' && break; sleep 0.1; done
vdb=$run/vdb.qcow2
night 27
says "put back into its image it is read whole once more" "vdb: read whole" "$folder/told"

# --- started anew: the list of a raw disk is gone, that of a qcow2 disk is in its file
tiny stop "$run/g" >/dev/null
holds "a snapshot inside of the image" qemu-img snapshot -c earlier "$vdb"
ends_with 1 "active dirty bitmaps" "QEMU does not revert an image behind its lists" qemu-img snapshot -a earlier "$vdb"
qemu-img snapshot -d earlier "$vdb"
boot qcow2
tiny run "$run/g" 'guest-work writer /dev/vdb /dev/vdc /run/written 500 >/dev/null 2>&1 &' >/dev/null
night 14
is "a restarted guest: what has a list is read from it, the rest whole" \
    "$(json "$folder/night" 'd["point"]["trust"]')" mixed
says "and the reason is told" "keeps no list" "$folder/told"
# Killed, its lists are not closed.
tiny stop "$run/g" --kill >/dev/null
boot qcow2
night 15
is "a killed guest is read whole" "$(json "$folder/night" 'd["point"]["trust"]')" scanned

# --- written beside the guest: the list says nothing of it, a look finds it
night 16
"$python" - "$run/vdc.raw" <<'PY'
import os, sys
with open(sys.argv[1], "r+b") as disk:
    disk.seek(200 << 20)
    disk.write(os.urandom(1 << 20))
PY
night 17 --sample 100
is "a lying list is caught, and the disk read whole" "$(json "$folder/night" 'd["point"]["trust"]')" mixed
says "and an alert says so" "caught lying" "$folder/told"
night 18 --sample 0
says "and the next point reads it whole too" "because the last run caught" "$folder/told"

# --- disks that come and go
control block_resize '{"node-name": "node-vdc", "size": 335544320}' >/dev/null
night 19
says "a resized disk is read whole" "size changed" "$folder/told"
ends_with 0 "vda is left out: --exclude" "a disk that is excluded is told" backup --exclude vda
"$dozo" show tiny@latest >"$folder/shown" 2>&1
says "and recorded" "left out *vda" "$folder/shown"
ends_with 0 "there is no such disk now, only vda, vdb, vdc" "and one that there is not, too" backup --exclude vdx
ends_with 7 "no disk that can be taken" "nothing is made of no disks" \
    backup --exclude vda --exclude vdb --exclude vdc
ends_with 0 "" "and nothing of ours is left in the next one's way" backup
control block-dirty-bitmap-add '{"node": "node-vdb", "name": "somebody-elses"}' >/dev/null
night 20
control query-named-block-nodes | grep -q somebody-elses && pass "somebody else's list is not touched" ||
    fail "somebody else's list is not touched" "it is gone"

# --- a disk with an I/O thread: reading it would end QEMU
tiny stop "$run/g" >/dev/null
mkdir "$run/t"
truncate -s 64M "$run/own.raw" "$run/scsi.raw"
holds "a guest with I/O threads starts" tiny start "$guest" "$run/t" --disk "$run/vda.raw:raw" \
    --extra=-object --extra=iothread,id=thread \
    --extra=-blockdev --extra="driver=raw,node-name=own,file.driver=file,file.filename=$run/own.raw" \
    --extra=-device --extra=virtio-blk-pci,drive=own,id=own,iothread=thread \
    --extra=-device --extra=virtio-scsi-pci,iothread=thread \
    --extra=-blockdev --extra="driver=raw,node-name=scsi,file.driver=file,file.filename=$run/scsi.raw" \
    --extra=-device --extra=scsi-hd,drive=scsi,id=scsi
threads() { "$dozo" backup --qmp "$run/t/qmp.sock" --guest threads "$@"; }
ends_with 7 "own, scsi of the guest" "disks with I/O threads are refused by name" threads
ends_with 0 "scsi is left out" "the others are taken without them" threads --exclude own --exclude scsi
is "and QEMU lives" "$(tiny qmp "$run/t" query-status | grep -c '"running": true')" 1
tiny stop "$run/t" >/dev/null
boot qcow2

# --- a host that holds no key to read with, and one that lost its maps
holds "a writer's key" "$dozo" key enroll --role writer --to "$folder/writer.key"
rm -rf "$XDG_STATE_HOME/dozo/repositories"/*/maps-*.sqlite
night 21
is "maps that are lost: everything is read" "$(json "$folder/night" 'd["point"]["trust"]')" scanned
is "and nothing is stored twice" "$(json "$folder/night" 'd["stored_bytes"] < 3000000')" True
is "no damage" "$("$dozo" verify --content >/dev/null 2>&1; echo $?)" 0
(unset DOZO_PASSPHRASE_FILE; backup --sample 0 >"$folder/night" 2>"$folder/told")
is "the agent's own key makes points from changes" "$(json "$folder/night" 'd["point"]["trust"]')" bitmap

# --- lists are taken away again: those of one repository, or all of ours, and nobody else's
for name in somebody-elses dozo-00000000-other; do
    control block-dirty-bitmap-add "{\"node\": \"node-vdb\", \"name\": \"$name\"}" >/dev/null
done
forget() { "$dozo" guests --forget-changes --qmp "$run/g/qmp.sock" "$@"; }
before=$(bitmaps)
ends_with 0 "dozo-[0-9a-f]*-[0-9a-f-]* of vdb would be taken away" "a dry run names lists" forget --dry-run
is "and takes none away" "$(bitmaps)" "$before"
ends_with 0 "of vdb taken away" "the lists of this repository are taken away" forget
control query-named-block-nodes >"$folder/nodes"
says "not those of another one" '"dozo-00000000-other"' "$folder/nodes"
says "nor somebody else's" '"somebody-elses"' "$folder/nodes"
is "of ours only that one is left" "$(bitmaps)" 1
ends_with 0 "no such lists" "once more there are none" forget
(night 22; cat "$folder/told") >"$folder/told-22" 2>&1
says "the next point reads everything whole" "vdb: read whole, QEMU keeps no list\|vdb: read whole" "$folder/told-22"
ends_with 0 "dozo-00000000-other of vdb taken away" "all of ours are taken away when told so" forget --all-repositories
is "then none is left" "$(bitmaps)" 0
control query-named-block-nodes >"$folder/nodes"
says "but somebody else's" '"somebody-elses"' "$folder/nodes"
ends_with 3 "cannot be reached" "a guest that is not there is told" \
    "$dozo" guests --forget-changes --qmp "$run/nobody" --qmp "$run/g/qmp.sock"
ends_with 2 "wants a guest" "no guest is an error" "$dozo" guests --forget-changes
control block-dirty-bitmap-remove '{"node": "node-vdb", "name": "somebody-elses"}' >/dev/null
tiny stop "$run/g" >/dev/null
holds "and an image goes back to a snapshot again" sh -c 'qemu-img snapshot -c earlier "$1" &&
    qemu-img snapshot -a earlier "$1"' - "$vdb"
echo done
