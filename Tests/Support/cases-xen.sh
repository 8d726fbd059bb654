# Sourced by the scripts that need a real Xen inside of QEMU: what cases.sh gives, and the lab in $lab, which is made
# once; without root or packages it is a counted skip of $wanted.
# shellcheck shell=sh disable=SC2154
. "$(dirname -- "$0")/../Integration/cases.sh"
lab=${DOZO_XEN_LAB:-$top/.build/xen-lab}
for command in qemu-system-x86_64 debugfs mke2fs; do
    command -v "$command" >/dev/null 2>&1 || { skip "$wanted" "needs $command"; echo done; exit 0; }
done
if [ ! -f "$lab/made-3" ]; then
    if [ "$(id -u)" != 0 ]; then skip "$wanted" "only root can make the lab"; echo done; exit 0; fi
    for command in debootstrap cpio depmod; do
        command -v "$command" >/dev/null 2>&1 || { skip "$wanted" "needs $command"; echo done; exit 0; }
    done
    holds "a Xen host is made" sh "$top/Tests/Support/xen-lab.sh" make "$lab"
fi
