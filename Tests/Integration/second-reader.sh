#!/bin/sh
# Two programs, one format: the reader that was written from the page alone restores what dozo stored, and dozo restores
# what the page's own example writer stored (design §4, §8). And canonical maps: one image in four shapes is stored
# once.
. "$(dirname -- "$0")/cases.sh"
reader="$top/Tests/SecondReader"
python=${DOZO_PYTHON:-/usr/bin/python3}
if ! "$python" -c 'import cryptography, zstandard' 2>/dev/null; then
    skip "second reader" "needs python3-cryptography and python3-zstandard"
    exit 0
fi

# Data, holes, zeros that are really there, a repeated stretch, and an odd end.
noise "$folder/noise" 3 7
python3 - "$folder" <<'PY'
import sys
folder = sys.argv[1]
noise = open(folder + "/noise", "rb").read()
with open(folder + "/sparse.raw", "wb") as image:
    image.write(noise[:1500000])
    image.seek(9 << 20); image.write(bytes(70000)); image.write(noise[:1 << 20])
    image.seek(17 << 20); image.write(b"the quick brown fox " * 40000)
    image.seek(33 << 20); image.write(noise[1 << 20:2 << 20] * 3)
    image.truncate((41 << 20) + 517)
PY
cp --sparse=never "$folder/sparse.raw" "$folder/full.raw"
holds "init" "$dozo" init
holds "backup of a sparse raw image" "$dozo" backup --guest g --format raw --disk "d=$folder/sparse.raw"
before=$(repository_bytes)
holds "backup of the same image without holes" "$dozo" backup --guest g --format raw --disk "d=$folder/full.raw"
holds "backup of the same image from standard input" sh -c '"$1" backup --guest g --disk d=- <"$2"' sh "$dozo" \
    "$folder/full.raw"
if command -v qemu-img >/dev/null 2>&1; then
    # qcow2 holds whole sectors: the last one is filled up, so it is another image by its length and shares all
    # chunks but one.
    qemu-img convert -f raw -O qcow2 "$folder/sparse.raw" "$folder/base.qcow2" &&
        qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 "$folder/top.qcow2" || fail "qemu-img" \
            "cannot make the chain"
    ends_with 7 "state the format" "an image of another kind under the same disk name is refused" \
        "$dozo" backup --guest g --disk "d=$folder/top.qcow2"
    holds "backup of the same image as a qcow2 chain" "$dozo" backup --guest g --format qcow2 --disk \
        "d=$folder/top.qcow2"
else
    skip "backup of the same image as a qcow2 chain" "needs qemu-utils"
fi
added=$(($(repository_bytes) - before))
if [ "$added" -lt 60000 ]; then pass "the same image in other shapes adds next to nothing ($added bytes)"
else fail "the same image in other shapes adds next to nothing" "$added bytes"; fi
"$dozo" points --json >"$folder/points.json" 2>/dev/null
roots=
for number in 0 1 2; do
    "$dozo" show --json "$(json "$folder/points.json" "d[$number]['id']")" >"$folder/show.json" 2>/dev/null
    roots="$roots$(json "$folder/show.json" "d['roots']['d']")
"
done
if [ "$(printf %s "$roots" | sort -u | wc -l)" -eq 1 ]; then pass "sparse, full and standard input have one image root"
else fail "sparse, full and standard input have one image root" "$roots"; fi

restore_with_reader() { "$python" "$reader/restore.py" --repository "$DOZO_REPOSITORY" --passphrase-file \
    "$DOZO_PASSPHRASE_FILE" "$@"; }
count=$(json "$folder/points.json" 'len(d)')
number=0
while [ "$number" -lt "$count" ]; do
    point=$(json "$folder/points.json" "d[$number]['id']")
    rm -f "$folder/read.raw" "$folder/restored.raw"
    holds "the second reader restores point $number" restore_with_reader --point "$point" --disk d --to \
        "$folder/read.raw"
    holds "dozo restores point $number" "$dozo" restore "$point" --disk d --to "$folder/restored.raw"
    holds "both give the same bytes for point $number" cmp "$folder/read.raw" "$folder/restored.raw"
    size=$(wc -c <"$folder/sparse.raw")
    holds "and they are the image" cmp -n "$size" "$folder/read.raw" "$folder/sparse.raw"
    number=$((number + 1))
done

holds "the page's example writer makes a repository" "$python" "$reader/make_example.py" --to "$folder/foreign" \
    --images "$folder/images"
DOZO_REPOSITORY=$folder/foreign
holds "dozo verifies a repository that it did not write" "$dozo" verify --content
"$dozo" points --json >"$folder/foreign.json" 2>"$folder/output" || fail "dozo lists the foreign points" \
    "$(cat "$folder/output")"
point=$(json "$folder/foreign.json" "d[-1]['id']")
for disk in $(json "$folder/foreign.json" "' '.join(x['name'] for x in d[-1]['disks'])"); do
    rm -f "$folder/foreign.raw"
    holds "dozo restores foreign disk $disk" "$dozo" restore "$point" --disk "$disk" --to "$folder/foreign.raw"
    expected=$(find "$folder/images" -name "$disk*" | head -n 1)
    holds "foreign disk $disk is the image" cmp "$folder/foreign.raw" "$expected"
done

# A repository that was stored once and is never made anew: both readers still give back every byte of it.
golden="$top/Tests/RecoveryTests/Golden/first"
DOZO_REPOSITORY=$golden/repository
DOZO_PASSPHRASE_FILE=$golden/passphrase
for program in dozo reader; do
    mkdir "$folder/$program"
    while read -r _ file; do
        point=${file%/*} disk=${file##*/}
        disk=${disk%.raw}
        mkdir -p "$folder/$program/$point"
        if [ "$program" = dozo ]; then
            "$dozo" restore "$point" --disk "$disk" --to "$folder/$program/$file" >>"$folder/golden.log" 2>&1
        else
            restore_with_reader --point "$point" --disk "$disk" --to "$folder/$program/$file" \
                >>"$folder/golden.log" 2>&1
        fi || fail "$program restores $file of the golden repository" "$(tail -n 2 "$folder/golden.log")"
    done <"$golden/expected"
    holds "$program gives back the golden repository byte for byte" sh -c 'cd "$1" && sha256sum --strict -c "$2"' sh \
        "$folder/$program" "$golden/expected"
done
holds "dozo verifies the golden repository" "$dozo" verify --content
echo done
