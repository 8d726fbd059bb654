#!/bin/sh
# Applications at rest: the hooks of agent/hooks in guests whose agent calls them, and what points say of it; hooks that
# fail, hang or lie, agents that tell nothing, and others who bring a guest to rest or let it go on meanwhile.
. "$(dirname -- "$0")/cases-guests.sh"
for name in a b; do
    cp --sparse=always "$guest/vda.raw" "$run/$name.raw"
    tiny start "$guest" "$run/$name" --memory 128 --disk "$run/$name.raw:raw" \
        --extra=-uuid --extra="0e0f0000-0000-4000-8000-00000000000$name" >"$folder/start-$name" 2>&1 &
done
wait
holds "two guests run" tiny run "$run/a" "true"
# put GUEST FILE PATH: a program of ours in the guest.
put() {
    tiny run "$run/$1" "mkdir -p '$(dirname "$3")'; echo '$(base64 -w 0 "$2")' | base64 -d >'$3'; chmod 755 '$3'"
}
# agent GUEST WORDS: its agent is started anew.
agent() {
    tiny run "$run/$1" "kill \$(cat /run/qemu-ga.pid) && while [ -e /run/qemu-ga.pid ]; do sleep 0.1; done
        qemu-ga -d -m virtio-serial -p /dev/virtio-ports/org.qemu.guest_agent.0 -t /run -f /run/qemu-ga.pid \
            -l /run/qemu-ga.log $2" >/dev/null
}
# hook GUEST NAME BODY
hook() {
    printf '#!/bin/sh\necho "%s $1" >>/run/called\n%s\n' "$2" "$3" >"$folder/hook"
    put "$1" "$folder/hook" "/etc/dozo/hooks.d/$2"
}
calls() { tiny run "$run/$1" 'cat /run/called 2>/dev/null; rm -f /run/called' | tr '\n' ','; }
for name in a b; do
    put "$name" "$top/agent/hooks/dozo-fsfreeze-hook" /sbin/dozo-fsfreeze-hook
    agent "$name" "-F/sbin/dozo-fsfreeze-hook"
