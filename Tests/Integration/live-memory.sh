#!/bin/sh
# A running guest with its memory: taken at the instant of its disks while it goes on, given back, and going on from
# there in another QEMU: its counter in memory continues, its agent answers, its file system is clean.
. "$(dirname -- "$0")/cases-guests.sh"
for disk in vda vdb vdc; do qemu-img convert -O qcow2 "$guest/$disk.raw" "$run/$disk.qcow2"; done
holds "the guest starts" tiny start "$guest" "$run/a" \
    --disk "$run/vda.qcow2" --disk "$run/vdb.qcow2" --disk "$run/vdc.qcow2"
live() { "$dozo" backup --qmp "$run/a/qmp.sock" --agent "$run/a/agent.sock" --guest g "$@"; }
become() { exec "$dozo" backup --qmp "$run/a/qmp.sock" --guest g "$@"; }
holds "init" "$dozo" init
tiny run "$run/a" 'guest-work writer /dev/vdb /dev/vdc /run/written 2000 >/dev/null 2>&1 &' >/dev/null
count() { tiny run "$run/$1" 'cat /run/counter' | sed 's/^0*//'; }

if ! live --with-memory --json >"$folder/first" 2>"$folder/told"; then
    if grep -q "cannot be taken while it runs" "$folder/told"; then
        skip "guests with memory" "$(tail -n 1 "$folder/told" | cut -c 1-300)"; echo done; exit 0
    fi
    fail "a guest is taken with its memory" "$(tail -n 2 "$folder/told")"
else pass "a guest is taken with its memory"; fi
if grep -q "stored as it is" "$folder/told"
then fail "it is stored by pages to its end" "$(cat "$folder/told")"; else pass "it is stored by pages to its end"; fi
is "the point has it" "$(json "$folder/first" 'd["point"]["memory"]')" True
is "the guest goes on" "$(tiny qmp "$run/a" query-status | grep -c '"running": true')" 1
is "QEMU has its settings back" "$(tiny qmp "$run/a" query-migrate-capabilities | "$python" -c '
import json, sys
print([c["state"] for c in json.load(sys.stdin) if c["capability"] == "background-snapshot"])')" "[False]"
before=$(count a); sleep 1
live --with-memory --json >"$folder/second" 2>"$folder/told"
is "its memory is stored again for what changed" \
    "$(json "$folder/second" 'd["stored_bytes"] < '"$(json "$folder/first" 'd["stored_bytes"]')"' / 2')" True
after=$(count a)
ends_with 0 "" "a point without memory between them" live

# --- scratch space that is too small: nothing begins, for a stream that ends early would cost the guest its life
if small 64; then
    ends_with 1 "takes as much room as it is large" "too little room for memory is refused before it begins" \
        live --with-memory --scratch "$run/small"
    umount "$run/small"
    one=$(count a); sleep 2; two=$(count a)
    if [ "$two" -gt "$one" ]; then pass "and the guest counts on"; else fail "and the guest counts on" "$one, $two"; fi
else skip "scratch space that is too small for memory" "this user may not mount a tmpfs"; fi

# --- killed while the memory is written
for delay in 0.1 0.2 0.3 0.5; do
    become --with-memory --limit-read 2M >/dev/null 2>&1 & program=$!
    sleep "$delay"; kill -KILL "$program"; wait "$program" 2>/dev/null
    sleep 1
    # QEMU may say that it runs while it does not: the guest itself is asked.
    one=$(count a); sleep 1; two=$(count a)
    [ "$two" -gt "$one" ] || fail "killed after $delay s the guest goes on" "it counts $one, $two"
done
ends_with 0 "" "and what killed runs left is in nobody's way" live --with-memory --json
is "QEMU has its settings back again" "$(tiny qmp "$run/a" query-migrate-capabilities | "$python" -c '
import json, sys
print([c["state"] for c in json.load(sys.stdin) if c["capability"] == "background-snapshot"])')" "[False]"

# --- destroyed, and brought back from the second point
tiny stop "$run/a" --kill >/dev/null
point=$(json "$folder/second" 'd["point"]["id"]')
rm -f "$run"/*.qcow2
for disk in vda vdb vdc; do
    holds "disk $disk is restored" "$dozo" restore "$point" --disk "$disk" --to "$run/$disk.qcow2"
done
holds "the memory is restored" "$dozo" restore "$point" --memory-to "$run/state"
holds "the writer's disks are of one instant" sh -c 'for disk in vdb vdc; do
    qemu-img convert -O raw "$1/$disk.qcow2" "$1/$disk.raw" || exit 1; done
    "$2" "$3" twins "$1/vdb.raw" "$1/vdc.raw"' - "$run" "$python" "$top/Tests/Support/tiny_guest.py"
holds "the guest goes on from there" tiny start "$guest" "$run/b" \
    --disk "$run/vda.qcow2" --disk "$run/vdb.qcow2" --disk "$run/vdc.qcow2" --resume "$run/state"
back=$(count b); sleep 1; later=$(count b)
if [ "$back" -ge "$before" ] && [ "$back" -le "$((after + 100))" ] && [ "$later" -gt "$back" ]
then pass "its counter in memory continues: between $before and $after, then $back, then $later"
else fail "its counter in memory continues" "between $before and $after, then $back, then $later"; fi
holds "its agent answers" tiny agent "$run/b" guest-ping
first=$(tiny run "$run/b" 'cat /run/written' | sed 's/^0*//'); sleep 1
second=$(tiny run "$run/b" 'cat /run/written' | sed 's/^0*//')
if [ "$second" -gt "$first" ]; then pass "its writer writes on"; else fail "its writer writes on" "$first, $second"; fi
tiny run "$run/b" 'sync' >/dev/null
tiny stop "$run/b" >/dev/null
for disk in vda vdb vdc; do holds "the image of $disk is clean" qemu-img check -q "$run/$disk.qcow2"; done
qemu-img convert -O raw "$run/vda.qcow2" "$run/vda.raw"
# The journal of a file system that was in use is replayed first, as at the next mount.
e2fsck -fy "$run/vda.raw" >"$folder/fsck" 2>&1
is "its file system is clean, its journal replayed" "$(e2fsck -fn "$run/vda.raw" >/dev/null 2>&1; echo $?)" 0
if grep -Eq "Inode .* (was|has)|Block bitmap differences" "$folder/fsck"
then fail "nothing was to be mended in it" "$(head -n 5 "$folder/fsck")"; else pass "nothing was to be mended in it"; fi
echo done
