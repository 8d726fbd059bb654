#!/bin/sh
# Guests of a real libvirt with their memory: it and the disks are of one instant, the guest stands still for it and
# goes on, whatever becomes of the backup; and whoever destroys the guest goes on from there.
. "$(dirname -- "$0")/cases-libvirt.sh"
backup() { "$dozo" backup --connect "$uri" --scratch "${place:-$scratch}" --domain vm01 "$@"; }
back() { "$dozo" restore "$1" --define --connect "$uri" --to-directory "$2" --resume; }
tells() { holds "$1" grep -q -- "$2" "$folder/said"; }
# ended STATUS PATTERN NAME COMMAND…: as ends_with, and keeps what it said for tells.
ended() {
    ends_with "$@"
    cp "$folder/output" "$folder/said"
}
number() { guest "cat /run/$1" | sed 's/^0*//'; }
# counts NAME: the guest itself is asked, not whom it belongs to.
counts() {
    first=$(number counter); sleep 1; second=$(number counter)
    if [ "${second:-0}" -gt "${first:-0}" ]; then pass "$1"; else fail "$1" "it counts $first, $second"; fi
}
latest() { "$dozo" points --json 2>/dev/null | sed -n 's/.*"id" *: *"\([0-9a-f]*\)".*/\1/p' | tail -n 1; }
rest() { virsh qemu-agent-command vm01 '{"execute":"guest-fsfreeze-status"}' | sed 's/.*"return":"\([a-z]*\)".*/\1/'; }
gone() { virsh destroy vm01 >/dev/null && virsh undefine vm01 --checkpoints-metadata >/dev/null; }

"$lab_script" define "$lab" vm01 "$folder/guest" && "$lab_script" boot "$lab" vm01 ||
    { fail "the guest boots" "see $lab"; echo done; exit 0; }
holds "init" "$dozo" init
guest 'guest-work writer /dev/vdb /dev/vdc /run/written 2000 >/dev/null 2>&1 &' >/dev/null
ended 0 "" "a point without memory" backup
ended 0 "vm01 stood still for [0-9.]* ms, and goes on" "a guest is taken with its memory" backup --with-memory
if grep -q "stored as it is" "$folder/said"
then fail "it is stored by pages to its end" "$(cat "$folder/said")"; else pass "it is stored by pages to its end"; fi
"$dozo" show vm01@latest >"$folder/said" 2>&1
tells "the point has it" "memory .*came as libvirt-save"
tells "and for how long the guest stood still" "stood still *[0-9.]* ms"
tells "and what changed of the disks" "changes found by *\(bitmap\|mixed\)"
tells "no file system was brought to rest, which would stay so in the memory" "consistency *crash"
counts "the guest counts on"
ended 1 "stands still only" "live, which libvirt cannot, is refused" backup --with-memory=live
counts "and the guest counts on"

# --- too little room: nothing begins
place=$lab/small
if mkdir "$place" && mount -t tmpfs -o size=64m,mode=711 tmpfs "$place" 2>/dev/null; then
    ended 1 "memory of the guest vm01 needs .*--scratch" "too little room is refused before it begins" \
        backup --with-memory
    umount "$place"
    holds "the guest was not even stopped" is running "$(virsh domstate vm01)"
else skip "scratch space that is too small for memory" "this user may not mount a tmpfs"; fi
place=

# --- killed at everything that appears in its scratch space and goes from there: it stands still most of that time
# What becomes of it is told by libvirt itself: asked, it may go on again by then.
command virsh -q -c "$uri" event --domain vm01 --event lifecycle --loop >"$folder/events" 2>&1 &
watcher=$!
stuck=
for event in $(seq 2 16); do
    "$top/Tests/Support/kill-at-event.py" --at "$event" "$scratch" -- "$dozo" backup --connect "$uri" \
        --scratch "$scratch" --domain vm01 --with-memory --limit-read 20M >/dev/null 2>&1
    [ $? -eq 137 ] || break
    for _ in $(seq 1 50); do
        [ "$(virsh domstate vm01)" = running ] && continue 2
        sleep 0.2
    done
    stuck="$stuck $event"
done
kill "$watcher"
wait "$watcher" 2>/dev/null
still=$(grep -c Suspended "$folder/events")
holds "killed at $((event - 2)) moments, stopped for $still of them, it always goes on by itself" is "" "$stuck"
holds "they are enough" test "$still" -ge 5
holds "each time it was stopped it was let go on" is "$still" "$(grep -c Resumed "$folder/events")"
counts "and counts on"
guest 'guest-work scatter /dev/vdb 5 20'
ended 0 "" "and the next backup is as any other" backup --with-memory
"$dozo" show vm01@latest >"$folder/said" 2>&1
tells "by its lists" "changes found by *\(bitmap\|mixed\)"
holds "nothing of killed runs is left" is "" "$(ls "$scratch")"
holds "nor of their lists" is 1 "$(virsh checkpoint-list vm01 --name | grep -c '^dozo-')"

