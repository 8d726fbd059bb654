#!/bin/sh
# Restores onto everything a disk can go to: images of every format, files and devices that are there already, targets
# in use, and repositories that are damaged. Every result is compared byte for byte (S41, S42, S61).
. "$(dirname -- "$0")/cases.sh"
python=${DOZO_PYTHON:-python3}
holds "init" "$dozo" init

# The disk: data, holes of many sizes, short zero runs; the same each time.
disk=$folder/disk.raw
"$python" - "$disk" <<'PY'
import random, sys
dice = random.Random(7)
with open(sys.argv[1], "wb") as out:
    out.truncate(40 << 20)
    for start in (0, 3 << 20, 9 << 20, (17 << 20) + 4096, 25 << 20):
        out.seek(start)
        for _ in range(dice.randrange(20, 60)):
            out.write(dice.randbytes(dice.randrange(1, 9) * 4096))
            out.seek(dice.randrange(0, 12) * 4096, 1)
PY
holds "backup" "$dozo" backup --format raw --guest g --disk "d=$disk"
# The one that is damaged in the end; later backups make others.
pack=$(find "$DOZO_REPOSITORY/packs" -type f -size +1M | head -n 1)
printf x >"$folder/odd.raw"
holds "backup of one byte" "$dozo" backup --format raw --guest odd --disk "d=$folder/odd.raw"

# --- containers
for format in qcow2 vmdk vhd vhdx vdi; do
    driver=$format
    [ "$format" != vhd ] || driver=vpc
    holds "restore as $format" "$dozo" restore g@latest --to "$folder/disk.$format" --format "$format"
    holds "the same disk as $format" qemu-img compare -f raw -F "$driver" "$disk" "$folder/disk.$format"
    if [ -e "$folder/disk.$format.partial" ]; then fail "nothing is left of it as $format" "$(ls "$folder")"
    else pass "nothing is left of it as $format"; fi
    mode=$(stat -c %a "$folder/disk.$format")
    if [ "$mode" = 600 ]; then pass "it is private as $format"; else fail "it is private as $format" "$mode"; fi
done
ends_with 7 "whole sectors" "a container of an odd size is refused" "$dozo" restore odd@latest \
    --to "$folder/odd.qcow2" --format qcow2
holds "and made with a larger size" "$dozo" restore odd@latest --to "$folder/odd.qcow2" --format qcow2 --size 1M
for format in vhdx vhd vmdk vdi; do
    holds "an odd size as $format" "$dozo" restore odd@latest --to "$folder/odd.$format" --size 1M
done
holds "a format that the name says" sh -c '
    qemu-img convert -f vhdx -O raw "$1/odd.vhdx" "$1/odd out" && head -c 1 "$1/odd out" | grep -q x' sh "$folder"
cp "$folder/odd.qcow2" "$folder/no ending"
ends_with 7 "looks like a qcow2" "a container is not written over as if it were raw" "$dozo" restore g@latest \
    --to "$folder/no ending" --in-place
holds "which is zero behind the disk" sh -c '
    qemu-img convert -f qcow2 -O raw "$1/odd.qcow2" "$1/odd out" && truncate -s 1M "$1/odd.raw" &&
        cmp "$1/odd.raw" "$1/odd out"' sh "$folder"
mkdir "$folder/all"
holds "every disk as qcow2 to a folder" "$dozo" restore g@latest --to-directory "$folder/all" --format qcow2
holds "the same disk in the folder" qemu-img compare -f raw -F qcow2 "$disk" "$folder/all/d.qcow2"

# --- sizes
ends_with 7 "smaller" "a smaller size is refused" "$dozo" restore g@latest --to "$folder/small" --size 10M
holds "a larger size" "$dozo" restore g@latest --to "$folder/large" --size 41M
holds "is the disk and zeros behind it" sh -c 'cp --sparse=always "$1" "$2/wanted" && truncate -s 41M "$2/wanted" &&
    cmp "$2/wanted" "$2/large"' sh "$disk" "$folder"
ends_with 2 "no size" "a size that is none is status 2" "$dozo" restore g@latest --to "$folder/x" --size 1Q

# --- files that are there
cp "$disk" "$folder/there"
"$python" - "$folder/there" <<'PY'
import sys
with open(sys.argv[1], "r+b") as out:
    for start, content in ((5000, b"x"), (4 << 20, b"y" * 70000), (30 << 20, b"z" * 300000), ((40 << 20) - 1, b"!")):
        out.seek(start)
        out.write(content)
    out.seek(9 << 20)
    out.write(bytes(200000))
