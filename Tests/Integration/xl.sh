#!/bin/sh
# Guests of Xen's toolstack through a stand-in for xl (a real Xen: make integration-xen), with real files as disks.
. "$(dirname -- "$0")/cases.sh"
programs=$folder/programs
XL_FOLDER=$folder/xl
export XL_FOLDER
mkdir -p "$programs" "$XL_FOLDER" "$folder/images" "$folder/scratch"
cp "$top/Tests/Support/xl-stand-in.py" "$programs/xl"
PATH=$programs:$PATH
noise "$folder/images/a.raw" 3 1
noise "$folder/images/b.raw" 2 2
cp "$top/Tests/GuestMemoryTests/Streams/xen-pv.save" "$XL_FOLDER/stream"

# guest A B: the stand-in's guest has these two files as its disks, and runs. Another name than that of other runs.
uuid=$(cat /proc/sys/kernel/random/uuid)
guest() {
    python3 - "$XL_FOLDER/guest.json" "$uuid" "$1" "$2" <<'PY'
import json, sys
disks = [{"pdev_path": sys.argv[3], "vdev": "xvda", "format": "raw", "readwrite": 1, "colo_restore_enable": "False"},
         {"pdev_path": sys.argv[4], "vdev": "xvdb", "format": "raw", "readwrite": 1},
         {"pdev_path": "/iso/install.iso", "vdev": "xvdc", "format": "raw", "removable": 1, "is_cdrom": 1}]
host = {"domid": 0, "config": {"c_info": {"type": "pv", "name": "Domain-0"}, "b_info": {"max_memkb": 655360}}}
guest = {"domid": 7, "config": {
    "c_info": {"type": "pv", "name": "web 01", "domid": 4294967295, "uuid": sys.argv[2]},
    "b_info": {"max_vcpus": 1, "max_memkb": 4096, "target_memkb": 4096, "kernel": "/guest/kernel"}, "disks": disks}}
json.dump([host, guest], open(sys.argv[1], "w"), indent=4)
PY
    echo 0 >"$XL_FOLDER/pauses"
    : >"$XL_FOLDER/calls"
}
guest "$folder/images/a.raw" "$folder/images/b.raw"
pauses() { cat "$XL_FOLDER/pauses"; }
# stands NAME COUNT: the guest was paused so often and not let go on.
stands() { if [ "$(pauses)" = "$2" ]; then pass "$1"; else fail "$1" "$(pauses) pauses"; fi; }
# calls: what changed something, in order.
calls() { grep -v '^list\|^info' "$XL_FOLDER/calls" | tr '\n' ';'; }
# called NAME WANTED
called() { if [ "$(calls)" = "$2" ]; then pass "$1"; else fail "$1" "$(calls)"; fi; }

holds "init" "$dozo" init
holds "guests are listed" "$dozo" guests --connect xl: --json
# shellcheck disable=SC2154
"$dozo" guests --connect xl: --json >"$folder/guests.json" 2>/dev/null
found=$(json "$folder/guests.json" \
    '[(g["name"], g["state"], [k["name"] for k in g["disks"]], [k["name"] for k in g["left_out"]]) for g in d]')
if [ "$found" = "[('web 01', 'running', ['xvda', 'xvdb'], ['xvdc'])]" ]; then
    pass "the guest, its disks and its CD-ROM, and not the host"
else fail "the guest, its disks and its CD-ROM, and not the host" "$found"; fi
ends_with 1 'Domain-0 is the host itself' "Domain-0 is no guest" "$dozo" backup --xl Domain-0
ends_with 1 'xl knows no guest nobody' "a guest that is not there" "$dozo" backup --xl nobody
ends_with 7 'no agent' "file systems at rest cannot be asked for" \
    "$dozo" backup --xl 'web 01' --while-paused --quiesce require

