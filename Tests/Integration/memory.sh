#!/bin/sh
# Memory of guests: streams as QEMU really writes them are stored by pages, come back byte for byte, and a guest that
# is resumed from one goes on counting where it was stopped.
. "$(dirname -- "$0")/cases.sh"
python=${DOZO_PYTHON:-/usr/bin/python3}
if ! command -v qemu-system-x86_64 >/dev/null 2>&1; then
    skip "memory of guests" "needs qemu-system-x86"
    echo done
    exit 0
fi
guest="$top/Tests/Support/memory-guest.py"
streams=$folder/streams
mkdir "$streams"
holds "a guest writes streams of its memory" "$python" "$guest" make "$streams"
holds "init" "$dozo" init

# stored NAME: how many bytes the last backup of a guest stored.
stored() {
    "$dozo" points --guest "$1" --json >"$folder/points.json" 2>/dev/null
    json "$folder/points.json" 'd[-1]["stored_bytes"]'
}
# comes_back FORMAT FILE: backed up, and restored byte for byte.
comes_back() {
    rm -f "$folder/back"
    holds "$2 is stored" "$dozo" backup --guest g --memory "$streams/$2"
    "$dozo" show g@latest --json >"$folder/show.json" 2>/dev/null
    if [ "$(json "$folder/show.json" 'd["point"]["memory_format"]')" = "$1" ]; then pass "$2 is known as $1"
    else fail "$2 is known as $1" "$(head -c 300 "$folder/show.json")"; fi
    holds "$2 is restored" "$dozo" restore g@latest --memory-to "$folder/back"
    holds "$2 is what it was" cmp "$streams/$2" "$folder/back"
}
comes_back elf-core core
whole=$(stored g)
for pair in elf-core:paging qemu-migration:migration libvirt-save:save qemu-migration:live; do
    comes_back "${pair%%:*}" "${pair##*:}"
    added=$(stored g)
    if [ "$added" -lt $((whole / 20)) ]; then pass "${pair##*:} shares its pages with the core file ($added bytes)"
    else fail "${pair##*:} shares its pages with the core file" "$added of $whole bytes"; fi
done
case $("$dozo" backup --guest g --memory "$streams/migration" 2>&1) in
    *note:*stored*) fail "a known stream gives no note" "it does" ;;
    *) pass "a known stream gives no note" ;;
esac
ends_with 7 "--format elf" "a compressed dump is refused with the way out" \
    "$dozo" backup --guest g --memory "$streams/kdump"

# What is restored runs.
rm -f "$folder/back"
"$dozo" backup --guest g --memory "$streams/migration" >/dev/null 2>&1
"$dozo" restore g@latest --memory-to "$folder/back" >/dev/null 2>&1
holds "the guest goes on from the restored stream" "$python" "$guest" resume "$streams" "$folder/back"

# Through pipes.
holds "from standard input" sh -c '"$1" backup --guest pipe --memory - <"$2"' sh "$dozo" "$streams/migration"
if "$dozo" restore pipe@latest --memory-to - 2>/dev/null | cmp - "$streams/migration"; then pass "to standard output"
else fail "to standard output" "other bytes"; fi
ends_with 7 "without a byte" "standard input without a byte makes no point" "$dozo" backup --guest pipe --memory -
ends_with 2 "once only" "standard input is one thing" "$dozo" backup --guest pipe --memory - --disk d=-
ends_with 2 "no place on standard output" "no JSON among memory" "$dozo" restore pipe@latest --memory-to - --json
ends_with 2 "is for disks" "options of disks are none of memory's" \
    "$dozo" restore pipe@latest --memory-to "$folder/x" --format qcow2

# What is no stream that is known.
noise "$folder/unknown" 1 3
ends_with 0 "stored as a stream of bytes" "an unknown stream says how it is stored" \
    "$dozo" backup --guest unknown --memory "$folder/unknown"
