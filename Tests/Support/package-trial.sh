#!/bin/sh
# The package that `make deb` made, in a bare Debian 12: apt-get brings what it depends on and nothing else, then
# Tests/Support/package-inside.sh takes it through its life.
#
#   Tests/Support/package-trial.sh [PACKAGE]
#
# By hand or by `make deb-trial`, as root, with debootstrap, about 1 GB in TMPDIR (or /tmp; debootstrap takes no space
# in that path) and a network for apt-get. DEBIAN_MIRROR names another mirror. Nothing of the host is bound into the new
# system; /proc is mounted for it in namespaces of its own. It is removed at the end.
set -u
top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P) || exit 1
. "$top/scripts/environment.sh"
stop() { echo "package-trial: $1" >&2; exit 1; }

[ "$(id -u)" = 0 ] || stop "this needs root, to make a system and change into it."
for command in debootstrap dpkg-deb; do
    command -v "$command" >/dev/null 2>&1 || stop "$command is missing: apt-get install debootstrap dpkg-dev"
done
package=${1:-$(find "$top/.build/package" -name 'dozo_*.deb' -printf '%T@ %p\n' 2>/dev/null | sort -rn |
    sed -n '1s/[^ ]* //p')}
[ -f "$package" ] || stop "there is no package; make one with: make deb"

root=$(mktemp -d "${TMPDIR:-/tmp}/dozo-package.XXXXXX") || exit 1
case "$root" in
    *' '*) rmdir "$root"; stop "debootstrap fails in a path with a space; set TMPDIR to one without." ;;
esac
trap 'rm -rf --one-file-system "$root"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$root"
debootstrap --variant=minbase bookworm "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$root.log" 2>&1 ||
    { tail -n 5 "$root.log" >&2; rm -f "$root.log"; stop "debootstrap failed."; }
rm -f "$root.log"
cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null
grep -lis 'proxy' /etc/apt/apt.conf.d/* | while read -r file; do cp "$file" "$root/etc/apt/apt.conf.d/"; done

inside() {
    unshare --mount --pid --fork --kill-child sh -c '
        mount --make-rprivate / && mount -t proc proc "$1/proc" || exit 1
        root=$1
        shift
        exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
            http_proxy="$http_proxy" https_proxy="$https_proxy" "$@"
    ' inside "$root" "$@"
}
http_proxy=${http_proxy:-}
https_proxy=${https_proxy:-}
export http_proxy https_proxy

cp "$package" "$root/package.deb"
cp "$top/Tests/Support/package-inside.sh" "$root/inside.sh"
# The same with a lower version, for upgrades and what is none.
version=$(dpkg-deb --field "$package" Version)
dpkg-deb --raw-extract "$package" "$root/older" &&
    sed -i "s/$version/0.0.1/" "$root/older/DEBIAN/control" "$root/older/DEBIAN/preinst" &&
    dpkg-deb --root-owner-group -Znone --build "$root/older" "$root/older.deb" >/dev/null || stop "no older package."
rm -r "$root/older"

# What the package depends on is installed because of it, and it is taken away again to begin from nothing.
if inside sh -c 'apt-get update && apt-get install -y --no-install-recommends /package.deb' >"$root/said" 2>&1; then
    echo "pass: apt-get installs it with what it depends on"
else
    echo "FAIL: apt-get installs it with what it depends on ($(tail -n 3 "$root/said" | tr '\n' ' '))"
fi
if inside sh -c 'dozo --version' >/dev/null 2>&1; then echo "pass: that is enough to start it"
else echo "FAIL: that is enough to start it (dozo --version fails)"; fi
inside dpkg --purge dozo >/dev/null 2>&1
inside sh -c 'apt-get install -y --no-install-recommends man-db' >"$root/said" 2>&1
# Without systemd first, as in a container; then with it.
for round in bare systemd; do
    if [ $round = systemd ]; then
        inside sh -c 'apt-get install -y --no-install-recommends systemd' >"$root/said" 2>&1
        inside sh -c 'rm -rf /srv/backup'
    fi
    inside sh /inside.sh /package.deb /older.deb >"$root/life" 2>&1
    sed -e '/^done$/d' -e "s/^\\(pass\\|FAIL\\|skip\\): /&$round: /" "$root/life"
    grep -q '^done$' "$root/life" || echo "FAIL: $round: it did not reach its end"
done
echo done
