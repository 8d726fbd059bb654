#!/bin/sh
# Where the owner asks for two persons, no command of the real program lets a point go without them (S29).
. "$(dirname -- "$0")/cases-clock.sh"

noise "$folder/disk.raw" 1 1
backup() { at "$1" "$dozo" backup --quiet --nice 0 --guest "${2:-web01}" "$folder/disk.raw"; }
as() { # as KEY TIME COMMAND…: with that credential and clock.
    key=$folder/$1.key
    time=$2
    command=$3
    shift 3
    at "$time" "$dozo" "$command" --key-file "$key" "$@"
}
# A minute later: within one second of that clock nothing is due that was said in it.
sweep() { as nightly "$(date -u -d "$1 1 minute" "+%F %T")" sweep --yes --nice 0 --quiet; }
# request KEY TIME: what waits for approval last, as its number in the list.
request() {
    as "$1" "$2" approve --json 2>/dev/null |
        python3 -c 'import json,sys; print(json.load(sys.stdin)["requests"][-1]["request"][:12])'
}
# ids FILTER: with the clock where the story is, for what waits depends on it.
ids() {
    at "$story" "$dozo" points --key-file "$folder/nightly.key" --json 2>/dev/null |
        python3 -c 'import json,sys
for p in json.load(sys.stdin):
    if eval(sys.argv[1]): print(p["id"])' "$1"
}
story="2028-04-06 08:30:00"
there() { test -n "$(ids "p['id'] == '$1'")"; }
gone() { ! there "$1"; }
holds "init" "$dozo" init --quiet
for day in 01 02 03 04 05; do holds "a backup on the $day" backup "2028-04-$day 22:00:00"; done
now="2028-04-06 08:00:00"
enrol() { # enrol NAME OPTIONS…
    name=$1
    shift
    at "$now" "$dozo" key enroll --to "$folder/$name.key" "$@"
}

echo "== an ordinary repository"
holds "a maintainer that is nobody's" enrol nightly --role maintainer --label nightly
first=$(ids True | sed -n 1p)
second=$(ids True | sed -n 2p)
third=$(ids True | sed -n 3p)
ends_with 0 "asks for no approvals" "nothing waits" as nightly "$now" approve
ends_with 7 "nothing ends a lock" "and nothing unlocks" as nightly "$now" unlock "$first" --yes
ends_with 7 "0 persons may approve" "persons come before the requirement" at "$now" "$dozo" approve --require 2 --yes
ends_with 2 "an approver is a person" "an approver is somebody" enrol void --role approver
ends_with 2 "goes with --role" "and a writer nobody" enrol void --role writer --person alice
holds "a maintainer who is a person" enrol alice --role maintainer --person alice --approves
holds "her second key" enrol alice2 --role approver --person alice
holds "an approver" enrol bob --role approver --person bob
holds "and another" enrol carol --role approver --person carol
ends_with 7 "is written bob" "one person has one spelling" enrol void --role approver --person "Bob "
ends_with 5 "may not add restore points" "an approver writes no points" \
    as bob "$now" backup --nice 0 --guest web01 "$folder/disk.raw"
ends_with 5 "may not forget" "and does not forget" as bob "$now" forget "$first" --yes
ends_with 5 "may not forget" "nor sweep" as bob "$now" sweep --yes --nice 0
ends_with 7 "is written bob" "nor a look-alike" enrol void --role approver --person "ｂｏｂ"
ends_with 7 "mixes letters of Latin and Cyrillic" "of another alphabet neither" \
    enrol void --role approver --person "bоb"
ends_with 7 "U+200B, which is not seen" "nor what is not seen" \
    enrol void --role approver --person "$(printf 'd\342\200\213ave')"
ends_with 2 "without a request" "an approval is of something" as bob "$now" approve --for 1 --yes
ends_with 7 "say --yes" "what would be asked for is told first" at "$now" "$dozo" approve --require 2
ends_with 5 "only the owner" "only the owner asks" as alice "$now" approve --require 2 --yes
holds "two persons are asked for" at "$now" "$dozo" approve --require 2 --yes
holds "and programs that do not know it refuse to sweep: its feature stands in the owner's word" \
    grep -rqa approvals "$DOZO_REPOSITORY/owner"