holds "it is restored" "$dozo" restore unknown@latest --memory-to "$folder/unknown.back"
holds "it is what it was" cmp "$folder/unknown" "$folder/unknown.back"
head -c 9000000 "$streams/migration" >"$folder/short"
ends_with 0 "was it cut short" "a stream that ends early says so" "$dozo" backup --guest short --memory "$folder/short"
"$dozo" restore short@latest --memory-to "$folder/short.back" >/dev/null 2>&1
holds "and is what it was" cmp "$folder/short" "$folder/short.back"

# Beside disks.
noise "$folder/vda.raw" 3 4
ends_with 2 "is called memory" "no disk beside memory has its name" \
    "$dozo" backup --guest both --memory "$streams/core" --disk "memory=$folder/vda.raw"
holds "memory and a disk in one point" "$dozo" backup --guest both --memory "$streams/core" "$folder/vda.raw"
holds "the only disk needs no name" "$dozo" restore both@latest --to "$folder/one.raw"
holds "and is the disk" cmp "$folder/one.raw" "$folder/vda.raw"
ends_with 1 "has no disk memory" "memory is no disk" "$dozo" restore both@latest --disk memory --to "$folder/no.raw"
holds "a folder gets both" "$dozo" restore both@latest --to-directory "$folder/all"
holds "the disk in it" cmp "$folder/all/vda.raw" "$folder/vda.raw"
holds "the memory in it" cmp "$folder/all/memory.stream" "$streams/core"
holds "the folder has nothing else" sh -c '[ "$(ls -A "$1" | wc -l)" -eq 2 ]' sh "$folder/all"
ends_with 1 "no disks, only memory" "a point of memory alone has no disk" \
    "$dozo" restore pipe@latest --to "$folder/no.raw"
ends_with 1 "has no memory" "a point without memory says so" sh -c \
    '"$1" backup --guest disks "$2" >/dev/null 2>&1; "$1" restore disks@latest --memory-to "$3"' sh "$dozo" \
    "$folder/vda.raw" "$folder/no"
holds "a backup of the disk alone tells no change of memory" "$dozo" backup --guest both "$folder/vda.raw"
"$dozo" points --guest both --json >"$folder/points.json" 2>/dev/null
"$dozo" diff "$(json "$folder/points.json" 'd[0]["id"]')" "$(json "$folder/points.json" 'd[1]["id"]')" --json \
    >"$folder/diff.json" 2>/dev/null
if [ "$(json "$folder/diff.json" '[(x["name"], x["state"]) for x in d["disks"]] == [("vda", "equal")]')" = True ]; then
    pass "diff compares disks"
else fail "diff compares disks" "$(head -c 300 "$folder/diff.json")"; fi

# What a disk has is not stored again with the memory that holds it: the noise that was loaded into the guest. In a
# repository of its own, where nothing else has these pages.
first=$DOZO_REPOSITORY
DOZO_REPOSITORY=$folder/other
"$dozo" init >/dev/null 2>&1
holds "a disk whose content lies in memory" "$dozo" backup --guest shared --format raw --disk "d=$streams/noise"
holds "the memory after it" "$dozo" backup --guest shared --memory "$streams/core"
added=$(stored shared)
if [ "$added" -lt 1000000 ]; then pass "pages of the disk are not stored again ($added bytes)"
else fail "pages of the disk are not stored again" "$added bytes"; fi
holds "it is restored" "$dozo" restore shared@latest --memory-to "$folder/shared.back"
holds "it is what it was" cmp "$folder/shared.back" "$streams/core"
holds "parts of chunks verify" "$dozo" verify --content
holds "what it takes up is added up" "$dozo" show shared@latest --usage
if "$python" -c 'import cryptography, zstandard' 2>/dev/null; then
    "$dozo" points --guest shared --json >"$folder/points.json" 2>/dev/null
    holds "the second reader reads parts of chunks" "$python" "$top/Tests/SecondReader/restore.py" --repository \
        "$DOZO_REPOSITORY" --passphrase-file "$DOZO_PASSPHRASE_FILE" --point \
        "$(json "$folder/points.json" 'd[-1]["id"]')" --memory-to "$folder/third"
    holds "and gives back the same" cmp "$folder/third" "$streams/core"
