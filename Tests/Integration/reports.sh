#!/bin/sh
# dozo report: a night from the records of runs, the coverage of guests (S39), repositories and guests with what they
# have and use (S6, S45); without an agent that runs. The commands of the page about reports are run here.
# shellcheck source=Tests/Integration/cases.sh
. "$(dirname -- "$0")/cases.sh"
page=$top/docs/operating/reports.md
runs=$XDG_STATE_HOME/dozo/agent/runs
samples=$XDG_STATE_HOME/dozo/agent/capacity
says() { if grep -qE -- "$2" "$folder/output"; then pass "$1"; else fail "$1" "$(tail -n 3 "$folder/output")"; fi; }
# is NAME EXPRESSION WANTED: a Python expression over the document that the last command printed.
is() {
    found=$(json "$folder/document" "$2" 2>&1)
    if [ "$found" = "$3" ]; then pass "$1"; else fail "$1" "$found"; fi
}
# document COMMAND…: its JSON.
document() { "$dozo" "$@" --json >"$folder/document" 2>"$folder/errors" </dev/null; }

# The sample's file, with names of this test.
config=$folder/dozo.yaml
(umask 077 && sed -e "s,/srv/backup/dozo,$folder/repository," -e "s,qemu:///system,test:///default," \
    -e "s,connection: xl,connection: libvirt\\n    uri: test:///default," \
    -e "s/\[ledger, payments\]/[test, payments]/" \
    "$top/agent/config/dozo.sample.yaml" >"$config")
ends_with 0 "is right" "the agent's file is right" "$dozo" agent check --config "$config"
"$dozo" init >"$folder/output" 2>&1 || fail "a repository is made" "$(cat "$folder/output")"
noise "$folder/disk" 1 1
"$dozo" backup --guest web01 --quiet "$folder/disk" >"$folder/output" 2>&1 ||
    fail "a backup is made" "$(cat "$folder/output")"

# --- nightly
ends_with 0 "no run at all" "without any record a night is a night without runs" "$dozo" report nightly
says "and without a file nothing is promised" "no agent's file"
# What the agent keeps: runs of this night, as RunRecord has them, and what a crash leaves.
python3 - "$runs" <<'PY'
import datetime, json, os, sys
folder, hour = sys.argv[1], 3600 * 10**9
now = datetime.datetime.now().timestamp()
os.makedirs(folder, exist_ok=True)
def keep(run, guest, policy, hours, minutes, outcome, reasons=(), point=None, stored=0):
    began = int((now - hours * 3600) * 10**9)
    record = {"run": run, "guest": guest, "repository": "main", "policy": policy, "policy-revision": "1",
        "started-by": "schedule", "began": began,
        "ended": None if outcome == "running" else began + minutes * hour // 60,
        "outcome": outcome, "reasons": list(reasons), "point": point, "phases": [], "bytes-read": 10 << 30,
        "bytes-read-again": 0, "bytes-changed": 2 << 30, "bytes-new": 1 << 30, "bytes-stored": stored}
    day = datetime.datetime.fromtimestamp(began / 1e9, datetime.timezone.utc).strftime("%Y-%m-%d")
    with open(f"{folder}/{day}.jsonl", "a") as out:
        out.write(json.dumps({k: v for k, v in record.items() if v is not None and v != []}) + "\n")
# The running one is told again when it has ended.
keep("r1", "test", "trade", 0.5, 0, "running")
keep("r1", "test", "trade", 0.5, 12, "complete", point="p1", stored=500 << 20)
keep("r2", "payments", "trade", 0.4, 3, "failed", ["no room <b>"])
keep("r3", "shop-1", "nightly", 40, 30, "complete", point="p2", stored=700 << 20)
keep("r4", "web01", "nightly", 0.3, 1, "stopped", ["the window ended"])
for name in sorted(os.listdir(folder))[-1:]:
    with open(f"{folder}/{name}", "a") as out: out.write('{"run":"torn","gue')
PY
span="--from $(date -d '-2 hours' +%Y-%m-%dT%H:%M)"
# shellcheck disable=SC2086  # words
ends_with 0 "1 failed, 1 stopped, 1 complete; [0-9] of [0-9] promises broken" "a night has its runs" \
    "$dozo" report nightly --config "$config" $span
