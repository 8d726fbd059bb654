#!/bin/sh
# Notices go to real servers on loopback: mail with STARTTLS, with TLS and with a login, webhooks, a journal's socket
# and programs; what a target does not take is kept and comes later (S36).
# shellcheck source=Tests/Integration/cases.sh
. "$(dirname -- "$0")/cases.sh"
probe=${NOTICE_PROBE:-$top/.build/debug/NoticeProbe}
[ -x "$probe" ] || { echo "FAIL: $probe does not exist; build it with: swift build --product NoticeProbe"; exit 1; }
if ! command -v curl >/dev/null 2>&1; then skip "notices" "needs curl: apt-get install curl"; echo done; exit 0; fi

peers=$folder/peers
mkdir -p "$peers"
"$DOZO_PYTHON" "$top/Tests/Support/notice-peers.py" "$peers" 2>"$folder/peers.log" &
server=$!
trap 'kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT
tries=0
until [ -e "$peers/ports" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || { fail "the servers of the test start" "$(tail -n 2 "$folder/peers.log")"; exit 1; }
    sleep 0.1
done
smtp='' smtps='' http='' https=''
# shellcheck disable=SC1091
. "$peers/ports"

# A night: 2028-02-29 02:00 UTC.
night=1835402400000000000
hour=3600000000000

# case_of NAME: forgets what came before, and begins a state folder and settings of its own.
case_of() {
    rm -f "$peers"/mail-* "$peers"/post-* "$peers"/journal-* "$peers"/login-* "$peers"/http-* "$peers"/no-* \
        "$peers"/curl-seen
    state=$folder/state/$1
    mkdir -p "$state"
}

# with TARGETS [RULES]: settings of the case; the rule that is usual sends everything to everybody at once.
with() {
    printf '{"targets": [%s], "rules": [%s]}' "$1" "${2:-$usual_rules}" >"$folder/settings"
}

# told STEPS…: runs the steps, one a line.
told() { printf '%s\n' "$@" | "$probe" "$folder/settings" "$state" ${limit:+"$limit"} >"$folder/said" 2>&1; }

# is NAME EXPRESSION: a Python expression over what came, which must be true.
is() {
    result=$("$DOZO_PYTHON" - "$peers" "$folder/said" "$state" "$2" 2>&1 <<'PY'
import email, email.policy, glob, json, os, sys
peers, said, state = sys.argv[1:4]
def came(kind): return [json.load(open(name)) for name in sorted(glob.glob(f"{glob.escape(peers)}/{kind}-[0-9]*.json"))]
def parsed(mail): return email.message_from_bytes(mail["text"].encode("latin-1"), policy=email.policy.default)
mails, posts, logins = came("mail"), came("post"), came("login")
entries = [dict(map(tuple, entry)) for entry in came("journal")]
texts = [parsed(mail) for mail in mails]
bodies = [json.loads(post["body"]) for post in posts]
said = open(said).read()
outcomes = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
def outcome(target): return [line["outcome"] for line in outcomes if line.get("target") == target]
kept = b"".join(open(os.path.join(state, name), "rb").read() for name in os.listdir(state))
def file(name):
    try: return open(name, "rb").read().decode()
    except FileNotFoundError: return ""
print(bool(eval("(" + sys.argv[4] + ")")))
PY
)
    case "$result" in
        True) pass "$1" ;;
        *) fail "$1" "$(printf '%s' "$result" | tail -n 1); $(tail -n 4 "$folder/said" | cut -c 1-400 | tr '\n' ' ')" ;;
    esac
}

# failed_run GUEST [AT [SEVERITY]]: a step that reports a failed run.
failed_run() {
    printf '{"do": "report", "at": %s, "notices": [{"kind": "failed", "severity": "%s", "at": %s, "guest": "%s",' \
        "${2:-$night}" "${3:-error}" "${2:-$night}" "$1"
    printf ' "policy": "nightly", "run": "r1", "sentence": "the backup of guest %s failed", "remedy": "look"}]}' "$1"
}
deliver() { printf '{"do": "deliver", "at": %s}' "${1:-$night}"; }

