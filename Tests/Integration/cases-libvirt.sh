# Sourced by the integration scripts that run guests of a libvirt of their own: what cases.sh gives, a folder $lab
# for it with $lab/scratch, the tiny guest in $folder/guest, and the libvirt at $uri.
# shellcheck shell=sh disable=SC2034
. "$(dirname -- "$0")/cases.sh"
lab_script=$top/Tests/Support/libvirt-lab.sh
tiny=$top/Tests/Support/tiny_guest.py
LC_ALL=C
export LC_ALL
for command in libvirtd virsh qemu-system-x86_64 qemu-img cpio; do
    command -v "$command" >/dev/null 2>&1 ||
        { skip "guests of $(basename "$0" .sh)" "the command $command is missing"; echo done; exit 0; }
done
# QEMU belongs to another user when root runs this, and must be able to look behind every folder above its files.
lab=$(mktemp -d /tmp/dozo-lv.XXXXXX) || exit 1
scratch=$lab/scratch
# shellcheck disable=SC2317  # called by the trap
clean_up() {
    [ -z "${holder:-}" ] || kill "$holder" 2>/dev/null
    "$lab_script" stop "$lab"
    rm -rf "$folder" "$lab" "${shm:-}"
}
trap clean_up EXIT
mkdir -p "$scratch" && chmod 711 "$lab" "$scratch" || exit 1
"$top/Tests/Support/tiny-guest.sh" "$folder/guest" >"$folder/output" 2>&1 ||
    { fail "the guest can be made" "$(tail -n 1 "$folder/output")"; echo done; exit 0; }
uri=$("$lab_script" start "$lab") || { fail "libvirt can be started" "$uri"; echo done; exit 0; }
virsh() { "$lab_script" virsh "$lab" "$@"; }
guest() { "$tiny" run "$lab/vm01" "$1"; }
# is FOUND WANTED: for `holds`.
is() { [ "$1" = "$2" ] || { echo "'$1' instead of '$2'"; return 1; }; }