ends_with 0 "bob, approves" "the keys say whose they are" "$dozo" key list
ends_with 5 "this approver credential" "an approver records no verification" \
    as bob "$now" verify --record --quiet

echo "== forgetting"
ends_with 0 "waits for the approval of 2 other persons" "the night's key forgets, and is told to wait" \
    as nightly "$now" forget "$first" --yes --reason "old"
ends_with 0 "forgotten, waits for approval" "the list says so" as nightly "$now" points
holds "as JSON too" equal "$(count "p['waits_for_approval']")" 1
holds "a sweep" sweep "$now"
holds "leaves it" there "$first"
holds "it restores" "$dozo" restore --quiet "$first" --disk disk --to "$folder/back.raw"
holds "byte for byte" cmp "$folder/back.raw" "$folder/disk.raw"
ends_with 7 "it waits for approval" "what a sweep would do is told" as nightly "$now" sweep
ends_with 0 "1 forgotten point waited for approval" "and a sweep says so" \
    as nightly "$(date -u -d "$now 2 minutes" "+%F %T")" sweep --yes --nice 0
number=$(request bob "$now")
ends_with 7 "let go .* (web01, 2028-04-01" "what an approval would do is told first" as bob "$now" approve "$number"
ends_with 5 "approves nothing" "the night's key approves nothing" as nightly "$now" approve "$number" --yes
ends_with 5 "approves nothing" "nor does the passphrase" at "$now" "$dozo" approve "$number" --yes
ends_with 0 "1 of 2 persons" "bob approves" as bob "$now" approve "$number" --yes
ends_with 7 "counts once" "and counts once" as bob "$now" approve "$number" --yes
holds "a sweep" sweep "$now"
holds "leaves it still" there "$first"
ends_with 0 "is approved by this key" "carol approves" as carol "$now" approve "$number" --yes
holds "a sweep" sweep "$now"
holds "lets it go" gone "$first"
ends_with 1 "nothing that waits" "what is done is not approved again" as alice "$now" approve "$number" --yes

echo "== one's own wish"
ends_with 0 "of another person" "alice forgets, and is one of the two" as alice "$now" forget "$second" --yes
number=$(request alice "$now")
ends_with 7 "has asked for it itself" "her own approval is refused" as alice "$now" approve "$number" --yes
ends_with 7 "alice stands behind it already" "under her second key too" as alice2 "$now" approve "$number" --yes
holds "bob approves it for a day" as bob "$now" approve "$number" --for 1 --yes
later="2028-04-09 08:00:00"
story="2028-04-09 08:30:00"
holds "a sweep behind that day" sweep "$later"
holds "leaves it" there "$second"
holds "taken back" as alice "$later" forget "$second" --undo
ends_with 0 "waits for the approval" "forgotten anew" as alice "$later" forget "$second" --yes
ends_with 1 "nothing that waits" "the old request is nothing to approve" as carol "$later" approve "$number" --yes
holds "the new one is" as carol "$later" approve "$(request carol "$later")" --yes
holds "a sweep" sweep "$later"
holds "lets it go" gone "$second"

echo "== locks"
ends_with 2 "lies in the past" "a lock of yesterday is told so" \
    as nightly "$later" lock "$third" --until 2028-01-01 --yes
ends_with 2 "more than 30 years ahead" "and one of another century" \
    as nightly "$later" lock "$third" --until 2128-01-01 --yes
holds "a lock" as nightly "$later" lock "$third" --until 2030-01-01 --yes
ends_with 0 "of another person" "alice asks for its end" as alice "$later" unlock "$third" --reason "case closed" --yes
ends_with 7 "dozo unlock" "a locked point is not forgotten, and the way is told" \
    as nightly "$later" forget "$third" --yes
ends_with 0 "locked until" "it is locked until somebody approves" as nightly "$later" points
holds "bob approves" as bob "$later" approve "$(request bob "$later")" --yes
holds "and the lock is over" equal "$(at "$later" "$dozo" show "$third" --json 2>/dev/null |
    python3 -c 'import json,sys; print(json.load(sys.stdin)["point"].get("locked_until"))')" None
