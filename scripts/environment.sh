# Read with "." by ./demo, ./run-tests and scripts/tier: one place for what a machine needs. POSIX sh; no side effect
# but PATH, the variables that keep caches inside the clone, and the functions below. The caller sets `top`, the clone's
# folder. shellcheck shell=sh disable=SC2034,SC2154

PATH=$PATH:/usr/sbin:/sbin
export PATH

# The compiler and SwiftPM would write under the home folder; everything of ours stays inside the clone.
XDG_CACHE_HOME=$top/.build/cache
XDG_DATA_HOME=$top/.build/data
export XDG_CACHE_HOME XDG_DATA_HOME

# Debian packages: what the build links, what the tests run, and what a minimal Debian lacks for the Swift toolchain
# itself.
packages_to_build="libssl-dev libzstd-dev libsqlite3-dev libnbd-dev pkg-config gcc libc6-dev libstdc++-12-dev libxml2"
packages_to_build="$packages_to_build libcurl4 libncurses6 libuuid1 binutils ca-certificates git tzdata"
packages_to_test="qemu-utils e2fsprogs python3 python3-cryptography python3-zstandard spin curl"
# Guests that run: emulation, libvirt without the daemon of the system, what their early user space is packed with, and
# a file system that shares blocks.
packages_to_test="$packages_to_test qemu-system-x86 libvirt-daemon libvirt-clients cpio kmod xfsprogs"
# The package of dozo itself, and what shows its manual pages.
packages_to_test="$packages_to_test dpkg-dev groff-base"

say() { printf '%s\n' "$*" >&2; }

# A python3 earlier on PATH may lack Debian's modules; the tests take the one named here.
DOZO_PYTHON=python3
if ! python3 -c 'import cryptography, zstandard' 2>/dev/null && [ -x /usr/bin/python3 ]; then
    DOZO_PYTHON=/usr/bin/python3
fi
export DOZO_PYTHON

# True when the machine offers everything by whatever way it was installed.
everything_usable() {
    usable=0
    for command in pkg-config gcc git "$DOZO_PYTHON" qemu-img qemu-nbd qemu-io mke2fs debugfs spin \
        qemu-system-x86_64 libvirtd virsh cpio depmod curl dpkg-shlibdeps groff; do
        command -v "$command" >/dev/null 2>&1 || { say "  missing: the command $command"; usable=1; }
    done
    for library in libcrypto libzstd sqlite3 libnbd; do
        pkg-config --exists "$library" 2>/dev/null || { say "  missing: headers of $library"; usable=1; }
    done
    for module in cryptography zstandard; do
        "$DOZO_PYTHON" -c "import $module" 2>/dev/null || { say "  missing: the Python module $module"; usable=1; }
    done
    return $usable
}

# Installs the Debian packages named as arguments that are not there. Returns 1 when something needed stays missing.
install_missing() {
    missing=
    if command -v dpkg-query >/dev/null 2>&1; then
        for package in "$@"; do
            # shellcheck disable=SC2016  # dpkg-query's own variable
            state=$(dpkg-query -W -f='${db:Status-Status} ' "$package" 2>/dev/null) || state=
            case " $state" in *" installed "*) ;; *) missing="$missing $package" ;; esac
        done
        [ -n "$missing" ] || return 0
        line="apt-get update && apt-get install -y --no-install-recommends$missing"
        if [ "$(id -u)" = 0 ]; then
            say "Installing:$missing"
            DEBIAN_FRONTEND=noninteractive sh -c "$line" >&2 && return 0
        elif command -v sudo >/dev/null 2>&1; then
            say "Installing with sudo:$missing"
            sudo env DEBIAN_FRONTEND=noninteractive sh -c "$line" >&2 && return 0
        fi
        say "These packages are not installed and could not be installed from here. As root, run:"
        say "  $line"
    fi
    say "Looking whether everything needed is there all the same:"
    everything_usable || return 1
    say "  it is; going on."
}

# Says in one sentence what is wrong with the Swift toolchain; returns 1 when it cannot build this package.
check_swift() {
    if ! command -v swift >/dev/null 2>&1; then
        for folder in /opt/swift/usr/bin /usr/local/swift/usr/bin /usr/libexec/swift/bin; do
            [ -x "$folder/swift" ] && PATH=$PATH:$folder
        done
    fi
    if ! command -v swift >/dev/null 2>&1; then
        say "There is no swift on PATH: Dozo needs the Swift 6.3 toolchain from https://www.swift.org/install/linux/."
        return 1
    fi
    said=$(swift_says_version)
    version=$(printf '%s\n' "$said" | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | sed -n 1p)
    case "$version" in
        6.[3-9]*|6.[1-9][0-9]*|[7-9]*) ;;
        '') say "swift is on PATH ($(command -v swift)) but does not start: $(printf '%s\n' "$said" | sed -n 1p)"
            return 1 ;;
        *) say "swift on PATH is version $version, and Dozo needs 6.3 or newer: https://www.swift.org/install/linux/."
            return 1 ;;
    esac
}

# Even asked for its version, swift leaves a folder in TMPDIR.
swift_says_version() {
    mkdir -p "$top/.build/tmp" && temporary=$(mktemp -d "$top/.build/tmp/version.XXXXXX") || return 1
    env TMPDIR="$temporary" swift --version 2>&1
    rm -rf "$temporary"
}

# SwiftPM's own folders go into the clone too, unless the user has configuration (mirrors, registries) that it must
# read. A build keeps its locks, and what it leaves when it is interrupted, in the clone and not in everybody's TMPDIR.
swift_package_manager() {
    word=$1
    shift
    temporary=${TMPDIR:-/tmp}
    if [ "$word" = build ]; then
        temporary=$top/.build/tmp
        mkdir -p "$temporary" || return 1
        # Each build leaves some empty folders; those of yesterday nobody uses any more.
        find "$temporary" -mindepth 1 -maxdepth 1 -type d -mtime +0 -exec rm -rf {} +
    fi
    if [ -d "${HOME:-/nonexistent}/.swiftpm/configuration" ]; then
        env TMPDIR="$temporary" swift "$word" --cache-path "$top/.build/cache/swiftpm" "$@"
    else
        env TMPDIR="$temporary" swift "$word" --cache-path "$top/.build/cache/swiftpm" \
            --config-path "$top/.build/swiftpm/configuration" --security-path "$top/.build/swiftpm/security" "$@"
    fi
}

seconds_now() { date +%s; }