says "the worst first" "^payments +failed"
says "with the reason" "payments, run r2: failed: no room <b>"
says "what the policies promise and what is left of it" "^shop-1 +nightly .*<=2$"
says "guests that never had a point are broken promises too" "^payments +trade +none .*>4$"
says "a torn line is told and costs nothing else" "1 line of the records of runs made no sense"
# shellcheck disable=SC2086
document report nightly --config "$config" $span
is "as JSON" '[d["format"], [r["run"] for r in d["runs"]], d["bytes-stored"] >> 20]' \
    "['dozo-nightly-1', ['r2', 'r4', 'r1'], 500]"
# shellcheck disable=SC2086
"$dozo" report nightly --config "$config" $span --html >"$folder/output" 2>"$folder/errors"
says "as a page, in which no name becomes a tag" "no room &lt;b&gt;"
if python3 -c 'import sys; from html.parser import HTMLParser
class Page(HTMLParser):
    stack = []
    def handle_starttag(self, tag, attributes):
        assert tag != "script" and not any(n in ("src", "href") for n, _ in attributes), tag
        if tag not in ("meta", "br", "line", "rect"): self.stack.append(tag)
    def handle_endtag(self, tag):
        if tag not in ("meta", "br", "line", "rect"): assert self.stack.pop() == tag, tag
page = Page(); page.feed(open(sys.argv[1]).read()); assert not page.stack' "$folder/output" 2>"$folder/errors"
then pass "whose tags are all closed and which asks for nothing else"
else fail "whose tags are all closed and which asks for nothing else" "$(tail -n 1 "$folder/errors")"; fi
ends_with 0 "no run at all" "another night has other runs" "$dozo" report nightly --config "$config" --date 2026-01-15
ends_with 1 "has not begun" "a night to come has none" "$dozo" report nightly --date 2200-01-01
ends_with 2 "ends before it begins" "a time that ends before it begins is refused" \
    "$dozo" report nightly --from 2026-01-02 --until 2026-01-01
ends_with 2 "is no time" "and what is no time" "$dozo" report nightly --from yesterday
sed 's/every 15m/every 45m/' "$config" >"$folder/wrong.yaml" && chmod 600 "$folder/wrong.yaml"
ends_with 7 "agent check" "by a wrong file nothing is reported" "$dozo" report nightly --config "$folder/wrong.yaml"
says "that it is wrong is said" "wrong.yaml is wrong"

# --- coverage
if "$dozo" guests --connect test:///default >"$folder/output" 2>&1; then
    ends_with 3 "not every guest is covered" "guests that are missing make coverage less than whole" \
        "$dozo" report coverage --config "$config"
    says "a guest that a policy names is covered" "^test +trade +1 +30 min +20"
    says "a guest of a monitor is listed by its name" "^router +nightly"
    says "names that no guest has are told" "policy trade names guests that are not there: payments"
    sed 's/\[test, payments\]/[payments]/; s/tags: \[shop\]//' "$config" >"$folder/other.yaml" &&
        chmod 600 "$folder/other.yaml"
    ends_with 3 "1 of 2 guests unprotected" "a guest that nobody backs up makes status 3 (S39)" \
        "$dozo" report coverage --config "$folder/other.yaml"
    says "and comes first" "^test +unprotected"
    says "policies that match no guest are told" "policy weekly covers no guest that is there"
    document report coverage --config "$folder/other.yaml"
    is "as JSON" '[(g["guest"], g["protection"]) for g in d["guests"]]' \
        "[('test', 'unprotected'), ('router', 'covered')]"
    (umask 077 && sed -e '/^policies:/,$d' -e '/^  \(shop\|router\|tests\):/,/^$/d' "$config" >"$folder/all.yaml" &&
        cat >>"$folder/all.yaml" <<'YAML'
policies:
  all:
    guests: [finance]
    repository: main
    tier: 1
    schedule: every 15m
    retention: {last: 2}
YAML
    )
    sed -i 's/\[test, payments\]/[test]/' "$folder/all.yaml"
    ends_with 0 "the only guest is covered" "where every guest is covered the status is 0" \
        "$dozo" report coverage --config "$folder/all.yaml"
    ends_with 3 "could not be asked" "a connection that does not answer is told, with status 3" \
        "$dozo" report coverage --config "$folder/all.yaml" --connect test:///missing
    ends_with 3 "1 of 1 guests unprotected" "without an agent's file nothing is covered" \
        "$dozo" report coverage --connect test:///default