holds "the point is there" there "$third"

echo "== rules"
file=$folder/dozo.yaml
configure() { one_policy "$file" Etc/UTC 2d "$1"; }
prune() { as nightly "$1" prune --nice 0 --config "$file" --yes; }
configure "{last: 2}"
ends_with 0 "with --rules for all" "a prune waits too" prune "$later"
holds "it is not asked for twice" prune "$later"
holds "one thing waits" equal "$(as bob "$later" approve --json 2>/dev/null | python3 -c '
import json,sys; print([len(r["forgets"]) for r in json.load(sys.stdin)["requests"]])')" "[1]"
number=$(request bob "$later")
ends_with 7 '"last" : 2' "the rules are told first" as bob "$later" approve "$number" --rules
for person in bob carol; do
    holds "$person approves the rules" as "$person" "$later" approve "$number" --rules --for 365 --yes
done
night="2028-04-10 22:00:00"
story="2028-04-10 22:30:00"
holds "another night" backup "$night"
holds "a prune by the same rules" prune "$night"
holds "what it forgets does not wait" equal "$(count "p.get('forgotten_at') and not p['waits_for_approval']")" 2
configure "{last: 1}"
ends_with 0 "waits for the approval" "rules that keep less wait" prune "$night"
holds "one thing more waits" equal "$(count "p['waits_for_approval']")" 1
story="2028-04-12 23:05:00"
holds "a night later" backup "2028-04-12 22:00:00"
holds "a sweep" sweep "2028-04-12 23:00:00"
holds "lets go what the approved rules forgot, and nothing else" equal "$(count True)" 3
holds "the newest and what waits" equal "$(count "p['waits_for_approval']")" 1

echo "== whoever knows nothing of it reads on"
python=${DOZO_PYTHON:-/usr/bin/python3}
if "$python" -c 'import cryptography, zstandard' 2>/dev/null; then
    rm -f "$folder/back.raw"
    holds "the second reader restores" "$python" "$top/Tests/SecondReader/restore.py" --repository "$DOZO_REPOSITORY" \
        --passphrase-file "$DOZO_PASSPHRASE_FILE" --point "$(ids True | tail -n 1)" --disk disk --to "$folder/back.raw"
    holds "byte for byte" cmp "$folder/back.raw" "$folder/disk.raw"
else
    skip "the second reader restores" "needs python3-cryptography and python3-zstandard"
fi

echo "== the owner alone"
end="2028-04-12 23:10:00"
now=$end
ends_with 0 "it waits for approval" "asking for none waits" at "$end" "$dozo" approve --require none --yes
ends_with 0 "2 persons\|of 2\|REQUEST" "two are asked for still" as bob "$end" approve
ends_with 0 "it waits for approval" "a new person waits, also quietly" enrol mallory --role approver --person mallory -q
ends_with 5 "approves nothing" "and approves nothing" \
    as mallory "$end" approve "$(request bob "$end")" --yes
