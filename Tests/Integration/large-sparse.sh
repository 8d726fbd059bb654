#!/bin/sh
# A disk of 8 TiB of which 64 MiB are data: what a backup reads and a restore writes is the data, by count, and the
# restored file has data where the disk has it and nowhere else.
. "$(dirname -- "$0")/cases.sh"
if ! truncate -s 8T "$folder/disk" 2>/dev/null; then
    skip "a disk of 8 TiB" "the file system of $folder holds no file of that size"
    echo done
    exit 0
fi
cat >"$folder/extents.py" <<'PY'
"""usage: extents.py scatter FILE | compare FILE FILE | data FILE: works on where a sparse file has data (SEEK_DATA)."""
import errno, os, random, sys


def extents(descriptor):
    """Pairs of start and end, ascending, neighbours joined."""
    found, position, size = [], 0, os.fstat(descriptor).st_size
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break
            raise
        position = os.lseek(descriptor, start, os.SEEK_HOLE)
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], position)
        else:
            found.append((start, position))
    return found


def covers(found, other, of, what):
    """Every byte of the extents is the same in the other file, whatever that calls it; each extent is data there."""
    for start, end in found:
        position = start
        while position < end:
            count = min(1 << 20, end - position)
            if os.pread(other, count, position) != os.pread(of, count, position):
                sys.exit(f"{what}: bytes from {position} differ")
            position += count


mode, names = sys.argv[1], sys.argv[2:]
files = [os.open(name, os.O_RDWR if mode == "scatter" else os.O_RDONLY) for name in names]
if mode == "scatter":
    dice, size = random.Random(8), os.fstat(files[0]).st_size
    places = dice.sample(range(size >> 18), 254) + [0, (size >> 18) - 1]
    for place in places:
        os.pwrite(files[0], dice.randbytes(1 << 18), place << 18)
    os.fsync(files[0])
lists = [extents(file) for file in files]
if mode == "compare":
    if os.fstat(files[0]).st_size != os.fstat(files[1]).st_size:
        sys.exit("the sizes differ")
    covers(lists[0], files[1], files[0], "data of the disk")
    covers(lists[1], files[0], files[1], "data of the restored file")
    if lists[0] != lists[1]:
        extra = sum(end - start for start, end in lists[1]) - sum(end - start for start, end in lists[0])
        print(f"{len(lists[0])} and {len(lists[1])} extents, {extra} bytes more")
else:
    print(sum(end - start for start, end in lists[0]))
PY
data=$(python3 "$folder/extents.py" scatter "$folder/disk" 2>"$folder/output") || data=
if [ -z "$data" ] || [ "$data" -ge $((1 << 30)) ]; then
    skip "a disk of 8 TiB" "the file system of $folder does not tell holes: ${data:-$(tail -n 1 "$folder/output")}"
    echo done
    exit 0
fi
if [ "$data" -eq $((256 << 18)) ]; then pass "the disk has 256 places of 256 KiB"
else fail "the disk has 256 places of 256 KiB" "$data bytes of data"; fi
# between NAME LEAST NUMBER MOST
between() {
    if [ "$3" -ge "$2" ] && [ "$3" -le "$4" ]; then pass "$1 ($3 bytes)"; else fail "$1" "$3 is not $2 to $4"; fi
}
holds "init" "$dozo" init
"$dozo" backup --format raw --guest g --disk "d=$folder/disk" --json >"$folder/backup.json" 2>"$folder/output"
status=$?
if [ "$status" -eq 0 ]; then pass "backup of 8 TiB"; else fail "backup of 8 TiB" "$(tail -n 1 "$folder/output")"; fi
between "it read the data and nothing else" "$data" "$(json "$folder/backup.json" 'd["read_bytes"]')" "$data"
between "it stored the data and maps of a hundredth" "$data" "$(repository_bytes)" $((data + data / 100 + 2000000))
"$dozo" restore g@latest --to "$folder/restored" --json >"$folder/restore.json" 2>"$folder/output"
status=$?
if [ "$status" -eq 0 ]; then pass "restore of 8 TiB"; else fail "restore of 8 TiB" "$(tail -n 1 "$folder/output")"; fi
between "it wrote the data and nothing else" "$data" \
    "$(json "$folder/restore.json" 'd["disks"][0]["written_bytes"]')" "$data"
taken=$(($(stat -c %b "$folder/restored") * 512))
between "the restored file takes up the data and its tables" "$data" "$taken" $((data + data / 50 + 4194304))
holds "data lies where it lay, and nowhere else" python3 "$folder/extents.py" compare "$folder/disk" "$folder/restored"
if [ -s "$folder/output" ]; then fail "extent by extent" "$(cat "$folder/output")"; else pass "extent by extent"; fi
echo done
