#!/bin/sh
# Guests that begin to write what looks encrypted: ext4 images with files, night after night through the real backup
# with a writer's key, then a twentieth of the files encrypted in place with openssl; and what must not be told.
# shellcheck source=Tests/Integration/cases.sh
. "$(dirname -- "$0")/cases.sh"
for command in mkfs.ext4 debugfs openssl; do
    command -v "$command" >/dev/null 2>&1 || PATH=$PATH:/usr/sbin:/sbin
    command -v "$command" >/dev/null 2>&1 ||
        { skip "what looks encrypted" "the command $command is missing"; echo done; exit 0; }
done
disk=$folder/web01.raw
archive=$XDG_STATE_HOME/dozo/repositories

# files WORD…: changes files of the image where they lie, as the guest would: by the blocks that ext4 gave them.
files() { python3 "$top/Tests/Support/churn-files.py" "$disk" "$@"; }
# a_day_passes: what is kept of earlier runs becomes a day older.
a_day_passes() { python3 "$top/Tests/Support/churn-files.py" "$archive" pass; }
# night: a backup by the writer's key, into $folder/document.
night() {
    a_day_passes
    "$dozo" backup --key-file "$folder/writer" --guest web01 --json "$disk" >"$folder/document" 2>"$folder/errors" ||
        fail "a night is backed up" "$(tail -n 1 "$folder/errors")"
}
verdict() { json "$folder/document" 'd["churn"]["verdict"]'; }
# judged NAME WANTED: of the last night.
judged() {
    if [ "$(verdict)" = "$2" ]; then pass "$1"
    else fail "$1" "$(json "$folder/document" 'd["churn"]') $(tail -n 2 "$folder/errors")"; fi
}
says() { if grep -q -- "$2" "$folder/errors"; then pass "$1"; else fail "$1" "$(tail -n 3 "$folder/errors")"; fi; }

prepared() {
    "$dozo" init --quiet && "$dozo" key enroll --role writer --label night --to "$folder/writer" --quiet &&
        python3 "$top/Tests/Support/churn-files.py" "$folder/tree" make 260 && rm -f "$disk" &&
        truncate -s 500M "$disk" && mkfs.ext4 -q -F -b 4096 -d "$folder/tree" "$disk"
}
holds "a disk with files, and a writer's key" prepared
rm -rf "$folder/tree"

night
judged "a first full is no alarm" learning
number=1
while [ $number -le 8 ]; do
    files change 2 $number && night
    number=$((number + 1))
done
judged "a guest is learnt for eight nights" learning
# What the database does on Sundays, and an upgrade: new content that compresses, some of it that does not.
files change 40 20 && night
judged "then much that is new and compresses is no alarm" usual
files upgrade 24 30 && night
judged "an upgrade with its packages is no alarm" usual
clean=$(json "$folder/document" 'd["point"]["id"]')
cp --sparse=always "$disk" "$folder/clean.raw"

files encrypt 5 >"$folder/encrypted" && night
judged "a twentieth of the files encrypted in place in a night is one" encryption-like
says "it is told, with what to do" "warning: guest web01 has written .* that look encrypted"
says "and what is left" "the last clean point is $clean of .* which is held"
found=$(json "$folder/document" '[d["churn"]["last_clean_point"], d["churn"]["last_clean_held"],
    d["churn"]["findings"][0]["manner"], d["churn"]["findings"][0]["disk"]]')
if [ "$found" = "['$clean', True, 'sudden', 'web01']" ]; then pass "and in the document"
else fail "and in the document" "$found"; fi
# Of the bytes that were encrypted, how many lie in the stretches that are named.
shares=$(python3 - "$folder/document" "$folder/encrypted" <<'PY'
import json, sys
ranges = json.load(open(sys.argv[1]))["churn"]["findings"][0]["ranges"]
blocks = [int(line) for line in open(sys.argv[2])]
inside = sum(any(a <= b < a + n for a, n in ranges) for b in blocks)
named = sum(n for _, n in ranges)
print(100 * inside // len(blocks), 100 * inside * 4096 // named)
PY
)
if [ "${shares% *}" -ge 60 ]; then pass "the stretches have most of what was encrypted (${shares% *} % of it)"
else fail "the stretches have most of what was encrypted" "$shares"; fi

# Held by the writer, whose key opens no point; the owner sees it.
ends_with 7 "is held" "the last clean point cannot be forgotten" "$dozo" forget "$clean" --yes
"$dozo" points --json >"$folder/points.json" 2>"$folder/output"
found=$(json "$folder/points.json" '[p["id"] for p in d if p["held"]]')
if [ "$found" = "['$clean']" ]; then pass "it is the only one that is held"
else fail "it is the only one that is held" "$found"; fi
"$dozo" restore "$clean" --disk web01 --to "$folder/back.raw" --quiet >"$folder/output" 2>&1
holds "and gives back every byte of before" cmp "$folder/back.raw" "$folder/clean.raw"

holds "a hold that a writer has claimed is sound" "$dozo" verify --quiet
holds "and a sweep goes on beside it" "$dozo" sweep --yes --quiet
"$dozo" hold "$clean" --release --yes --quiet >"$folder/output" 2>&1 ||
    fail "the owner releases the hold" "$(tail -n 1 "$folder/output")"
files encrypt 5 >>"$folder/encrypted" && night
judged "the next night it goes on" encryption-like
found=$(json "$folder/document" 'd["churn"]["last_clean_point"]')
if [ "$found" = "$clean" ]; then pass "with the same clean point"; else fail "with the same clean point" "$found"; fi
"$dozo" points --json >"$folder/points.json" 2>"$folder/output"
found=$(json "$folder/points.json" '[p["id"] for p in d if p["held"]]')
if [ "$found" = "[]" ]; then pass "and what the owner has released is not held again"
else fail "and what the owner has released is not held again" "$found"; fi

# A guest that always writes what does not compress.
disk=$folder/photos.raw
photos() {
    a_day_passes
    "$dozo" backup --key-file "$folder/writer" --guest photos --json "$disk" >"$folder/document" 2>"$folder/errors" ||
        fail "a night of photographs is backed up" "$(tail -n 1 "$folder/errors")"
}
noise "$disk" 40 1
photos
number=2
while [ $number -le 11 ]; do
    noise "$folder/more" 4 $number && cat "$folder/more" >>"$disk" && photos
    number=$((number + 1))
done
noise "$folder/more" 12 $number && cat "$folder/more" >>"$disk" && photos
judged "of photographs three times as many are no alarm" usual
echo done
