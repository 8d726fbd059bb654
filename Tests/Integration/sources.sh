#!/bin/sh
# Sources that are not what they seem, on the real binary: devices, images cut short, and files that change, shrink or
# are replaced while they are read. A backup that could not trust what it read ends with a sentence and makes no point.
. "$(dirname -- "$0")/cases.sh"
python=${DOZO_PYTHON:-python3}
holds "init" "$dozo" init
cp -a "$DOZO_REPOSITORY" "$folder/empty repository"
cp -a "$XDG_STATE_HOME" "$folder/empty state"

# in_the_middle EVENT CHANGE ARGUMENT…: runs a backup, stops it with SIGSTOP as soon as another file appears in the
# folder EVENT of the repository, runs the shell text CHANGE and lets the backup go on. Ends with its status; 99 when it
# had ended or stored more than half of what it reads before it could be stopped: then nothing was changed.
in_the_middle() {
    "$python" - "$DOZO_REPOSITORY" "$folder/image.raw" "$dozo" "$@" <<'PY'
import os, signal, subprocess, sys, time
repository, image, dozo, event, change = sys.argv[1:6]
def count():
    return sum(len(files) for _, _, files in os.walk(os.path.join(repository, event)))
before = count()
backup = subprocess.Popen([dozo, "backup", "--jobs", "1"] + sys.argv[6:], stdin=subprocess.DEVNULL)
while count() == before:
    if backup.poll() is not None:
        sys.exit(99)
    time.sleep(0.001)
os.kill(backup.pid, signal.SIGSTOP)
_, status = os.waitpid(backup.pid, os.WUNTRACED)
if not os.WIFSTOPPED(status):
    sys.exit(99)
with open(f"/proc/{backup.pid}/io") as lines:
    written = int(dict(line.split(": ") for line in lines)["wchar"])
if written > os.path.getsize(image) // 2:
    backup.kill()
    backup.wait()
    sys.exit(99)
# What the shell text may need: the process and its children.
children = [name for name in os.listdir("/proc") if name.isdigit() and os.path.exists(f"/proc/{name}/stat")
            and open(f"/proc/{name}/stat").read().rsplit(")", 1)[1].split()[1] == str(backup.pid)]
environment = dict(os.environ, CHILDREN=" ".join(children))
changed = subprocess.call(["sh", "-c", change], env=environment)
os.kill(backup.pid, signal.SIGCONT)
status = backup.wait()
sys.exit(98 if changed != 0 else status if status >= 0 else 128 - status)
PY
}

no_point() { # NAME
    "$dozo" points --json >"$folder/points.json" 2>/dev/null
    if [ "$(json "$folder/points.json" 'len(d)')" -eq 0 ]; then pass "no point: $1"
    else fail "no point: $1" "$(head -c 200 "$folder/points.json")"; fi
}

# empty_repository: as made by init. What a failed run has stored would let the next one store nothing.
empty_repository() {
    rm -rf "$DOZO_REPOSITORY" "$XDG_STATE_HOME"
    cp -a "$folder/empty repository" "$DOZO_REPOSITORY"
    cp -a "$folder/empty state" "$XDG_STATE_HOME"
}

# changed STATUS PATTERN NAME EVENT CHANGE ARGUMENT…: a backup in whose middle something changes.
changed() {
    wanted=$1; pattern=$2; case_name=$3
    shift 3
    # On a machine that is busy elsewhere a stop may come too late; then the same is tried again.
    for _ in 1 2 3 4 5; do
        empty_repository
        in_the_middle "$@" >"$folder/middle" 2>&1
        status=$?
        [ "$status" -eq 99 ] || break
    done
    ends_with "$wanted" "$pattern" "$case_name" sh -c 'cat "$1"; exit "$2"' sh "$folder/middle" "$status"
    no_point "$case_name"
}

# --- raw files
fresh() { rm -f "$folder/image.raw"; cp "$folder/noise" "$folder/image.raw"; }
export folder
noise "$folder/noise" 128 21
raw="--guest g --format raw --disk"
for event in log packs; do
    # log: opened and not yet read; packs: the first 32 MiB are stored.
    fresh
    # shellcheck disable=SC2086  # words
    changed 7 "shrank from 134217728" "a raw file cut to half ($event)" "$event" \
        'truncate -s 64M "$folder/image.raw"' $raw "d=$folder/image.raw"
    fresh
    # shellcheck disable=SC2086
    changed 7 "changed while it was read" "a raw file overwritten at its end ($event)" "$event" \
        'printf x | dd of="$folder/image.raw" bs=1 seek=134217727 conv=notrunc status=none' $raw "d=$folder/image.raw"
