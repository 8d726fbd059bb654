#!/bin/sh
# A guest of libvirt comes back from its point: disks, definition, and it runs; from memory it goes on where it was.
# Each thing that is missing is named before anything is written. And what changed of a definition between two points.
. "$(dirname -- "$0")/cases-libvirt.sh"
backup() { "$dozo" backup --connect "$uri" --scratch "$lab/scratch" --domain vm01 --quiesce never "$@"; }
# back POINT WORD…: brings a point's guest back.
back() {
    point=$1
    shift
    "$dozo" restore "$point" --define --connect "$uri" "$@"
}
# tells NAME PATTERN: the last command that ends_with ran said so.
ended() {
    ends_with "$@"
    cp "$folder/output" "$folder/said"
}
tells() { holds "$1" grep -q -- "$2" "$folder/said"; }
# refused_with NAME PATTERN COMMAND…: status 7, and a line of what is missing.
refused_with() {
    refusal=$1; words=$2
    shift 2
    ended 7 "^missing: .*$words" "$refusal" "$@"
}
# same_disks FOLDER: what was written into it is what the guest's images held when it ended.
same_disks() {
    for disk in vda.qcow2 vdb.qcow2 vdc.raw; do
        qemu-img compare -q -f "${disk#*.}" -F "${disk#*.}" "$lab/kept/$disk" "$1/$disk" || return 1
    done
    qemu-img compare -q -f qcow2 -F qcow2 "$lab/kept/volume.qcow2" "$2"
}
undefine() { virsh undefine "$1" --checkpoints-metadata --keep-nvram >/dev/null; }
count() { guest 'cat /run/counter' | sed 's/^0*//'; }

"$lab_script" define "$lab" vm01 "$folder/guest" "qcow2 qcow2 raw" || { echo done; exit 0; }
# A fourth disk in a storage pool; and a firmware with variables: as there may be no UEFI here, it is the usual BIOS
# that stands in flash memory, with any bytes beside it.
mkdir "$lab/pool" && chown --reference="$lab/vm01" "$lab/pool" || exit 1
virsh pool-define-as lab dir --target "$lab/pool" >/dev/null && virsh pool-start lab >/dev/null &&
    virsh vol-create-as lab volume.qcow2 32M --format qcow2 >/dev/null || fail "a storage pool can be made" "see $lab"
bios=/usr/share/seabios/bios-256k.bin
python3 -c 'import sys; sys.stdout.buffer.write(bytes(range(256)) * 256)' >"$lab/vm01/vars.fd"
chown --reference="$lab/vm01" "$lab/vm01/vars.fd"
virsh dumpxml vm01 --inactive --security-info | sed -e "s|</type>|</type><loader readonly='yes' type='pflash'>$bios\
</loader><nvram>$lab/vm01/vars.fd</nvram>|" -e "s|<serial |<disk type='volume' device='disk'><driver name='qemu' \
type='qcow2'/><source pool='lab' volume='volume.qcow2'/><target dev='vdd' bus='virtio'/></disk><serial |" \
    >"$folder/more.xml"
virsh define "$folder/more.xml" >/dev/null && "$lab_script" boot "$lab" vm01 ||
    { fail "the guest boots" "see $lab"; echo done; exit 0; }
holds "a repository is made" "$dozo" init
# The root file system is brought to rest by hand: only the disks of the last point are compared, and nothing writes
# behind it.
guest 'for disk in vdb vdc vdd; do guest-work scatter /dev/$disk 1 40; done; sync; mount -o remount,ro /' >/dev/null
holds "a running guest is backed up" backup
first=$("$dozo" points --json 2>/dev/null | sed -n 's/.*"id" *: *"\([0-9a-f]*\)".*/\1/p' | tail -n 1)

# The definition alone.
holds "its definition is written to a folder" "$dozo" restore vm01@latest --definition-to "$folder/definition"
virsh dumpxml vm01 --inactive --security-info >"$folder/domain.xml"
holds "with libvirt's own XML" cmp "$folder/domain.xml" "$folder/definition/domain.xml"
holds "private" is "700 600" "$(stat -c %a "$folder/definition") $(stat -c %a "$folder/definition/domain.xml")"
ends_with 7 "exists already" "a folder that is there is left alone" \
    "$dozo" restore vm01@latest --definition-to "$folder/definition"

