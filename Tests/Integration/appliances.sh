#!/bin/sh
# Appliances (OVA): disks are read inside the tar archive, as tar, qemu-img and a writer of streamed VMDKs make them,
# and come back as the raw disks that they were made of. Hostile archives end with a sentence and make no point.
. "$(dirname -- "$0")/cases.sh"
python=${DOZO_PYTHON:-python3}
if ! command -v qemu-img >/dev/null 2>&1 || ! command -v qemu-nbd >/dev/null 2>&1; then
    skip "appliances" "needs qemu-utils"
    echo done
    exit 0
fi
holds "init" "$dozo" init

# --- the disks, and an appliance of them
parts=$folder/parts
mkdir "$parts"
"$python" - "$folder" <<'PY'
import random, sys
dice = random.Random(41)
for name, size in (("system", 24 << 20), ("data", (9 << 20) + 512)):
    with open(f"{sys.argv[1]}/{name}.raw", "wb") as out:
        out.truncate(size)
        for _ in range(30):
            out.seek(dice.randrange(size // 512 - 700) * 512)
            out.write(dice.randbytes(dice.randrange(1, 700) * 512))
        out.seek(size - 512)
        out.write(dice.randbytes(512))
PY
stream() { qemu-img convert -f raw -O vmdk -o subformat=streamOptimized "$1" "$2"; }
stream "$folder/system.raw" "$parts/web-disk1.vmdk"
qemu-img convert -c -f raw -O qcow2 "$folder/data.raw" "$parts/web-disk2.qcow2"
cp "$folder/data.raw" "$parts/web-disk3.img"
printf '<?xml version="1.0"?><Envelope><DiskSection/></Envelope>\n' >"$parts/web.ovf"
(cd "$parts" && sha256sum web.ovf web-disk* | sed 's/^\([^ ]*\)  \(.*\)$/SHA256(\2)= \1/' >web.mf)
for kind in ustar gnu pax; do
    (cd "$parts" && tar --format="$kind" -cf "$folder/$kind.ova" web.ovf web.mf web-disk1.vmdk web-disk2.qcow2 \
        web-disk3.img)
    ends_with 0 "only the disks are stored, not web.ovf, web.mf" "backup of an appliance ($kind)" "$dozo" backup \
        --guest "$kind" "$folder/$kind.ova"
    rm -rf "$folder/out"
    holds "restore of its disks ($kind)" "$dozo" restore "$kind@latest" --to-directory "$folder/out"
    for pair in web-disk1:system web-disk2:data web-disk3:data; do
        holds "same bytes: ${pair%:*} ($kind)" cmp "$folder/${pair#*:}.raw" "$folder/out/${pair%:*}.raw"
    done
    if [ "$(find "$folder/out" -type f | wc -l)" -eq 3 ]; then pass "and nothing else ($kind)"
    else fail "and nothing else ($kind)" "$(ls "$folder/out")"; fi
done
"$dozo" backup --guest ustar --json "$folder/ustar.ova" >"$folder/outcome.json" 2>"$folder/output"
if [ "$(json "$folder/outcome.json" 'd["new_bytes"]')" -eq 0 ]; then pass "a second backup of it stores nothing new"
else fail "a second backup of it stores nothing new" "$(cat "$folder/outcome.json")"; fi

# --- one disk, and the whole archive
holds "backup of one disk by its path" "$dozo" backup --guest one --disk "vda=$folder/ustar.ova/web-disk2.qcow2"
holds "restore of that disk" "$dozo" restore one@latest --to "$folder/one.raw"
holds "same bytes: one disk" cmp "$folder/data.raw" "$folder/one.raw"
ends_with 2 "has 3 disks" "one name for three disks is status 2" "$dozo" backup --guest one \
    --disk "vda=$folder/ustar.ova"
ends_with 1 "has no member web-disk9.vmdk" "a member that is not there" "$dozo" backup --guest one \
    "$folder/ustar.ova/web-disk9.vmdk"
ends_with 0 "stored whole" "backup of the archive itself" "$dozo" backup --guest whole --format raw "$folder/pax.ova"
holds "restore of the archive" "$dozo" restore whole@latest --to "$folder/whole.ova"
holds "same bytes: the archive" cmp "$folder/pax.ova" "$folder/whole.ova"
holds "which tar reads" tar -tf "$folder/whole.ova"

# --- as other programs stream a VMDK: the header points to the end, where the tables and a second header stand
"$python" - "$folder/system.raw" "$parts/streamed.vmdk" <<'PY'
import os, struct, sys, zlib
grain, per_table, disk = 128 * 512, 512, open(sys.argv[1], "rb").read()
with open(sys.argv[2], "wb") as out:
    def header(directory):
        text = struct.pack("<4sIIQQQQIQQQB4sH", b"KDMV", 3, 0x30001, len(disk) // 512, 128, 1, 1, per_table, 0,
                           directory, 128, 0, b"\n \r\n", 1)
        return text + bytes(512 - len(text))
    def pad():
        out.write(bytes(-out.tell() % 512))
    def marker(sectors, kind):
        out.write(struct.pack("<QII", sectors, 0, kind) + bytes(496))
    out.write(header(0xFFFFFFFFFFFFFFFF))
    out.write(b'# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n'
              b'createType="streamOptimized"\nRW %d SPARSE "streamed.vmdk"\n' % (len(disk) // 512))
    pad()
    out.write(bytes(128 * 512 - out.tell()))
    tables = []
    for first in range(0, len(disk), grain * per_table):
        places = []
        for start in range(first, min(first + grain * per_table, len(disk)), grain):
            piece = disk[start:start + grain]
            if not any(piece):
                places.append(0)
                continue
            places.append(out.tell() // 512)
            packed = zlib.compress(piece + bytes(grain - len(piece)))
            out.write(struct.pack("<QI", start // 512, len(packed)) + packed)
            pad()
        marker(4, 1)
        tables.append(out.tell() // 512)
        out.write(struct.pack("<%dI" % per_table, *(places + [0] * (per_table - len(places)))))
    marker(1, 2)
    directory = out.tell() // 512
    out.write(struct.pack("<%dI" % len(tables), *tables))
    pad()
    marker(1, 3)
    out.write(header(directory))
    marker(0, 0)
PY
(cd "$parts" && tar -cf "$folder/streamed.ova" web.ovf streamed.vmdk web.mf)
holds "the streamed VMDK is one" qemu-img compare -f raw -F vmdk "$folder/system.raw" "$parts/streamed.vmdk"
holds "backup of a streamed VMDK in an appliance" "$dozo" backup --guest streamed "$folder/streamed.ova"
holds "restore of the streamed VMDK" "$dozo" restore streamed@latest --to "$folder/streamed.raw"
holds "same bytes: a streamed VMDK" cmp "$folder/system.raw" "$folder/streamed.raw"

# --- what is not to be trusted
refused() { # STATUS PATTERN NAME FILE
    "$dozo" points --json >"$folder/before.json" 2>/dev/null
    ends_with "$1" "$2" "$3" "$dozo" backup --guest hostile "$4"
    "$dozo" points --json >"$folder/points.json" 2>/dev/null
    if cmp -s "$folder/before.json" "$folder/points.json"; then pass "no point: $3"
    else fail "no point: $3" "$(head -c 200 "$folder/points.json")"; fi
}
head -c 2000000 "$folder/ustar.ova" >"$folder/half.ova"
refused 6 "was cut short" "half an appliance" "$folder/half.ova"
blocks=$(tar -tRf "$folder/ustar.ova" | sed -n 's/^block \([0-9]*\): web-disk3.img$/\1/p')
head -c $((blocks * 512)) "$folder/ustar.ova" >"$folder/half.ova"
refused 6 "without the mark that ends an archive" "an appliance without its last disk" "$folder/half.ova"
mkdir "$folder/hostile"
hostile() { # NAME OF THE ARCHIVE, MEMBERS…
    archive=$1; shift
    (cd "$folder/hostile" && tar -cf "$folder/$archive" "$@")
}
ln -s /etc/passwd "$folder/hostile/disk.vmdk"
cp "$parts/web-disk3.img" "$folder/hostile/a.img"
hostile link.ova a.img disk.vmdk
refused 1 "disk.vmdk is a link" "a disk that is a link" "$folder/link.ova"
rm "$folder/hostile/disk.vmdk"
printf '# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 2048 FLAT "/etc/passwd" 0\n' \
    >"$folder/hostile/disk.vmdk"
hostile descriptor.ova a.img disk.vmdk
refused 7 "names the file /etc/passwd, which is refused" "a descriptor that names a file of the host" \
    "$folder/descriptor.ova"
ends_with 7 "a member of an archive is read alone" "also when backing files are allowed" "$dozo" backup \
    --guest hostile --allow-backing "$folder/descriptor.ova"
printf '# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 18433 FLAT "a.img" 0\n' \
    >"$folder/hostile/disk.vmdk"
hostile descriptor.ova a.img disk.vmdk
refused 7 "unpack the archive" "a descriptor that names another member" "$folder/descriptor.ova"
gzip -c "$parts/web-disk1.vmdk" >"$folder/hostile/packed.vmdk.gz"
hostile packed.ova a.img packed.vmdk.gz
refused 1 "compressed or in parts" "a compressed disk" "$folder/packed.ova"
"$python" - "$folder/ustar.ova" "$folder/negative.ova" <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[124:136] = b"\xff" * 11 + b"\xfe"
data[148:156] = b"        "
data[148:156] = b"%06o\0 " % sum(data[:512])
open(sys.argv[2], "wb").write(data)
PY
refused 6 "a size that is negative" "a negative size" "$folder/negative.ova"
cp "$folder/system.raw" "$folder/no.ova"
refused 1 "does not begin like one" "a disk that is named like an appliance" "$folder/no.ova"

# --- in use
mkfifo "$folder/orders"
qemu-io -f raw "$folder/ustar.ova" <"$folder/orders" >"$folder/answers" 2>&1 &
holder=$!
exec 7>"$folder/orders"
echo "read 0 512" >&7
while ! grep -q "read 512" "$folder/answers"; do kill -0 "$holder" 2>/dev/null || break; done
ends_with 7 "virtual machine" "an appliance that somebody writes is not read" "$dozo" backup --guest g \
    "$folder/ustar.ova"
holds "unless it is forced" "$dozo" backup --guest g "$folder/ustar.ova" --force
exec 7>&-
wait "$holder"
holds "and what came of all this is sound" "$dozo" verify --content
echo done
