#!/bin/sh
# Restores to images of every format that are killed in the middle, with and without their server, and begun again:
# the image is the disk in the end, and what was there was kept where QEMU can say that it is whole. What lies there is
# never trusted: garbage, other disks, links and images that name others.
. "$(dirname -- "$0")/cases.sh"
python=${DOZO_PYTHON:-python3}
holds "init" "$dozo" init

# Two disks of one size: data, holes, and data where the other has a hole. The first ends inside of a sector.
"$python" - "$folder/disk" "$folder/other" <<'PY'
import random, sys
for name, seed in (sys.argv[1], 1), (sys.argv[2], 2):
    dice = random.Random(seed)
    with open(name, "wb") as out:
        out.truncate((96 << 20) + 100)
        for start in range(seed << 20, 90 << 20, 6 << 20):
            out.seek(start)
            for _ in range(12):
                out.write(dice.randbytes(dice.randrange(1, 60) * 4096))
                out.seek(dice.randrange(0, 12) * 4096, 1)
        # Both begin alike.
        out.seek(0)
        out.write(random.Random(9).randbytes(1 << 20))
        out.seek(96 << 20)
        out.write(bytes([seed]) * 100)
PY
holds "backup" "$dozo" backup --format raw --guest g --disk "d=$folder/disk"
holds "backup of the other" "$dozo" backup --format raw --guest h --disk "d=$folder/other"
size=$((97 << 20))
cp --sparse=always "$folder/disk" "$folder/wanted" && truncate -s "$size" "$folder/wanted"

# use FORMAT: sets what the cases below work on.
use() {
    format=$1; driver=$format
    [ "$format" != vhd ] || driver=vpc
    target=$folder/d.$format
    part=$target.partial/d.$format
}
restore() { "$dozo" restore "$@" --to "$target" --format "$format" --size "$size"; }
# leave POINT: leaves the whole image of a point where an interrupted restore would leave a part.
leave() { restore "$1" >"$folder/output" 2>&1 && mkdir -m 700 "$target.partial" && mv "$target" "$part"; }
# ends_as_disk NAME WANTED: restores, and compares the whole image. WANTED: "resumed" (with bytes kept), "anew", "any".
ends_as_disk() {
    name=$1; wanted=$2
    if restore g@latest --json >"$folder/outcome.json" 2>"$folder/output" &&
        qemu-img compare -f raw -F "$driver" "$folder/wanted" "$target" >>"$folder/output" 2>&1 &&
        [ ! -e "$target.partial" ]
    then
        resumed=$(json "$folder/outcome.json" 'd["disks"][0]["resumed"]')
        kept=$(json "$folder/outcome.json" 'd["disks"][0]["kept_bytes"]')
        case "$wanted $resumed" in
            "resumed True")
                if [ "$kept" -gt 0 ] && grep -q "going on with" "$folder/output"; then pass "$name ($kept bytes kept)"
                else fail "$name" "$kept bytes kept"; fi ;;
            "anew False")
                if [ "$kept" -eq 0 ] && grep -q "begun anew" "$folder/output"; then pass "$name"
                else fail "$name" "$kept bytes kept: $(head -n 2 "$folder/output")"; fi ;;
            "any "*) pass "$name (resumed: $resumed, $kept bytes kept)" ;;
            *) fail "$name" "resumed is $resumed: $(head -n 2 "$folder/output" | tr '\n' ' ')" ;;
        esac
    else fail "$name" "$(tail -n 3 "$folder/output" | tr '\n' ' ')"; fi
    rm -rf "$target" "$target.partial"
}
# killed [--server] BYTES: kills the restore when its image has grown by so many bytes.
killed() {
    server=
    if [ "$1" = --server ]; then server=--server; shift; fi
    # shellcheck disable=SC2086  # an option or none
    "$top/Tests/Support/kill-at-size.py" $server "$part" "$1" -- "$dozo" restore g@latest --to "$target" \
        --format "$format" --size "$size" --limit-write 100M -q >"$folder/killed" 2>&1
    status=$?
    [ "$status" -eq 137 ] || fail "a restore as $format is killed at $1 bytes" "status $status"
}

for format in qcow2 vmdk vhdx vdi vhd; do
    use "$format"
    # Of a VHD QEMU cannot say whether it is whole.
    wanted=resumed; [ "$format" != vhd ] || wanted=anew
    killed 12000000
    ends_as_disk "as $format, killed in the middle, the server closes the image" "$wanted"
    # Before its connections stand: that server stays, and is ended after some seconds.
    if [ "$format" = qcow2 ]; then killed 0; ends_as_disk "as $format, killed at its beginning" any; fi
    # Without a server that closes it, the image is as the kill left it: a VDI may count wrongly, and is begun anew; of
    # a qcow2 the tables are not written yet.
    wanted=any
    for bytes in 2000000 18000000; do
        killed --server "$bytes"
        ends_as_disk "as $format, killed at $bytes bytes, its server too" "$wanted"
    done
    # Twice, and a third time to the end.
    [ "$format" = qcow2 ] || continue
    killed --server 3000000; killed 5000000
    ends_as_disk "as $format, killed twice" resumed
done

# --- what is there is another disk's, or garbage
for format in qcow2 vmdk vhdx vdi; do
    use "$format"
    leave h@latest
    ends_as_disk "as $format, over another disk" resumed
    leave g@latest
    "$python" - "$part" "$size" <<'PY'
