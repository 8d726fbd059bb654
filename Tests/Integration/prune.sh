#!/bin/sh
# Points are forgotten by policy by the real program: what a plain second definition keeps stays, everything is
# explained, a person's word beats the rules, and whatever happens in the middle costs nothing that a rule keeps (S49).
# shellcheck disable=SC2119,SC2120
. "$(dirname -- "$0")/cases-clock.sh"

now="2028-04-10 08:00:00"
file=$folder/dozo.yaml
# configure RETENTION UNDO-TIME: the policy nightly for web*, in Berlin.
configure() { one_policy "$file" Europe/Berlin "$2" "$1"; }
prune() { at "$now" "$dozo" prune --nice 0 --config "$file" "$@"; }

holds "init" "$dozo" init --quiet
noise "$folder/disk.raw" 1 1
backup() { # backup GUEST TIME OPTIONS…
    guest=$1
    time=$2
    shift 2
    at "$time" "$dozo" backup --quiet --nice 0 --guest "$guest" "$@" "$folder/disk.raw"
}
# Nights around the day in which summer time begins (2028-03-26) and the leap day; one is missing.
made=0
for day in 2028-01-15 2028-02-10 2028-02-27 2028-02-28 2028-02-29 2028-03-01 2028-03-24 2028-03-25 2028-03-26 \
    2028-03-27 2028-04-06 2028-04-08 2028-04-09; do
    if backup web01 "$day 22:30:00" >/dev/null 2>"$folder/output"; then made=$((made + 1))
    else fail "a backup on $day" "$(cat "$folder/output")"; fi
done
holds "thirteen nights" equal "$made" 13
# A second one in the same night, by Berlin's clock of the same day.
holds "one more of a night" backup web01 "2028-03-25 22:45:00" --tag before-upgrade --policy nightly@7 \
    --started-by change-12
holds "a guest that no policy covers" backup db01 "2028-03-01 22:30:00"
holds "and another point of it" backup db01 "2028-03-02 22:30:00"

echo "== what is written down"
found=$("$dozo" show web01@2028-03-25T23:00Z --json 2>/dev/null |
    python3 -c 'import json,sys; p=json.load(sys.stdin)["point"]; print(p["taken_at"][:13], p["tags"], p["policy"],
p["policy_revision"], p["started_by"])')
holds "tags and policy are shown" equal "$found" \
    "2028-03-25T22 ['before-upgrade'] nightly 7 change-12"
ends_with 0 "#before-upgrade" "and stand in the list" "$dozo" points --guest web01
ends_with 2 "is no tag" "an empty tag is refused" backup web01 "2028-03-25 22:50:00" --tag ""

echo "== what would be done"
configure "{last: 2, daily: 4, monthly: 3}" 7d
ends_with 7 "nothing was changed" "without --yes nothing is" prune
ends_with 0 "by nightly" "a dry run" prune --dry-run
cp "$folder/output" "$folder/dry"
ends_with 2 "say one" "--dry-run and --yes are not said together" prune --dry-run --yes
ends_with 1 "there is no guest" "a guest that is not there" prune --dry-run --guest nobody
ends_with 1 "name the agent's file" "a file that is not there" "$dozo" prune --dry-run --config "$folder/none.yaml"
prune --dry-run --json >"$folder/plan" 2>/dev/null
# Of each guest, the points of the plan against a definition of its own: the newest of each of so many days and months.
cat >"$folder/plain.py" <<'PYTHON'
import datetime, json, sys, zoneinfo
plan = json.load(open(sys.argv[1]))
zone = zoneinfo.ZoneInfo("Europe/Berlin")
wanted = json.loads(sys.argv[2])
for guest in plan["guests"]:
    points = sorted(guest["points"], key=lambda p: p["time"], reverse=True)
    when = [datetime.datetime.fromisoformat(p["time"][:19] + "+00:00").astimezone(zone) for p in points]
    keep = set(range(min(wanted.get("last", 0), len(points)))) | {0}
    for name, form in (("daily", "%Y-%m-%d"), ("monthly", "%Y-%m")):
        newest = {}
        for index, time in enumerate(when):
            newest.setdefault(time.strftime(form), index)
        keep |= set(list(newest.values())[:wanted.get(name, 0)])
    keep |= {i for i, p in enumerate(points) if set(p["tags"]) & set(wanted.get("tags", []))}
    if not guest["policies"]:
        keep = set(range(len(points)))
    for index, point in enumerate(points):
        assert (point["verdict"] == "stays") == (index in keep), (guest["guest"], point)
        opinions = [o for o in point["opinions"] if o["keeps"] or o["does_not"]]
        assert opinions or not guest["policies"], point
        if point["verdict"] == "goes":
            assert all(o["does_not"] and not o["keeps"] for o in point["opinions"]), point
