#!/bin/sh
# `dozo agent check`: the configuration file judged as a whole, offline, with documented statuses (S19); and the page
# that shows it, whose commands are run here.
. "$(dirname -- "$0")/cases.sh"
# A copy, for in a clone others of its group may be allowed to write.
sample=$folder/dozo.sample.yaml
(umask 077 && cp "$top/agent/config/dozo.sample.yaml" "$sample")
page=$top/docs/operating/nightly.md
file=$folder/dozo.yaml

# with SED-EXPRESSION: the sample with a change.
with() { sed "$1" "$sample" >"$file"; }
# says NAME PATTERN: of what the last command printed.
says() { if grep -qE -- "$2" "$folder/output"; then pass "$1"; else fail "$1" "$(tail -n 3 "$folder/output")"; fi; }

# --- right
ends_with 0 "is right: 1 repository, 4 sets of guests, 4 tiers, 3 policies, 5 targets" "the sample is right" \
    "$dozo" agent check --config "$sample"
says "the policies come by tier, with their RPO and when they are due next" \
    '^trade +1 payments and trade +30 min 00 s +2[0-9]{3}-[0-9]{2}-[0-9]{2} [0-9:]{5} [+-][0-9:]{5} +finance +main'
says "by the clock of the policy's place" '^nightly .* 22:30 \+0[12]:00 '
if "$dozo" agent check --config "$sample" --json >"$folder/document" 2>"$folder/errors"; then
    found=$(json "$folder/document" \
        '[d["is_right"], d["errors"], d["notes"], [p["name"] for p in d["policies"]], d["policies"][0]["rpo_seconds"]]')
    if [ "$found" = "[True, [], [], ['trade', 'nightly', 'weekly'], 1800]" ]; then pass "as one JSON document"
    else fail "as one JSON document" "$found"; fi
else fail "as one JSON document" "$(cat "$folder/errors")"; fi

# --- wrong
with 's/rpo: 30m/rpo: 24h/'
line=$(grep -n '^ *rpo: 24h$' "$file" | cut -d : -f 1)
ends_with 7 "dozo.yaml:$line: policies.trade.rpo: the RPO is 1d, and tier 1 .* may lose 1h at most; lower the RPO" \
    "a policy of the first tier with an RPO of 24 h is refused with file, line, key and remedy" \
    "$dozo" agent check --config "$file"
says "and the agent would not run with it" "1 error; the agent does not run with it"
with 's/every 15m/every 45m/; s/repository: main/repositry: main/; s/kind: journal/kind: diary/'
ends_with 7 "5 errors" "everything wrong is told at once" "$dozo" agent check --config "$file"
says "with the word that was meant" "policies.trade.repositry: \"repositry\" is no key here; did you mean repository\\?"
says "a schedule that cannot meet its RPO" "policies.trade.schedule: up to 45m pass between two runs, and the RPO"
"$dozo" agent check --config "$file" --json >"$folder/document" 2>"$folder/errors"
status=$?
found=$(json "$folder/document" '[d["is_right"], len(d["errors"]), sorted(d["errors"][0]), d["policies"]]')
if [ "$status $found" = "7 [False, 5, ['key', 'line', 'remedy', 'sentence'], []]" ]; then
    pass "errors as one JSON document, with the status"
else fail "errors as one JSON document, with the status" "$status $found"; fi
for key in sites media copies; do
    { cat "$sample"; echo "$key: {}"; } >"$file"
    ends_with 7 "$key are not available in this release" "$key are of later releases" \
        "$dozo" agent check --config "$file"
done
with 's/credential-file: .*writer/password: horse/'
ends_with 7 "secrets do not stand in this file" "a secret in the file is refused" "$dozo" agent check --config "$file"
if grep -q horse "$folder/output"; then fail "and not shown" "$(cat "$folder/output")"; else pass "and not shown"; fi

# --- told
with 's/guests: \[tests\]/guests: []/'
ends_with 0 "note: .*policies.weekly: the policy has no guests" "a policy without guests is told" \
    "$dozo" agent check --config "$file"
says "and guests without a policy" "note: .*guests.tests: no policy covers these guests"
with 's/patterns: \["test-\*"\]/patterns: ["test-*"]/; s/connection: xl/connection: libvirt/; s/"test-\*"/"ledg*"/'
ends_with 0 "note: .*ledger is covered by trade, and through another set by weekly" "a guest of two policies is told" \
    "$dozo" agent check --config "$file"

# --- whoever can change the file can have root run commands
with ''
chmod 666 "$file"
ends_with 0 "note: .*dozo.yaml:1: others than root can change this file" "a file that others can write is told" \
    "$dozo" agent check --config "$file"
