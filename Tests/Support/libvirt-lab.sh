#!/bin/sh
# A libvirt of the tests' own, beside whatever libvirt the machine has, and guests of tiny-guest.sh in it.
#
#   Tests/Support/libvirt-lab.sh start FOLDER                  makes FOLDER, starts libvirtd in it, prints its URI
#   Tests/Support/libvirt-lab.sh stop FOLDER                   ends the guests and libvirtd; the folder stays
#   Tests/Support/libvirt-lab.sh uri FOLDER
#   Tests/Support/libvirt-lab.sh alive FOLDER                  whether libvirtd runs
#   Tests/Support/libvirt-lab.sh define FOLDER NAME GUEST [FORMATS]
#       a domain on copies of GUEST's disks in FOLDER/NAME, and a disc in a drive; FORMATS of vda, vdb, vdc, by default
#       "qcow2 qcow2 qcow2"
#   Tests/Support/libvirt-lab.sh boot FOLDER NAME              starts it and waits until it is ready
#   Tests/Support/libvirt-lab.sh virsh FOLDER WORD…            virsh at that libvirt
#
# FOLDER/NAME is a run folder of tiny_guest.py: `tiny_guest.py run FOLDER/NAME COMMAND` works for these guests too.
# The daemon is one of an ordinary user ("session"), whose configuration, state and sockets all lie in FOLDER, so that
# nothing outside of it is read or written. Root's daemon and guests belong to the user nobody: libvirtd knows no
# private place when it runs as root, and so QEMU is another user than the one that connects, as it is on real hosts.
# For that FOLDER must lie where that user may look, and its path must be short: sockets have names of 107 bytes.
set -u
top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P) || exit 1
PATH=$PATH:/usr/sbin:/sbin
export PATH
tiny_guest=$top/Tests/Support/tiny_guest.py

# fail SENTENCE
fail() { echo "libvirt-lab: $1" >&2; exit 1; }
usage() { sed -n 's/^#   \(Tests.*\)/\1/p' "$0" >&2; exit 2; }

