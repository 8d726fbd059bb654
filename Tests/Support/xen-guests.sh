#!/bin/sh
# Guests of a real Xen, captured by the real binary in dom0: `make integration-xen`. dom0 and its guest run inside of
# QEMU (xen-lab.sh); what came out is compared here. Without root or packages it is a counted skip.
wanted="guests of Xen"
. "$(dirname -- "$0")/cases-xen.sh"
# The repository and the state of its writer are made here: deriving a key takes long where processors are emulated.
rm -rf "$lab/given" "$lab/tools"
mkdir -p "$lab/given" "$lab/tools/lib"
holds "init" "$dozo" init
noise "$folder/seed.raw" 1 1
holds "this host is enrolled" "$dozo" backup --guest seed "$folder/seed.raw"
holds "a reader is enrolled" "$dozo" key enroll --role reader --to "$lab/given/reader.key"
cp -r "$XDG_STATE_HOME" "$DOZO_REPOSITORY" "$lab/given/"
cp "$dozo" "$lab/tools/dozo"
strip -g "$lab/tools/dozo" 2>/dev/null
ldd "$dozo" | awk '$3 ~ /^\// { print $3 }' | grep -v '/lib[cm]\.so' | while read -r library; do
    cp -L "$library" "$lab/tools/lib/"
done
cp "$top/Tests/Support/xen-dom0.sh" "$lab/tools/run"
sh "$top/Tests/Support/xen-lab.sh" host "$lab" >"$folder/host" 2>&1 ||
    fail "dom0 comes to its end" "$(cat "$folder/host")"
cat "$lab/captured/cases"
captured=$lab/captured
rm -rf "$DOZO_REPOSITORY"
cp -r "$captured/repository" "$DOZO_REPOSITORY"

if [ "$(json "$captured/guests.json" \
    '[(g["name"], g["state"], g["can"], [k["name"] for k in g["disks"]]) for g in d]')" = \
    "[('web01', 'running', ['live', 'memory', 'group'], ['xvda', 'xvdb'])]" ]; then
    pass "dozo guests shows the guest and not the host"
else fail "dozo guests shows the guest and not the host" "$(head -c 300 "$captured/guests.json")"; fi

# counter FILE: the number at the front of a disk.
counter() { head -c 511 "$1" | tr -dc 0-9; }
for name in plain memory while paused; do
    point=$(json "$captured/$name.json" 'd["point"]["id"]')
    holds "the point of $name is restored" "$dozo" restore "$point" --to-directory "$folder/$name"
    first=$(counter "$folder/$name/xvda.raw")
    second=$(counter "$folder/$name/xvdb.raw")
    # The first disk is written first; between the two the second one is a number behind.
    if [ -n "$first" ] && [ -n "$second" ] && [ "$first" -ge "$second" ] && [ "$first" -le $((second + 1)) ]; then
        pass "the disks of $name are of one instant ($first, $second)"
    else fail "the disks of $name are of one instant" "$first, $second"; fi
    "$dozo" show "$point" --json >"$folder/show.json" 2>/dev/null
    facts=$(json "$folder/show.json" '(lambda p, m: (m["hypervisor"], m["machine_type"], m["versions"].get("xen"),
        p["consistency"], m["pause_ms"]))(d["point"], d["machine"])')
    echo "$name: $facts"
    case $name in
        paused) wanted="('xen', 'pv', '4.17*', 'crash', 0)" ;;
        *) wanted="('xen', 'pv', '4.17*', 'crash', [1-9]*)" ;;
    esac
    # shellcheck disable=SC2254  # a pattern
    case $facts in $wanted) pass "the point of $name says how it was taken" ;;
        *) fail "the point of $name says how it was taken" "$facts" ;; esac
done
point=$(json "$captured/memory.json" 'd["point"]["id"]')
holds "the memory is restored" "$dozo" restore "$point" --memory-to "$folder/memory-stream"
verifier=/usr/lib/xen-4.17/bin/verify-stream-v2
verified() { PYTHONPATH=/usr/lib/xen-4.17/lib/python /usr/bin/python3 "$verifier" -f xl -i "$1"; }
if [ -x "$verifier" ]; then holds "Xen's own verifier takes it" verified "$folder/memory-stream"
else skip "Xen's own verifier takes it" "needs xen-utils-4.17"; fi
holds "everything verifies" "$dozo" verify --content
echo done