# --- interrupted while it stands still
# starts: a backup in the background, up to where the guest stands still.
starts() {
    "$dozo" backup --connect "$uri" --scratch "$scratch" --domain vm01 --with-memory >"$folder/said" 2>&1 & program=$!
    while kill -0 "$program" 2>/dev/null && [ -z "$(find "$scratch" -name memory.scratch)" ]; do :; done
}
starts
kill -TERM "$program"
wait "$program"
holds "interrupted meanwhile it ends with 130" is 130 "$?"
counts "and the guest counts on"

# --- the daemon killed while it stands still
starts
kill -KILL "$(cat "$lab/libvirtd.pid")"
wait "$program"
holds "without its libvirt the backup fails" is 1 "$?"
"$lab_script" start "$lab" >"$folder/output" 2>&1
for _ in $(seq 1 50); do [ "$(virsh domstate vm01)" = running ] && break; sleep 0.2; done
counts "and the guest goes on as soon as there is one again"
ended 0 "" "and is backed up" backup --with-memory

# --- a guest that its operator paused
virsh suspend vm01 >/dev/null
ended 0 "paused before, and stays so" "a paused guest is taken" backup --with-memory
holds "and stays paused" is "paused (user)" "$(virsh domstate vm01 --reason)"
virsh resume vm01 >/dev/null
counts "until its operator lets it go on"

# --- destroyed, and on from its memory
before=$(number counter)
ended 0 "" "a point to go on from" backup --with-memory
point=$(latest)
after=$(number counter)
guest 'guest-work scatter /dev/vdb 6 20'
ended 0 "" "and a later one without memory" backup
holds "its disks" "$dozo" restore "$point" --to-directory "$folder/alone"
holds "are of one instant" "$tiny" twins "$folder/alone/vdb.raw" "$folder/alone/vdc.raw"
gone
ended 0 "vm01 .* goes on from its memory" "destroyed, it comes back and goes on" back "$point" "$lab/back"
back=$(number counter)
if [ "${back:-0}" -ge "$before" ] && [ "$back" -le $((after + 200)) ]
then pass "its counter in memory continues: between $before and $after, then $back"
else fail "its counter in memory continues" "between $before and $after, then $back"; fi
counts "and goes on"
first=$(number written); sleep 1; second=$(number written)
if [ "$second" -gt "$first" ]; then pass "its writer writes on"; else fail "its writer writes on" "$first, $second"; fi
holds "its agent answers, and nothing is at rest" is thawed "$(rest)"
guest 'echo later >/data/later && sync' >/dev/null
ended 0 "" "it is backed up again" backup --with-memory
virsh destroy vm01 >/dev/null
for disk in vda vdb vdc; do holds "the image of $disk is clean" qemu-img check -q "$lab/back/$disk.qcow2"; done
qemu-img convert -O raw "$lab/back/vda.qcow2" "$folder/vda.raw"
e2fsck -fy "$folder/vda.raw" >"$folder/fsck" 2>&1
if grep -Eq "Inode .* (was|has)|Block bitmap differences" "$folder/fsck"
then fail "nothing is to be mended in its file system" "$(head -n 5 "$folder/fsck")"
else pass "nothing is to be mended in its file system but the journal"; fi

# --- at rest for the instant because the operator wants it so: at rest in the memory too
virsh undefine vm01 --checkpoints-metadata >/dev/null
ended 0 "vm01 .* goes on from its memory" "it goes on from the last point" back vm01@latest "$lab/again"
ended 0 "" "file systems are brought to rest when that is required" backup --with-memory --quiesce require
"$dozo" show vm01@latest >"$folder/said" 2>&1
tells "and the point says so" "consistency *file-system"
holds "the guest's are not any more" is thawed "$(rest)"
ended 0 "at rest in this memory.*fsfreeze-thaw" "who takes the memory by hand is told" \
    "$dozo" restore vm01@latest --memory-to "$folder/memory"
holds "the disk alone is clean" sh -c '"$1" restore vm01@latest --disk vda --to "$2" && e2fsck -fn "$2"' - \
    "$dozo" "$folder/clean.raw"
gone
ended 0 "at rest since the instant, go on" "who goes on from it is let go on" back vm01@latest "$lab/rested"
holds "by its agent" is thawed "$(rest)"
guest 'timeout 20 sh -c "echo on >/data/on && sync && cat /data/on"' >"$folder/said" 2>&1
tells "and writes to its file system" "^on"
echo done