print(sum(p["verdict"] == "goes" for g in plan["guests"] for p in g["points"]))
PYTHON
goes=$(python3 "$folder/plain.py" "$folder/plan" '{"last": 2, "daily": 4, "monthly": 3}' 2>&1)
# Kept are 9, 8 and 6 April, 27 March, and the newest of April, March and February.
holds "what goes is what a plain definition lets go" equal "$goes" 9
said=$(grep -cE '^  [0-9a-f]{12}  2028-.* (stays|goes) +[a-z0-9]' "$folder/dry")
holds "the dry run has a reason for each of the fourteen points" equal "$said" 14
if grep -q "^db01: .*no policy covers it" "$folder/dry"; then pass "and says what no policy covers"
else fail "and says what no policy covers" "$(head -n 3 "$folder/dry")"; fi
holds "nothing was changed" equal "$(count 'True')" 16

echo "== a person's word"
held=$(ids 'p["taken_at"].startswith("2028-01-15")')
back=$(ids 'p["taken_at"].startswith("2028-02-10")')
holds "one is held" "$dozo" hold "$held"
holds "one is forgotten" at "$now" "$dozo" forget --yes "$back"
holds "and taken back" "$dozo" forget --undo "$back"
configure "{last: 2, daily: 4, monthly: 3, tags: [before-upgrade]}" 7d
prune --dry-run --json >"$folder/plan" 2>/dev/null
verdicts=$(json "$folder/plan" "[[p['verdict'], p['opinions'][0]['keeps']] for g in d['guests'] for p in g['points']
    if p['id'] in ('$held', '$back') or p['tags']]")
holds "held, taken back and tagged ones stay, with their reasons" equal "$verdicts" \
    "[['stays', ['tag before-upgrade']], ['stays', ['its forgetting was taken back']], ['stays', ['held']]]"

echo "== what was verified"
"$dozo" key enroll --quiet --role maintainer --label m --to "$folder/maintainer.key" >/dev/null
"$dozo" key enroll --quiet --role reader --to "$folder/reader.key" >/dev/null
# In a copy of repository and state, for it gets a point more.
original=$DOZO_REPOSITORY
original_state=$XDG_STATE_HOME
cp -a "$DOZO_REPOSITORY" "$folder/other"
cp -a "$XDG_STATE_HOME" "$folder/other-state"
DOZO_REPOSITORY=$folder/other
XDG_STATE_HOME=$folder/other-state
export DOZO_REPOSITORY XDG_STATE_HOME
configure "{last: 1, verified: 1}" 7d
# verified WHICH: how deep the points are found whole, of those that a Python expression chooses.
verified() { "$dozo" points --json 2>/dev/null | python3 -c "import json,sys
print(sorted({p['verified_level'] for p in json.load(sys.stdin) if $1}))"; }
# rule: verdict and reasons of the second newest point of web01.
rule() { prune --dry-run --json >"$folder/plan" 2>/dev/null; json "$folder/plan" "[[p['verdict'],
    p['opinions'][0]['keeps']] for g in d['guests'] if g['guest'] == 'web01' for p in g['points']][:2]"; }
