#!/bin/bash
# What runs in dom0 of the lab (xen-lab.sh host): a guest with a file on XFS and a logical volume as disks, captured by
# the real binary while it goes on. Cases go to /captured/cases; xen-guests.sh starts this and compares what came out.
export HOME=/root XDG_STATE_HOME=/captured/state DOZO_REPOSITORY=/captured/repository LVM_SUPPRESS_FD_WARNINGS=1
dozo=/tools/dozo
console=/var/log/xen/console/guest-web01.log
pass() { echo "pass: $1" >>/captured/cases; echo "pass: $1"; }
fail() { echo "FAIL: $1 ($2)" >>/captured/cases; echo "FAIL: $1 ($2)"; }
# ends_with STATUS PATTERN NAME COMMAND…
ends_with() {
    wanted=$1; pattern=$2; name=$3
    shift 3
    "$@" >/run/output 2>&1 </dev/null
    status=$?
    cat /run/output
    if [ "$status" -ne "$wanted" ]; then fail "$name" "status $status: $(tail -n 2 /run/output | tr '\n' ' ')"
    elif ! grep -q -- "$pattern" /run/output; then fail "$name" "says $(tail -n 2 /run/output | tr '\n' ' ')"
    else pass "$name"; fi
}
# state: r, b or - and p for paused, s for suspended, as xl list has it.
state() { xl list | grep '^web01 ' | tr -s ' ' | cut -d' ' -f5; }
number() { grep -ao 'number [0-9]*' "$console" | tail -n 1 | tr -dc 0-9; }
# goes_on NAME: the guest writes on, within ten seconds.
goes_on() {
    first=$(number)
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        sleep 1
        if [ "$(number)" -gt $((first + 1)) ]; then pass "$1"; return; fi
    done
    fail "$1" "it is $(state) and stands at $first"
}
# snapshots NAME COUNT: so many snapshots of ours are there.
snapshots() {
    found=$(lvs --noheadings -o lv_name 2>/dev/null | grep -c ' dozo-.*-')
    if [ "$found" -eq "$2" ]; then pass "$1"; else fail "$1" "$found of them"; fi
}
# until_it NAME COMMAND…: the command succeeds within some minutes; each look takes a second or two here.
until_it() {
    name=$1
    shift
    for _ in $(seq 150); do "$@" && { pass "$name"; return; }; sleep 1; done
    fail "$name" "it never did"
}
is_paused() { case $(state) in ??p*) true ;; *) false ;; esac; }
is_running() { case $(state) in ??-?-*) true ;; *) false ;; esac; }
is_saved() { case $(state) in ???s*) true ;; *) false ;; esac; }
backup() { "$dozo" backup --quiet --nice 0 --xl web01 --snapshot-size 8M "$@"; }

# The host: LVM without udev, a group with little room, and a file system that can share blocks.
mkdir -p /etc/lvm /images
cat >/etc/lvm/lvmlocal.conf <<'CONF'
activation { udev_sync = 0
 udev_rules = 0
 monitoring = 0 }
devices { obtain_device_list_from_udev = 0
 external_device_info_source = "none" }
backup { backup = 0
 archive = 0 }
CONF
truncate -s 600M /captured/images.raw
mkfs.xfs -q -m reflink=1 /captured/images.raw && mount -o loop /captured/images.raw /images
truncate -s 48M /captured/group.raw
group=$(losetup -f --show /captured/group.raw)
pvcreate -q "$group" && vgcreate -q vg "$group" && lvcreate -q -Wn -L 16M -n web01-b vg
lvcreate -q -Wn -L 4M -n dozo-theirs-1 vg
truncate -s 16M /images/web01-a.raw
cat >/run/web01.cfg <<'CONF'
name="web01"
type="pv"
uuid="6ad3c0aa-1d2f-4d0e-9f0a-000000000001"
kernel="/guest/kernel"
ramdisk="/guest/initrd-disks"
extra="console=hvc0 quiet"
memory=128
vcpus=1
disk=[ "/images/web01-a.raw,raw,xvda,rw", "/dev/vg/web01-b,raw,xvdb,rw" ]
CONF
xl create /run/web01.cfg
for _ in $(seq 60); do grep -q 'number 3' "$console" 2>/dev/null && break; sleep 1; done

"$dozo" guests --json >/captured/guests.json 2>/captured/guests.err
xl list -l >/captured/xl-list-l.json; xl list >/captured/xl-list.txt; xl info >/captured/xl-info.txt
fields=vg_name,lv_name,lv_path,lv_kernel_major,lv_kernel_minor,lv_size,segtype,origin,lv_attr,vg_free
lvs --reportformat json --units b --nosuffix -o "$fields" >/captured/lvs.json
ends_with 1 'Domain-0 is the host' "Domain-0 is no guest" "$dozo" backup --quiet --xl Domain-0

