#!/bin/sh
# A Xen host in a box: hypervisor, dom0 and guests inside of one QEMU without KVM, made of Debian's packages.
#
#   Tests/Support/xen-lab.sh make FOLDER      once, under a minute, as root: unpacks packages into an image of dom0
#   Tests/Support/xen-lab.sh capture FOLDER   a minute: boots it, starts a PV and a PVH guest, saves them
#   Tests/Support/xen-lab.sh host FOLDER      boots it with FOLDER/tools as a disk, runs /tools/run there as root
#
# capture leaves pv.save, pv.checkpoint (of the guest before, which went on), pv.core and pvh.save in FOLDER/captured.
# host leaves what /tools/run put into /captured there, and begins with what FOLDER/given holds. In /tools lies the
# initrd of a guest with two disks, which writes the same number to both, one after the other, and counts.
# The guests count; nothing of them or of dom0 reaches a network.
set -u
usage() { sed -n '2,/^set -u/{/^set -u/d;s/^# \{0,1\}//;p;}' "$0" >&2; exit 2; }
fail() { echo "xen-lab: $1" >&2; exit 1; }
[ $# -eq 2 ] || usage
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$2" || exit 1
folder=$(CDPATH='' cd -- "$2" && pwd -P) || exit 1

# fetched PACKAGE: is there, fetched once.
fetched() {
    for archive in "$folder/packages/$1"_*.deb; do [ -f "$archive" ] && return; done
    (cd "$folder/packages" && apt-get -qq download "$1") || fail "cannot fetch the package $1"
}

# modules_of KERNEL-TREE NAME…: paths of modules and what they need, each once, in the order in which they load.
modules_of() {
    tree=$1
    shift
    for module in "$@"; do
        awk -v wanted="$module" -F: '
            { name = $1; sub(/.*\//, "", name); sub(/\.ko.*/, "", name)
              if (name == wanted) { n = split($2, needs, " "); for (i = n; i > 0; i--) print needs[i]; print $1 } }
        ' "$tree/modules.dep"
    done | awk '!seen[$0]++'
}

make_lab() {
    [ "$(id -u)" = 0 ] || fail "only root can unpack a system with its owners"
    for command in debootstrap dpkg-deb mke2fs depmod cpio apt-cache; do
        command -v "$command" >/dev/null 2>&1 || fail "the command $command is missing"
    done
    # debootstrap takes no space in its path, and says nothing when it then leaves half of the packages out.
    work=$(mktemp -d /var/tmp/dozo-xen-lab.XXXXXX) || exit 1
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$folder/packages" "$work/boot" "$work/first/bin" "$work/first/modules" "$work/guest/bin" || exit 1
    kernel=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
    [ -n "$kernel" ] || fail "apt knows no kernel"
    for package in "$kernel" xen-hypervisor-4.17-amd64 busybox-static; do
        fetched "$package"
        dpkg-deb -x "$folder/packages/$package"_*.deb "$work/boot" || fail "cannot unpack $package"
    done
    gzip -dc "$work"/boot/boot/xen-4.17-amd64.gz >"$folder/xen" || exit 1
    cp "$work"/boot/boot/vmlinuz-* "$folder/kernel" || exit 1
    version=$(basename "$work"/boot/lib/modules/*)
    depmod -b "$work/boot" "$version" || exit 1
    tree=$work/boot/lib/modules/$version

    # What boots dom0: modules in order, then its disk.
    cp "$work/boot/bin/busybox" "$work/first/bin/"
    number=100
    modules_of "$tree" virtio_pci virtio_blk ext4 crc32c_generic xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs \
        loop xfs dm-snapshot xen-blkback |
        while read -r module; do
            cp "$tree/$module" "$work/first/modules/$number-$(basename "$module")"
            number=$((number + 1))
        done
    cat >"$work/first/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /dev /proc /sys /new
$b mount -t devtmpfs none /dev; $b mount -t proc none /proc; $b mount -t sysfs none /sys
for module in /modules/*; do $b insmod "$module"; done
until [ -b /dev/vda ]; do $b sleep 0.1; done
$b mount -t ext4 /dev/vda /new
for name in dev proc sys; do $b mount --move /$name /new/$name; done
exec $b switch_root /new /start
INIT
    chmod +x "$work/first/init"
    (cd "$work/first" && find . | cpio -o -H newc --quiet | gzip -1) >"$folder/initrd" || exit 1

    # The guests: a kernel and a shell that counts.
    cp "$work/boot/bin/busybox" "$work/guest/bin/"
    cat >"$work/guest/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /dev /proc
$b mount -t devtmpfs none /dev
exec >/dev/console 2>&1 </dev/console
$b dd if=/dev/urandom of=/noise bs=1M count=4 2>/dev/null
number=0
while :; do number=$((number + 1)); echo "number $number"; $b sleep 1; done
INIT
    chmod +x "$work/guest/init"

    # dom0 itself: files of packages, none of their scripts.
    debootstrap --foreign --variant=minbase --include=xen-utils-4.17,xenstore-utils,procps,lvm2,xfsprogs \
        bookworm "$work/dom0" >"$folder/debootstrap.log" 2>&1 || fail "debootstrap failed; see $folder/debootstrap.log"
    for package in "$work"/dom0/var/cache/apt/archives/*.deb; do dpkg-deb -x "$package" "$work/dom0" || exit 1; done
    rm -rf "$work"/dom0/var/cache/apt/archives/*.deb "$work"/dom0/usr/share/doc "$work"/dom0/usr/share/locale
    chroot "$work/dom0" /sbin/ldconfig || exit 1
    mkdir -p "$work/dom0/guest" "$work/dom0/captured" "$work/dom0/tools"
    cp "$folder/kernel" "$work/dom0/guest/kernel"
    (cd "$work/guest" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/dom0/guest/initrd" || exit 1

    # The same with two disks.
    mkdir "$work/guest/modules"
    modules_of "$tree" xen-blkfront | while read -r module; do cp "$tree/$module" "$work/guest/modules/"; done
    cat >"$work/guest/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /dev
$b mount -t devtmpfs none /dev
exec >/dev/console 2>&1 </dev/console
for module in /modules/*; do $b insmod "$module"; done
until [ -b /dev/xvda ] && [ -b /dev/xvdb ]; do $b sleep 0.1; done
$b dd if=/dev/urandom of=/noise bs=128k count=1 2>/dev/null
number=0
# put DISK: the number is on that disk when this returns.
put() { $b printf '%-511s\n' "$number" | $b dd "of=$1" bs=512 conv=notrunc,fsync 2>/dev/null; }
while :; do
    number=$((number + 1))
    put /dev/xvda && put /dev/xvdb && echo "number $number"
    # Other places of the second disk, 6 MiB in 48 rounds.
    $b dd if=/noise of=/dev/xvdb bs=128k seek=$((16 + number % 48)) conv=notrunc,fsync 2>/dev/null
done
INIT
    (cd "$work/guest" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/dom0/guest/initrd-disks" || exit 1
    cat >"$work/dom0/start" <<'START'
#!/bin/bash
export PATH=/usr/lib/xen-4.17/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec >/dev/hvc0 2>&1 </dev/hvc0
mount -t tmpfs none /run
mkdir -p /run/xen /run/lock /run/xenstored /var/log/xen/console /var/lib/xen /dev/pts
mount -t devpts none /dev/pts
rm -rf /var/run; ln -s /run /var/run
mount -t xenfs none /proc/xen; mount /dev/vdb /captured
for number in 0 1 2; do ln -s /proc/self/fd/$number /dev/$(echo stdin stdout stderr | cut -d' ' -f$((number + 1))); done
ln -s /proc/self/fd /dev/fd
xenstored --pid-file /run/xenstored.pid
xen-init-dom0
xenconsoled --log=all --log-dir=/var/log/xen/console --pid-file=/run/xenconsoled.pid
if [ -b /dev/vdc ]; then
    mount /dev/vdc /tools
    echo /tools/lib >/etc/ld.so.conf.d/tools.conf; ldconfig
    bash /tools/run 2>&1 | tee /captured/log
    umount /captured
    echo LAB-ENDS
    echo o >/proc/sysrq-trigger
    sleep 9
fi
# begin TYPE: a guest of that type, once it counts: one that is half booted cannot be saved.
begin() {
    log=/var/log/xen/console/guest-$1.log
    rm -f "$log"
    printf '%s\n' "name=\"$1\"" "type=\"$1\"" 'kernel="/guest/kernel"' 'ramdisk="/guest/initrd"' \
        'extra="console=hvc0 quiet"' 'memory=128' 'vcpus=1' >/run/guest.cfg
    xl create /run/guest.cfg || return 1
    for _ in $(seq 120); do grep -q 'number 3' "$log" 2>/dev/null && return; sleep 1; done
    return 1
}
if begin pv; then
    xl dump-core pv /captured/pv.core
    xl save -c pv /captured/pv.checkpoint
    xl save pv /captured/pv.save
    # A saved guest is one that goes on.
    tail -n 1 "$log" | tr -d '\r' >/captured/pv.before
    rm -f "$log"
    xl restore /captured/pv.save && sleep 4
    grep -o 'number [0-9]*' "$log" | head -n 1 >/captured/pv.after
    xl destroy pv
fi
begin pvh && xl save pvh /captured/pvh.save
umount /captured
echo LAB-ENDS
echo o >/proc/sysrq-trigger
sleep 9
START
    chmod +x "$work/dom0/start"
    rm -f "$folder/dom0.raw"
    truncate -s 1500M "$folder/dom0.raw"
    mke2fs -q -t ext4 -d "$work/dom0" "$folder/dom0.raw" || exit 1
    rm -rf "$work"
    # The number goes up when what make makes changes.
    : >"$folder/made-3"
}

# boot MEMORY DISK…: boots dom0 with the disks, until it says that it is done.
boot() {
    memory=$1
    shift
    disks=
    for disk in "$@"; do disks="$disks -drive file=$disk,if=virtio,format=raw"; done
    : >"$folder/serial"
    # Without SMAP and its like: QEMU 7.2 lets a PV dom0 stumble over them; RDTSCP kills a PVH guest. Without XSAVE and
    # what needs it: registers get lost between dom0 and a guest, and programs end or count wrong.
    # shellcheck disable=SC2086  # several words, in names without spaces
    (cd "$folder" && exec qemu-system-x86_64 -M q35 -accel tcg,thread=multi -smp 2 -m "$memory" -nodefaults \
        -cpu max,-smap,-smep,-la57,-pku,-rdtscp,-xsave,-avx,-avx2,-f16c,-fma \
        -display none -no-reboot -kernel xen \
        -append "com1=115200,8n1 console=com1 loglvl=warning dom0_mem=640M,max:640M dom0_max_vcpus=1" \
        -initrd "kernel console=hvc0 quiet,initrd" -drive file=dom0.raw,if=virtio,format=raw,snapshot=on $disks \
        -serial file:serial -device virtio-rng-pci </dev/null) &
    machine=$!
    trap 'kill "$machine" 2>/dev/null' EXIT
    waited=0
    while kill -0 "$machine" 2>/dev/null && ! grep -aq LAB-ENDS "$folder/serial"; do
        waited=$((waited + 1))
        [ "$waited" -lt "${XEN_LAB_SECONDS:-1200}" ] || fail "dom0 did not come to its end; see $folder/serial"
        sleep 1
    done
    sleep 1
    kill "$machine" 2>/dev/null
    wait "$machine" 2>/dev/null
    mkdir "$folder/captured"
    # A command of debugfs takes no space in a path.
    (cd "$folder" && debugfs -R "rdump / captured" captured.raw 2>/dev/null)
    rm -rf "$folder/captured.raw" "$folder/captured/lost+found"
}

# ready: what make made is there, and a disk for what comes out. $1 is what it begins with, if anything.
ready() {
    for file in xen kernel initrd dom0.raw; do [ -f "$folder/$file" ] || fail "first: xen-lab.sh make $folder"; done
    rm -rf "$folder/captured.raw" "$folder/captured" "$folder/serial"
    truncate -s 1500M "$folder/captured.raw"
    mke2fs -q -t ext4 ${1:+-d "$1"} "$folder/captured.raw" || exit 1
}

capture() {
    ready
    boot 1536 captured.raw
    for name in pv.save pv.checkpoint pv.core pvh.save; do
        [ -s "$folder/captured/$name" ] || fail "$name was not captured; see $folder/serial"
    done
}

host() {
    ready "$folder/given"
    rm -f "$folder/tools.raw"
    truncate -s 300M "$folder/tools.raw"
    mke2fs -q -t ext4 -d "$folder/tools" "$folder/tools.raw" || exit 1
    boot 1536 captured.raw tools.raw
    rm -f "$folder/tools.raw"
    [ -s "$folder/captured/cases" ] || fail "nothing came out; see $folder/serial and $folder/captured/log"
}

case $1 in
    make) make_lab ;;
    capture) capture ;;
    host) host ;;
    *) usage ;;
esac
