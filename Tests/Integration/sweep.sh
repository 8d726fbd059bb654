#!/bin/sh
# Points are forgotten, held, taken back and swept away by the real program; what is left restores byte for byte, also
# after kill -9 at any moment, beside backups, and on a repository that misses something (S10, S26, S49).
set -u
. "$(dirname -- "$0")/cases.sh"

repository=$DOZO_REPOSITORY

# night NUMBER: an image whose first half stays and whose second half is new each time.
night() {
    python3 - "$1" "$folder/night-$1.raw" <<'PYTHON'
import random, sys
number, path = int(sys.argv[1]), sys.argv[2]
with open(path, "wb") as file:
    file.write(random.Random(1).randbytes(8 << 20))
    file.write(random.Random(number + 100).randbytes(8 << 20))
PYTHON
}
points() { "$dozo" points --guest web01 --json | json_lines; }
# The ids of the points that are listed, oldest first.
json_lines() { python3 -c 'import json,sys; [print(p["id"]) for p in json.load(sys.stdin)]'; }
bytes() { du -sb "$repository" | cut -f1; }
same() { # same POINT NIGHT
    rm -f "$folder/back.raw"
    "$dozo" restore --quiet "$1" --disk disk --to "$folder/back.raw" && cmp -s "$folder/back.raw" "$folder/night-$2.raw"
}
kept() { # kept NIGHT: the point of that night by its place in the list of all that were made
    sed -n "$1p" "$folder/ids"
}

holds "init" "$dozo" init --quiet
for number in 1 2 3 4; do
    night $number
    holds "night $number" "$dozo" backup --quiet --guest web01 --disk "disk=$folder/night-$number.raw"
done
points >"$folder/ids"
full=$(bytes)

echo "== what is said"
ends_with 7 . "a forget without --yes changes nothing" "$dozo" forget "$(kept 1)"
holds "two points are forgotten" "$dozo" forget --yes --reason tidy "$(kept 1)" "$(kept 2)"
holds "one of them is taken back" "$dozo" forget --undo "$(kept 1)"
holds "one is held" "$dozo" hold "$(kept 3)"
ends_with 7 . "a held point is not forgotten" "$dozo" forget --yes "$(kept 3)"
today=$(date +%F)
tomorrow=$(date -d tomorrow +%F)
ends_with 1 "web01 has 4 restore points of $today: .*name one by its id" "a day of several names none" \
    "$dozo" forget --yes "web01@$today"
ends_with 1 "web01 has no restore point of $tomorrow; the last one before is" "nor does a day mean an earlier one" \
    "$dozo" hold "web01@$tomorrow"
holds "a forgotten point may be held" "$dozo" hold "$(kept 2)"
ends_with 0 "held, forgotten" "and is said to be both" "$dozo" points
ends_with 7 "was forgotten .*without the hold a sweep lets it go" "whoever releases it hears that" \
    "$dozo" hold --release "$(kept 2)"
holds "it is released" "$dozo" hold --release --yes "$(kept 2)"
ends_with 0 "stays *forgotten" "show says it" "$dozo" show "$(kept 2)"
holds "a guest with one point" "$dozo" backup --quiet --guest solo --disk "disk=$folder/night-1.raw"
ends_with 7 'last point' "the last point of a guest is not forgotten" "$dozo" forget --yes solo@latest
holds "unless that is meant" "$dozo" forget --yes --last solo@latest
holds "a forgotten point still restores" same "$(kept 2)" 2
ends_with 7 . "a sweep without --yes changes nothing" "$dozo" sweep
ends_with 7 'would go' "and says which point would go" "$dozo" sweep
ends_with 7 'would stay' "with an undo time it would not yet" "$dozo" sweep --undo-time 30
holds "nor does one" "$dozo" sweep --yes --undo-time 30
holds "all four are there" test "$(points | wc -l)" -eq 4

echo "== a sweep"
holds "it runs" "$dozo" sweep --yes
lists() { points | grep -q "$1"; }
lists "$(kept 2)"
holds "the forgotten point is gone" test $? -eq 1
holds "its own 8 MiB are free" test "$(($(bytes) + 7000000))" -lt "$full"
for number in 1 3 4; do holds "night $number is whole" same "$(kept $number)" $number; done
holds "verify agrees" "$dozo" verify --quiet --content
ends_with 1 . "a point that is gone cannot be taken back" "$dozo" forget --undo "$(kept 2)"
night 5
holds "the next backup dedups against what is left" \
    "$dozo" backup --quiet --guest web01 --disk "disk=$folder/night-5.raw"
points >"$folder/ids"
holds "and is whole" same web01@latest 5
holds "a sweep with nothing to do does nothing" "$dozo" sweep --yes