# Where the file system shares blocks, another one is needed for what cannot be frozen.
plain=$folder/images
if cp --reflink=always "$folder/images/a.raw" "$folder/images/probe" 2>/dev/null; then plain=; fi
if [ -n "$plain" ]; then
    : >"$XL_FOLDER/calls"
    ends_with 7 'disk xvda of the guest web 01 .*--while-paused' "a disk that cannot be frozen is refused by name" \
        "$dozo" backup --xl 'web 01' --exclude xvdb
    called "nothing was done to the guest for it" ""
    holds "it is read while the guest is paused" "$dozo" backup --xl 'web 01' --while-paused
    called "paused once, and let go on once" "pause 7;unpause 7;"
    stands "the guest goes on" 0
    holds "it is restored" "$dozo" restore "web 01@latest" --to-directory "$folder/back"
    holds "the first disk is what it was" cmp "$folder/images/a.raw" "$folder/back/xvda.raw"
    holds "the second disk is what it was" cmp "$folder/images/b.raw" "$folder/back/xvdb.raw"
    "$dozo" show "web 01@latest" --json >"$folder/show.json" 2>/dev/null
    found=$(json "$folder/show.json" '[d["machine"]["hypervisor"], d["machine"]["versions"]["xen"],
        d["point"]["consistency"], d["machine"]["pause_ms"] > 0]')
    if [ "$found" = "['xen', '4.17.7', 'crash', True]" ]; then pass "the point says how it was taken"
    else fail "the point says how it was taken" "$found"; fi
    found=$(json "$folder/show.json" 'd["machine"]["media"]')
    if [ "$found" = "{'xvdc': '/iso/install.iso'}" ]; then pass "what lies in the CD-ROM is noted (S71)"
    else fail "what lies in the CD-ROM is noted (S71)" "$found"; fi

    "$dozo" backup --xl 'web 01' --while-paused --limit-read 1M >"$folder/killed" 2>&1 &
    run=$!
    tries=0
    until [ "$(pauses)" = 1 ] || [ $tries -gt 300 ]; do sleep 0.1; tries=$((tries + 1)); done
    stands "it stands still while it is read" 1
    kill -9 $run
    wait $run 2>/dev/null
    tries=0
    until [ "$(pauses)" = 0 ] || [ $tries -gt 300 ]; do sleep 0.1; tries=$((tries + 1)); done
    stands "a guest whose backup was killed is let go on" 0

    echo 1 >"$XL_FOLDER/pauses"
    : >"$XL_FOLDER/calls"
    holds "a paused guest is taken" "$dozo" backup --xl 'web 01' --while-paused
    called "and is left as it is" ""
    stands "it stays paused" 1
    ends_with 7 'is paused' "the memory of a paused guest is refused" \
        "$dozo" backup --xl 'web 01' --while-paused --with-memory
    echo 0 >"$XL_FOLDER/pauses"

    "$dozo" backup --xl 'web 01' --while-paused --limit-read 400K >"$folder/busy" 2>&1 &
    run=$!
    tries=0
    until [ "$(pauses)" = 1 ] || [ $tries -gt 300 ]; do sleep 0.1; tries=$((tries + 1)); done
    # Another host's state, so that it is not our own lock that refuses.
    ends_with 7 'captured by another run' "two runs do not take one guest at once" \
        env XDG_STATE_HOME="$folder/other" "$dozo" backup --xl 'web 01' --while-paused
    wait $run
    stands "the first run lets it go on" 0
    "$dozo" show "web 01@latest" --json >"$folder/show.json" 2>/dev/null
    # 5 MiB at 400 KiB a second: long enough for another run to meet it on a busy machine.
    found=$(json "$folder/show.json" 'd["machine"]["pause_ms"] > 2000')
    if [ "$found" = True ]; then pass "the point says how long it stood still while it was read"
    else
        fail "the point says how long it stood still while it was read" "$(json "$folder/show.json" 'd["machine"]')"
    fi
else
    skip "disks that cannot be frozen" "this file system can freeze them"
fi

: >"$XL_FOLDER/calls"
holds "memory and disks are taken" \
    "$dozo" backup --xl 'web 01' --while-paused --with-memory --scratch "$folder/scratch"
called "saved and left paused, then let go on once" "save -p 7 /proc/self/fd/3;unpause 7;"
stands "the guest goes on behind its memory" 0
holds "the memory is restored" "$dozo" restore "web 01@latest" --memory-to "$folder/memory"
holds "it is what xl wrote" cmp "$XL_FOLDER/stream" "$folder/memory"
holds "the definition is restored" "$dozo" restore "web 01@latest" --definition-to "$folder/definition"
holds "it has settings for xl" grep -q '^name = "web 01"' "$folder/definition/xl.cfg"
holds "it has what xl said" grep -q 4294967295 "$folder/definition/xl.json"