else
    skip "coverage and guests" "libvirt's test driver is not here: $(tail -n 1 "$folder/output")"
fi

# --- capacity
ends_with 0 "too little history: 1 day of 10" "a repository of which nothing is known yet" \
    "$dozo" report capacity --config "$config" --no-guests
says "with what runs store a day" "^main .* 7[12][0-9]\.[0-9] MiB "
# Sixty days in which the file system took a known number of bytes a day.
days=$(python3 - "$samples" "$folder/repository" <<'PY'
import datetime, json, os, sys
folder, repository = sys.argv[1], os.path.realpath(sys.argv[2])
facts = os.statvfs(repository)
used, free = (facts.f_blocks - facts.f_bfree) * facts.f_frsize, facts.f_bavail * facts.f_frsize
now = datetime.datetime.now(datetime.timezone.utc)
for days in range(1, 61):
    at = now - datetime.timedelta(days=days)
    # A hundredth of what is used now came each day.
    sample = {"at": int(at.timestamp() * 10**9), "location": repository, "size": 1,
        "used": used - days * used // 100, "free": free + days * used // 100}
    with open(f"{folder}/{at:%Y-%m-%d}.jsonl", "a") as out: out.write(json.dumps(sample) + "\n")
print(100 * free // used)
PY
)
document report capacity --config "$config" --no-guests
# What others write meanwhile is part of it.
is "sixty days foretell when it is full (S6)" \
    "abs((d['repositories'][0]['forecast']['full-at'] - d['made']) / 86400e9 - $days) < 3 + $days / 10" True
is "its own size is that of its objects" 'd["repositories"][0]["size"]' "$(repository_bytes)"
ends_with 0 "full on " "and it is said with a range" "$dozo" report capacity -r "$folder/repository" --no-guests
ends_with 3 "there is no folder" "a repository that is not there is told, with status 3" \
    "$dozo" report capacity --config "$config" -r "$folder/missing" --no-guests
ends_with 2 "which repositories" "without any there is nothing to report" \
    env -u DOZO_REPOSITORY "$dozo" report capacity --no-guests
if "$dozo" guests --connect test:///default >"$folder/output" 2>&1; then
    ends_with 0 "^total .* 8.59 .* 2 " "guests have memory and processors, with sums (S45)" \
        "$dozo" report capacity -r "$folder/repository" --connect test:///default
    document report capacity -r "$folder/repository" --connect test:///default
    is "as JSON" '[(m["name"], m["memory"]["total"] >> 20, m["millicores"]["total"]) for m in d["table"]["machines"]]' \
        "[('test', 8192, 2000)]"
fi
"$dozo" report capacity -r "$folder/repository" --no-guests --html >"$folder/output" 2>&1
says "as a page" "<h1>Capacity of "

# --- the commands of the page, by this test's file and libvirt
sed -n '/^```sh$/,/^```$/{/^```/d;p}' "$page" | grep -v '^#' | sed -e "s,/etc/dozo/dozo.yaml,$folder/all.yaml,g" \
    -e "s,/srv/backup/dozo,$folder/repository,g" -e 's,qemu:///system,test:///default,g' >"$folder/lines"
mkdir "$folder/bin" && ln -s "$dozo" "$folder/bin/dozo"
count=0
while read -r line; do
    (cd "$folder" && PATH=$folder/bin:$PATH && eval "$(printf '%s' "$line" | sed "s,$folder,\"\$folder\",g")") \
        >"$folder/output" 2>&1 </dev/null
    status=$?
    # 3: not every guest of this machine is covered, which the command says.
    if [ $status -eq 0 ] || [ $status -eq 3 ]; then count=$((count + 1))
    else fail "the page's line works: $line" "status $status: $(tail -n 2 "$folder/output")"; fi
done <"$folder/lines"
if [ "$count" -ge 6 ]; then pass "the page's $count commands work"; else fail "the page's commands work" "$count"; fi
echo done
