#!/bin/sh
# The unit of the package under a systemd that runs: in a copy of this system that is thrown away, started by
# systemd-nspawn with nothing else in it. The unit's own limits are tried with backups of images in the agent's place (a
# drop-in says so); then the agent makes backups, is reloaded, upgraded, hangs and is stopped.
#
#   Tests/Support/unit-trial.sh [PACKAGE]
#
# By hand or by `make deb-trial`, as root, with systemd-container and qemu-utils, half a minute. Network, block devices
# and guests of libvirt and Xen are not in it.
set -u
top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P) || exit 1
. "$top/scripts/environment.sh"
stop() { echo "skip: the unit under systemd ($1)"; echo done; exit 0; }

[ "$(id -u)" = 0 ] || stop "needs root"
for command in systemd-nspawn dpkg-deb qemu-img; do
    command -v "$command" >/dev/null 2>&1 ||
        stop "needs $command: apt-get install systemd-container dpkg-dev qemu-utils"
done
package=${1:-$(find "$top/.build/package" -name 'dozo_*.deb' -printf '%T@ %p\n' 2>/dev/null | sort -rn |
    sed -n '1s/[^ ]* //p')}
[ -f "$package" ] || stop "there is no package; make one with: make deb"
folder=$(mktemp -d "${TMPDIR:-/tmp}/dozo-unit.XXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$folder/files" "$folder/layers"
cp "$package" "$folder/files/package.deb"

cat >"$folder/files/trial.target" <<'UNIT'
[Unit]
Requires=basic.target
After=basic.target
Wants=trial.service
UNIT
cat >"$folder/files/trial.service" <<'UNIT'
[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/sh /files/trial.sh
StandardOutput=file:/files/result
StandardError=file:/files/noise
ExecStopPost=/bin/systemctl --no-block poweroff
UNIT

# What runs inside.
cat >"$folder/files/trial.sh" <<'TRIAL'
set -u
export HOME=/root DEBIAN_FRONTEND=noninteractive DOZO_PASSPHRASE_FILE=/etc/dozo/passphrase
pass() { echo "pass: $1"; }
fail() { echo "FAIL: $1 ($2)"; }
holds() {
    case_name=$1
    shift
    if "$@" >/files/output 2>&1; then pass "$case_name"
    else
        fail "$case_name" "status $?: $(tail -n 3 /files/output | tr '\n' ' '); the unit said: $(journalctl \
            --unit=$unit --no-pager --output=cat --lines=4 | tr '\n' ' ')"
    fi
}
unit=dozo-agent.service
property() { systemctl show --property="$1" --value $unit; }
says() { journalctl --unit=$unit --no-pager | grep -q -- "$1"; }
points() { dozo points -r /backup/dozo 2>/dev/null | grep -c web0; }
# it_is STATE: within half a minute.
it_is() {
    tries=0
    until [ "$(systemctl is-active $unit)" = "$1" ]; do
        tries=$((tries + 1)); [ $tries -lt 300 ] || return 1
        sleep 0.1
    done
}
# instead LINE…: what the unit runs instead of the agent.
drop_ins=/etc/systemd/system/$unit.d
instead() {
    printf '%s\n' '[Service]' Type=exec WatchdogSec=0 Restart=no \
        Environment=DOZO_PASSPHRASE_FILE=/etc/dozo/passphrase ExecStart= "ExecStart=$*" >$drop_ins/instead.conf
    systemctl daemon-reload
    # Starts of one trial are no sign of trouble.
    systemctl reset-failed $unit
}

holds "the package is installed" dpkg --force-unsafe-io --install /files/package.deb
holds "its unit is disabled" sh -c 'test "$(systemctl is-enabled dozo-agent.service)" = disabled'
holds "and did not start" test "$(systemctl is-active $unit)" = inactive
# Without a file it has nothing to do, fails once and says so.
systemctl start $unit >/dev/null 2>&1
holds "without its file the agent fails" it_is failed
holds "with the status of what is refused" test "$(property ExecMainStatus)" = 7
holds "and is not started again" test "$(property NRestarts)" = 0

mkdir -p /backup /images $drop_ins
cp /usr/share/doc/dozo/examples/systemd/repository.conf $drop_ins/
(umask 077 && echo "correct horse" >/etc/dozo/passphrase)
head -c 3000000 /dev/urandom >/images/small.raw
qemu-img convert -f raw -O qcow2 /images/small.raw /images/small.qcow2
chmod 600 /images/*
chown nobody /images/*
dozo init -r /backup/dozo >/dev/null 2>&1
for image in small.raw small.qcow2; do
    instead /usr/bin/dozo backup -r /backup/dozo --guest web01-$image /images/$image
    before=$(points)
    systemctl start $unit
    holds "a backup inside of the unit ends: $image" it_is inactive
    holds "and made a point of an image of somebody else's" test "$(points)" = $((before + 1))
done
holds "nothing was refused by the way" sh -c \
    '! journalctl --unit=dozo-agent.service --no-pager | grep -qi "not permitted\|failed to set"'
holds "the socket's folder is its group's" test "$(stat -c '%a %G' /run/dozo)" = "750 dozo"
holds "state is root's alone" test "$(stat -c '%a %U' /var/lib/dozo)" = "700 root"

# A QEMU of another user, with a disk and nothing that runs in it: at one instant, then by its list of changes.
if command -v qemu-system-x86_64 >/dev/null 2>&1; then
    mkdir -p /run/guest
    qemu-img create -q -f qcow2 /images/live.qcow2 64M
    qemu-io -f qcow2 -c 'write -P 7 0 8M' /images/live.qcow2 >/dev/null
    chown nobody /run/guest /images /images/live.qcow2
    setpriv --reuid=65534 --regid=65534 --clear-groups qemu-system-x86_64 -accel tcg -machine pc -m 32 -display none \
        -nodefaults -name web02 -uuid 5f2c0a9e-6a4b-4c7d-9a51-1f0f3c2a7b10 \
        -blockdev driver=qcow2,node-name=disk,file.driver=file,file.filename=/images/live.qcow2 \
        -device virtio-blk-pci,id=vda,drive=disk -qmp unix:/run/guest/web02.qmp,server=on,wait=off \
        >/files/qemu 2>&1 &
    tries=0
    while [ ! -S /run/guest/web02.qmp ] && [ $tries -lt 300 ]; do tries=$((tries + 1)); sleep 0.1; done
    instead /usr/bin/dozo backup -r /backup/dozo --qmp /run/guest/web02.qmp
    for night in scanned bitmap; do
        systemctl start $unit
        holds "a running QEMU is taken inside of the unit: $night" it_is inactive
        dozo show -r /backup/dozo web02@latest >/files/shown 2>&1
        holds "and the point says so" grep -q "$night" /files/shown
    done

    # The agent itself, as the page about it has it: every two seconds in place of every night.
    rm $drop_ins/instead.conf
    systemctl daemon-reload
    systemctl reset-failed $unit
    export DOZO_PASSPHRASE_FILE=/etc/dozo/passphrase
    dozo key enroll -r /backup/dozo --role writer --to /etc/dozo/main.writer >/dev/null 2>&1
    dozo key enroll -r /backup/dozo --role maintainer --to /etc/dozo/main.maintainer >/dev/null 2>&1
    (umask 077 && cat >/etc/dozo/dozo.yaml) <<'AGENT'
time-zone: UTC
repositories:
  main:
    location: /backup/dozo
    credential-file: /etc/dozo/main.writer
    maintainer-credential-file: /etc/dozo/main.maintainer
guests:
  web:
    connection: qmp
    names: [web02]
    socket: /run/guest/web02.qmp
tiers:
  1:
    name: all
    largest-rpo: 1h
policies:
  often:
    guests: [web]
    repository: main
    tier: 1
    schedule: every 2s
    retention:
      last: 100
notifications:
  targets:
    book:
      kind: journal
  rules:
    all:
      targets: [book]
AGENT
    holds "the agent's file is right" dozo agent check
    before=$(points)
    holds "the agent starts, and says that it is ready" systemctl start $unit
    holds "it is active" it_is active
    tries=0
    while [ "$(points)" -lt $((before + 2)) ] && [ $tries -lt 100 ]; do tries=$((tries + 1)); sleep 0.3; done
    holds "it makes backups by itself" test "$(points)" -ge $((before + 2))
    holds "dozo status says so" dozo status
    holds "systemd is told what it does" sh -c 'systemctl status dozo-agent.service | grep -q "under way"'
    usermod --append --groups dozo nobody
    holds "a member of its group may ask" setpriv --reuid=65534 --regid=65534 --init-groups dozo status
    gpasswd --delete nobody dozo >/dev/null 2>&1
    setpriv --reuid=65534 --regid=65534 --init-groups dozo status >/dev/null 2>&1
    holds "somebody else may not" test $? = 1
    holds "a reload" systemctl reload $unit
    tries=0
    until says "read again"; do tries=$((tries + 1)); [ $tries -lt 100 ] || break; sleep 0.3; done
    holds "reads the file again" says "read again"
    first=$(property MainPID)
    holds "an upgrade while it works" dpkg --force-unsafe-io --install /files/package.deb
    holds "starts the new one" it_is active
    holds "which is another process" test "$(property MainPID)" != "$first"
    before=$(points)
    tries=0
    while [ "$(points)" -le "$before" ] && [ $tries -lt 100 ]; do tries=$((tries + 1)); sleep 0.3; done
    holds "and goes on" test "$(points)" -gt "$before"
    kill -STOP "$(property MainPID)"
    tries=0
    while [ "$(property NRestarts)" = 0 ] && [ $tries -lt 200 ]; do tries=$((tries + 1)); sleep 1; done
    holds "one that hangs is started again by the watchdog" test "$(property NRestarts)" -ge 1
    holds "and works" it_is active
    systemctl stop $unit
    holds "it stops cleanly" test "$(systemctl is-active $unit)" = inactive
    dozo status >/files/output 2>&1
    holds "and status notices that none runs" test $? = 1
    kill $!
else
    echo "skip: a running QEMU is taken inside of the unit (needs qemu-system-x86)"
fi

# A guest of the system's libvirt, whose QEMU is a user of libvirt's own.
if command -v libvirtd >/dev/null 2>&1 && command -v qemu-system-x86_64 >/dev/null 2>&1; then
    printf '%s\n' 'security_driver = "none"' 'cgroup_controllers = [ ]' 'namespaces = [ ]' 'stdio_handler = "file"' \
        >>/etc/libvirt/qemu.conf
    qemu-img create -q -f qcow2 /images/web03.qcow2 64M
    qemu-io -f qcow2 -c 'write -P 9 0 8M' /images/web03.qcow2 >/dev/null
    cat >/files/web03.xml <<'DOMAIN'
<domain type='qemu'>
  <name>web03</name>
  <memory unit='MiB'>32</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/images/web03.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
DOMAIN
    libvirtd --daemon >/files/libvirtd 2>&1
    tries=0
    until virsh --connect qemu:///system define /files/web03.xml >/files/output 2>&1; do
        tries=$((tries + 1)); [ $tries -lt 100 ] || break
        sleep 0.1
    done
    holds "a guest of libvirt starts" virsh --connect qemu:///system start web03
    instead /usr/bin/dozo backup -r /backup/dozo --domain web03
    for night in scanned bitmap; do
        systemctl start $unit
        holds "a guest of libvirt is taken inside of the unit: $night" it_is inactive
        dozo show -r /backup/dozo web03@latest >/files/shown 2>&1
        holds "and its point says so" grep -q "$night" /files/shown
    done
    virsh --connect qemu:///system destroy web03 >/dev/null 2>&1
else
    echo "skip: a guest of libvirt is taken inside of the unit (needs libvirt-daemon and qemu-system-x86)"
fi

# Its limits.
mkdir -p /elsewhere
instead /usr/bin/dozo init -r /elsewhere/dozo
systemctl start $unit
holds "it writes nowhere else" it_is failed
holds "and nothing is there" test -z "$(ls /elsewhere)"
homes=/home
mkdir -p $homes/somebody
echo "test -z \"\$(ls -A $homes)\" -a \"\$(ulimit -c)\" = 0" >/files/inside.sh
instead /bin/sh /files/inside.sh
systemctl start $unit
holds "homes are empty for it, and it leaves no core file" it_is inactive
instead /bin/mount -t tmpfs tmpfs /mnt
systemctl start $unit
holds "it mounts nothing" it_is failed

# Stopped in the middle: by systemd, and by a UPS.
truncate -s 4G /images/large.raw
head -c 60000000 /dev/urandom >>/images/large.raw
head -c 60000000 /dev/urandom | dd of=/images/large.raw bs=1M seek=1024 conv=notrunc 2>/dev/null
instead /usr/bin/dozo backup -r /backup/dozo --guest web01-large --limit-read 4M /images/large.raw
before=$(points)
systemctl start $unit
holds "a long one runs" it_is active
sleep 1
systemctl stop $unit
holds "it is stopped, which is no failure" test "$(systemctl is-active $unit)" = inactive
holds "and told what becomes of it" says "no restore point was made"
holds "no point is made of it" test "$(points)" = "$before"
systemctl start $unit
holds "it runs again" it_is active
sleep 1
NOTIFYTYPE=ONBATT DOZO_UPS_NOTES=/run /usr/lib/dozo/dozo-ups >/dev/null 2>&1
tries=0
while [ "$(systemctl is-active $unit)" = active ] && [ $tries -lt 200 ]; do tries=$((tries + 1)); sleep 0.1; done
holds "the UPS's hook stops it" test "$(systemctl is-active $unit)" != active
NOTIFYTYPE=ONLINE DOZO_UPS_NOTES=/run /usr/lib/dozo/dozo-ups >/dev/null 2>&1
holds "and starts it when power is back" it_is active

# An upgrade while it runs, and away with it.
first=$(property MainPID)
holds "an upgrade over it" dpkg --force-unsafe-io --install /files/package.deb
holds "it runs again behind it" it_is active
holds "as another process" test "$(property MainPID)" != "$first"
systemctl enable $unit >/dev/null 2>&1
holds "it is removed while it runs" dpkg --force-unsafe-io --remove dozo
holds "and stopped before" test "$(systemctl is-active $unit)" != active
holds "and enabled no more" test ! -L /etc/systemd/system/multi-user.target.wants/$unit
echo done
TRIAL

unshare --mount --pid --fork --kill-child sh -c '
    mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs -o size=3G tmpfs "$1/layers" &&
        mkdir "$1/layers/upper" "$1/layers/work" "$1/layers/root" &&
        mount -t overlay -o "lowerdir=/,upperdir=$1/layers/upper,workdir=$1/layers/work" overlay "$1/layers/root" &&
        cd "$1/layers/root" || exit 1
    # Of this host nothing is started in it.
    rm -rf etc/systemd/system/*.wants etc/systemd/system/*.requires etc/systemd/system/default.target etc/fstab
    : >etc/machine-id
    cp -r "$1/files" . && cp files/trial.target files/trial.service etc/systemd/system/ || exit 1
    timeout 900 systemd-nspawn --quiet --boot --directory=. --machine=dozo-unit-trial --register=no --keep-unit \
        systemd.unit=trial.target >"$1/console" 2>&1 </dev/null
    cp files/result "$1/result" 2>/dev/null
' trial "$folder"
if [ -s "$folder/result" ]; then
    sed '/^done$/d' "$folder/result"
    grep -q '^done$' "$folder/result" || echo "FAIL: the unit under systemd (it did not reach its end)"
else
    echo "skip: the unit under systemd (systemd-nspawn did not start: $(tail -n 2 "$folder/console" 2>/dev/null |
        tr '\n' ' '))"
fi
echo done
