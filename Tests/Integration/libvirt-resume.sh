#!/bin/sh
# Backups of a guest of libvirt that are stopped and go on: by the checkpoint that began at the stopped run's instant,
# beside that of the last point. What was read is not read again, by counts, and each point is what the disk was.
. "$(dirname -- "$0")/cases-libvirt.sh"
"$lab_script" define "$lab" vm01 "$folder/guest" "raw qcow2 raw" || exit 1
size=$((96 << 20)); region=$((16 << 20))
noise "$lab/noise" 96 4
qemu-img convert -O qcow2 "$lab/noise" "$lab/vm01/vdb.qcow2" && rm "$lab/noise"
[ "$(id -u)" != 0 ] || chown 65534:65534 "$lab/vm01/vdb.qcow2"
holds "it boots" "$lab_script" boot "$lab" vm01
holds "init" "$dozo" init
become() { exec "$dozo" backup --connect "$uri" --domain vm01 --scratch "$scratch" --exclude vda --exclude vdc \
    --quiesce never --sample 0 --jobs 1 --json "$@"; }
lists() { virsh checkpoint-list vm01 --name | grep -c '^dozo-'; }
packs() { find "$DOZO_REPOSITORY/packs" -type f 2>/dev/null | wc -l; }
told() { tail -n 1 "$folder/told" >"$folder/line"; json "$folder/line" "$1"; }
at_most() { [ "$1" -le "$2" ] || { echo "$1 is more than $2"; return 1; }; }
# stopped: a run that is told to stop when the store has one pack more.
stopped() {
    wanted=$(($(packs) + 1))
    become --limit-read 20M >"$folder/output" 2>"$folder/told" & program=$!
    for _ in $(seq 1 600); do [ "$(packs)" -ge "$wanted" ] && break; sleep 0.05; done
    kill -s TERM "$program"; wait "$program"; status=$?
    read=$(told 'd["read_bytes"]')
}
# goes_on NAME DIRTY: a whole run while the guest stands still, which reads again a region and what is dirty.
goes_on() {
    virsh suspend vm01 >/dev/null
    (become) >"$folder/output.json" 2>"$folder/told"
    holds "$1: a point of changes" is "$(json "$folder/output.json" 'd["point"]["trust"]')" bitmap
    holds "$1: one region and what is dirty are read again" at_most \
        "$(json "$folder/output.json" 'd["read_again_bytes"]')" $((region + $2 * 65536 * 26 / 10))
    holds "$1: the runs have read the disk once" at_most \
        "$((before + $(json "$folder/output.json" 'd["read_bytes"]')))" $((size + region + 2 * $2 * 65536 * 26 / 10))
    rm -rf "$folder/out"
    "$dozo" restore vm01@latest --to-directory "$folder/out" >/dev/null 2>&1
    qemu-img convert -U -O raw "$lab/vm01/vdb.qcow2" "$folder/wanted"
    holds "$1: the point is what the disk was" cmp "$folder/wanted" "$folder/out/vdb.raw"
    holds "$1: one list of changes is left" is "$(lists)" 1
    virsh resume vm01 >/dev/null
}
before=0
for number in 1 2; do
    stopped
    holds "stop $number: ended, with one list of changes and no job" is \
        "$status $(lists) $(virsh domjobinfo vm01 | grep -c 'None')" "130 1 1"
    before=$((before + read))
    guest "guest-work scatter /dev/vdb $number 20" >/dev/null
done
goes_on "stopped twice before there is a point" 20
guest 'guest-work scatter /dev/vdb 5 1500' >/dev/null
stopped
holds "stopped behind a point: two lists of changes" is "$status $(lists)" "130 2"
before=$read
guest 'guest-work scatter /dev/vdb 6 20' >/dev/null
goes_on "stopped behind a point" 20
holds "no damage" "$dozo" verify --content
echo done