done
fresh
# shellcheck disable=SC2086
changed 7 "changed while it was read" "a raw file overwritten where it was read already" packs \
    'printf x | dd of="$folder/image.raw" bs=1 conv=notrunc status=none' $raw "d=$folder/image.raw"
fresh
# shellcheck disable=SC2086
changed 7 "it grew from 134217728" "a raw file that grows" packs 'printf x >>"$folder/image.raw"' $raw \
    "d=$folder/image.raw"
fresh
# shellcheck disable=SC2086
changed 7 "replaced" "a raw file replaced by another" packs \
    'cp "$folder/image.raw" "$folder/other" && mv "$folder/other" "$folder/image.raw"' $raw "d=$folder/image.raw"
fresh
cp "$folder/image.raw" "$folder/second.raw"
# shellcheck disable=SC2086
changed 7 "second.raw changed" "the second of two disks, while the first is read" packs \
    'printf x | dd of="$folder/second.raw" bs=1 conv=notrunc status=none' $raw "d=$folder/image.raw" --disk \
    "e=$folder/second.raw"

# --- a container
if command -v qemu-img >/dev/null 2>&1 && command -v qemu-nbd >/dev/null 2>&1; then
    fresh
    container() { rm -f "$folder/image.qcow2"; qemu-img convert -f raw -O qcow2 "$folder/image.raw" "$1"; }
    container "$folder/image.qcow2"
    changed 7 "changed while it was read" "a qcow2 overwritten" packs \
        'printf x | dd of="$folder/image.qcow2" bs=1 seek=100000000 conv=notrunc status=none' --guest q --disk \
        "d=$folder/image.qcow2"
    container "$folder/image.qcow2"
    changed 7 "shrank" "a qcow2 cut to half" packs 'truncate -s 64M "$folder/image.qcow2"' --guest q --disk \
        "d=$folder/image.qcow2"
    container "$folder/image.qcow2"
    changed 7 "image.qcow2 " "a qcow2 made anew under the same name" packs \
        'rm -f "$folder/image.qcow2"; qemu-img create -q -f qcow2 "$folder/image.qcow2" 1M' --guest q --disk \
        "d=$folder/image.qcow2"
    container "$folder/base.qcow2"
    qemu-img create -q -f qcow2 -F qcow2 -b base.qcow2 "$folder/top.qcow2"
    changed 7 "base.qcow2 changed" "the base of a chain overwritten" packs \
        'printf x | dd of="$folder/base.qcow2" bs=1 seek=100000000 conv=notrunc status=none' --guest q --disk \
        "d=$folder/top.qcow2"
    container "$folder/image.qcow2"
    printf notes >"$folder/notes.txt"
    tar -C "$folder" -cf "$folder/web.ova" image.qcow2 notes.txt
    changed 7 "web.ova changed while it was read (it was written" "an appliance, before the disk that is read" packs \
        'printf x | dd of="$folder/web.ova" bs=1 seek=200 conv=notrunc status=none' --guest q \
        "$folder/web.ova"
    rm "$folder/web.ova"
    container "$folder/image.qcow2"
    changed 1 "could not be read through qemu-nbd" "qemu-nbd killed" packs 'kill -9 $CHILDREN' --guest q --disk \
        "d=$folder/image.qcow2"
    container "$folder/image.qcow2"
    truncate -s 64M "$folder/image.qcow2"
    empty_repository
    ends_with 6 "was cut short: it ends at 67108864 bytes" "half a qcow2 is status 6" "$dozo" backup --guest q --disk \
        "d=$folder/image.qcow2"
    no_point "half a qcow2"
    rm -f "$folder"/*.qcow2
else
    skip "containers that change while they are read" "needs qemu-utils"
fi

# --- and when it is quiet again
fresh
holds "the next backup succeeds when the source is quiet" "$dozo" backup --guest g --format raw --disk \
    "d=$folder/image.raw"
holds "and restores" "$dozo" restore g@latest --to "$folder/restored"
holds "the same bytes" cmp "$folder/noise" "$folder/restored"
holds "what the failed runs left is sound" "$dozo" verify --content

# --- a device, whose sectors are 4,096 bytes
PATH=$PATH:/usr/sbin:/sbin
if [ "$(id -u)" -ne 0 ]; then skip "a block device" "loop devices need root"
elif ! device=$(losetup --find --show --sector-size 4096 "$folder/image.raw" 2>/dev/null); then
    skip "a block device" "losetup gives no loop device here"
else
    # Held open, it is given back when this script ends, however it does.
    exec 9<"$device"
    losetup --detach "$device"
    holds "backup of a block device" "$dozo" backup --guest device --disk "d=$device"
    rm -f "$folder/restored"
    holds "restore of a block device" "$dozo" restore device@latest --to "$folder/restored"
    holds "same bytes: a block device" cmp "$folder/noise" "$folder/restored"
    # Claimed as a mount claims it.
    mkfifo "$folder/claim"
    "$python" -c 'import os, sys; os.open(sys.argv[1], os.O_EXCL); print("claimed", flush=True); input()' \
        "$device" <"$folder/claim" >"$folder/claimed" &
    claimer=$!
    exec 8>"$folder/claim"
    while ! grep -q claimed "$folder/claimed"; do kill -0 "$claimer" 2>/dev/null || break; done
    ends_with 7 "in use" "a device that is mounted is not read" "$dozo" backup --guest device --disk "d=$device"
    holds "unless it is forced" "$dozo" backup --guest device --disk "d=$device" --force
    exec 8>&-
    wait "$claimer"
    exec 9<&-
fi

# --- a file that is attached to a loop device, and mounted through it
looped() { # STATUS PATTERN NAME: a backup of attached.raw, and whether it then makes a point
    empty_repository
    ends_with "$1" "$2" "$3" "$dozo" backup --guest loop --disk "d=$folder/attached.raw"
}
loop=
if [ "$(id -u)" -ne 0 ]; then skip "files behind loop devices" "loop devices need root"
else
    # A partition table with one partition from 1 MiB on, and a file system in it where there is a mkfs.
    "$python" - "$folder/attached.raw" <<'PY'
import struct, sys
with open(sys.argv[1], "wb") as out:
    out.truncate(16 << 20)
    out.seek(446)
    out.write(struct.pack("<B3sB3sII", 0, bytes(3), 0x83, bytes(3), 2048, 30720) + bytes(48) + b"\x55\xaa")
PY
    ! command -v mkfs.ext4 >/dev/null 2>&1 ||
        mkfs.ext4 -q -F -E offset=1048576 "$folder/attached.raw" 15m >"$folder/output" 2>&1
    loop=$(losetup --find --show --partscan "$folder/attached.raw" 2>/dev/null) ||
        skip "files behind loop devices" "losetup gives no loop device here"
fi
if [ -n "$loop" ]; then
    trap 'umount "$folder/mounted" 2>/dev/null; losetup --detach "$loop" 2>/dev/null; rm -rf "$folder"' EXIT
    looped 7 "loop device $loop; detach it" "a file behind a loop device is not read"
    no_point "a file behind a loop device"
    holds "unless it is forced" "$dozo" backup --guest loop --disk "d=$folder/attached.raw" --force
    mkdir "$folder/mounted"
    # A kernel that does not look for partitions itself is told of them.
    [ -b "${loop}p1" ] || partx --add "$loop" 2>/dev/null
    if mount "${loop}p1" "$folder/mounted" 2>/dev/null; then
        looped 7 "mounted on $folder/mounted; unmount" "the refusal says where a partition of it is mounted"
        umount "$folder/mounted"
        partx --delete "$loop" 2>/dev/null
    else
        skip "the refusal says where a partition of it is mounted" "it cannot be mounted here"
    fi
    empty_repository
    cp "$folder/attached.raw" "$folder/copy.raw"
    holds "a copy of it is read" "$dozo" backup --guest loop --disk "d=$folder/copy.raw"
    for way in --in-place --overwrite; do
        ends_with 7 "loop device $loop" "nor is it written over ($way)" "$dozo" restore loop@latest $way \
            --to "$folder/attached.raw"
    done
    losetup --detach "$loop"
    loop=$(losetup --find --show --read-only "$folder/attached.raw")
    ends_with 7 "loop device $loop" "nor when the device only reads it" "$dozo" restore loop@latest --in-place \
        --to "$folder/attached.raw"
    holds "while a backup of what cannot change is made" "$dozo" backup --guest loop --disk "d=$folder/attached.raw"
    holds "a restore may be forced" "$dozo" restore loop@latest --in-place --force --to "$folder/attached.raw"
    losetup --detach "$loop"
    printf x | dd of="$folder/attached.raw" bs=1 seek=9000000 conv=notrunc status=none
    holds "and needs no force when it is detached" "$dozo" restore loop@latest --in-place --to "$folder/attached.raw"
    holds "same bytes: a file that was behind a loop device" cmp "$folder/copy.raw" "$folder/attached.raw"
    trap 'rm -rf "$folder"' EXIT
    empty_repository
fi

# --- a disk that a virtual machine writes, and one that begins to while it is read
guest() { # COMMAND…: runs it while a qemu-io holds the image for writing as a guest does
    mkfifo "$folder/orders"
    qemu-io -f raw "$folder/image.raw" <"$folder/orders" >"$folder/answers" 2>&1 &
    holder=$!
    exec 7>"$folder/orders"
    echo "read 0 512" >&7
    while ! grep -q "read 512" "$folder/answers"; do kill -0 "$holder" 2>/dev/null || break; done
    "$@"
    exec 7>&-
    wait "$holder"
    rm -f "$folder/orders"
}
cp "$folder/noise" "$folder/image.raw"
guest ends_with 7 "virtual machine" "a disk that a guest writes is not read" \
    "$dozo" backup --guest live --disk "d=$folder/image.raw"
guest holds "unless it is forced, and then nothing changed meanwhile" \
    "$dozo" backup --guest live --disk "d=$folder/image.raw" --force
# until_locked FORMAT IMAGE: tries to write until that is refused, for as long as the backup $slow runs; a busy machine
# takes its time to begin.
until_locked() {
    while kill -0 "$slow" 2>/dev/null; do
        qemu-io -f "$1" -c "write 0 512" "$2" >"$folder/answers" 2>&1 || return 0
        sleep 0.2
    done
    return 1
}
qemu-img convert -q -O qcow2 "$folder/image.raw" "$folder/held.qcow2"
qemu-img create -q -f qcow2 -F qcow2 -b held.qcow2 "$folder/overlay.qcow2"
qemu-io -f qcow2 -c "write -P 6 1M 1M" "$folder/overlay.qcow2" >"$folder/answers"
"$dozo" backup --guest "held overlay" --disk "d=$folder/overlay.qcow2" --limit-read 2M >"$folder/slow.log" 2>&1 &
slow=$!
until_locked qcow2 "$folder/held.qcow2"
if ! grep -q "lock" "$folder/answers"
then fail "nor what the image stands on" "$(cat "$folder/answers")"
else pass "nor what the image stands on"; fi
kill -TERM "$slow" 2>/dev/null
wait "$slow"
for image in "$folder/image.raw" "$folder/held.qcow2"; do
    case "$image" in *.raw) format=raw ;; *) format=qcow2 ;; esac
    "$dozo" backup --guest "held $format" --disk "d=$image" --limit-read 2M >"$folder/slow.log" 2>&1 &
    slow=$!
    until_locked "$format" "$image"
    if grep -q "lock" "$folder/answers"; then pass "no guest begins to write the $format while it is read"
    else fail "no guest begins to write the $format while it is read" "$(cat "$folder/answers")"; fi
    holds "and another reader may look at the $format" qemu-io -r -f "$format" -c "read 0 512" "$image"
    kill -INT "$slow" 2>/dev/null
    kill -TERM "$slow" 2>/dev/null
    wait "$slow"
done

# --- a device that another loop device stands on, and one that a virtual machine has
if [ "$(id -u)" -ne 0 ]; then skip "devices below others" "loop devices need root"
elif truncate -s 40M "$folder/below.raw" && below=$(losetup --find --show "$folder/below.raw" 2>/dev/null); then
    if above=$(losetup --offset 1048576 --find --show "$below" 2>/dev/null); then
        ends_with 7 "loop device $above" "a device below a loop device is not read" "$dozo" backup --guest below \
            --disk "d=$below"
        holds "unless it is forced" "$dozo" backup --guest below --disk "d=$below" --force
        ends_with 7 "loop device $above" "nor written over" "$dozo" restore below@latest --to "$below" --overwrite
        losetup --detach "$above"
    else skip "a device below a loop device" "losetup gives no second loop device here"; fi
    if command -v qemu-nbd >/dev/null 2>&1; then
        qemu-nbd --socket="$folder/nbd" --persistent --image-opts \
            "driver=raw,file.driver=host_device,file.filename=$below" >/dev/null 2>&1 &
        writer=$!
        for _ in $(seq 1 100); do [ -S "$folder/nbd" ] && break; sleep 0.05; done
        ends_with 7 "written by a running virtual machine" "a device that QEMU writes is not read" "$dozo" backup \
            --guest below --disk "d=$below"
        kill "$writer"
        wait "$writer" 2>/dev/null
        holds "and is when it has ended" "$dozo" backup --guest below --disk "d=$below"
    else skip "a device that QEMU writes" "needs qemu-utils"; fi
    losetup --detach "$below"
else skip "devices below others" "losetup gives no loop device here"; fi
echo done
