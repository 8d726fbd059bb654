#!/bin/sh
# Images that are encrypted themselves, made by QEMU: stored and given back as they are, and nobody is asked for a key.
. "$(dirname -- "$0")/cases.sh"
if ! command -v qemu-img >/dev/null 2>&1; then
    skip "encrypted images" "needs qemu-utils"
    echo done
    exit 0
fi
holds "init" "$dozo" init
noise "$folder/plain.raw" 3 31
truncate -s 8M "$folder/plain.raw"
secret="secret,id=key,data=wisteria"

# unlocked FILE DRIVER: what is inside, opened with the key, is the disk that was put there.
unlocked() {
    rm -f "$folder/inside.raw"
    qemu-img convert --object "$secret" --image-opts "driver=$2,file.filename=$1,$3=key" -O raw "$folder/inside.raw" &&
        cmp "$folder/plain.raw" "$folder/inside.raw"
}

# encrypted FORMAT OPTIONS FILE: makes an image. QEMU measures the processor first, and now and then cannot.
encrypted() {
    for _ in 1 2 3 4 5 6 7 8; do
        qemu-img convert --object "$secret" -f raw -O "$1" -o "$2" "$folder/plain.raw" "$3" 2>"$folder/output" &&
            return 0
        grep -q "CPU usage" "$folder/output" || return 1
    done
    return 1
}

# --- LUKS in a file, under names that say nothing and under those of raw disks
if encrypted luks key-secret=key,iter-time=20 "$folder/disk.luks"; then
    cp "$folder/disk.luks" "$folder/disk.img"
    holds "the LUKS image holds the disk" unlocked "$folder/disk.luks" luks key-secret
    for name in disk.luks disk.img; do
        # No terminal and no input: whoever asked for a key would fail.
        ends_with 0 "1 disk" "backup of $name" "$dozo" backup --guest "$name" --disk "d=$folder/$name"
        rm -f "$folder/back.luks"
        ends_with 0 "written" "restore of $name" "$dozo" restore "$name@latest" --to "$folder/back.luks"
        holds "same bytes: $name" cmp "$folder/disk.luks" "$folder/back.luks"
    done
    holds "what came back opens with its key" unlocked "$folder/back.luks" luks key-secret
    ends_with 0 "already" "in place onto a LUKS image" "$dozo" restore disk.img@latest --to "$folder/disk.luks" \
        --in-place
    holds "which stays the same" cmp "$folder/disk.img" "$folder/disk.luks"
else
    skip "LUKS images" "this qemu-img makes none: $(head -c 200 "$folder/output")"
fi
if command -v cryptsetup >/dev/null 2>&1; then
    truncate -s 32M "$folder/second.img"
    holds "cryptsetup makes LUKS version 2" sh -c 'echo wisteria |
        cryptsetup luksFormat --type luks2 --batch-mode --pbkdf-force-iterations 4 --pbkdf-memory 1024 "$1" - &&
        head -c 4 "$1" | grep -q LUKS' sh "$folder/second.img"
    ends_with 0 "1 disk" "backup of LUKS version 2" "$dozo" backup --guest second --disk "d=$folder/second.img"
    holds "restore of LUKS version 2" "$dozo" restore second@latest --to "$folder/second.back"
    holds "same bytes: LUKS version 2" cmp "$folder/second.img" "$folder/second.back"
else
    skip "LUKS version 2" "needs cryptsetup"
fi

# --- qcow2 with LUKS inside
if encrypted qcow2 encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=20 "$folder/inner.qcow2"; then
    ends_with 1 "as it is with --format raw" "an encrypted qcow2 is refused, with what to do" "$dozo" backup \
        --guest inner --disk "d=$folder/inner.qcow2"
    ends_with 0 "1 disk" "which is done" "$dozo" backup --guest inner --format raw --disk "d=$folder/inner.qcow2"
    holds "and undone" "$dozo" restore inner@latest --to "$folder/inner back.qcow2" --format raw
    holds "same bytes: the encrypted qcow2" cmp "$folder/inner.qcow2" "$folder/inner back.qcow2"
    holds "it opens with its key" unlocked "$folder/inner back.qcow2" qcow2 encrypt.key-secret
else
    skip "encrypted qcow2" "this qemu-img makes none: $(head -c 200 "$folder/output")"
fi
echo done