chmod 600 "$file"
mkdir "$folder/open" && cp "$file" "$folder/open/dozo.yaml" && chmod 777 "$folder/open"
ends_with 0 "note: .*others than root can change this file or its folder" "and one in a folder that others can write" \
    "$dozo" agent check --config "$folder/open/dozo.yaml"
"$dozo" agent check --config "$file" >"$folder/output" 2>&1
if grep -q "others than root" "$folder/output"; then fail "one of one's own is not" "$(cat "$folder/output")"
else pass "one of one's own is not"; fi

# --- no file, and files that are none
ends_with 1 "cannot read .*nothing.yaml" "a missing file is status 1" \
    "$dozo" agent check --config "$folder/nothing.yaml"
ends_with 1 "dozo" "a folder is status 1" "$dozo" agent check --config "$folder"
ends_with 2 "Usage" "an unknown option is status 2" "$dozo" agent check --bogus
: >"$file"
ends_with 7 "the file is empty" "an empty file is refused" "$dozo" agent check --config "$file"
head -c 600000 /dev/zero >"$file"
ends_with 1 "larger than" "a file that is too large is not read" "$dozo" agent check --config "$file"
python3 - "$file" <<'PY'
import sys
with open(sys.argv[1], "w") as out:
    for number in range(30):
        out.write(f"a{number}: &a{number} [{', '.join([f'*a{max(0, number - 1)}'] * 9)}]\n")
PY
ends_with 7 "anchors and aliases are not read" "a bomb of aliases is refused" sh -c \
    'ulimit -v 4000000; exec "$0" agent check --config "$1"' "$dozo" "$file"
printf 'time-zone: "a\033[31mb"\n' >"$file"
"$dozo" agent check --config "$file" >"$folder/output" 2>&1
if grep -q "$(printf '\033')" "$folder/output"; then fail "nothing steers the terminal" "$(cat -v "$folder/output")"
else pass "nothing steers the terminal"; fi

# --- it needs nothing else: no repository, no state, no network
if command -v unshare >/dev/null 2>&1 && unshare -r -n true 2>/dev/null; then
    ends_with 0 "is right" "it works without network and state" env -u DOZO_REPOSITORY -u DOZO_PASSPHRASE_FILE \
        XDG_STATE_HOME="$folder/no state" unshare -r -n "$dozo" agent check --config "$sample"
    if [ -e "$folder/no state" ]; then fail "and makes no state" "$folder/no state"; else pass "and makes no state"; fi
else skip "it works without network and state" "no user namespaces here"; fi

# --- which guests there are
cat >"$file" <<YAML
time-zone: Etc/UTC
repositories:
  main: {location: "$folder/repository", credential-file: "$folder/none"}
guests:
  edge: {connection: qmp, socket: "$folder/edge.qmp", names: [edge]}
tiers:
  1: {name: all, largest-rpo: 24h}
policies:
  nightly: {guests: [edge], repository: main, tier: 1, schedule: "30 22 * * *", retention: {last: 2}}
YAML
chmod 600 "$file"
ends_with 0 "^edge  *-  *no monitor  *-  *nightly" "a guest that only the file names is listed, libvirt or not" \
    "$dozo" guests --config "$file"

# --- the page: each block of commands that begins with its mark is run, and shows what the page shows
sed -n '/^<!-- run: agent-check.sh -->$/,/^```$/p' "$page" | sed '/^<!--/d; /^```/d' >"$folder/commands"
mkdir -p "$folder/etc/dozo"
sed "s|/etc/dozo|'$(printf %s "$folder" | sed "s/'/'\\\\\\\\''/g")'/etc/dozo|g; s|/usr/share/doc/dozo|'$(
    printf %s "$folder" | sed "s/'/'\\\\\\\\''/g")'|g" \
    "$folder/commands" >"$folder/run"
count=$(grep -c '^dozo agent check' "$folder/commands")
mkdir -p "$folder/bin" && ln -s "$dozo" "$folder/bin/dozo"
if [ "$count" -ge 2 ] && PATH=$folder/bin:$PATH sh -e "$folder/run" >"$folder/output" 2>&1; then
    pass "the page's commands run ($count of the check)"
else fail "the page's commands run" "$count: $(tail -n 3 "$folder/output")"; fi
shown=$(sed -n 's/^.*dozo\.yaml \(is right: .*\)$/\1/p' "$page")
if [ -n "$shown" ] && grep -qF -- "$shown" "$folder/output"; then pass "and say what the page shows"
else fail "and say what the page shows" "$shown"; fi
echo done