mail_target() {
    printf '{"name": "mail", "type": "mail", "server": "localhost", "port": %s,' "$1"
    printf ' "from": "Dozo 監視 <dozo@example.org>",'
    printf ' "to": ["op@example.org", "\\"Duty, Night\\" <night@example.org>"],'
    printf ' "authority-file": "%s/authority.pem"' "$peers"
    printf '%s}' "${2:-}"
}
login=$(printf ', "user": "dozo", "password-file": "%s/password"' "$peers")
log_target=$(printf '{"name": "log", "type": "journal", "socket": "%s/journal"}' "$peers")
hook_target() {
    printf '{"name": "hook", "type": "webhook", %s, "authority-file": "%s/authority.pem"%s}' "$1" "$peers" "${2:-}"
}

# Mail.
usual_rules='{"targets": "mail"}'
case_of mail
with "$(mail_target "$smtp" "$login")"
told "$(failed_run 業務サーバ01)" "$(deliver)"
is "a failed run comes by mail over STARTTLS, after a login" \
    'len(mails) == 1 and mails[0]["protected"] and mails[0]["user"] == "dozo" and outcome("mail") == ["delivered"]'
is "the subject names the guest, in its own letters" '"guest 業務サーバ01 failed" in texts[0]["subject"]'
is "the body has the sentence, what to do, and the run" \
    'all(w in texts[0].get_content() for w in ["the backup of guest 業務サーバ01 failed", "do: look", "run r1"])'
is "sender and recipients are those of the settings, in the envelope and in the head" \
    'mails[0]["sender"].startswith("MAIL FROM:<dozo@example.org>") and len(mails[0]["recipients"]) == 2 and
     texts[0]["to"].addresses[1].addr_spec == "night@example.org" and
     texts[0]["from"].addresses[0].display_name == "Dozo 監視"'
is "the message is proper and says that nobody need answer" \
    'not texts[0].defects and texts[0]["auto-submitted"] == "auto-generated" and texts[0]["message-id"] and
     texts[0]["date"].datetime.year'
is "the password stands in no argument list and no environment" \
    '"curl" in file(peers + "/curl-seen") and "wörd" not in file(peers + "/curl-seen")'
is "nor in the state folder" '"wörd".encode() not in kept'

told "$(failed_run 業務サーバ01 "$((night + hour))")" "$(deliver "$((night + hour))")"
is "the same failure an hour later is not told again" 'len(mails) == 1'
told "$(failed_run 業務サーバ01 "$((night + 25 * hour))")" "$(deliver "$((night + 25 * hour))")"
is "a day later it is told as still going on" 'len(mails) == 2 and "[error, still]" in texts[1]["subject"]'
told "{\"do\": \"succeeded\", \"guest\": \"業務サーバ01\", \"policy\": \"nightly\", \"at\": $((night + 26 * hour))}" \
    "$(deliver "$((night + 26 * hour))")"
is "and that it is over is told too" 'len(mails) == 3 and "[over] over after 1 day 2 h" in texts[2]["subject"]'

case_of hostile
with "$(mail_target "$smtp" "$login")"
# shellcheck disable=SC2016  # names, not commands
told "$(failed_run 'a\r\nBcc: everybody@example.org\r\n\r\nforged')" "$(deliver)" \
    "$(failed_run '\r\n.\r\nMAIL FROM:<x@y>\r\n')" "$(deliver)" \
    "$(failed_run '$(touch /tmp/x)`reboot`\u0000\u001b]0;t\u0007')" "$(deliver)" \
    "$(failed_run '=?UTF-8?B?YQ==?=')" "$(deliver)"
is "names that would make headers, end the message or steer a terminal do not" \
    'len(mails) == 4 and all(len(mail["recipients"]) == 2 and mail["commands"].count("MAIL") == 1 for mail in mails) and
     not any(text["bcc"] or text.defects for text in texts) and "\x1b" not in texts[2].get_content()'
is "a name that looks encoded stays as it is" '"guest =?UTF-8?B?YQ==?= failed" in texts[3]["subject"]'

case_of implicit
with "$(mail_target "$smtps" "$login, \"security\": \"tls\"")"
told "$(failed_run web01)" "$(deliver)"
is "mail goes over TLS from the first byte on" \
    'len(mails) == 1 and mails[0]["protected"] and mails[0]["user"] == "dozo"'