[ $# -ge 2 ] || usage
verb=$1
lab=$2
shift 2
case "$lab" in /*) ;; *) lab=$(pwd)/$lab ;; esac
for command in libvirtd virsh qemu-system-x86_64 qemu-img setpriv python3; do
    command -v "$command" >/dev/null 2>&1 || fail "the command $command is missing; as root: apt-get install -y \
libvirt-daemon libvirt-clients qemu-system-x86 qemu-utils"
done

# as_owner COMMAND…: becomes that command, as the user that the daemon runs as.
as_owner() {
    if [ "$(id -u)" = 0 ]; then
        # 65534 is nobody and nogroup.
        set -- setpriv --reuid 65534 --regid 65534 --clear-groups -- "$@"
    fi
    exec env -i PATH="$PATH" HOME="$lab" LC_ALL=C XDG_CONFIG_HOME="$lab/config" XDG_CACHE_HOME="$lab/cache" \
        XDG_DATA_HOME="$lab/data" XDG_RUNTIME_DIR="$lab/run" "$@"
}
# own PATH…: gives new files to that user.
own() { [ "$(id -u)" != 0 ] || chown -R 65534:65534 "$@"; }

uri() {
    # A path in a URI: what is no plain character is written by its code.
    python3 -c 'import sys, urllib.parse
print("qemu+unix:///session?socket=" + urllib.parse.quote(sys.argv[1]))' "$lab/run/libvirt/libvirt-sock"
}
client() { virsh -q -c "$(uri)" "$@"; }

# daemon_pid: the daemon's process, if it runs and is that of this folder.
daemon_pid() {
    pid=$(cat "$lab/libvirtd.pid" 2>/dev/null) || return 1
    grep -qzxF "$lab/libvirtd.pid" "/proc/$pid/cmdline" 2>/dev/null || return 1
    echo "$pid"
}

start() {
    [ "${#lab}" -le 60 ] || fail "$lab is too long a path for sockets below it; the longest is 60 bytes."
    if daemon_pid >/dev/null; then uri; return; fi
    mkdir -p "$lab/config/libvirt" "$lab/cache" "$lab/data" "$lab/run" || exit 1
    # Others may pass through, as QEMU's user has to on real hosts; what is below is private.
    chmod 711 "$lab" && chmod 700 "$lab/run" "$lab/config" "$lab/cache" "$lab/data" || exit 1
    printf '%s\n' 'stdio_handler = "file"' 'security_driver = "none"' 'cgroup_controllers = []' 'namespaces = []' \
        >"$lab/config/libvirt/qemu.conf"
    printf '%s\n' 'log_outputs = "2:stderr"' >"$lab/config/libvirt/libvirtd.conf"
    : >"$lab/libvirtd.log"
    own "$lab"
    # A shell that stayed would hold on to whatever this script writes to.
    (exec >"$lab/libvirtd.log" 2>&1 </dev/null
        as_owner setsid libvirtd -f "$lab/config/libvirt/libvirtd.conf" -p "$lab/libvirtd.pid") &
    tries=0
    until client version >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -le 300 ] || fail "libvirtd did not answer: $(tail -n 1 "$lab/libvirtd.log")"
        sleep 0.2
    done
    uri
}

stop() {
    if daemon_pid >/dev/null; then
        client list --name | while read -r name; do [ -z "$name" ] || client destroy "$name" >/dev/null; done
    fi
    # A daemon that is gone leaves its guests.
    for file in "$lab"/run/libvirt/qemu/run/*.pid; do
        pid=$(cat "$file" 2>/dev/null) || continue
        if grep -qzF "$lab/" "/proc/$pid/cmdline" 2>/dev/null; then kill -9 "$pid"; fi
    done
    pid=$(daemon_pid) || return 0
    kill "$pid"
    tries=0
    while daemon_pid >/dev/null; do
        tries=$((tries + 1))
        if [ $tries -gt 100 ]; then kill -9 "$pid"; break; fi
        sleep 0.1
    done
}

# domain_xml NAME GUEST FORMATS
domain_xml() {
    run=$lab/$1
    cat <<XML
<domain type='qemu'>
  <name>$1</name>
  <memory unit='MiB'>512</memory>
  <currentMemory unit='MiB'>256</currentMemory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>$run/vmlinuz</kernel>
    <initrd>$run/initrd.gz</initrd>
    <cmdline>console=ttyS0 quiet</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>$(command -v qemu-system-x86_64)</emulator>
XML
    for disk in vda vdb vdc; do
        cat <<XML
    <disk type='file' device='disk'>
      <driver name='qemu' type='${3%% *}' discard='unmap'/>
      <source file='$run/$disk.${3%% *}'/>
      <target dev='$disk' bus='virtio'/>
    </disk>
XML
        set -- "$1" "$2" "${3#* }"
    done
    cat <<XML
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <source file='$run/medium.iso'/>
      <target dev='sda' bus='sata'/>
      <readonly/>
    </disk>
    <serial type='unix'>
      <source mode='bind' path='$run/serial.sock'/>
      <log file='$run/serial.log' append='off'/>
      <target port='0'/>
    </serial>
    <channel type='unix'>
      <source mode='bind'/>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <memballoon model='none'/>
    <!-- Room for what is above and for disks that are plugged in. -->
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'/>
    <controller type='pci' index='2' model='pcie-root-port'/>
    <controller type='pci' index='3' model='pcie-root-port'/>
    <controller type='pci' index='4' model='pcie-root-port'/>
    <controller type='pci' index='5' model='pcie-root-port'/>
    <controller type='pci' index='6' model='pcie-root-port'/>
    <controller type='pci' index='7' model='pcie-root-port'/>
    <controller type='pci' index='8' model='pcie-root-port'/>
    <controller type='pci' index='9' model='pcie-root-port'/>
    <controller type='pci' index='10' model='pcie-root-port'/>
    <controller type='pci' index='11' model='pcie-root-port'/>
    <controller type='pci' index='12' model='pcie-root-port'/>
  </devices>
</domain>
XML
}

define() {
    [ $# -ge 2 ] || usage
    run=$lab/$1
    formats=${3:-qcow2 qcow2 qcow2}
    mkdir -p "$run" || exit 1
    cp "$2/vmlinuz" "$2/initrd.gz" "$run/" || exit 1
    head -c 1048576 "$2/vmlinuz" >"$run/medium.iso" || exit 1
    rest=$formats
    for disk in vda vdb vdc; do
        qemu-img convert -f raw -O "${rest%% *}" "$2/$disk.raw" "$run/$disk.${rest%% *}" || exit 1
        rest=${rest#* }
    done
    domain_xml "$1" "$2" "$formats" >"$run/domain.xml"
    own "$run"
    client define "$run/domain.xml" >/dev/null
}

boot() {
    [ $# -eq 1 ] || usage
    rm -f "$lab/$1/serial.log"
    client start "$1" >/dev/null || exit 1
    python3 "$tiny_guest" wait "$lab/$1"
}

case "$verb" in
    start) start ;;
    stop) stop ;;
    uri) uri ;;
    alive) daemon_pid >/dev/null ;;
    define) define "$@" ;;
    boot) boot "$@" ;;
    virsh) client "$@" ;;
    *) usage ;;
esac