import random, subprocess, sys
dice = random.Random(5)
orders = []
for _ in range(40):
    count = dice.randrange(1, 200) * 512
    place = dice.randrange(0, (int(sys.argv[2]) - count) // 512) * 512
    orders += ["-c", f"write -q -P {dice.randrange(1, 256)} {place} {count}"]
driver = sys.argv[1].rsplit(".", 1)[1]
subprocess.run(["qemu-io", "-f", driver, *orders, sys.argv[1]], check=True)
PY
    ends_as_disk "as $format, over garbage" resumed
    (umask 077 && mkdir "$target.partial" && head -c 5000000 /dev/urandom >"$part")
    ends_as_disk "as $format, over what is no image" anew
    (umask 077 && mkdir "$target.partial" && qemu-img create -q -f "$driver" "$part" 50M)
    ends_as_disk "as $format, over a smaller image" anew
done
use qcow2
leave g@latest
# The L1 table, which the header names, points at the header.
"$python" - "$part" <<'PY'
import sys
with open(sys.argv[1], "r+b") as image:
    image.seek(40)
    table = int.from_bytes(image.read(8), "big")
    image.seek(table)
    image.write((1 << 63).to_bytes(8, "big"))
PY
ends_as_disk "a damaged image is begun anew" anew
use vmdk
leave g@latest
"$python" - "$part" <<'PY'
import sys
with open(sys.argv[1], "r+b") as image:
    image.seek(48)
    directory = int.from_bytes(image.read(8), "little") * 512
    image.seek(directory)
    table = int.from_bytes(image.read(4), "little") * 512
    image.seek(table)
    image.write(bytes(2048))
PY
ends_as_disk "a VMDK whose two tables differ is begun anew" anew

use vhdx
"$dozo" restore g@latest --to "$target" --size 20G >"$folder/output" 2>&1
mkdir -m 700 "$target.partial" && mv "$target" "$part"
ends_with 0 "takes too long to compare" "a large VHDX that is nearly empty is begun anew" "$dozo" restore g@latest \
    --to "$target" --size 20G
rm -f "$target"

# --- what is there leads elsewhere
echo secret >"$folder/victim"
cp "$folder/victim" "$folder/before"
victim_is_as_it_was() { holds "and nothing was written there: $1" cmp "$folder/victim" "$folder/before"; }
use qcow2
mkdir -m 700 "$folder/elsewhere" && ln -s "$folder/elsewhere" "$target.partial"
ends_with 7 "move it away" "a folder that is a link is not followed" restore g@latest
if [ -z "$(ls "$folder/elsewhere")" ]; then pass "and nothing was made there"
else fail "and nothing was made there" ""; fi
rm "$target.partial"; mkdir -m 755 "$target.partial"
ends_with 7 "move it away" "nor is a folder taken that is open to others" restore g@latest
chmod 700 "$target.partial"; ln -s "$folder/victim" "$part"
ends_with 1 "d.qcow2" "an image that is a link is not followed" restore g@latest
victim_is_as_it_was "a link"
rm "$part"; ln "$folder/victim" "$part"
ends_as_disk "an image with a second name is begun anew" anew
victim_is_as_it_was "a second name"
(umask 077 && mkdir "$target.partial" && qemu-img create -q -f raw "$folder/base" "$size" &&
    qemu-img create -q -f qcow2 -F raw -b "$folder/base" "$part" "$size")
ends_as_disk "an image that stands on another is begun anew" anew
(umask 077 && mkdir "$target.partial" && qemu-img create -q -f qcow2 -o data_file="$folder/victim2" "$part" "$size")
cp --sparse=always "$folder/victim2" "$folder/before2"
ends_as_disk "an image that keeps its data elsewhere is begun anew" anew
holds "and nothing was written there: a data file" cmp "$folder/victim2" "$folder/before2"
use vmdk
(umask 077 && mkdir "$target.partial" && qemu-img create -q -f vmdk -o subformat=monolithicFlat "$part" "$size")
mv "$target.partial"/*-flat.vmdk "$folder/flat.vmdk" && ln -s "$folder/flat.vmdk" "$target.partial/d-flat.vmdk"
restore g@latest --json >"$folder/outcome.json" 2>"$folder/output"
status=$?
if grep -q "begun anew" "$folder/output" && qemu-img compare -f raw -F vmdk "$folder/wanted" "$target" >/dev/null; then
    pass "a descriptor that names another file is begun anew"
else fail "a descriptor that names another file is begun anew" "$status: $(tail -n 1 "$folder/output")"; fi
holds "and nothing was written there: a descriptor" cmp -n "$size" "$folder/flat.vmdk" /dev/zero
rm -rf "$target" "$target.partial"

# --- stopped from outside, and while another writes
use qcow2
"$dozo" restore g@latest --to "$target" --format qcow2 --size "$size" --limit-write 2M 2>"$folder/stopped" &
restoring=$!
while [ "$(stat -c %b "$part" 2>/dev/null || echo 0)" -lt 8000 ] && kill -0 "$restoring" 2>/dev/null; do :; done
ends_with 7 "being written by another restore" "a second restore to the same image is refused" restore g@latest
kill -TERM "$restoring"
wait "$restoring"
status=$?
if [ "$status" -eq 130 ] && grep -q "goes on with it" "$folder/stopped"; then
    pass "an interrupted restore says how to go on"
else fail "an interrupted restore says how to go on" "$status: $(cat "$folder/stopped")"; fi
holds "and leaves an image without a fault" qemu-img check -q "$part"
ends_as_disk "and it does" resumed
echo done