ends_with 0 "no verification of a point is recorded" "prune says when nothing is verified" prune --dry-run
ends_with 5 "cannot be recorded" "a verification without a key that signs" \
    "$dozo" verify --record --key-file "$folder/reader.key"
holds "nothing is recorded by looking" "$dozo" verify --quiet
holds "nor shown" equal "$(verified True)" "['none']"
found=$(env -u DOZO_PASSPHRASE_FILE "$dozo" verify --quiet --record --json --key-file "$folder/maintainer.key" \
    2>/dev/null | python3 -c 'import json,sys; print(json.load(sys.stdin)["recorded"])')
holds "a maintainer records what it found" equal "$found" True
holds "which is packs and maps, for it opens no guest byte" equal "$(verified True)" "['packs']"
first="[['stays', ['the newest of its guest', 'number 1 of the last 1'"
holds "the rule keeps the newest of them" equal "$(rule)" "$first, 'number 1 of the last 1 verified']], ['goes', []]]"
holds "the owner compares every chunk" "$dozo" verify --quiet --content --record
holds "and that is told" equal "$(verified True)" "['content']"
ends_with 0 "verified (content)" "in the list of points too" "$dozo" points
cp -a "$DOZO_REPOSITORY" "$folder/rotten"
python3 - "$folder/rotten" <<'PYTHON'
import pathlib, sys
# Of the content packs the largest: it holds what every point needs.
pack = max(pathlib.Path(sys.argv[1], "packs").rglob("*.*"), key=lambda p: p.stat().st_size)
data = bytearray(pack.read_bytes())
data[len(data) // 2] ^= 1
pack.chmod(0o600)
pack.write_bytes(data)
PYTHON
cp -a "$XDG_STATE_HOME" "$folder/rotten-state"
DOZO_REPOSITORY=$folder/rotten
XDG_STATE_HOME=$folder/rotten-state
ends_with 6 "suffers: point" "a rotten copy" "$dozo" verify --record
holds "its points are told to be damaged" equal "$(verified 'p["guest"] == "web01"')" "['damaged']"
ends_with 0 "DAMAGED" "in the list of points too" "$dozo" points
DOZO_REPOSITORY=$folder/other
XDG_STATE_HOME=$folder/other-state
holds "a night that nobody verified" backup web01 "2028-04-10 07:30:00"
holds "the last verified one stays behind it" equal "$(rule)" \
    "$first]], ['stays', ['number 1 of the last 1 verified']]]"
DOZO_REPOSITORY=$original
XDG_STATE_HOME=$original_state
configure "{last: 2, daily: 4, monthly: 3, tags: [before-upgrade]}" 7d

echo "== done"
"$dozo" key enroll --quiet --role writer --label w --to "$folder/writer.key" >/dev/null
secret=$DOZO_PASSPHRASE_FILE
unset DOZO_PASSPHRASE_FILE
ends_with 5 . "a writer may not prune" prune --yes --key-file "$folder/writer.key"
holds "a maintainer may" prune --yes --key-file "$folder/maintainer.key"
DOZO_PASSPHRASE_FILE=$secret
export DOZO_PASSPHRASE_FILE
holds "six are forgotten" equal "$(count '"forgotten_at" in p')" 6
holds "and none is gone" equal "$(count 'True')" 16
ends_with 0 "6 forgotten before" "a second prune forgets nothing more" prune --yes
first=$(ids '"forgotten_at" in p' | head -n 1)
holds "one can be had back" "$dozo" forget --undo "$first"
ends_with 0 "^0 objects deleted" "a sweep by hand lets none go before its time" \
    at "2028-04-17 07:59:00" "$dozo" sweep --yes
holds "they are all there" equal "$(count 'True')" 16
now="2028-04-17 08:01:00"
holds "after a week" prune --yes
holds "five are gone" equal "$(count 'True')" 11
holds "the one that was taken back is not" test -n "$(ids "p['id'] == '$first' and 'forgotten_at' not in p")"
holds "verify agrees" "$dozo" verify --quiet --content

echo "== a hold in the middle, kills, two at once"
configure "{last: 1}" 0s
now="2028-04-18 08:00:00"
prune --dry-run --json >"$folder/plan" 2>/dev/null
late=$(json "$folder/plan" "[p['id'] for g in d['guests'] for p in g['points'] if p['verdict'] == 'goes'][0]")
holds "a plan without a sweep" prune --yes --no-sweep
holds "a hold behind it" "$dozo" hold "$late"
newest=$(ids 'p["guest"] == "web01"' | tail -n 1)
killed=0
for delay in 0.05 0.1 0.2 0.3 0.5 0.8; do
    become() { exec env DOZO_TEST_CLOCK="$(date -u -d "$now" +%s)" LD_PRELOAD="$clock_library" \
        "$dozo" prune --nice 0 --config "$file" --yes; }
    become >/dev/null 2>&1 &
    run=$!
    python3 -c "import time; time.sleep($delay)"
    kill -9 $run 2>/dev/null && killed=$((killed + 1))
    wait $run 2>/dev/null
done
holds "some of six were killed ($killed)" test "$killed" -gt 0
for day in 19 20 21; do backup web01 "2028-04-$day 22:30:00" >/dev/null 2>&1 || fail "a backup of April $day" "$?"; done
now="2028-04-22 08:00:00"
prune --yes >/dev/null 2>"$folder/first" & run=$!
prune --yes >/dev/null 2>"$folder/second"
second=$?
wait $run
first=$?
case $first$second in
    00|03|30|33|07|70|37|73) pass "two at once end well ($first, $second)" ;;
    *) fail "two at once end well" "$first: $(cat "$folder/first"); $second: $(cat "$folder/second")" ;;
