#!/bin/sh
# A guest of libvirt with UEFI, in whose variables and emulated TPM something of its own is kept: backed up while it
# runs, taken away with everything, brought back elsewhere and where it was. What it kept it still has.
. "$(dirname -- "$0")/cases-libvirt.sh"

# OVMF as it is installed, or out of Debian's package. Libvirt of a user looks for descriptions of firmware here too.
ovmf=/usr/share/OVMF
if [ ! -s "$ovmf/OVMF_CODE_4M.fd" ]; then
    if (scratch=$folder
        fail() { echo "$1"; exit 1; }
        . "$top/scripts/guest-packages.sh"
        download_packages ovmf && mkdir "$folder/ovmf" && unpack_package ovmf "$folder/ovmf") >"$folder/output" 2>&1
    then cp "$folder"/ovmf/usr/share/OVMF/OVMF_*_4M.fd "$lab/" && ovmf=$lab
    else skip "guests with UEFI" "ovmf is not installed: $(tail -n 1 "$folder/output")"; echo done; exit 0; fi
fi
mkdir -p "$lab/config/qemu/firmware"
cat >"$lab/config/qemu/firmware/00-lab.json" <<JSON
{ "description": "the lab's", "interface-types": [ "uefi" ], "tags": [],
  "mapping": { "device": "flash", "executable": { "filename": "$ovmf/OVMF_CODE_4M.fd", "format": "raw" },
               "nvram-template": { "filename": "$ovmf/OVMF_VARS_4M.fd", "format": "raw" } },
  "targets": [ { "architecture": "x86_64", "machines": [ "pc-q35-*" ] } ], "features": [ "acpi-s3" ] }
JSON
own() { chown -R --reference="$lab/config/libvirt" "$@"; }
own "$lab/config/qemu"
# A daemon of a user keeps the states of TPMs below the folder with his configuration.
XDG_CONFIG_HOME=$lab/config
export XDG_CONFIG_HOME
tpm=
if command -v swtpm >/dev/null 2>&1 && command -v swtpm_setup >/dev/null 2>&1; then
    user=$(stat -c %u "$lab/config/libvirt")
    set -- env HOME="$lab" swtpm_setup --create-config-files
    [ "$(id -u)" != 0 ] || set -- setpriv --reuid "$user" --regid "$user" --clear-groups "$@"
    holds "an emulated TPM can be set up" "$@"
    tpm="<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
else
    skip "an emulated TPM" "it is not installed: apt-get install -y swtpm swtpm-tools"
fi

"$lab_script" define "$lab" vm01 "$folder/guest" || { echo done; exit 0; }
# The firmware is named by nothing but what is wanted of it.
virsh dumpxml vm01 --inactive --security-info | sed -e "s|<os>|<os firmware='efi'><firmware>\
<feature enabled='no' name='secure-boot'/></firmware>|" -e "s|<serial |$tpm<serial |" >"$folder/efi.xml"
virsh define "$folder/efi.xml" >/dev/null && "$lab_script" boot "$lab" vm01 ||
    { fail "a guest with UEFI boots" "see $lab"; echo done; exit 0; }
virsh dumpxml vm01 >"$folder/running.xml"
variables=$(sed -n "s|.*<nvram[^>]*>\(.*\)</nvram>.*|\1|p" "$folder/running.xml")
state=$lab/config/libvirt/qemu/swtpm/$(virsh domuuid vm01)

# Its kernel has the driver of variables as a module.
mkdir "$folder/kernel"
dpkg-deb --fsys-tarfile "$top"/.build/guest-packages/linux-image-*-cloud-amd64.deb |
    tar -C "$folder/kernel" -x --wildcards '*/efivarfs.ko*' 2>/dev/null
module=$(find "$folder/kernel" -name 'efivarfs.ko*')
case "$module" in *.xz) xz -d "$module"; module=${module%.xz} ;; esac
with_variables() {
    guest "[ -d /sys/firmware/efi ] || exit 1
        grep -q efivarfs /proc/filesystems || {
            echo '$(gzip -9c "$module" | base64 -w 0)' | base64 -d | gunzip >/run/efivarfs.ko
            insmod /run/efivarfs.ko; }
        mount -t efivarfs efivarfs /sys/firmware/efi/efivars 2>/dev/null; $1"
}
# Commands of a TPM, as the TCG's library specification, part 3, has them: eight bytes in an index of the owner's.
speaks='speak() { exec 3<>/dev/tpm0; printf "$1" >&3; dd bs=4096 count=1 <&3 2>/dev/null | od -An -c | tr -d " \n"
    exec 3>&-; }