# A guest that runs.
refused_with "a guest that runs is not taken over" "guest still running: vm01" back vm01@latest --overwrite
tells "and its disks are named with it" "^missing: $lab/vm01/vdb.qcow2 is in use"
refused_with "without --overwrite its disks are in use too" "path in use: $lab/vm01/vda.qcow2" back vm01@latest

# What changed of the definition; and what another host may lack.
sed -e "s|<cpu mode='maximum'[^/]*/>|<cpu mode='custom' match='exact' check='none'><model>EPYC</model>\
<feature policy='require' name='sgx'/></cpu>|" \
    -e "s|<devices>|<devices><interface type='network'><mac address='52:54:00:11:22:33'/>\
<source network='nowhere'/><model type='virtio'/></interface>|" "$folder/domain.xml" >"$folder/odd.xml"
holds "the guest is given a network and a CPU that are not here" virsh define "$folder/odd.xml"
holds "and is backed up again" backup
ended 0 "^  + .*<source network='nowhere'/>" "diff shows the lines that changed (S22)" \
    "$dozo" diff "$first" vm01@latest
tells "and those that went" "^  - .*<cpu mode='maximum'"
"$dozo" diff "$first" vm01@latest --json >"$folder/diff.json" 2>"$folder/output"
holds "as JSON too" is "changed True" "$(json "$folder/diff.json" \
    'd["definition"]["state"] + " " + str(any("nowhere" in x for x in d["definition"]["domain_xml"]))')"
virsh destroy vm01 >/dev/null
mkdir "$lab/kept" && mv "$lab"/vm01/vd?.* "$lab/vm01/vars.fd" "$lab/pool/volume.qcow2" "$lab/kept/" || exit 1
virsh pool-refresh lab >/dev/null
undefine vm01
refused_with "a network that is missing is named (S21)" "network nowhere is not there" back vm01@latest
tells "and the CPU with it, in one go" "^missing: .*CPU.*sgx"
holds "nothing was written" sh -c '! ls "$1"/vd?.*' - "$lab/vm01"
refused_with "a folder that is missing is named" "the folder of $lab/none/vm01/vda.qcow2" \
    back "$first" --to-directory "$lab/none/vm01"
virsh pool-destroy lab >/dev/null
refused_with "and a storage pool that is not started" "storage pool lab of disk vdd is not started" back "$first"
virsh pool-start lab >/dev/null

# Back into a new folder, without the disc.
rm "$lab/vm01/medium.iso"
ends_with 0 "drive sda comes back empty" "the guest is defined, its disks in a new folder (S53)" \
    back "$first" --to-directory "$lab/back"
holds "the disks are what they were" same_disks "$lab/back" "$lab/back/vdd.qcow2"
holds "and the firmware's variables" cmp "$lab/kept/vars.fd" "$lab/back/nvram.fd"
holds "the guest is there" is "shut off" "$(virsh domstate vm01)"
holds "with its UUID" is "$(sed -n 's/.*<uuid>\(.*\)<.*/\1/p' "$folder/domain.xml")" "$(virsh domuuid vm01)"
virsh dumpxml vm01 --inactive --security-info |
    sed -e "s|$lab/back/nvram.fd|$lab/vm01/vars.fd|; s|$lab/back/|$lab/vm01/|" >"$folder/returned.xml"
holds "its definition is what it was, but for the disc and the places of its disks (S71)" is \
    "<       <source file='$lab/vm01/medium.iso'/>" "$(diff "$folder/domain.xml" "$folder/returned.xml" | grep '^[<>]' |
        grep -v "<disk type='[a-z]*' device='disk'>\|pool='lab'\|vdd.qcow2")"
holds "its maximum and its current memory among it (S63)" is "524288 262144" \
    "$(sed -n "s,.*<[a-zM]*emory unit='KiB'>\([0-9]*\)<.*,\1,p" "$folder/returned.xml" | xargs)"
refused_with "once more it is in its own way" "is defined here already, shut off" \
    back "$first" --to-directory "$lab/back"
tells "and its disks too" "^missing: path in use: $lab/back/vdb.qcow2"
rm -f "$lab/vm01/serial.log"
ends_with 0 "vm01 .* is started" "told to overwrite it comes back and is started" \
    back "$first" --to-directory "$lab/back" --overwrite --start
holds "and boots" "$tiny" wait "$lab/vm01"
refused_with "while it runs it stays" "guest still running" back "$first" --to-directory "$lab/back" --overwrite
virsh destroy vm01 >/dev/null
rm -f "$lab/vm01/serial.log"
ends_with 0 "two .* is started" "beside it, under another name" \
    back "$first" --to-directory "$lab/two" --name two --start