PY
cp "$folder/there" "$folder/changed"
ends_with 7 "exists already" "a file that is there is not touched" "$dozo" restore g@latest --to "$folder/there"
holds "and was not" cmp "$folder/there" "$folder/changed"
holds "in place" sh -c '"$1" restore g@latest --to "$2/there" --in-place --json >"$2/outcome.json"' sh "$dozo" "$folder"
holds "the same disk in place" cmp "$disk" "$folder/there"
written=$(json "$folder/outcome.json" 'd["disks"][0]["written_bytes"]')
kept=$(json "$folder/outcome.json" 'd["disks"][0]["kept_bytes"]')
if [ "$written" -gt 0 ] && [ "$written" -lt 2000000 ] && [ "$kept" -gt "$written" ]; then
    pass "in place only what differs is written ($written bytes, $kept kept)"
else fail "in place only what differs is written" "$written written, $kept kept"; fi
truncate -s 10M "$folder/there"
holds "in place onto a shorter file" "$dozo" restore g@latest --to "$folder/there" --in-place
holds "the same disk in place of a shorter file" cmp "$disk" "$folder/there"
head -c 4000000 "$folder/changed" >>"$folder/there"
cp "$folder/there" "$folder/longer"
ends_with 7 "would be cut off; say --size" "in place a longer file is not cut" "$dozo" restore g@latest \
    --to "$folder/there" --in-place
holds "and was not touched" cmp "$folder/longer" "$folder/there"
holds "unless its length is kept" "$dozo" restore g@latest --to "$folder/longer" --in-place \
    --size "$(stat -c %s "$folder/longer")"
holds "the same disk with zeros behind it" python3 -c 'import sys
whole, disk = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read()
sys.exit(whole != disk + bytes(len(whole) - len(disk)) or len(whole) <= len(disk))' "$folder/longer" "$disk"
holds "or it may be cut" "$dozo" restore g@latest --to "$folder/there" --in-place --force
holds "the same disk in place of a longer file" cmp "$disk" "$folder/there"
cp "$folder/changed" "$folder/there" && chmod 640 "$folder/there"
holds "overwrite" "$dozo" restore g@latest --to "$folder/there" --overwrite
holds "the same disk overwritten" cmp "$disk" "$folder/there"
if [ "$(stat -c %a "$folder/there")" = 640 ]; then pass "an overwritten file keeps its rights"
else fail "an overwritten file keeps its rights" "$(stat -c %a "$folder/there")"; fi
holds "overwrite a qcow2" "$dozo" restore g@latest --to "$folder/disk.qcow2" --format qcow2 --overwrite
holds "the same disk in the qcow2" qemu-img compare -f raw -F qcow2 "$disk" "$folder/disk.qcow2"
ends_with 7 "in place" "a container is not changed in place" "$dozo" restore g@latest --to "$folder/disk.qcow2" \
    --in-place
ends_with 2 "not both" "both ways at once are status 2" "$dozo" restore g@latest --to "$folder/x" --overwrite --in-place

# --- interrupted and continued
rm -f "$folder/there"
cp "$folder/changed" "$folder/there.partial" && chmod 600 "$folder/there.partial"
holds "what an interrupted restore left is taken up" sh -c \
    '"$1" restore g@latest --to "$2/there" --json >"$2/outcome.json"' sh "$dozo" "$folder"
holds "the same disk after going on" cmp "$disk" "$folder/there"
if [ "$(json "$folder/outcome.json" 'd["disks"][0]["kept_bytes"]')" -gt 1000000 ] && [ ! -e "$folder/there.partial" ]
then pass "what was there was not written again"
else fail "what was there was not written again" "$(cat "$folder/outcome.json")"; fi
mkdir "$folder/there2.partial"
ends_with 7 "there2.partial" "something else in the way is told" "$dozo" restore g@latest --to "$folder/there2"

# --- in use
cp "$folder/changed" "$folder/guest.raw"
held() { # NAME COMMAND…: the command is refused while a qemu-io holds guest.raw open as a guest would.
    case_name=$1; shift
    mkfifo "$folder/orders"
    qemu-io -f raw "$folder/guest.raw" <"$folder/orders" >"$folder/answers" 2>&1 &
    holder=$!
    exec 3>"$folder/orders"
    echo "read 0 512" >&3
    while ! grep -q "read 512" "$folder/answers"; do :; done
    ends_with 7 "in use" "$case_name" "$@"
    exec 3>&-
    wait "$holder"
    rm -f "$folder/orders"
}
held "a disk that a guest uses is not changed in place" "$dozo" restore g@latest --to "$folder/guest.raw" --in-place
held "nor replaced" "$dozo" restore g@latest --to "$folder/guest.raw" --overwrite
holds "and stayed as it was" cmp "$folder/guest.raw" "$folder/changed"
holds "when it is free it is" "$dozo" restore g@latest --to "$folder/guest.raw" --in-place
holds "the same disk in the freed file" cmp "$disk" "$folder/guest.raw"