echo "== plain $(cut -d' ' -f1 /proc/uptime)"
ends_with 0 point "disks are taken at one instant while the guest goes on" backup --json
cp /run/output /captured/plain.json
goes_on "the guest goes on behind it"
snapshots "no snapshot is left behind it" 1

echo "== memory $(cut -d' ' -f1 /proc/uptime)"
ends_with 0 point "disks and memory are taken at one instant" backup --with-memory --scratch /captured --json
cp /run/output /captured/memory.json
goes_on "the guest goes on behind its memory"

echo "== refused $(cut -d' ' -f1 /proc/uptime)"
ends_with 7 'disk xvdb of the guest web01 .*--while-paused' "a disk without a frozen view is refused by name" \
    "$dozo" backup --quiet --nice 0 --xl web01
goes_on "the guest goes on behind the refusal"

echo "== paused $(cut -d' ' -f1 /proc/uptime)"
"$dozo" backup --quiet --nice 0 --xl web01 --while-paused --limit-read 1M >/run/while 2>&1 &
run=$!
until_it "the guest stands still for a disk without a frozen view" is_paused
kill -9 "$run"
wait "$run" 2>/dev/null
until_it "a guest whose backup was killed is let go on" is_running
goes_on "it goes on behind kill -9"
ends_with 0 point "disks are read while the guest is paused" \
    "$dozo" backup --quiet --nice 0 --xl web01 --while-paused --json
cp /run/output /captured/while.json
goes_on "the guest goes on behind it"

echo "== still $(cut -d' ' -f1 /proc/uptime)"
xl pause web01
ends_with 0 point "a paused guest is taken" backup --json
cp /run/output /captured/paused.json
if is_paused; then pass "a paused guest stays paused"; else fail "a paused guest stays paused" "$(state)"; fi
ends_with 7 'is paused' "the memory of a paused guest is refused" backup --with-memory
xl unpause web01
goes_on "it goes on when it is let go on"

echo "== full $(cut -d' ' -f1 /proc/uptime)"
ends_with 1 'ran full' "a snapshot that runs full makes no point" \
    "$dozo" backup --quiet --nice 0 --xl web01 --snapshot-size 4M --limit-read 1M
goes_on "the guest goes on behind the full snapshot"
snapshots "the full snapshot is gone" 1

echo "== killed $(cut -d' ' -f1 /proc/uptime)"
# Not the function: what is killed is the program and not a shell around it.
"$dozo" backup --quiet --nice 0 --xl web01 --snapshot-size 8M --limit-read 256K >/run/killed 2>&1 &
run=$!
for _ in $(seq 150); do lvs --noheadings -o origin 2>/dev/null | grep -q web01-b && break; sleep 1; done
kill -9 "$run"
wait "$run" 2>/dev/null
snapshots "kill -9 leaves a snapshot" 2
goes_on "the guest goes on behind kill -9"
"$dozo" backup --quiet --nice 0 --xl web01 --snapshot-size 8M --with-memory --scratch /captured >/run/saving 2>&1 &
run=$!
until_it "the guest is being saved" is_saved
kill -9 "$run"
wait "$run" 2>/dev/null
until_it "a guest whose backup was killed while it was saved is let go on" is_running
goes_on "it goes on behind its save"
snapshots "the next run took away what the killed one left, and nothing else" 1

echo "== back $(cut -d' ' -f1 /proc/uptime)"
xl destroy web01
point=$(sed -n 's/.*"id" : "\([0-9a-f]*\)".*/\1/p' /captured/memory.json | head -n 1)
restore() { "$dozo" restore --quiet --key-file /captured/reader.key "$point" "$@"; }
restore --to-directory /captured/back &&
    restore --definition-to /captured/definition
cp /captured/back/xvda.raw /images/web01-a.raw && dd if=/captured/back/xvdb.raw of=/dev/vg/web01-b bs=1M 2>/dev/null
taken=$(dd if=/captured/back/xvda.raw bs=512 count=1 2>/dev/null | tr -dc 0-9)
rm -f "$console"
xl restore /captured/definition/xl.cfg /captured/back/memory.stream
for _ in $(seq 30); do grep -q number "$console" 2>/dev/null && break; sleep 1; done
next=$(grep -ao 'number [0-9]*' "$console" | head -n 1 | tr -dc 0-9)
if [ -n "$next" ] && [ "$next" -ge "$taken" ] && [ "$next" -le $((taken + 2)) ]; then
    pass "the guest goes on from its point ($taken on its disk, then $next)"
else fail "the guest goes on from its point" "$taken on its disk, then $next"; fi
goes_on "and writes on"
xl destroy web01
xl create /captured/definition/xl.cfg >/run/output 2>&1
if xl list | grep -q web01; then pass "xl create makes it of the definition"
else fail "xl create makes it of the definition" "$(tail -n 2 /run/output)"; fi
echo "== end $(cut -d' ' -f1 /proc/uptime)"
xl destroy web01
umount /images
vgchange -q -an vg
losetup -D
rm -rf /captured/images.raw /captured/group.raw /captured/back/memory.stream