holds "it boots" "$tiny" wait "$lab/vm01"
holds "with a UUID of its own" sh -c '[ "$1" != "$2" ]' - "$(virsh domuuid vm01)" "$(virsh domuuid two)"
virsh destroy two >/dev/null
undefine two
undefine vm01
chmod 0 "$lab/vm01/vmlinuz"
ended 1 "^what is there now and stays: $lab/failed/vda.qcow2" "a start that fails leaves what was written" \
    back "$first" --to-directory "$lab/failed" --start
tells "and says that the guest is defined" "; the guest is defined$"
holds "the disks are all there" same_disks "$lab/failed" "$lab/failed/vdd.qcow2"
chmod 644 "$lab/vm01/vmlinuz"
undefine vm01
ends_with 0 '"defined" : true' "and where its disks were" back "$first" --json
holds "the disks are what they were there too, also in the storage pool" same_disks "$lab/vm01" "$lab/pool/volume.qcow2"
holds "and its variables" cmp "$lab/kept/vars.fd" "$lab/vm01/vars.fd"
refused_with "in place only raw disks are changed" "vda.qcow2 of disk vda is a qcow2 image, and only raw" \
    back "$first" --in-place

# From memory.
"$lab_script" boot "$lab" vm01 || fail "it boots from there" "see $lab"
guest 'guest-work scatter /dev/vdb 3 40; sync' >/dev/null
before=$(count)
virsh save vm01 "$lab/vm01/vm01.save" >/dev/null
cp "$lab/vm01/vm01.save" "$folder/vm01.save"
holds "memory of virsh save is stored with its disks" "$dozo" backup --guest saved --memory "$lab/vm01/vm01.save" \
    --disk "vda=$lab/vm01/vda.qcow2" --disk "vdb=$lab/vm01/vdb.qcow2" --format qcow2
mv "$lab/vm01/vdc.raw" "$lab/vdc.away"
refused_with "a disk that is not in the point has to be there" \
    "disk vdc is not in the point, and its image $lab/vm01/vdc.raw is not there" \
    back saved@latest --overwrite --resume
mv "$lab/vdc.away" "$lab/vm01/vdc.raw"
mkdir "$lab/gone" && mv "$lab/vm01/vda.qcow2" "$lab/vm01/vdb.qcow2" "$lab/gone/"
undefine vm01
ends_with 0 "vm01 .* goes on from its memory" "the guest goes on from its memory (S66)" \
    back saved@latest --to-directory "$lab/resumed" --resume
after=$(count)
if [ "${before:-0}" -gt 0 ] && [ "${after:-0}" -ge "$before" ] && [ "$after" -lt $((before + 3000)) ]
then pass "its counter in memory continues: $before, then $after"
else fail "its counter in memory continues" "$before, then $after"; fi
holds "it writes to its disks" guest 'guest-work scatter /dev/vdb 4 10; sync'
holds "and nothing of the memory is left beside them" is "vda.qcow2 vdb.qcow2" \
    "$(find "$lab/resumed" -type f -printf '%f\n' | sort | tr '\n' ' ' | sed 's/ $//')"
holds "it is defined" is "yes" "$(virsh dominfo vm01 | sed -n 's/^Persistent: *//p')"
virsh destroy vm01 >/dev/null

# A machine type that nobody has: the description in the memory says so.
undefine vm01
python3 - "$folder/vm01.save" "$folder/strange.save" <<'PY'
import re, sys
data = bytearray(open(sys.argv[1], "rb").read())
front = bytes(data[:1 << 16])
found = re.search(rb"machine='(pc-q35-)([0-9.]+)'", front)
data[found.start(2):found.end(2)] = b"99.9"[:found.end(2) - found.start(2)].rjust(found.end(2) - found.start(2), b"9")
open(sys.argv[2], "wb").write(data)
PY
holds "a point of a machine that nobody has" "$dozo" backup --guest strange --memory "$folder/strange.save" \
    --disk "vda=$lab/gone/vda.qcow2" --disk "vdb=$lab/gone/vdb.qcow2" --format qcow2
refused_with "is refused with its machine type" "machine type pc-q35-9.* is not known here" \
    back strange@latest --to-directory "$lab/strange"
holds "and nothing is written" test ! -e "$lab/strange"
echo done