case_of plain
with "$(mail_target "$smtp" ', "security": "none"')"
told "$(failed_run web01)" "$(deliver)"
is "and without TLS to a server of this host, when that is asked for" 'len(mails) == 1 and not mails[0]["protected"]'

usual_rules='{"targets": ["mail", "log"]}'
case_of stranger
with "$(mail_target "$smtp" "$login" | sed 's/authority\.pem/stranger.pem/'), $log_target"
told "$(failed_run web01)" "$(deliver)"
is "a server with a stranger's certificate gets neither message nor password" \
    'not mails and not logins and outcome("mail") == ["failed"] and "certificate" in said'
is "and that it failed is told through the journal" \
    '[entry["DOZO_KIND"] for entry in entries] == ["failed", "target-failed"] and
     "certificate" in entries[1]["MESSAGE"]'

case_of stripped
touch "$peers/no-starttls"
with "$(mail_target "$smtp" "$login"), $log_target"
told "$(failed_run web01)" "$(deliver)"
is "a line on which STARTTLS is not offered gets neither message nor password" \
    'not mails and not logins and outcome("mail") == ["failed"]'

case_of wrong-password
(umask 077 && echo "another-secret" >"$folder/wrong")
with "$(mail_target "$smtp" ", \"user\": \"dozo\", \"password-file\": \"$folder/wrong\""), $log_target"
told "$(failed_run web01)" "$(deliver)"
is "a wrong password is a failure whose sentence does not say it" \
    'not mails and len(logins) == 1 and outcome("mail") == ["failed"] and "another-secret" not in said and
     b"another" not in kept'

case_of open-password
cp "$folder/wrong" "$folder/open" && chmod 644 "$folder/open"
with "$(mail_target "$smtp" ", \"user\": \"dozo\", \"password-file\": \"$folder/open\""), $log_target"
told "$(failed_run web01)" "$(deliver)"
is "a password that others may read is refused, with what to do" 'not logins and "chmod 600" in said'

# What waits.
case_of waits
with "$(mail_target "$smtp" "$login"), $log_target"
echo "451 try again later" >"$peers/mail-answer"
told "$(failed_run db01)" "$(deliver)" "$(deliver "$((night + 10000000000))")"
is "what a server does not take now is not tried again at once" 'outcome("mail") == ["failed"] and not mails'
rm "$peers/mail-answer"
told "$(failed_run db02 "$((night + hour))")" "$(deliver "$((night + hour))")"
is "and comes from the file later, in order, before what is new" \
    'outcome("mail") == ["delivered"] * 2 and "db01" in texts[0]["subject"] and "db02" in texts[1]["subject"]'
is "that the server is back is told through the journal" \
    'entries[-1]["DOZO_KIND"] == "target-failed" and entries[-1]["DOZO_PHASE"] == "over"'

case_of hangs
echo hang >"$peers/mail-answer"
with "$(mail_target "$smtp" "$login"), $log_target"
limit=2
told "$(failed_run web01)" "$(deliver)"
limit=
rm "$peers/mail-answer"
is "a server that says nothing costs no more than the time limit" 'outcome("mail") == ["failed"] and len(entries) == 2'

case_of killed
with "$(mail_target "$smtp" "$login")" '{"targets": "mail"}'
told "$(failed_run web01)"
told "$(deliver)"
is "a process that ended before it delivered has left it to the next one" 'len(mails) == 1'
for file in "$state"/notices.*; do printf 'x' | dd of="$file" bs=1 seek=60 conv=notrunc 2>/dev/null; done
told "$(failed_run web01)" "$(deliver)"
is "a damaged file is told and keeps nobody quiet" '"damaged" in said and len(mails) == 2'

# Absence and digests.
case_of absence
with "$(mail_target "$smtp" "$login")" \
    '{"targets": "mail", "at-least": "error"}, {"targets": "mail", "send": "digest"}'
expected="{\"guest\": \"web01\", \"policy\": \"nightly\", \"since\": 1, \"due\": [$night], \"last-start\": 1,"
expected="$expected \"last-point\": $((night - 20 * hour)), \"objective\": $((24 * hour))}"
watch() {
    printf '{"do": "observe", "at": %s, "expectations": [%s],' "$1" "$expected"
    printf ' "uncovered": [{"guest": "new01", "since": 1}]}'
}
told "$(watch "$((night + 60))")" "$(watch "$((night + hour))")" "$(watch "$((night + 3 * hour))")" \
    "$(deliver "$((night + 3 * hour))")"