owner="\x40\x00\x00\x01" index="\x01\x50\x00\x01" session="\x00\x00\x00\x09\x40\x00\x00\x09\x00\x00\x00\x00\x00"
define="\x80\x02\x00\x00\x00\x2d\x00\x00\x01\x2a$owner$session\x00\x00\x00\x0e$index\x00\x0b"
define="$define\x00\x02\x00\x02\x00\x00\x00\x08"
write="\x80\x02\x00\x00\x00\x2b\x00\x00\x01\x37$owner$index$session\x00\x08kept-tpm\x00\x00"
look="\x80\x02\x00\x00\x00\x23\x00\x00\x01\x4e$owner$index$session\x00\x08\x00\x00"'
variable=/sys/firmware/efi/efivars/Kept-0e0f0000-0000-4000-8000-000000000001
holds "it has a variable of its own" with_variables "printf '\\007\\000\\000\\000kept in flash' >$variable"
has_variable() { with_variables "cat $variable" | grep -aq 'kept in flash'; }
has_sealed() { guest "$speaks
    speak \"\$look\"" | grep -q kept-tpm; }
if [ -n "$tpm" ]; then
    guest "$speaks
        speak \"\$define\"; speak \"\$write\"" >/dev/null
    holds "and something in its TPM" has_sealed
fi
# Nothing writes any more, so that what is kept aside is what is in the point.
guest 'killall guest-work; sync; mount -o remount,ro /' >/dev/null

holds "a repository is made" "$dozo" init
ends_with 0 "" "it is backed up while it runs" \
    "$dozo" backup --connect "$uri" --scratch "$lab/scratch" --domain vm01 --quiesce never
holds "with everything that describes it" sh -c '! grep -q "not part of the point" "$1"' - "$folder/output"
holds "the files that describe it" "$dozo" restore vm01@latest --definition-to "$folder/definition"
holds "have its variables" cmp "$variables" "$folder/definition/nvram"
[ -z "$tpm" ] || holds "and its TPM's state" cmp "$state/tpm2/tpm2-00.permall" \
    "$folder/definition/tpm/tpm2/tpm2-00.permall"
virsh destroy vm01 >/dev/null
mkdir "$lab/kept" && mv "$lab"/vm01/vd?.* "$lab/kept/" && cp "$variables" "$lab/kept/nvram" || exit 1
[ -z "$tpm" ] || cp -a "$state" "$lab/kept/tpm"
virsh undefine vm01 --checkpoints-metadata --nvram >/dev/null
holds "libvirt forgets all of it" sh -c '[ ! -e "$1" ] && [ ! -e "$2" ]' - "$variables" "$state"

back() { "$dozo" restore vm01@latest --define --connect "$uri" "$@"; }
same_state() { cmp "$lab/kept/tpm/tpm2/tpm2-00.permall" "$1/tpm2/tpm2-00.permall"; }
holds "it comes back where it was" back --to-directory "$lab/first"
holds "with its variables" cmp "$lab/kept/nvram" "$lab/first/nvram.fd"
holds "where its definition says" sh -c 'grep -q "<nvram>$1</nvram>"' - "$lab/first/nvram.fd" <<XML
$(virsh dumpxml vm01 --inactive)
XML
[ -z "$tpm" ] || holds "and its TPM's state" same_state "$state"
virsh undefine vm01 --nvram >/dev/null
rm -rf "$lab/first" "$lab/vm01/serial.log"
ends_with 0 "two .* is started" "beside it, under another name, it starts" \
    back --to-directory "$lab/second" --name two --start
holds "and boots" "$tiny" wait "$lab/vm01"
holds "its variable is there" has_variable
[ -z "$tpm" ] || holds "and what is in its TPM" has_sealed
if [ -n "$tpm" ]; then
    holds "which is its own" sh -c '[ -d "$1" ] && [ ! -e "$2" ]' - \
        "$lab/config/libvirt/qemu/swtpm/$(virsh domuuid two)" "$state"
fi
virsh destroy two >/dev/null

# Without a folder the variables go where they were.
mkdir -p "$lab/vm01" && ends_with 0 "$variables" "without another folder it comes back as well" back --overwrite
holds "its variables where libvirt would put them" cmp "$lab/kept/nvram" "$variables"
echo done
