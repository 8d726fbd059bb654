#!/bin/sh
# The Debian package, made of the debug build, in a copy of this system that is thrown away: installed, used, upgraded,
# not downgraded, removed, purged. Tests/Support/package-trial.sh does the same to the real package in a bare system.
. "$(dirname -- "$0")/cases.sh"

layers=$folder/layers
inside() { # COMMAND…: in the copy; nothing of it stays mounted or running
    unshare --mount --pid --fork --kill-child sh -c '
        mount --make-rprivate / && mount -t tmpfs -o size=2G tmpfs "$1" || exit 1
        mkdir "$1/upper" "$1/work" "$1/system"
        cp "$2"/*.deb "$1/upper/" 2>/dev/null; cp "$3" "$1/upper/inside.sh" || exit 1
        mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/system" || exit 1
        mount -t proc proc "$1/system/proc" && mount --bind /dev "$1/system/dev" &&
            mount -t tmpfs tmpfs "$1/system/run" &&
            mount -t tmpfs tmpfs "$1/system/tmp" || exit 1
        root=$1/system
        shift 3
        exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
    ' inside "$layers" "$folder/packages" "$top/Tests/Support/package-inside.sh" "$@"
}

missing=
for command in dpkg-deb dpkg-shlibdeps dpkg-gencontrol strip qemu-img; do
    command -v "$command" >/dev/null 2>&1 || missing="$missing $command"
done
if [ -n "$missing" ]; then
    skip "the package" "needs$missing: apt-get install dpkg-dev binutils qemu-utils"
    echo done
    exit 0
fi
export DOZO_BUILD=debug DOZO_PACKAGE_FOLDER="$folder/packages"
package=$("$top/scripts/build-package" 2>"$folder/output" | tail -n 1)
if [ -f "$package" ]; then pass "the package is made"
else
    fail "the package is made" "$(tail -n 3 "$folder/output" | tr '\n' ' ')"
    echo done
    exit 0
fi
# The same package, once more: byte for byte; and one that is older.
DOZO_PACKAGE_FOLDER=$folder/twice "$top/scripts/build-package" >/dev/null 2>&1
holds "the same files give the same package" cmp "$package" "$folder/twice/$(basename "$package")"
rm -r "$folder/twice"
for field in Package:dozo Depends:libc6 Depends:libssl3 Depends:libnbd0 Depends:qemu-utils; do
    holds "its field ${field%%:*} names ${field#*:}" \
        sh -c 'dpkg-deb --field "$1" "$2" | grep -q "$3"' field "$package" "${field%%:*}" "${field#*:}"
done
older=$folder/packages/older.deb
dpkg-deb --raw-extract "$package" "$folder/older"
ours=$(dpkg-deb --field "$package" Version)
sed -i "s/$ours/0.0.1/" "$folder/older/DEBIAN/control" "$folder/older/DEBIAN/preinst"
holds "an older one" dpkg-deb --root-owner-group -Znone --build "$folder/older" "$older"
rm -r "$folder/older"
mv "$package" "$folder/packages/package.deb"

mkdir "$layers"
if [ "$(id -u)" -ne 0 ] || ! inside true 2>/dev/null; then
    skip "the package's life" "needs root and an overlay of this system"
elif dpkg-query -W -f='${db:Status-Status}' dozo 2>/dev/null | grep -q installed; then
    skip "the package's life" "dozo is installed on this system"
else
    inside sh /inside.sh /package.deb /older.deb >"$folder/life" 2>&1
    sed '/^done$/d' "$folder/life"
    grep -q '^done$' "$folder/life" || fail "the package's life" "it did not reach its end"
fi
echo done
