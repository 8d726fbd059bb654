#!/bin/sh
# Makes a guest that boots in seconds under emulation, as an ordinary user and without mounting anything.
#
#   Tests/Support/tiny-guest.sh FOLDER
#
# FOLDER gets vmlinuz and initrd.gz, which a virtual machine is started with directly; vda.raw, the root file system
# (ext4 on the whole disk); vdb.raw and vdc.raw, empty disks of 64 MiB without any file system. The guest is made of
# Debian's cloud kernel, busybox, qemu-guest-agent with its libraries, and guest-work.c, which writes to the disks; it
# has a shell on its serial line (see tiny_guest.py) and an agent that freezes /. Packages are kept in
# .build/guest-packages; once they are there no network is needed. Takes about ten seconds.
set -u
top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P) || exit 1
PATH=$PATH:/usr/sbin:/sbin
LC_ALL=C
umask 022   # the modes of generated files are part of the image
export PATH LC_ALL

# fail SENTENCE
fail() { echo "tiny-guest: $1" >&2; exit 1; }

if [ $# -ne 1 ]; then echo "usage: Tests/Support/tiny-guest.sh FOLDER" >&2; exit 2; fi
for command in mke2fs dpkg-deb cpio depmod gcc objdump gzip truncate; do
    command -v "$command" >/dev/null 2>&1 ||
        fail "the command $command is missing; as root: apt-get install -y e2fsprogs cpio kmod gcc libc6-dev binutils"
done
mkdir -p "$1" && folder=$(CDPATH='' cd -- "$1" && pwd -P) || exit 1
scratch=$(mktemp -d "${TMPDIR:-/tmp}/tiny-guest.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
. "$top/scripts/guest-packages.sh"

# The kernel's package has its version in its name; one that was fetched before will do.
for archive in "$cache"/linux-image-*-cloud-amd64.deb; do
    if [ -s "$archive" ]; then kernel=${archive##*/} kernel=${kernel%.deb}; else kernel=; fi
done
if [ -z "$kernel" ]; then
    kernel=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' |
        sed -n 1p)
    [ -n "$kernel" ] || fail "apt does not know linux-image-cloud-amd64; as root: apt-get update"
fi
packages="busybox-static qemu-guest-agent libglib2.0-0 libpcre2-8-0 libudev1 liburing2 libnuma1 libc6"
# shellcheck disable=SC2086  # a list of package names
download_packages "$kernel" $packages
mkdir -p "$scratch/kernel" "$scratch/files" || exit 1
unpack_package "$kernel" "$scratch/kernel"
for package in $packages; do unpack_package "$package" "$scratch/files"; done
cp "$scratch/kernel"/boot/vmlinuz-* "$folder/vmlinuz" || exit 1
busybox=$scratch/files/bin/busybox

# Early user space: what the cloud kernel does not have built in, in the order of its dependencies.
modules=$(echo "$scratch/kernel"/lib/modules/*)
depmod -b "$scratch/kernel" "${modules##*/}" || fail "depmod failed"
early=$scratch/early
mkdir -p "$early/bin" "$early/dev" "$early/proc" "$early/sys" "$early/new" "$early/modules" || exit 1
cp "$busybox" "$early/bin/busybox" || exit 1
number=10
for module in virtio_pci virtio_blk virtio_net virtio_console virtio_scsi sd_mod virtio-rng; do
    # "FILE: WHAT IT NEEDS, LAST FIRST"; a module that is not listed is built in.
    line=$(grep -E "/$module\.ko(\.xz)?:" "$modules/modules.dep") || continue
    needed=
    for file in ${line#*:}; do needed="$file $needed"; done
    for file in $needed "${line%%:*}"; do
        name=${file##*/}
        [ -z "$(find "$early/modules" -name "*-$name")" ] || continue
        cp "$modules/$file" "$early/modules/$number-$name" || exit 1
        number=$((number + 1))
    done
done
cat >"$early/init" <<'INIT'
#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t devtmpfs dev /dev
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
for module in /modules/*; do $bb insmod "$module"; done
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 300 ]; do $bb sleep 0.1; tries=$((tries + 1)); done
$bb mount -t ext4 -o rw /dev/vda /new || { echo "GUEST-FAILED no root" >/dev/console; $bb poweroff -f; }
for part in dev proc sys; do $bb mount --move /$part /new/$part; done
exec $bb switch_root /new /sbin/init
INIT
chmod 755 "$early/init"
(cd "$early" && find . | sort | cpio -o -H newc --quiet | gzip -1) >"$folder/initrd.gz" || fail "cpio failed"

# The root file system.
root=$scratch/root
mkdir -p "$root/bin" "$root/sbin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/run" "$root/root" \
    "$root/etc" "$root/data" "$root/lib64" "$root/lib" || exit 1
cp "$busybox" "$root/bin/busybox" && cp "$scratch/files/usr/sbin/qemu-ga" "$root/sbin/qemu-ga" || exit 1
for applet in $("$busybox" --list); do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
echo 'tiny' >"$root/etc/hostname"
gcc -static -O2 -o "$root/bin/guest-work" "$top/Tests/Support/guest-work.c" || fail "guest-work.c does not compile"
# The agent's libraries, and theirs: taken from the packages and from nowhere else.
waiting=$root/sbin/qemu-ga
while [ -n "$waiting" ]; do
    found=
    # shellcheck disable=SC2086  # a list of names without spaces below a folder of ours
    for library in $(cd "$root" && objdump -p $(echo "$waiting" | sed "s|$root/||g") | sed -n 's/^ *NEEDED *//p' |
        sort -u); do
        [ ! -e "$root/lib/$library" ] || continue
        file=$(find "$scratch/files" -name "$library" | sed -n 1p)
        [ -n "$file" ] || fail "no package here holds $library, which the guest agent needs."
        cp -L "$file" "$root/lib/$library" || exit 1
        found="$found $root/lib/$library"
    done
    waiting=$found
done
cp -L "$(find "$scratch/files" -name 'ld-linux-x86-64.so.2' | sed -n 1p)" "$root/lib64/ld-linux-x86-64.so.2" || exit 1
cat >"$root/sbin/init" <<'INIT'
#!/bin/sh
export PATH=/bin:/sbin HOME=/root LD_LIBRARY_PATH=/lib
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
hostname -F /etc/hostname
mkdir -p /dev/virtio-ports
for port in /sys/class/virtio-ports/*; do
    [ -f "$port/name" ] && ln -sf "/dev/${port##*/}" "/dev/virtio-ports/$(cat "$port/name")"
done
guest-work counter /run/counter &
agent=/dev/virtio-ports/org.qemu.guest_agent.0
[ -e $agent ] && qemu-ga -d -m virtio-serial -p $agent -t /run -f /run/qemu-ga.pid -l /run/qemu-ga.log
stty -F /dev/ttyS0 raw -echo
echo "GUEST-READY $(cut -d' ' -f1 /proc/uptime)" >/dev/ttyS0
# Read as a script, so that the shell neither prompts nor echoes.
while :; do setsid sh /dev/ttyS0 >/dev/ttyS0 2>/run/shell.log; done
INIT
chmod 755 "$root/sbin/init"
rm -f "$folder/vda.raw" "$folder/vdb.raw" "$folder/vdc.raw"
truncate -s 96M "$folder/vda.raw" && truncate -s 64M "$folder/vdb.raw" "$folder/vdc.raw" ||
    fail "$folder cannot be written."
mke2fs -q -F -t ext4 -b 4096 -L root -E root_owner=0:0 -d "$root" "$folder/vda.raw" || fail "mke2fs failed."
