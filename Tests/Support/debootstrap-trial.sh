#!/bin/sh
# Proves that a bare Debian 12 is enough: runs ./demo and ./run-tests in a fresh minimal system, as root inside of it.
#
#   Tests/Support/debootstrap-trial.sh [--keep] [--only demo|run-tests]
#
# By hand or in a long run, as root, with about 15 GB free in TMPDIR (or /tmp; debootstrap takes no space in that path),
# with debootstrap (apt-get install debootstrap) and a network for apt-get. It makes the system with debootstrap
# --variant=minbase, copies into it the Swift toolchain first on PATH and this folder without .build (uncommitted
# changes included) under a path with a space, and runs there, one after the other: ./demo, ./demo again, ./run-tests.
# Nothing of the host is bound into the new system; /proc is mounted for it in a mount and process namespace of its own,
# so that nothing stays mounted and nothing stays running whatever happens. DEBIAN_MIRROR names another mirror. The new
# system is removed at the end, unless --keep is given. Expect about an hour on two cores. The status is 0 when
# everything ended well.
set -u
top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P) || exit 1
. "$top/scripts/environment.sh"

usage() { echo "usage: Tests/Support/debootstrap-trial.sh [--keep] [--only demo|run-tests]" >&2; exit 2; }
keep=no
only=both
while [ $# -gt 0 ]; do
    case "$1" in
        --keep) keep=yes; shift ;;
        --only) only=${2:-}; shift; shift || usage ;;
        *) usage ;;
    esac
done
case "$only" in both|demo|run-tests) ;; *) usage ;; esac
stop() { echo "debootstrap-trial: $1" >&2; exit 1; }

[ "$(id -u)" = 0 ] || stop "this needs root, to make a system and change into it."
command -v debootstrap >/dev/null 2>&1 || stop \
    "debootstrap is missing: apt-get install -y --no-install-recommends debootstrap"
unshare --mount --pid --fork true 2>/dev/null || stop "mount and process namespaces are not to be had here."
check_swift || exit 1
compiler=$(readlink -f "$(command -v swift)")
toolchain=${compiler%/usr/bin/*}
# A toolchain that was unpacked over the host's own /usr cannot be told from it.
if [ -z "$toolchain" ] || [ "$toolchain" = "$compiler" ]; then
    stop "the Swift toolchain must lie in a folder of its own, as in /opt/swift/usr/bin, not at $compiler."
fi

root=$(mktemp -d "${TMPDIR:-/tmp}/dozo-trial.XXXXXX") || exit 1
case "$root" in
    *' '*) rmdir "$root"; stop "debootstrap fails in a path with a space; set TMPDIR to one without." ;;
esac
# shellcheck disable=SC2317  # called by the trap
clean_up() { if [ "$keep" = yes ]; then echo "Kept: $root"; else rm -rf --one-file-system "$root"; fi; }
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$root"
free=$(df -Pk "$root" | awk 'NR == 2 { printf "%d", $4 / 1000000 }')
[ "$free" -ge 15 ] || stop "15 GB are needed in ${TMPDIR:-/tmp}, and $free are free; set TMPDIR."

echo "== a minimal Debian 12 in $root"
debootstrap --variant=minbase bookworm "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$root.log" 2>&1 ||
    { tail -n 5 "$root.log" >&2; rm -f "$root.log"; stop "debootstrap failed."; }
rm -f "$root.log"
# How this host reaches the network, which a bare machine would be told too.
cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null
grep -lis 'proxy' /etc/apt/apt.conf.d/* | while read -r file; do cp "$file" "$root/etc/apt/apt.conf.d/"; done

echo "== the toolchain from $toolchain"
mkdir -p "$root/opt/swift" "$root/root/dozo trial"
tar -C "$toolchain" -cf - usr | tar -C "$root/opt/swift" -xf - --no-same-owner || stop \
    "the toolchain could not be copied."
tar -C "$top" --exclude=./.build -cf - . | tar -C "$root/root/dozo trial" -xf - --no-same-owner ||
    stop "this folder could not be copied."

# inside COMMAND…: runs it in the new system, in the copy of this folder. The namespaces end with it.
inside() {
    echo "== $*"
    began=$(seconds_now)
    unshare --mount --pid --fork --kill-child sh -c '
        mount --make-rprivate / && mount -t proc proc "$1/proc" || exit 1
        root=$1
        shift
        exec chroot "$root" env -i HOME=/root TERM=dumb LANG=C.UTF-8 \
            PATH=/usr/sbin:/usr/bin:/sbin:/bin:/opt/swift/usr/bin \
            http_proxy="$http_proxy" https_proxy="$https_proxy" sh -c "cd \"/root/dozo trial\" && exec \"\$@\"" \
                inside "$@"
    ' namespaces "$root" "$@"
    status=$?
    echo "== $* ended with status $status after $(($(seconds_now) - began)) s"
    [ "$status" -eq 0 ] || failures=$((failures + 1))
    runs=$((runs + 1))
}

http_proxy=${http_proxy:-}
https_proxy=${https_proxy:-}
export http_proxy https_proxy
runs=0
failures=0
[ "$only" = run-tests ] || { inside ./demo; inside ./demo; }
[ "$only" = demo ] || inside ./run-tests
leftovers=$(find "$root/tmp" -mindepth 1 -maxdepth 1 | wc -l)
[ "$leftovers" -eq 0 ] || { echo "FAIL: $leftovers things were left in /tmp"; failures=$((failures + 1)); \
    runs=$((runs + 1)); }
echo "debootstrap-trial: $((runs - failures)) passed, $failures failed, 0 skipped"
[ "$failures" -eq 0 ]