echo "== killed"
killed=0
number=6
while [ $number -le 12 ]; do
    night $number
    "$dozo" backup --quiet --guest web01 --disk "disk=$folder/night-$number.raw" || fail "night $number"
    points >"$folder/ids"
    "$dozo" forget --quiet --yes "$(head -n 1 "$folder/ids")" >/dev/null 2>&1 ||
        "$dozo" forget --quiet --yes "$(sed -n 2p "$folder/ids")" >/dev/null
    become() { exec "$dozo" sweep --quiet --yes; }
    become >/dev/null 2>&1 &
    run=$!
    python3 -c "import time; time.sleep(0.1 * ($number - 5))"
    kill -9 $run 2>/dev/null && killed=$((killed + 1))
    wait $run 2>/dev/null
    number=$((number + 1))
done
holds "some of seven sweeps were killed ($killed)" test "$killed" -gt 0
holds "the last sweep runs" "$dozo" sweep --yes
points >"$folder/ids"
ends_with 0 '^0 objects deleted' "a second has nothing left to do" "$dozo" sweep --yes
holds "the latest night is whole" same web01@latest 12
holds "so is the held one" same "$(kept 1)" 3
holds "verify agrees after the kills" "$dozo" verify --quiet --content

echo "== beside a backup, and two at once"
night 16
become() { exec "$dozo" backup --quiet --guest web02 --disk "disk=$folder/night-16.raw" --limit-write 8M; }
become &
run=$!
"$dozo" forget --quiet --yes "$(sed -n 2p "$folder/ids")" >/dev/null
"$dozo" sweep --yes >/dev/null 2>"$folder/first" & first=$!
"$dozo" sweep --yes >/dev/null 2>"$folder/second"; second=$?
wait $first; first=$?
wait $run
status=$?
holds "the backup beside it is made" test $status -eq 0
case $first$second in
    00|03|30|33|07|70|37|73) pass "two sweeps at once end well ($first, $second)" ;;
    *) fail "two sweeps at once end well" "$first: $(cat "$folder/first"); $second: $(cat "$folder/second")" ;;
esac
holds "it is whole" same web02@latest 16
holds "a sweep behind them runs" "$dozo" sweep --yes
holds "and the other guest is whole" same web01@latest 12

echo "== packs that are mostly dead"
# mosaic NUMBER: of each MiB the first quarter stays and the rest is new each time.
mosaic() {
    python3 - "$1" "$folder/mosaic-$1.raw" <<'PYTHON'
import random, sys
number, path = int(sys.argv[1]), sys.argv[2]
with open(path, "wb") as file:
    for piece in range(20):
        file.write(random.Random(piece).randbytes(1 << 18))
        file.write(random.Random(number * 1000 + piece).randbytes(3 << 18))
PYTHON
}
for number in 1 2; do
    mosaic $number
    holds "mosaic $number" "$dozo" backup --quiet --guest web03 --disk "disk=$folder/mosaic-$number.raw"
done
first=$("$dozo" points --guest web03 --json | json_lines | head -n 1)
holds "the first is forgotten" "$dozo" forget --yes "$first"
holds "a sweep that copies nothing" "$dozo" sweep --yes --rewrite 0
full=$(bytes)
ends_with 0 'pack.* rewritten' "a sweep says what it rewrote" "$dozo" sweep --yes
holds "12 MiB of dead chunks are free" test "$(($(bytes) + 12000000))" -lt "$full"
"$dozo" restore --quiet web03@latest --disk disk --to "$folder/mosaic.raw"
holds "the second is whole" cmp -s "$folder/mosaic.raw" "$folder/mosaic-2.raw"
holds "verify agrees with the copies" "$dozo" verify --quiet --content
ends_with 2 'no size' "a limit is a size" "$dozo" sweep --yes --rewrite much

echo "== not by everybody"
"$dozo" key enroll --quiet --role writer --label w --to "$folder/writer.key" >/dev/null
"$dozo" key enroll --quiet --role maintainer --label m --to "$folder/maintainer.key" >/dev/null
unset DOZO_PASSPHRASE_FILE
ends_with 5 . "a writer may not sweep" "$dozo" sweep --yes --key-file "$folder/writer.key"
holds "a maintainer may" "$dozo" sweep --yes --key-file "$folder/maintainer.key"
latest() { "$dozo" points --key-file "$folder/maintainer.key" --json | json_lines | tail -n 1; }
holds "and forgets" "$dozo" forget --yes --key-file "$folder/maintainer.key" "$(sed -n 3p "$folder/ids")"
export DOZO_PASSPHRASE_FILE="$folder/passphrase"

echo "== refused"
mv "$repository/runs" "$folder/runs"
status=0
"$dozo" sweep --yes >"$folder/out" 2>&1 || status=$?
packs=$(find "$repository/packs" -type f | wc -l)
case $status in 7) pass "a sweep refuses while index runs are missing" ;;
    *) fail "a sweep refuses while index runs are missing" "$status: $(cat "$folder/out")" ;; esac
holds "and deletes nothing" test "$(find "$repository/packs" -type f | wc -l)" -eq "$packs"
mv "$folder/runs" "$repository/runs"
entry=$(find "$repository/s" -type f | sort | head -n 1)
mv "$entry" "$folder/entry"
ends_with 7 . "nor while a session's entry is missing" "$dozo" sweep --yes
mv "$folder/entry" "$entry"
holds "with both back it runs" "$dozo" sweep --yes

echo done
