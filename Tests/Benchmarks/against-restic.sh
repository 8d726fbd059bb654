#!/bin/sh
# Runs Dozo and restic back to back over the same guest disks and prints what each cost, and their ratios.
#
#   Tests/Benchmarks/against-restic.sh [--quick] [--rotations N] [--dozo BINARY]
#
# The series: two guests with partly the same packages, three days each, backed up in the order in which days pass. In
# each rotation both tools get a new repository and take turns at going first. CPU seconds are user and system time of
# the whole process tree. Every restore is compared byte for byte. Without --dozo the release build is made first; the
# time for that is not counted. --quick takes small disks and ends within three minutes.
set -u
top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P) || exit 1
cd "$top" || exit 1
. "$top/scripts/environment.sh"
LC_ALL=C
export LC_ALL

quick=no
rotations=3
binary=
usage() { echo "usage: Tests/Benchmarks/against-restic.sh [--quick] [--rotations N] [--dozo BINARY]" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case "$1" in
        --quick) quick=yes; shift ;;
        --rotations) rotations=${2:-}; shift; shift || usage ;;
        --dozo) binary=${2:-}; shift; shift || usage; [ -x "$binary" ] || usage ;;
        *) usage ;;
    esac
done
case "$rotations" in ''|*[!0-9]*|0|????*) usage ;; esac
stop() { echo "against-restic: $1" >&2; exit 1; }
command -v restic >/dev/null 2>&1 || stop \
    "restic is missing; as root: apt-get install -y --no-install-recommends restic"

if [ -z "$binary" ]; then
    check_swift || exit 1
    swift_package_manager build -c release --product dozo || stop "the release build of dozo failed."
    binary=$(swift_package_manager build -c release --show-bin-path)/dozo