is "a run that never began and a guest without a policy are told, and nobody had reported anything" \
    'all(any(words in text.get_content() for text in texts)
         for words in ["not backed up: the run", "not backed up: no policy"])'
told "$(watch "$((night + 5 * hour))")" "$(deliver "$((night + 5 * hour))")"
is "what is no more than a warning waits for the digest" 'len(mails) == 1'
told '{"do": "digest", "at": '"$((night + 6 * hour))"'}' "$(deliver "$((night + 6 * hour))")"
is "which is one message with all of the night, the worst first" \
    'len(mails) == 2 and "(digest)" in texts[1]["subject"] and
     -1 < texts[1].get_content().find("(class <=2)") and "waits for its backup" in texts[1].get_content()'

# Webhooks.
usual_rules='{"targets": ["hook", "log"]}'
(umask 077 && echo "Bearer token-of-a-test" >"$folder/token" &&
    echo "https://localhost:$https/secret-path/x?y=1" >"$folder/address")
token_header=$(printf ', "headers": [{"name": "Authorization", "file": "%s/token"}]' "$folder")
case_of hook
with "$(hook_target "\"url-file\": \"$folder/address\"" "$token_header"), $log_target"
# Somebody's proxy and configuration are not ours.
https_proxy=http://127.0.0.1:1 told "$(failed_run 'we\"b\\01')" "$(deliver)"
is "a webhook gets JSON over TLS, at the address and with the header of its files" \
    'posts[0]["path"] == "/secret-path/x?y=1" and
     posts[0]["headers"]["Authorization"] == "Bearer token-of-a-test" and
     posts[0]["headers"]["Content-Type"] == "application/json"'
is "with all there is to know" \
    'bodies[0]["format"] == "dozo-notices-1" and bodies[0]["notices"][0]["guest"] == "we\"b\\01" and
     bodies[0]["notices"][0]["kind"] == "failed"'
is "neither address nor header stand in an argument list" \
    '"curl" in file(peers + "/curl-seen") and
     all(word not in file(peers + "/curl-seen") for word in ["secret-path", "token-of"])'
echo 503 >"$peers/http-status"
told "$(failed_run web02 "$((night + 1))")" "$(deliver "$((night + 1))")"
rm "$peers/http-status"
is "a server in trouble is told without the secret address" \
    'outcome("hook") == ["failed"] and "status 503" in said and "secret-path" not in said and
     b"secret-path" not in kept and "503" in entries[-1]["MESSAGE"]'
told "$(deliver "$((night + hour))")"
is "and is sent the same later" \
    'posts[-1]["status"] == 200 and bodies[-1]["notices"][0]["guest"] == "web02"'

case_of refused
with "$(hook_target "\"url\": \"http://localhost:$http/\""), $log_target"
echo 400 >"$peers/http-status"
told "$(failed_run web01)" "$(deliver)" "$(deliver "$((night + hour))")" "$(deliver "$((night + 3 * hour))")"
is "what is refused three times is given up" 'outcome("hook") == ["refused"] * 3 and outcomes[-1]["waiting"] == 0'
rm "$peers/http-status"
told "$(failed_run web02 "$((night + 9 * hour))")" "$(deliver "$((night + 9 * hour))")"
is "and the next message says that something is missing" 'bodies[-1]["lost"] == 1 and outcome("hook") == ["delivered"]'

case_of elsewhere
with "$(hook_target "\"url\": \"https://localhost:$https/a\""), $log_target"
echo 307 >"$peers/http-status"
echo "http://localhost:$http/stolen" >"$peers/http-location"
told "$(failed_run web01)" "$(deliver)"
is "a redirection is not followed" \
    'len(posts) == 1 and outcome("hook") == ["refused"] and "not followed" in said'

case_of bare-secret
with "$(hook_target '"url": "http://hooks.example.org/x"' "$token_header"), $log_target"
told "$(failed_run web01)" "$(deliver)"
is "a secret is not sent without TLS to another host" 'outcome("hook") == ["failed"] and "use https" in said'