# --- devices
device=
if [ "$(id -u)" = 0 ] && cp "$folder/changed" "$folder/device.img" && truncate -s 44M "$folder/device.img"; then
    device=$(losetup --find --show "$folder/device.img" 2>"$folder/output")
fi
if [ -n "$device" ]; then
    trap 'losetup -d "$device" 2>/dev/null; rm -rf "$folder"' EXIT
    printf tail | dd of="$device" bs=1M seek=43 conv=notrunc status=none
    ends_with 7 "is a device" "a device is not touched unasked" "$dozo" restore g@latest --to "$device"
    holds "onto a device" "$dozo" restore g@latest --to "$device" --overwrite
    holds "the same disk on the device" sh -c 'head -c 41943040 "$2" | cmp - "$1"' sh "$disk" "$device"
    holds "what lies behind the disk stays" sh -c \
        'dd if="$1" bs=1M skip=43 count=1 status=none | head -c 4 | grep -q tail' sh "$device"
    "$python" - "$device" >"$folder/answers" 2>&1 <<'PY' &
import os, sys, time
os.open(sys.argv[1], os.O_RDONLY | os.O_EXCL)
print("held", flush=True)
while os.getppid() != 1 and not os.path.exists("/proc/%d/nothing" % os.getpid()):
    time.sleep(0.05)
PY
    holder=$!
    while ! grep -q held "$folder/answers"; do :; done
    ends_with 7 "in use" "a device that is taken is refused" "$dozo" restore g@latest --to "$device" --in-place
    kill "$holder"
    wait "$holder" 2>/dev/null
    losetup -d "$device"
    truncate -s 30M "$folder/device.img"
    device=$(losetup --find --show "$folder/device.img")
    ends_with 7 "needs" "a device that is too small is refused" "$dozo" restore g@latest --to "$device" --in-place
    losetup -d "$device"
    device=
    trap '[ -z "$device" ] || losetup -d "$device"; rm -rf "$folder"' EXIT
    # Disks that end inside a sector of 4,096 bytes, hold zeros that begin inside one, and are shorter than one.
    "$python" - "$folder" <<'PY'
import random, sys
dice = random.Random(11)
for name, size in (("long", (9 << 20) + 5 * 512 + 77), ("short", 777), ("whole", 5 << 20)):
    content = bytearray(dice.randbytes(size))
    for start, length in ((512, 100_000), (1_000_001, 70_000), (3 << 20, 1 << 20), ((5 << 20) - 300, 1_500_000)):
        end = min(start + length, size)
        content[start:end] = bytes(max(0, end - start))
    content[-1] = 1
    open(f"{sys.argv[1]}/{name}.raw", "wb").write(content)
open(f"{sys.argv[1]}/noise", "wb").write(dice.randbytes(12 << 20))
PY
    holds "backup of disks of odd sizes" "$dozo" backup --format raw --guest sectors "$folder/long.raw" \
        "$folder/short.raw" "$folder/whole.raw"
    for sector in 512 4096 16384; do
        if ! device=$(losetup --find --show --sector-size "$sector" "$folder/noise" 2>"$folder/output"); then
            device=
            skip "devices with sectors of $sector bytes" "losetup gives none"
            continue
        fi
        for name in long short whole; do
            for way in --overwrite --in-place; do
                losetup -d "$device"
                "$python" -c 'import random, sys
open(sys.argv[1], "wb").write(random.Random(12).randbytes(12 << 20))' "$folder/noise"
                device=$(losetup --find --show --sector-size "$sector" "$folder/noise")
                # Some of it is there already.
                [ "$way" = --overwrite ] ||
                    head -c 2000000 "$folder/$name.raw" | dd of="$device" bs=1M conv=notrunc status=none
                cp "$device" "$folder/before"
                holds "$name onto sectors of $sector bytes ($way)" "$dozo" restore sectors@latest --disk "$name" \
                    --to "$device" "$way"

                # Past the page cache: what the disk has, and not what the kernel remembers.
                dd if="$device" iflag=direct bs=1M status=none >"$folder/after"
                holds "the same disk, and nothing else changed" "$python" - "$folder/$name.raw" "$folder/before" \
                    "$folder/after" <<'PY'
import sys
wanted, before, after = (open(name, "rb").read() for name in sys.argv[1:4])
wanted += before[len(wanted):]
assert len(after) == len(wanted)
assert after == wanted, next(place for place in range(len(after)) if after[place] != wanted[place])
PY
            done
        done
        losetup -d "$device"
        device=
    done

    # A hole that ends inside a sector is made zero by the kernel but for its end, and not written.
    truncate -s 2G "$folder/sparse device"
    truncate -s $(((1 << 31) - 777)) "$folder/hole.raw"
    printf x | dd of="$folder/hole.raw" bs=1 seek=4096 conv=notrunc status=none
    holds "backup of a disk that is mostly a hole" "$dozo" backup --format raw --guest hole "$folder/hole.raw"
    if device=$(losetup --find --show --sector-size 4096 "$folder/sparse device" 2>"$folder/output"); then
        printf tail | dd of="$device" bs=1 seek=$(((1 << 31) - 778)) conv=notrunc status=none
        holds "a hole that ends inside a sector is hardly written" "$python" - "$dozo" "$device" <<'PY'
