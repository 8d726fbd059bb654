#!/bin/sh
# Where two points differ, from their maps alone: nothing that changed is missing, and what is listed is near a change.
. "$(dirname -- "$0")/cases.sh"
python=${DOZO_PYTHON:-python3}
holds "init" "$dozo" init
"$python" - "$folder" <<'PY'
import random, sys
dice = random.Random(3)
before = bytearray(24 << 20)
for start in range(0, 20 << 20, 3 << 20):
    before[start:start + (1 << 20)] = dice.randbytes(1 << 20)
after = bytearray(before)
after[100:101] = b"\x01"
after[(6 << 20) + 70000:(6 << 20) + 200000] = dice.randbytes(130000)
after[(9 << 20):(9 << 20) + 300000] = bytes(300000)
after[(22 << 20):(22 << 20) + 50000] = dice.randbytes(50000)
open(sys.argv[1] + "/before", "wb").write(before)
open(sys.argv[1] + "/after", "wb").write(after)
open(sys.argv[1] + "/longer", "wb").write(after + dice.randbytes(5000))
PY
for name in before after longer; do
    holds "backup of $name" "$dozo" backup --format raw --guest g --disk "d=$folder/$name" --disk "e=$folder/before"
    "$dozo" points --json >"$folder/points.json" 2>/dev/null
    json "$folder/points.json" 'd[-1]["id"]' >"$folder/$name.id"
done
compared() { # ONE TWO
    "$dozo" diff "$(cat "$folder/$1.id")" "$(cat "$folder/$2.id")" --disk d --json >"$folder/diff.json" \
        2>"$folder/output"
}
compared before after
holds "every changed byte lies in a listed stretch, and every stretch holds a change" "$python" - "$folder" <<'PY'
import json, sys
before, after = (open(f"{sys.argv[1]}/{name}", "rb").read() for name in ("before", "after"))
disk = json.load(open(sys.argv[1] + "/diff.json"))["disks"][0]
assert disk["state"] == "changed" and disk["changed"]
end = -1
for part in disk["changed"]:
    first, last = part["start"], part["start"] + part["length"]
    assert first > end
    # Outside of the stretches nothing differs.
    assert before[max(end, 0):first] == after[max(end, 0):first]
    assert before[first:last] != after[first:last] and part["length"] <= 1 << 20
    end = last
assert before[end:] == after[end:]
assert sum(part["length"] for part in disk["changed"]) == disk["changed_bytes"] < 4 << 20
PY
compared after before
if [ "$(json "$folder/diff.json" 'd["disks"][0]["state"]')" = changed ]; then pass "backwards too"
else fail "backwards too" "$(head -c 300 "$folder/diff.json")"; fi
compared before before
if [ "$(json "$folder/diff.json" 'd["disks"][0]["state"], d["disks"][0]["changed"]')" = "('equal', [])" ]; then
    pass "a point does not differ from itself"
else fail "a point does not differ from itself" "$(head -c 300 "$folder/diff.json")"; fi
compared after longer
holds "a disk that grew differs where it grew" "$python" - "$folder" <<'PY'
import json, sys
disk = json.load(open(sys.argv[1] + "/diff.json"))["disks"][0]
assert disk["size_bytes_after"] - disk["size_bytes_before"] == 5000
assert disk["changed"] == [{"start": 24 << 20, "length": 5000}], disk
PY
holds "for people, with a picture" "$dozo" diff "$(cat "$folder/before.id")" "$(cat "$folder/after.id")" --disk d \
    --svg "$folder/changes.svg"
# Which heights appear hangs on where the chunks' edges fell, and those on the repository's random key.
if grep -q "places" "$folder/output" && grep -q "▁\|▂\|▃\|▄\|▅\|▆\|▇\|█" "$folder/output"; then
    pass "a strip shows where"
else fail "a strip shows where" "$(head -c 300 "$folder/output")"; fi
holds "the picture is well-formed" "$python" -c '
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
fills = {cell.get("fill") for cell in root.iter("{http://www.w3.org/2000/svg}rect")}
assert root.tag.endswith("svg") and len(fills) > 2, fills' "$folder/changes.svg"
"$dozo" show --usage --json "$(cat "$folder/before.id")" >"$folder/usage.json" 2>/dev/null
holds "what a point takes up adds up" "$python" - "$folder" <<'PY'
import json, sys
usage = json.load(open(sys.argv[1] + "/usage.json"))["usage"]
assert usage["disk_bytes"] == 48 << 20 and usage["data_bytes"] <= usage["disk_bytes"], usage
assert 0 <= usage["unique_stored_bytes"] < usage["stored_bytes"] <= usage["distinct_bytes"] + (1 << 20), usage
assert usage["distinct_bytes"] <= usage["data_bytes"] and usage["chunks"] > 0, usage
PY
holds "and for people" "$dozo" show --usage "$(cat "$folder/after.id")"
ends_with 2 "one disk" "a picture of two disks is status 2" "$dozo" diff "$(cat "$folder/before.id")" \
    "$(cat "$folder/after.id")" --svg "$folder/two.svg"
ends_with 1 "neither point" "a disk that is in neither is status 1" "$dozo" diff "$(cat "$folder/before.id")" \
    "$(cat "$folder/after.id")" --disk x
echo done