mv "$XL_FOLDER/stream" "$folder/stream"
ends_with 1 'No space left on device' "what xl says of a save that fails is passed on" \
    "$dozo" backup --xl 'web 01' --while-paused --with-memory --scratch "$folder/scratch"
stands "the guest goes on behind it" 0
mv "$folder/stream" "$XL_FOLDER/stream"

echo 3 >"$XL_FOLDER/slow"
"$dozo" backup --xl 'web 01' --while-paused --with-memory --scratch "$folder/scratch" >"$folder/killed" 2>&1 &
run=$!
tries=0
until [ -e "$XL_FOLDER/saving" ] || [ $tries -gt 300 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -9 $run
wait $run 2>/dev/null
tries=0
until [ ! -e "$XL_FOLDER/saving" ] && [ "$(pauses)" = 0 ] || [ $tries -gt 300 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
if [ ! -e "$XL_FOLDER/saving" ]; then pass "a save is not cut off by kill -9"
else fail "a save is not cut off by kill -9" "it still saves"; fi
stands "a guest that was saved then goes on" 0
rm "$XL_FOLDER/slow"

for text in '' '{}' '[[[[' 'xl: cannot'; do
    printf '%s' "$text" >"$XL_FOLDER/broken"
    ends_with 1 'is no list of guests' "an answer of xl that is none is refused ($text)" \
        "$dozo" backup --xl 'web 01' --while-paused
done
rm "$XL_FOLDER/broken"

if [ "$(id -u)" = 0 ] && command -v mkfs.xfs >/dev/null 2>&1 && truncate -s 512M "$folder/xfs" &&
    mkfs.xfs -q -m reflink=1 "$folder/xfs" && mkdir "$folder/shared" &&
    mount -o loop "$folder/xfs" "$folder/shared" 2>/dev/null; then
    trap 'umount "$folder/shared"; rm -rf "$folder"' EXIT
    cp "$folder/images/a.raw" "$folder/images/b.raw" "$folder/shared/"
    guest "$folder/shared/a.raw" "$folder/shared/b.raw"
    "$dozo" backup --xl 'web 01' --limit-read 1M >"$folder/run" 2>&1 &
    run=$!
    tries=0
    until grep -q unpause "$XL_FOLDER/calls" || [ $tries -gt 300 ]; do sleep 0.1; tries=$((tries + 1)); done
    # The guest goes on and writes over everything.
    noise "$folder/shared/a.raw" 3 3
    noise "$folder/shared/b.raw" 2 4
    if wait $run; then pass "frozen views are read while the guest writes"
    else fail "frozen views are read while the guest writes" "$(tail -n 2 "$folder/run")"; fi
    called "it was paused for the instant only" "pause 7;unpause 7;"
    rm -rf "$folder/back"
    holds "they are restored" "$dozo" restore "web 01@latest" --to-directory "$folder/back"
    holds "the first disk is that of the instant" cmp "$folder/images/a.raw" "$folder/back/xvda.raw"
    holds "the second disk is that of the instant" cmp "$folder/images/b.raw" "$folder/back/xvdb.raw"
    # Less room than the guest's own writes may need.
    dd if=/dev/zero of="$folder/shared/filler" bs=1M count=340 2>/dev/null
    ends_with 7 'less than 128 MiB free' "no blocks are shared where the guest's writes need the room" \
        "$dozo" backup --xl 'web 01'
    rm "$folder/shared/filler"
    "$dozo" backup --xl 'web 01' --limit-read 512K >"$folder/run" 2>&1 &
    run=$!
    tries=0
    : >"$XL_FOLDER/calls"
    until grep -q unpause "$XL_FOLDER/calls" || [ $tries -gt 300 ]; do sleep 0.1; tries=$((tries + 1)); done
    dd if=/dev/zero of="$folder/shared/filler" bs=1M count=340 2>/dev/null
    wait $run
    status=$?
    if [ $status -eq 1 ] && grep -q 'instant was given up' "$folder/run"; then
        pass "views are given up while the guest still has room"
    else fail "views are given up while the guest still has room" "$status: $(tail -n 1 "$folder/run")"; fi
    stands "the guest goes on then" 0
else
    skip "frozen views of files" "needs root and mkfs.xfs"
fi
echo done
