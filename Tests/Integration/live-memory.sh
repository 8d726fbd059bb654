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

# --- while it stands still: because that is wanted, and where it cannot be had otherwise
settings() { tiny qmp "$run/$1" query-migrate-capabilities | "$python" -c '
import json, sys
print([c["capability"] for c in json.load(sys.stdin) if c["state"]])'
    tiny qmp "$run/$1" query-migrate-parameters | "$python" -c '
import json, sys
print(json.load(sys.stdin)["max-bandwidth"])'; }
usual=$(settings a)
counts() { # GUEST NAME: the guest itself is asked
    one=$(count "$1"); sleep 1; two=$(count "$1")
    if [ "$two" -gt "$one" ]; then pass "$2"; else fail "$2" "it counts $one, $two"; fi
}
ends_with 0 "g stood still for [0-9.]* ms, and goes on" "a guest is taken while it stands still" \
    live --with-memory=stopped
"$dozo" show g@latest >"$folder/shown" 2>&1
says "the point has its memory" "memory .*came as qemu-migration" "$folder/shown"
says "and how long it stood still" "stood still *[0-9.]* ms" "$folder/shown"
says "and what changed of the disks" "changes found by *bitmap" "$folder/shown"
says "no file system was brought to rest, which would stay so in the memory" "consistency *crash" "$folder/shown"
counts a "the guest counts on"
is "QEMU has its settings back behind it" "$(settings a)" "$usual"
tiny qmp "$run/a" migrate-set-capabilities '{"capabilities":[{"capability":"xbzrle","state":true}]}' >/dev/null
ends_with 0 "not taken while it runs: .*xbzrle" "with another capability in the way it stands still, which is told" \
    live --with-memory
is "the capability is on again" "$(settings a | sed -n 1p)" "['xbzrle']"
ends_with 2 "one of auto, live, stopped" "no third way is understood" live --with-memory=warm
ends_with 1 "cannot be taken while it runs: .*--with-memory=stopped" "unless it is to be taken live" \
    live --with-memory=live
tiny qmp "$run/a" migrate-set-capabilities '{"capabilities":[{"capability":"xbzrle","state":false}]}' >/dev/null
tiny qmp "$run/a" stop >/dev/null
ends_with 0 "g was paused before, and stays so" "a paused guest is taken" live --with-memory
ends_with 7 "writes it once only until it goes on" "a second time its memory is refused" live --with-memory
ends_with 0 "" "and its disks are not" live
is "and stays paused" "$(tiny qmp "$run/a" query-status | grep -c '"running": true')" 0
tiny qmp "$run/a" cont >/dev/null
counts a "until its operator lets it go on"
stuck=$(killed_behind_each "$run/a" '^(object-add|nbd-)' \
    "$dozo" backup --agent "$run/a/agent.sock" --guest g --with-memory=stopped)
is "killed behind $(cat "$folder/moments") commands about its server nothing of it is in the way" "$stuck" ""

# stopped_by SIGNAL SECONDS: ends a backup with that signal so long after the guest was stopped for it; prints what
# QEMU said then, and how the backup ended.
stopped_by() {
    "$python" - "$top/Tests/Support" "$run/a" "$@" "$dozo" backup --qmp "$run/a/qmp.sock" --guest g \
        --with-memory=stopped <<'PY'
import signal, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
import tiny_guest
with tiny_guest.Guest(sys.argv[2]).qmp() as talk:
    program = subprocess.Popen(sys.argv[5:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while talk.ask("query-status")["running"] and program.poll() is None:
        pass
    time.sleep(float(sys.argv[4]))
    program.send_signal(getattr(signal, sys.argv[3]))
    found = talk.ask("query-status")["status"]
    ended = program.wait()
    deadline = time.monotonic() + 30
    while not talk.ask("query-status")["running"] and time.monotonic() < deadline:
        time.sleep(0.05)
    print(found, ended, "runs" if talk.ask("query-status")["running"] else "stands still")
PY
}
found=
for seconds in 0 0.02 0.04 0.06 0.08 0.1; do
    answer=$(stopped_by SIGKILL "$seconds")
    found="$found ${answer%% *}"
    case "$answer" in *"-9 runs") ;; *) fail "killed $seconds s after it was stopped it goes on" "$answer" ;; esac
done
if echo "$found" | grep -q paused; then pass "killed while it stands still, the guest goes on by itself:$found"
else fail "killed while it stands still" "it was$found"; fi
counts a "and counts on"
answer=$(stopped_by SIGTERM 0.01)
is "interrupted meanwhile, it goes on too" "${answer#* }" "130 runs"
ends_with 0 "" "and the next backup is as any other" live --with-memory=stopped --json
is "QEMU has its settings back behind that" "$(settings a)" "$usual"
before_third=$(count a)
live --with-memory=stopped --json >"$folder/third" 2>"$folder/told"

# --- a guest whose memory is a shared file, which no kernel watches
shared="--extra=-object --extra=memory-backend-file,id=m,size=160M,share=on,mem-path=$run/shared --extra=-machine"
# shellcheck disable=SC2086  # words
holds "a guest on a shared file starts" tiny start "$guest" "$run/c" $shared --extra=memory-backend=m
other() { "$dozo" backup --qmp "$run/c/qmp.sock" --agent "$run/c/agent.sock" --guest c "$@"; }
ends_with 0 "not taken while it runs: .*guest memory configuration" "it stands still for its memory" \
    other --with-memory
tiny run "$run/c" 'guest-work scatter /dev/vdb 3 40' >/dev/null
ends_with 0 "" "and once more" other --with-memory
tiny run "$run/c" 'guest-work scatter /dev/vdc 4 40; sync' >/dev/null
ends_with 0 "" "and without memory" other
"$dozo" show c@latest >"$folder/shown" 2>&1
says "by its lists of changes" "changes found by *bitmap" "$folder/shown"
counts c "it counts on"
tiny stop "$run/c" >/dev/null
for disk in vdb vdc; do
    "$dozo" restore c@latest --disk "$disk" --to "$folder/c-$disk.raw" >/dev/null 2>&1
    holds "what three points say of $disk is what it holds" \
        qemu-img compare -q -f raw -F qcow2 "$folder/c-$disk.raw" "$run/c/$disk.qcow2"
done

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

# --- and from the one for which it stood still
rm -f "$run"/*.qcow2 "$run/state"
holds "all of the third point is restored" "$dozo" restore "$(json "$folder/third" 'd["point"]["id"]')" \
    --to-directory "$run/third" --format qcow2
holds "the writer's disks are of one instant again" sh -c 'for disk in vdb vdc; do
    qemu-img convert -O raw "$1/$disk.qcow2" "$1/$disk.raw" || exit 1; done
    "$2" "$3" twins "$1/vdb.raw" "$1/vdc.raw"' - "$run/third" "$python" "$top/Tests/Support/tiny_guest.py"
holds "the guest goes on from there too" tiny start "$guest" "$run/d" --disk "$run/third/vda.qcow2" \
    --disk "$run/third/vdb.qcow2" --disk "$run/third/vdc.qcow2" --resume "$run/third/memory.stream"
back=$(count d)
if [ "$back" -ge "$before_third" ] && [ "$back" -le "$((before_third + 100))" ]
then pass "its counter continues: $before_third, then $back"
else fail "its counter continues" "$before_third, then $back"; fi
is "its file systems are not at rest" "$(tiny agent "$run/d" guest-fsfreeze-status | tr -d '"')" thawed
tiny run "$run/d" 'timeout 20 sh -c "echo on >/data/on && sync && cat /data/on"' >"$folder/wrote"
says "and it writes to them" "^on" "$folder/wrote"

# --- at rest in the memory, because the operator wants it so
ends_with 0 "" "file systems are brought to rest with memory when that is required" \
    "$dozo" backup --qmp "$run/d/qmp.sock" --agent "$run/d/agent.sock" --guest g --with-memory --quiesce require
ends_with 0 "at rest in this memory.*fsfreeze-thaw" "who restores it is told" \
    "$dozo" restore g@latest --to-directory "$run/rested" --format qcow2
tiny stop "$run/d" --kill >/dev/null
holds "it goes on" tiny start "$guest" "$run/d" --disk "$run/rested/vda.qcow2" \
    --disk "$run/rested/vdb.qcow2" --disk "$run/rested/vdc.qcow2" --resume "$run/rested/memory.stream"
is "at rest" "$(tiny agent "$run/d" guest-fsfreeze-status | tr -d '"')" frozen
tiny agent "$run/d" guest-fsfreeze-thaw >/dev/null
tiny run "$run/d" 'timeout 20 sh -c "echo on >/data/more && sync && cat /data/more"' >"$folder/wrote"
says "until its agent is told" "^on" "$folder/wrote"
echo done