fi
case "$binary" in /*) ;; *) binary=$top/$binary ;; esac

folder=$(mktemp -d "${TMPDIR:-/tmp}/dozo bench.XXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
DOZO_PASSPHRASE_FILE=$folder/passphrase
RESTIC_PASSWORD_FILE=$folder/passphrase
RESTIC_CACHE_DIR=$folder/restic-cache
export DOZO_PASSPHRASE_FILE RESTIC_PASSWORD_FILE RESTIC_CACHE_DIR
unset DOZO_REPOSITORY RESTIC_REPOSITORY RESTIC_PASSWORD RESTIC_COMPRESSION
(umask 077 && echo "a passphrase for both" >"$folder/passphrase")
results=$folder/results
: >"$results"

shared="base-files bash coreutils libc6 libc-bin perl-base python3.11-minimal libpython3.11-minimal libpython3.11-stdlib
    openssl tzdata dpkg apt"
if [ "$quick" = yes ]; then
    size=192
    only_a="openssh-client"
    only_b="systemd"
else
    size=1024
    shared="$shared perl-modules-5.36 vim-runtime libicu72 libssl3 libstdc++6 locales"
    only_a="systemd openssh-client postgresql-15 libllvm14"
    only_b="openssh-server iso-codes man-db groff-base git"
fi

make_series() {
    scripts/make-guest-image "$folder/a0.raw" --name guest-a --size-mib "$size" --packages "$shared $only_a" || exit 1
    scripts/make-guest-image "$folder/b0.raw" --name guest-b --size-mib "$size" --packages "$only_b $shared" || exit 1
    for guest in a b; do
        for day in 1 2; do
            cp --sparse=always "$folder/$guest$((day - 1)).raw" "$folder/$guest$day.raw" || exit 1
            scripts/make-guest-image "$folder/$guest$day.raw" --change "$day" || exit 1
        done
    done
}

# measured LABEL COMMAND…: one measured command that must succeed.
measured() {
    label=$1
    shift
    "$DOZO_PYTHON" "$top/Tests/Benchmarks/measure.py" "$results" "$label" "$@" >"$folder/said" 2>&1 ||
        stop "$label failed: $(tail -n 1 "$folder/said")"
}

bytes_below() { find "$1" -type f -printf '%s\n' | awk '{ sum += $1 } END { printf "%.0f\n", sum }'; }

# present IMAGE: the disk under the one path that both tools see, in the page cache for whoever comes first or second.
present() {
    cp --sparse=always "$folder/$1.raw" "$folder/live/guest-$guest.raw" || exit 1
    cat "$folder/live/guest-$guest.raw" >/dev/null
}

# kind_of IMAGE: the row of the table in which its backup counts.
kind_of() { case "$1" in a0) echo first ;; b0) echo second-guest ;; *) echo night ;; esac; }

# back_up TOOL IMAGE
back_up() {
    live=$folder/live/guest-$guest.raw
    case "$1" in
        dozo)
            measured "$1 $(kind_of "$2")" "$binary" backup -r "$folder/dozo" --guest "guest-$guest" --disk \
                "disk=$live" ;;
        restic) measured "$1 $(kind_of "$2")" restic -q -r "$folder/restic" backup --force "$live" ;;
    esac
}

# give_back TOOL: the last day of guest a, compared; then the checks that each tool offers.
give_back() {
    rm -rf "$folder/out"
    mkdir "$folder/out"
    case "$1" in
        dozo)
            measured "$1 restore" "$binary" restore -r "$folder/dozo" guest-a@latest --disk disk \
                --to "$folder/out/disk.raw"
            measured "$1 verify" "$binary" verify -r "$folder/dozo"
            measured "$1 verify-content" "$binary" verify -r "$folder/dozo" --content ;;
        restic)
            measured "$1 restore" restic -q -r "$folder/restic" restore latest --path "$folder/live/guest-a.raw" \
                --target "$folder/out"
            mv "$folder/out$folder/live/guest-a.raw" "$folder/out/disk.raw" || stop "restic restored somewhere else."
            # Both of Dozo's checks stand against the one that restic has for reading everything.
            measured "$1 verify" restic -q -r "$folder/restic" check --read-data
            again=$(tail -n 1 "$results")
            echo "restic verify-content ${again#restic verify }" >>"$results" ;;
    esac
    cmp "$folder/a2.raw" "$folder/out/disk.raw" || stop "$1 gave back a different disk."
}

# rotate FIRST SECOND: one rotation over the whole series.
rotate() {
    rm -rf "$folder/dozo" "$folder/restic" "$folder/restic-cache" "$folder/state" "$folder/live"
    XDG_STATE_HOME=$folder/state
    export XDG_STATE_HOME
    mkdir -p "$folder/state" "$folder/live"
    measured "dozo init" "$binary" init -r "$folder/dozo"
    measured "restic init" restic -q -r "$folder/restic" init --repository-version 2
    for image in a0 b0 a1 b1 a2 b2; do
        guest=${image%?}
        present "$image"
        back_up "$1" "$image"
        back_up "$2" "$image"
    done
    give_back "$1"
    give_back "$2"
    echo "dozo stored $(bytes_below "$folder/dozo")" >>"$results"
    echo "restic stored $(bytes_below "$folder/restic")" >>"$results"
}

describe() {
    processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | sed -n 1p)
    memory=$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
    commit=$(git rev-parse --short HEAD 2>/dev/null) || commit=unknown
    git diff --quiet HEAD 2>/dev/null || commit="$commit with local changes"
    echo
    echo "machine: $(getconf _NPROCESSORS_ONLN) x $processor, $memory, Linux $(uname -r)"
    echo "date: $(date -u +%Y-%m-%dT%H:%MZ); dozo $commit; $(restic version | cut -d ' ' -f 1-2)"
    data=$(($(du -k "$folder/a0.raw" | cut -f 1) / 1024))
    echo "disks: two guests x three days of $size MiB, $data MiB of data in the first; $rotations rotations;" \
        "load at the start $load"
}

summarise() {
    awk '
        function median(list,    n, values, i, j, swap) {
            n = split(list, values, " ")
            for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++)
                if (values[j] + 0 < values[i] + 0) { swap = values[i]; values[i] = values[j]; values[j] = swap }
            return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
        }
        function pair_ratios(a, b,    n, left, right, i, all) {
            n = split(a, left, " "); split(b, right, " "); all = ""
            for (i = 1; i <= n; i++) all = all " " (left[i] > 0 ? right[i] / left[i] : 0)
            return median(all)
        }
        {
            key = $1 " " $2
            cpu[key] = cpu[key] " " $3
            if ($2 == "stored") next
            wall[key] = wall[key] " " $4
            if ($5 > peak[key]) peak[key] = $5
        }
        END {
            count = split("first second-guest night restore verify verify-content", rows, " ")
            print ""
            print "                    CPU s            wall s           peak MiB        restic / dozo, median of pairs"
            print "                 dozo   restic    dozo   restic    dozo  restic          CPU    wall"
            for (i = 1; i <= count; i++) {
                d = "dozo " rows[i]; r = "restic " rows[i]
                printf "%-14s %6.2f  %7.2f  %6.2f  %7.2f  %6.0f  %6.0f       %6.1fx %6.1fx\n", rows[i], \
                    median(cpu[d]), median(cpu[r]), median(wall[d]), median(wall[r]), peak[d] / 1024, peak[r] / 1024, \
                    pair_ratios(cpu[d], cpu[r]), pair_ratios(wall[d], wall[r])
            }
            d = median(cpu["dozo stored"]) / 1048576; r = median(cpu["restic stored"]) / 1048576
            printf "stored, all six: dozo %.1f MiB, restic %.1f MiB, dozo / restic %.2f\n", d, r, d / r
        }' "$results"
    cat <<'TEXT'

How to read this: above 1x Dozo needs less. The disks were in the page cache, so storage speed hardly counts. Both tools
ran at their default compression and read the whole disk every night, for these disks come without a list of changed
blocks. "verify" (Dozo: every authentication tag) and "verify-content" (Dozo: also decompresses and checks identities)
both stand against `restic check --read-data`, which does the work of the second. The disks are small, so what
a command costs before its first byte (both derive a key from the passphrase) weighs more than on large ones. On a
machine that does other work at the same time the seconds move, the ratios of pairs less so.
TEXT
}

load=$(cut -d ' ' -f 1 /proc/loadavg)
make_series
rotation=0
while [ "$rotation" -lt "$rotations" ]; do
    rotation=$((rotation + 1))
    echo "rotation $rotation of $rotations" >&2
    if [ $((rotation % 2)) -eq 1 ]; then rotate dozo restic; else rotate restic dozo; fi
done
describe
summarise