esac
holds "one more goes through" prune --yes
holds "the held one of before is there" test -n "$(ids "p['id'] == '$held'")"
holds "the one that was held behind the plan too" test -n "$(ids "p['id'] == '$late'")"
holds "the newest is" test -n "$(ids 'p["taken_at"].startswith("2028-04-21")')"
holds "what was the newest before is not" test -z "$(ids "p['id'] == '$newest'")"
rm -rf "$folder/back.raw"
same() {
    "$dozo" restore --quiet web01@latest --disk disk --to "$folder/back.raw" &&
        cmp "$folder/back.raw" "$folder/disk.raw"
}
holds "it restores byte for byte" same
holds "the guest without a policy has both points" equal "$(count 'p["guest"] == "db01"')" 2
holds "verify agrees after all" "$dozo" verify --quiet --content

echo "== forged dates, and many points"
before=$(count 'p["guest"] == "web01"')
forged=$(date -u -d "$now + 2 years" "+%Y-%m-%d %H:%M:%S")
holds "a point dated two years ahead" backup web01 "$forged"
configure "{last: 2}" 0s
prune --dry-run --json >"$folder/plan" 2>/dev/null
verdict=$(json "$folder/plan" "[[p['verdict'], p['opinions'][0]['keeps'][0][:26]] for g in d['guests']
    for p in g['points']
    if p['time'] > '2029']")
holds "is not decided about" equal "$verdict" "[['stays', 'its date lies ahead of thi']]"
for minute in 10 11 12 13 14 15 16 17 18 19 20 21; do
    backup web01 "2028-04-22 07:$minute:00" >/dev/null 2>&1 || fail "a backup at 07:$minute" "$?"
done
ends_with 3 "got many points" "a guest that got many points keeps them" prune --yes
holds "all of them" equal "$(count 'p["guest"] == "web01"')" $((before + 13))
ends_with 0 "forgotten" "until somebody has looked" prune --yes --accept-many
echo done