done
one() { "$dozo" backup --qmp "$run/a/qmp.sock" --agent "$run/a/agent.sock" --guest a "$@"; }
both() {
    "$dozo" backup --qmp "$run/a/qmp.sock" --agent "$run/a/agent.sock" \
        --qmp "$run/b/qmp.sock" --agent "$run/b/agent.sock" "$@"
}
# level: what the last point of guest a says.
level() { "$dozo" show "${1:-a@latest}" --json 2>/dev/null | "$python" -c '
import json, sys
print(json.load(sys.stdin)["point"]["consistency"])'; }
points() { "$dozo" points --json 2>/dev/null | grep -c '"id"'; }
# flows: nothing in guest a is at rest.
flows() {
    tiny agent "$run/a" guest-fsfreeze-status | grep -q thawed &&
        tiny run "$run/a" 'timeout 5 sh -c "echo >/flows && sync"'
}
holds "init" "$dozo" init

# --- they are called, and are at rest
ends_with 0 "" "without a single hook" one --quiesce require --json
is "file systems are at rest and no more is said" "$(level)" file-system
hook a 10-first 'echo "$1 $(cut -d" " -f1 /proc/uptime)" >/first'
hook a 20-second ''
hook a 30-idle 'exit 3'
ends_with 0 "" "with hooks" one --json
is "applications are at rest" "$(level)" application
is "each was called once, in reverse at the thaw" "$(calls a)" \
    "10-first freeze,20-second freeze,30-idle freeze,30-idle thaw,20-second thaw,10-first thaw,"
"$dozo" show a@latest >"$folder/shown" 2>&1
says "the point says so" "consistency *application" "$folder/shown"
says "and which hooks there were" "hook in it *10-first: ok, " "$folder/shown"
says "also the one that had nothing to do" "hook in it *30-idle: idle, " "$folder/shown"
"$dozo" show a@latest --json >"$folder/shown.json" 2>/dev/null
is "and as JSON" "$(json "$folder/shown.json" '[h["name"] + h["outcome"] for h in d["machine"]["hooks"]]')" \
    "['10-firstok', '20-secondok', '30-idleidle']"
"$dozo" restore a@latest --disk vda --to "$run/restored.raw" >/dev/null 2>&1
debugfs -R 'cat /first' "$run/restored.raw" >"$folder/first" 2>/dev/null
says "they came before the instant, and let go behind it" "^freeze" "$folder/first"
ends_with 0 "" "required, it is made too" one --quiesce application --json
tiny run "$run/a" 'sed -i "s/^boot .*/boot 00/; s/^freeze .*/freeze 41/" /run/dozo/application' >/dev/null
ends_with 0 "" "a file that another start left does not matter" one --quiesce application --json

# --- they are not
count=$(points)
tiny run "$run/a" 'rm /etc/dozo/hooks.d/10-first /etc/dozo/hooks.d/20-second'
ends_with 7 "had anything to bring to rest" "hooks that have nothing to do make no application" \
    one --quiesce application
hook a 10-first ''
hook a 20-second '[ "$1" = thaw ] || { echo no; exit 1; }'
calls a >/dev/null
ends_with 1 "the hook 20-second in it failed" "a hook that fails refuses rest where it is required" \
    one --quiesce require
is "those that were called are undone" "$(calls a)" "10-first freeze,20-second freeze,20-second thaw,10-first thaw,"
is "no point is made" "$(points)" "$count"
holds "and the guest goes on" flows
ends_with 0 "the hook 20-second in it failed" "where it is not it is told" one
is "and the point promises nothing" "$(level)" crash
tiny run "$run/a" 'mkdir -p /etc/dozo; echo "hook_seconds=3" >/etc/dozo/hooks.conf'
hook a 20-second '[ "$1" = thaw ] || { trap "" TERM; while :; do sleep 1; done; }'
calls a >/dev/null
ends_with 1 "the hook 20-second in it took too long" "one that hangs is ended" one --quiesce application
is "and undone" "$(calls a)" "10-first freeze,20-second freeze,20-second thaw,10-first thaw,"
holds "and the guest goes on" flows
tiny run "$run/a" 'rm /etc/dozo/hooks.conf'
hook a 20-second '[ "$1" = freeze ] || exit 1'
ends_with 0 "alert: the hook 20-second in a says 'failed' after the thaw" "one that was let go on too early is told" one
is "and does not count" "$(level)" file-system
ends_with 7 "20-second says 'failed'" "nor where it is required" one --quiesce application
hook a 20-second ''
agent a ""
ends_with 7 "no hooks were called in it" "an agent that calls nobody makes no application" one --quiesce application
ends_with 0 "" "whatever the file says of an earlier freeze" one --json
is "of file systems" "$(level)" file-system
agent a "-F/sbin/dozo-fsfreeze-hook -b guest-file-open"
calls a >/dev/null
count=$(points)
ends_with 7 "cannot be known: .*guest-file-open" "one that lets no file be read neither" one --quiesce application
is "and nobody is called for that" "$(calls a)" ""
is "no point is made of all these" "$(points)" "$count"
ends_with 0 "" "not required, nothing is said of it" one --json
is "and file systems are at rest" "$(level)" file-system
agent a "-F/sbin/dozo-fsfreeze-hook"

# --- killed while hooks run
hook a 20-second '[ "$1" = thaw ] || sleep 3'
calls a >/dev/null
"$dozo" backup --qmp "$run/a/qmp.sock" --agent "$run/a/agent.sock" --guest a >/dev/null 2>&1 & program=$!
for _ in $(seq 1 100); do
    tiny run "$run/a" 'cat /run/called' | grep -q '20-second freeze' && break; sleep 0.1
done
kill -KILL "$program"; wait "$program" 2>/dev/null
for _ in $(seq 1 60); do
    tiny run "$run/a" 'cat /run/called' | grep -q '10-first thaw' && break; sleep 0.5
done
is "a backup that is killed leaves no application at rest" "$(calls a)" \
    "10-first freeze,20-second freeze,30-idle freeze,30-idle thaw,20-second thaw,10-first thaw,"
holds "and no file system" flows
hook a 20-second ''

# --- others, while a barrier waits for guest b
hook b 10-first ''
ends_with 0 "" "two guests at one barrier" both --quiesce application --json
tiny run "$run/b" 'kill -STOP $(cat /run/qemu-ga.pid)'
both --quiesce application >"$folder/output" 2>&1 & program=$!
# Guest a has been asked when the connection to the agent of b is there; it answers nobody until it may.
for _ in $(seq 1 100); do
    ss -x 2>/dev/null | grep -c "$run/b/agent.sock" | grep -q '^[1-9]' && break; sleep 0.1
done
sleep 1
tiny run "$run/a" '/sbin/dozo-fsfreeze-hook freeze; /sbin/dozo-fsfreeze-hook thaw'
tiny run "$run/b" 'kill -CONT $(cat /run/qemu-ga.pid)'
wait "$program"
is "a freeze of somebody else between makes no application" "$?" 7
says "and is told" "somebody else brought it to rest meanwhile" "$folder/output"
hook b 10-first '[ "$1" = thaw ] || { touch /run/coming; sleep 4; }'
both >"$folder/output" 2>&1 & program=$!
for _ in $(seq 1 100); do tiny run "$run/b" 'ls /run/coming' | grep -q '^/run/coming' && break; sleep 0.1; done
tiny agent "$run/a" guest-fsfreeze-thaw >/dev/null
wait "$program"
is "a thaw of somebody else is no failure" "$?" 0
says "but told" "the file systems of tiny were let go on by somebody else" "$folder/output"
is "and nothing is promised for that one of the four" "$("$dozo" points --json 2>/dev/null | "$python" -c '
import json, sys
print(sorted(p["consistency"] for p in json.load(sys.stdin) if p["guest"] == "tiny"))')" \
    "['application', 'application', 'application', 'crash']"
echo done
