#!/bin/sh
# Images that become other images behind a guest's back while it is off: exchanged under their names by mv and by cp,
# put back from an old copy, written in the file they stand on. The lists of changes in them say nothing of it, and the
# next point is right all the same. And a guest that moves to another QEMU while it runs.
. "$(dirname -- "$0")/cases-guests.sh"
qemu-img convert -O qcow2 "$guest/vda.raw" "$run/vda.qcow2"
qemu-img create -q -f qcow2 "$run/vdb.qcow2" 64M
qemu-img create -q -f qcow2 "$run/base.qcow2" 64M
qemu-io -c "write -P 1 0 20M" "$run/base.qcow2" >/dev/null
qemu-img create -q -f qcow2 -b "$run/base.qcow2" -F qcow2 "$run/vdc.qcow2"
boot() { tiny start "$guest" "$run/g" \
    --disk "$run/vda.qcow2" --disk "$run/vdb.qcow2" --disk "$run/vdc.qcow2" >"$folder/boot" 2>&1; }
at=g   # where the guest runs
backup() { "$dozo" backup --qmp "$run/$at/qmp.sock" --guest tiny --sample 0 "$@"; }
# right NAME: makes a point and compares it with the images.
right() {
    boot || { fail "$1" "$(tail -n 1 "$folder/boot")"; return; }
    goes_on "$@"
    tiny stop "$run/g" >/dev/null
}
goes_on() {
    tiny qmp "$run/$at" stop >/dev/null
    if ! backup >"$folder/output" 2>&1; then fail "$1" "$(tail -n 2 "$folder/output")"; return; fi
    tiny qmp "$run/$at" cont >/dev/null
    tiny run "$run/$at" "guest-work scatter /dev/vdb $((seed = ${seed:-1} + 1)) 20" >/dev/null
    tiny qmp "$run/$at" stop >/dev/null
    if ! backup >"$folder/second" 2>&1; then fail "$1" "$(tail -n 2 "$folder/second")"; return; fi
    rm -rf "$run/out"
    "$dozo" restore tiny@latest --to-directory "$run/out" >/dev/null 2>&1
    wrong=
    for disk in vdb vdc; do
        qemu-img convert -U -O raw "$run/$disk.qcow2" "$run/wanted"
        cmp -s "$run/wanted" "$run/out/$disk.raw" || wrong="$wrong $disk"
    done
    if [ -z "$wrong" ]; then pass "$1"; else fail "$1" "not what the image is:$wrong"; fi
    tiny qmp "$run/$at" cont >/dev/null
}
holds "init" "$dozo" init
right "two points of a guest"
cp "$run/vdb.qcow2" "$run/old.qcow2"
mv "$run/vdb.qcow2" "$run/t"; mv "$run/vdc.qcow2" "$run/vdb.qcow2"; mv "$run/t" "$run/vdc.qcow2"
right "two images exchanged under their names"
cp "$run/vdb.qcow2" "$run/t"; cat "$run/vdc.qcow2" >"$run/vdb.qcow2"; cat "$run/t" >"$run/vdc.qcow2"
right "and back again, in place"
cat "$run/old.qcow2" >"$run/vdb.qcow2"
right "an old copy put back in place"
qemu-io -c "write -P 4 1M 8M" "$run/base.qcow2" >/dev/null
right "written in the image that another stands on"
if grep -q "another image" "$folder/output"; then pass "and told"; else fail "and told" "$(cat "$folder/output")"; fi

# --- moved to another QEMU while it runs and writes
boot || fail "the guest boots" "$(tail -n 1 "$folder/boot")"
backup >"$folder/output" 2>&1
tiny run "$run/g" 'guest-work writer /dev/vdb /dev/vdc /run/written 500 >/dev/null 2>&1 &' >/dev/null
mkfifo "$run/line"
tiny start "$guest" "$run/h" --disk "$run/vda.qcow2" --disk "$run/vdb.qcow2" --disk "$run/vdc.qcow2" \
    --resume "$run/line" >"$folder/boot" 2>&1 & moving=$!
tiny qmp "$run/g" migrate "{\"uri\": \"exec:cat > '$run/line'\"}" >/dev/null
if wait "$moving"; then pass "a guest moves to another QEMU"
else fail "a guest moves to another QEMU" "$(tail -n 1 "$folder/boot")"; fi
tiny stop "$run/g" --kill >/dev/null 2>&1
at=h
goes_on "a migrated guest"
is "its disks are read from their lists again" "$("$dozo" show tiny@latest --json | "$python" -c '
import json, sys
print(json.load(sys.stdin)["point"]["trust"])')" bitmap
holds "no damage" "$dozo" verify --content
echo done
