#!/bin/sh
# The README's commands, as they stand there: only the folders at their beginning are moved into one of our own.
. "$(dirname -- "$0")/cases.sh"

if ! command -v qemu-img >/dev/null 2>&1; then
    skip "README" "needs qemu-utils"
    echo done
    exit 0
fi
# Everything between "## Using it" and the end of its first block.
sed -n '/^## Using it/,/^```$/p' "$top/README.md" | sed -n '/^```sh$/,/^```$/p' | sed '/^```/d' >"$folder/as written"
sed -e 's,/backup/,"$folder"/backup/,g' -e 's,/images/,"$folder"/images/,g' "$folder/as written" >"$folder/commands"
mkdir "$folder/images" "$folder/place" "$folder/bin"
ln -s "$dozo" "$folder/bin/dozo"
noise "$folder/web01.raw" 3 21
qemu-img convert -f raw -O qcow2 "$folder/web01.raw" "$folder/images/web01.qcow2"
export folder
unset DOZO_REPOSITORY DOZO_PASSPHRASE_FILE
commands=$(grep -c '^dozo ' "$folder/commands")
if [ "$commands" -ge 6 ]; then pass "the README shows how to use dozo"
else fail "the README shows how to use dozo" "$commands commands found"; fi
holds "each command of the README works" sh -ec 'cd "$folder/place"; PATH="$folder/bin:$PATH"; . "$folder/commands"'
holds "what its restore made is the image" cmp "$folder/web01.raw" "$folder/images/restored/web01.raw"
for words in init "key sheet" backup points restore verify; do
    if grep -q "^dozo $words" "$folder/commands"; then pass "the README shows dozo $words"
    else fail "the README shows dozo $words" "it does not"; fi
done

# --- every kind of image that its block names, back as the raw disk it was made of
export DOZO_REPOSITORY="$folder/backup/dozo" DOZO_PASSPHRASE_FILE="$folder/place/dozo.pass"
back_and_forth() { # NAME IMAGE
    rm -f "$folder/back.raw"
    holds "backup: $1" "$dozo" backup --guest "$1" --disk "d=$2"
    holds "restore: $1" "$dozo" restore "$1@latest" --to "$folder/back.raw"
    holds "same bytes: $1" cmp "$folder/web01.raw" "$folder/back.raw"
}
for kind in qcow2:qcow2: vmdk:vmdk: vhd:vpc:force_size=on vhdx:vhdx: vdi:vdi:; do
    name=${kind%%:*}; driver=${kind#*:}; options=${driver#*:}; driver=${driver%%:*}
    qemu-img convert -f raw -O "$driver" ${options:+-o "$options"} "$folder/web01.raw" "$folder/images/kind.$name"
    back_and_forth "$name" "$folder/images/kind.$name"
done
back_and_forth raw "$folder/web01.raw"
qemu-img convert -f raw -O vmdk -o subformat=streamOptimized "$folder/web01.raw" "$folder/images/app01-disk1.vmdk"
tar -C "$folder/images" -cf "$folder/images/app01.ova" app01-disk1.vmdk
back_and_forth ova "$folder/images/app01.ova"
if device=$(losetup --find --show --read-only "$folder/web01.raw" 2>/dev/null); then
    trap 'losetup --detach "$device"; rm -rf "$folder"' EXIT
    back_and_forth "block device" "$device"
else
    skip "block device" "needs root and a loop device"
fi
echo done