else
    skip "the second reader reads parts of chunks" "needs python3-cryptography and python3-zstandard"
fi
DOZO_REPOSITORY=$first

# Streams that a real Xen wrote, cut short: `make integration-xen` makes whole ones.
verifier=/usr/lib/xen-4.17/bin/verify-stream-v2
for name in xen-pv xen-pvh; do
    holds "$name is stored" "$dozo" backup --guest "$name" --memory "$top/Tests/GuestMemoryTests/Streams/$name.save"
    holds "$name is restored" "$dozo" restore "$name@latest" --memory-to "$folder/$name"
    holds "$name is what it was" cmp "$top/Tests/GuestMemoryTests/Streams/$name.save" "$folder/$name"
    if [ -f "$verifier" ]; then
        holds "Xen's own verifier takes $name" env PYTHONPATH=/usr/lib/xen-4.17/lib/python /usr/bin/python3 \
            "$verifier" -f xl -i "$folder/$name"
    else
        skip "Xen's own verifier takes $name" "needs xen-utils-4.17"
    fi
done

# Files that are there.
ends_with 7 "exists already" "what is there stays" "$dozo" restore pipe@latest --memory-to "$folder/back"
echo other >"$folder/taken"
holds "unless it is to be replaced" "$dozo" restore pipe@latest --memory-to "$folder/taken" --overwrite
holds "by the stream" cmp "$folder/taken" "$streams/migration"
(umask 077; tr '\0' 'x' <"$streams/migration" >"$folder/again.partial")
holds "what an interrupted restore left is written over" "$dozo" restore pipe@latest --memory-to "$folder/again"
holds "all of it" cmp "$folder/again" "$streams/migration"
ends_with 1 "Is a directory\|cannot create" "a folder is no file" "$dozo" restore pipe@latest --memory-to "$folder/no/x"
if [ -w /dev/full ]; then
    ends_with 1 "standard output" "a full standard output is an error" sh -c \
        '"$1" restore pipe@latest --memory-to - >/dev/full' sh "$dozo"
fi

holds "everything verifies" "$dozo" verify --content
if "$python" -c 'import cryptography, zstandard' 2>/dev/null; then
    "$dozo" points --guest pipe --json >"$folder/points.json" 2>/dev/null
    holds "the second reader puts a stream together from the page alone" "$python" \
        "$top/Tests/SecondReader/restore.py" --repository "$DOZO_REPOSITORY" --passphrase-file \
        "$DOZO_PASSPHRASE_FILE" --point "$(json "$folder/points.json" 'd[0]["id"]')" --memory-to "$folder/second"
    holds "byte for byte" cmp "$folder/second" "$streams/migration"
else
    skip "the second reader puts a stream together" "needs python3-cryptography and python3-zstandard"
fi

# Damage: nothing wrong goes out.
find "$DOZO_REPOSITORY/packs" -type f -size +8000k >"$folder/packs"
"$python" - "$folder/packs" <<'PY'
import os, sys
for pack in open(sys.argv[1]).read().split("\n")[:-1]:
    size = os.path.getsize(pack)
    os.chmod(pack, 0o600)
    with open(pack, "r+b") as file:
        file.seek(size // 2)
        octet = file.read(1)
        file.seek(size // 2)
        file.write(bytes([octet[0] ^ 1]))
PY
ends_with 6 "cannot be read" "damaged memory is refused" "$dozo" restore pipe@latest --memory-to "$folder/wrong"
holds "under no name" test ! -e "$folder/wrong"
"$dozo" restore pipe@latest --memory-to - >"$folder/front" 2>/dev/null
status=$?
size=$(wc -c <"$folder/front" | tr -d ' ')
if [ "$status" -eq 6 ] && head -c "$size" "$streams/migration" | cmp -s - "$folder/front"; then
    pass "what went out before the damage is right ($size bytes)"
else fail "what went out before the damage is right" "status $status, $size bytes"; fi
echo done