ends_with 0 "person waits" "the keys say so" "$dozo" key list
fingerprint=$("$dozo" key list --json 2>/dev/null | python3 -c '
import json,sys
print([k["fingerprint"] for k in json.load(sys.stdin)["enrolled"] if k["role"] == "writer"][0])')
key_of() { # key_of PERSON
    "$dozo" key list --json 2>/dev/null | python3 -c '
import json,sys
print([k["fingerprint"] for k in json.load(sys.stdin)["enrolled"] if k.get("person") == sys.argv[1]][0])' "$1"
}
carol=$(key_of carol)
ends_with 7 "revoke approver carol" "an approver is called one" at "$end" "$dozo" key revoke "$carol"
holds "one of three may go" at "$end" "$dozo" key revoke "$carol" --yes
ends_with 7 "1 person would be left who may approve, and 2 are asked for" "the last but one may not" \
    at "$end" "$dozo" key revoke "$(key_of bob)" --yes
ends_with 7 "would revoke approver bob" "but when it is said" \
    at "$end" "$dozo" key revoke "$(key_of bob)" --leave-too-few
ends_with 0 "until then no sweep" "a key whose points would be void is revoked" \
    at "$end" "$dozo" key revoke "$fingerprint" --nothing --yes
ends_with 7 "waits for the approval of persons" "and no sweep lets them go" sweep "$end"
all=$(count True)
ends_with 0 "waiting: revoked by the owner, not approved" "the list shows its points" \
    at "$end" "$dozo" points
holds "as JSON too" equal "$(count "p['revoked_unapproved']")" "$all"
doubted=$(ids "p['revoked_unapproved']" | tail -n 1)
rm -f "$folder/back.raw"
ends_with 0 "is waiting: revoked by the owner" "one of them is restored, and told apart" \
    "$dozo" restore "$doubted" --disk disk --to "$folder/back.raw"
holds "byte for byte" cmp "$folder/back.raw" "$folder/disk.raw"
ends_with 7 "would withdraw" "taking it back is told first" at "$end" "$dozo" key revoke "$fingerprint" --withdraw
ends_with 0 "the key itself stays revoked" "it is taken back" \
    at "$end" "$dozo" key revoke "$fingerprint" --withdraw --yes
ends_with 7 "no revocation of this key waits" "once" at "$end" "$dozo" key revoke "$fingerprint" --withdraw --yes
holds "its points are points again" equal "$(count "not p['revoked_unapproved']")" "$all"
holds "and sweeps go on" sweep "$end"
holds "and leave them" equal "$(count True)" "$all"
ends_with 7 "revoked" "the host takes a new key" backup "2028-04-13 22:00:00"
holds "which it gets" at "$end" "$dozo" key enroll --renew
holds "and goes on" backup "2028-04-13 22:10:00"

echo "== what the agent says"
# Sockets have short paths.
agent_folder=$(mktemp -d "${TMPDIR:-/tmp}/approvals.XXXXXX") || exit 1
trap 'remove "$folder" "$clock_folder" "$agent_folder"' EXIT
cat >"$agent_folder/dozo.yaml" <<YAML
time-zone: Etc/UTC
repositories:
  main:
    location: "$DOZO_REPOSITORY"
    credential-file: $folder/nightly.key
    maintainer-credential-file: $folder/nightly.key
guests: {}
YAML
chmod 600 "$agent_folder/dozo.yaml"
agent() { # agent TIME PATTERN: runs it until `dozo status` says that.
    # Not by at: in the background a function is a shell of its own, and $! would name that.
    clock=$(date -u -d "$1" +%s)
    DOZO_TEST_CLOCK=$clock LD_PRELOAD=$clock_library "$dozo" agent run --config "$agent_folder/dozo.yaml" \
        --socket "$agent_folder/s" >"$agent_folder/log" 2>&1 </dev/null &
    process=$!
    tries=0
    until shown=$(at "$1" "$dozo" status --socket "$agent_folder/s" 2>&1); echo "$shown" | grep -q -- "$2" ||
        [ "$tries" -ge 200 ] || ! kill -0 "$process" 2>/dev/null; do
        tries=$((tries + 1))
        sleep 0.1
    done
    status=$(at "$1" "$dozo" status --socket "$agent_folder/s" --json 2>/dev/null)
    kill "$process" 2>/dev/null
    wait "$process" 2>/dev/null
}
says() { echo "$2" | grep -q -- "$1" || { echo "$2" | tail -n 3; return 1; }; }
agent "$end" "wait for approval"
holds "status counts what waits" says '"requirement" *: *1' "$status"
holds "and how to look" says "wait for approval since 2028-.*: dozo approve -r $DOZO_REPOSITORY" "$shown"
holds "status says when it prunes by itself" \
    says "^repository main: next prune and sweep 2028-04-13 .*; next verification never, no verify-every" "$shown"
agent "2028-04-15 08:00:00" "^! warning"
holds "after a day that is a warning" says "! warning: .* for the approval of persons" "$shown"
ends_with 0 "for the approval of persons in repository main" "the night's report says it too" \
    at "2028-04-15 08:00:00" "$dozo" report nightly --config "$agent_folder/dozo.yaml"
ends_with 0 . "verify opens it all" at "$end" "$dozo" verify --quiet
echo done
