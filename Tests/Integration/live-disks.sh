#!/bin/sh
# Images that become other images behind a guest's back while it is off: exchanged under their names by mv and by cp,
# put back from an old copy, written in the file they stand on. The lists of changes in them say nothing of it, and the
# next point is right all the same.
. "$(dirname -- "$0")/cases-guests.sh"
qemu-img convert -O qcow2 "$guest/vda.raw" "$run/vda.qcow2"
qemu-img create -q -f qcow2 "$run/vdb.qcow2" 64M
qemu-img create -q -f qcow2 "$run/base.qcow2" 64M
qemu-io -c "write -P 1 0 20M" "$run/base.qcow2" >/dev/null
qemu-img create -q -f qcow2 -b "$run/base.qcow2" -F qcow2 "$run/vdc.qcow2"
boot() { tiny start "$guest" "$run/g" \
    --disk "$run/vda.qcow2" --disk "$run/vdb.qcow2" --disk "$run/vdc.qcow2" >"$folder/boot" 2>&1; }
backup() { "$dozo" backup --qmp "$run/g/qmp.sock" --guest tiny --sample 0 "$@"; }
# right NAME: makes a point and compares it with the images.
right() {
    boot || { fail "$1" "$(tail -n 1 "$folder/boot")"; return; }
    tiny qmp "$run/g" stop >/dev/null
    if ! backup >"$folder/output" 2>&1; then fail "$1" "$(tail -n 2 "$folder/output")"; return; fi
    tiny qmp "$run/g" cont >/dev/null
    tiny run "$run/g" "guest-work scatter /dev/vdb $((seed = ${seed:-1} + 1)) 20" >/dev/null
    tiny qmp "$run/g" stop >/dev/null
    if ! backup >"$folder/second" 2>&1; then fail "$1" "$(tail -n 2 "$folder/second")"; return; fi
    rm -rf "$run/out"
    "$dozo" restore tiny@latest --to-directory "$run/out" >/dev/null 2>&1
    wrong=
    for disk in vdb vdc; do
        qemu-img convert -U -O raw "$run/$disk.qcow2" "$run/wanted"
        cmp -s "$run/wanted" "$run/out/$disk.raw" || wrong="$wrong $disk"
    done
    if [ -z "$wrong" ]; then pass "$1"; else fail "$1" "not what the image is:$wrong"; fi
    tiny qmp "$run/g" cont >/dev/null
    tiny stop "$run/g" >/dev/null
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
holds "no damage" "$dozo" verify --content
echo done