import resource, subprocess, sys
before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock
subprocess.run([sys.argv[1], "restore", "hole@latest", "--to", sys.argv[2], "--in-place"], check=True)
written = (resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock - before) * 512
assert written < 64 << 20, f"{written} bytes were written"
PY
        holds "the same disk with its hole, and what lies behind it" sh -c '
            head -c 2147482871 "$1" | cmp - "$2/hole.raw" && tail -c 777 "$1" | head -c 3 | grep -q ail' sh \
            "$device" "$folder"
        losetup -d "$device"
    fi
    device=

    # Files on a file system whose sectors are that large: past the page cache only whole ones can be written.
    truncate -s 96M "$folder/large sectors"
    mkdir "$folder/mounted"
    if device=$(losetup --find --show --sector-size 4096 "$folder/large sectors" 2>"$folder/output") &&
        mkfs.ext4 -q "$device" >"$folder/output" 2>&1 && mount "$device" "$folder/mounted" 2>"$folder/output"
    then
        trap 'umount "$folder/mounted"; losetup -d "$device" 2>/dev/null; rm -rf "$folder"' EXIT
        for name in long short whole; do
            file=$folder/mounted/$name.raw
            holds "$name to a file on sectors of 4096 bytes" "$dozo" restore sectors@latest --disk "$name" --to "$file"
            holds "the same disk as a file" cmp "$folder/$name.raw" "$file"
            printf x | dd of="$file" bs=1 seek=500 conv=notrunc status=none
            holds "$name in place there" "$dozo" restore sectors@latest --disk "$name" --to "$file" --in-place
            holds "the same disk in place there" cmp "$folder/$name.raw" "$file"
        done
        holds "a qcow2 on sectors of 4096 bytes" "$dozo" restore sectors@latest --disk whole \
            --to "$folder/mounted/whole.qcow2"
        holds "the same disk in the qcow2 there" qemu-img compare -f raw -F qcow2 "$folder/whole.raw" \
            "$folder/mounted/whole.qcow2"
        holds "a repository on sectors of 4096 bytes" sh -ec '
            export DOZO_REPOSITORY="$1/mounted/repository" XDG_STATE_HOME="$1/other state"
            "$2" init
            "$2" backup --format raw --guest there "$1/long.raw"
            "$2" verify --content
            "$2" restore there@latest --to "$1/long again"
            cmp "$1/long.raw" "$1/long again"' sh "$folder" "$dozo"
        umount "$folder/mounted"
    else
        skip "files on sectors of 4096 bytes" "no such file system can be mounted here"
    fi
    [ -z "$device" ] || losetup -d "$device"
    device=
    trap 'rm -rf "$folder"' EXIT
else
    skip "devices" "loop devices are not to be had here"
fi

# --- damage
"$python" - "$pack" <<'PY'
import sys
with open(sys.argv[1], "r+b") as out:
    out.seek(500000)
    byte = out.read(1)
    out.seek(500000)
    out.write(bytes([byte[0] ^ 1]))
PY
ends_with 6 "damaged or exchanged" "a damaged chunk ends a restore" "$dozo" restore g@latest --to "$folder/hurt"
if [ ! -e "$folder/hurt" ] && [ -e "$folder/hurt.partial" ]; then pass "and the file keeps its name of a part"
else fail "and the file keeps its name of a part" "$(ls "$folder")"; fi
"$dozo" restore g@latest --to "$folder/hurt" --salvage --json >"$folder/outcome.json" 2>"$folder/output"
status=$?
if [ "$status" -eq 3 ]; then pass "salvage is status 3"
else fail "salvage is status 3" "$status: $(cat "$folder/output")"; fi
holds "only the listed bytes differ, and they are zero" "$python" - "$disk" "$folder/hurt" "$folder/outcome.json" <<'PY'
import json, sys
wanted, found = (open(name, "rb").read() for name in sys.argv[1:3])
lost = json.load(open(sys.argv[3]))["disks"][0]["lost"]
assert lost and len(wanted) == len(found)
wanted = bytearray(wanted)
for part in lost:
    wanted[part["start"]:part["start"] + part["length"]] = bytes(part["length"])
assert bytes(wanted) == found and sum(part["length"] for part in lost) <= 1 << 20
PY
cp "$disk" "$folder/whole"
holds "in place, what is there need not be read from the repository" "$dozo" restore g@latest \
    --to "$folder/whole" --in-place
holds "and stays whole" cmp "$disk" "$folder/whole"
echo done