# Programs.
usual_rules='{"targets": "program"}'
cat >"$folder/program" <<'SH'
#!/bin/sh
cat >"${0%/*}/input"
env >"${0%/*}/environment"
SH
chmod 700 "$folder/program"
case_of program
with "{\"name\": \"program\", \"type\": \"command\", \"command\": [\"$folder/program\"]}"
# shellcheck disable=SC2016  # a name, not a command
DOZO_SECRET=of-the-agent told "$(failed_run '$(touch stolen)`touch stolen`;x\nDOZO_KIND=forged')" "$(deliver)"
is "a program reads all as JSON, and the worst in its environment" \
    'json.loads(file(state + "/../../input"))["notices"][0]["kind"] == "failed" and
     "\nDOZO_KIND=failed\n" in file(state + "/../../environment") and
     "\nDOZO_KIND=forged" not in file(state + "/../../environment")'
is "the environment of the agent stays its own" '"of-the-agent" not in file(state + "/../../environment")'

printf '#!/bin/sh\nsleep 300 & echo $! >"%s/child"\nwait\n' "$folder" >"$folder/slow"
printf '#!/bin/sh\necho "no such pager" >&2\nexit 3\n' >"$folder/wrong-program"
chmod 700 "$folder/slow" "$folder/wrong-program"
case_of slow
with "{\"name\": \"program\", \"type\": \"command\", \"command\": [\"$folder/slow\"], \"seconds\": 1}"
told "$(failed_run web01)" "$(deliver)"
is "a program that does not end is ended in time" 'outcome("program") == ["failed"] and "was ended after 1 s" in said'
child=$(cat "$folder/child")
# Its end is the kernel's to tell: it is a zombie until somebody collects it.
if [ -d "/proc/$child" ] && ! grep -q '^State:.Z' "/proc/$child/status" 2>/dev/null; then
    fail "and so is all that it started" "process $child runs"
else pass "and so is all that it started"; fi
case_of wrong-program
with "{\"name\": \"program\", \"type\": \"command\", \"command\": [\"$folder/wrong-program\"]}"
told "$(failed_run web01)" "$(deliver)"
is "one that fails is told with what it said" '"ended with status 3: no such pager" in said'

# The journal.
usual_rules='{"targets": "log"}'
case_of journal
with "$log_target"
told "$(failed_run '業務\nPRIORITY=0' "$night" critical)" "$(deliver)"
is "the journal gets fields that can be asked for" \
    'entries[0]["PRIORITY"] == "2" and entries[0]["SYSLOG_IDENTIFIER"] == "dozo" and
     entries[0]["DOZO_GUEST"].startswith("業務") and entries[0]["DOZO_RUN"] == "r1" and
     "failed -- look" in entries[0]["MESSAGE"]'
case_of no-journal
with "{\"name\": \"log\", \"type\": \"journal\", \"socket\": \"$folder/nothing\"}"
told "$(failed_run web01)" "$(deliver)"
is "without a journal it is the system's log" 'outcome("log") == ["delivered"]'

# The report of a night.
case_of nightly
with "$log_target"
run=$(printf '{"run": "r1", "guest": "<業務&", "policy": "nightly", "began": %s, "ended": %s, "outcome": "failed",' \
    "$night" "$((night + hour))")
run="$run \"reasons\": [\"no room\"], \"bytes-read\": 1073741824, \"started-by\": \"schedule\"}"
for format in text json html; do
    told "$(failed_run '<業務&')" "$(
        printf '{"do": "nightly", "format": "%s", "at": %s, "from": %s,' "$format" "$((night + 8 * hour))" "$night"
        printf ' "until": %s, "runs": [%s]}' "$((night + 8 * hour))" "$run")"
    cp "$folder/said" "$state/$format"
done
is "as text it says what failed and why" \
    '"<業務&, run r1: failed: no room" in file(state + "/text") and "1 failed" in file(state + "/text")'
is "as JSON it has the record" 'json.loads(file(state + "/json"))["runs"][0]["reasons"] == ["no room"]'
is "as a page it has a picture, and names are no tags" \
    '"<svg" in file(state + "/html") and "<業務" not in file(state + "/html") and "&lt;業務&amp;" in file(state + "/html")'
echo done
