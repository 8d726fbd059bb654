#!/bin/sh
# Guests brought to rest for the instant: file systems are clean in the point, and go on whatever becomes of the backup,
# of the agent in the guest, or of the time. Several guests are taken at one barrier.
. "$(dirname -- "$0")/cases-guests.sh"
for name in a b; do
    cp --sparse=always "$guest/vda.raw" "$run/$name.raw"
    holds "guest $name starts" tiny start "$guest" "$run/$name" --memory 128 --disk "$run/$name.raw:raw"
done
one() { "$dozo" backup --qmp "$run/a/qmp.sock" --agent "$run/a/agent.sock" --guest a "$@"; }
holds "init" "$dozo" init

# --- at rest
tiny run "$run/a" 'cp /bin/busybox /copy; echo not synced >/late' >/dev/null
ends_with 0 "" "a guest is brought to rest" one --quiesce require
"$dozo" show a@latest >"$folder/shown" 2>&1
says "the point says so" "consistency *file-system" "$folder/shown"
says "and for how long" "at rest" "$folder/shown"
says "and how long it stood still" "stood still *[0-9.]* ms" "$folder/shown"
holds "restored" "$dozo" restore a@latest --disk vda --to "$run/restored.raw"
holds "its file system is clean" e2fsck -fn "$run/restored.raw"
debugfs -R 'cat /late' "$run/restored.raw" >"$folder/late" 2>/dev/null
says "what was written before the instant is in it" "not synced" "$folder/late"
ends_with 0 "" "a guest is taken as it is" one --quiesce never
"$dozo" show a@latest >"$folder/shown" 2>&1
says "and the point says so too" "consistency *crash" "$folder/shown"
ends_with 7 "no agent" "a guest without an agent is refused when rest is required" \
    "$dozo" backup --qmp "$run/a/qmp.sock" --guest a --quiesce require

# --- killed at any moment: it comes to rest before the query that is followed by the stop
rest() { tiny agent "$run/$1" guest-fsfreeze-status; }
runs() { tiny qmp "$run/$1" query-status | grep -c '"running": true'; }
stuck=$(killed_behind_each "$run/a" '^(query-status|stop|cont|qom-set|transaction|getfd|object-|nbd-|block)' \
    "$dozo" backup --agent "$run/a/agent.sock" --guest a)
is "killed behind $(cat "$folder/moments") commands no guest stays at rest or stopped, and each next backup succeeds" \
    "$stuck" ""
# A killed run leaves QEMU's server, and somebody else serves a disk by it: it is theirs until they end.
theirs='{"id":"theirs","type":"nbd","node-name":"'$(tiny qmp "$run/a" query-block | "$python" -c '
import json, sys
print([b["inserted"]["node-name"] for b in json.load(sys.stdin) if "inserted" in b][0])')'"}'
kill_at_command --at "$(grep -n nbd-server-start "$folder/commands" | cut -d: -f1)" "$run/a/qmp.sock" -- \
    "$dozo" backup --qmp {} --agent "$run/a/agent.sock" --guest a >/dev/null 2>&1
holds "somebody serves a disk of the guest" tiny qmp "$run/a" block-export-add "$theirs"
ends_with 7 "another program serves disks of this guest" "which is left alone" one
ends_with 7 "another program serves disks of this guest" "each time" one
holds "until they end" tiny qmp "$run/a" block-export-del '{"id":"theirs"}'
ends_with 0 "" "and the next backup is as any other" one --quiesce require

# --- several guests at one barrier
both() { "$dozo" backup --qmp "$run/a/qmp.sock" --agent "$run/a/agent.sock" \
    --qmp "$run/b/qmp.sock" --agent "$run/b/agent.sock" "$@"; }
# QEMU calls both "tiny", and without a UUID the name is all there is.
ends_with 2 "tells them apart" "two guests that cannot be told apart are refused" both
for name in a b; do tiny stop "$run/$name" >/dev/null; done
for name in a b; do
    holds "guest $name starts with a UUID" tiny start "$guest" "$run/$name" --memory 128 --disk "$run/$name.raw:raw" \
        --extra=-uuid --extra="0e0f0000-0000-4000-8000-00000000000$name"
done
ends_with 0 "taken within" "two guests of one name are taken at one barrier" both
is "and stay two" "$("$dozo" points --json | "$python" -c '
import json, sys
points = json.load(sys.stdin)
print(len({p["guest_id"] for p in points if p["guest"] == "tiny"}))')" 2

# --- the agent of one dies while another takes its time; the barrier waits for that one
hook() { # GUEST SECONDS: the agent of a guest takes so long to come to rest
    tiny run "$run/$1" "printf '#!/bin/sh\n[ \"\$1\" != freeze ] || { touch /run/coming; sleep $2; }\n' >/run/hook
        chmod 755 /run/hook
        kill \$(cat /run/qemu-ga.pid); sleep 1
        qemu-ga -d -m virtio-serial -p /dev/virtio-ports/org.qemu.guest_agent.0 -t /run -f /run/qemu-ga.pid \
            -F/run/hook -l /run/qemu-ga.log" >/dev/null
}
hook a 0; hook b 8
both >"$folder/output" 2>&1 & program=$!
for _ in $(seq 1 60); do
    tiny run "$run/a" 'ls /run/coming' | grep -q '^/run/coming' && break; sleep 0.1
done
sleep 1
tiny run "$run/a" 'kill -9 $(cat /run/qemu-ga.pid)' >/dev/null
wait "$program"
is "an agent that died at rest does not fail the backup" "$?" 0
says "an alert says so" "alert: the file systems of tiny are at rest" "$folder/output"
tiny run "$run/a" 'rm -f /run/qemu-ga.pid
    qemu-ga -d -m virtio-serial -p /dev/virtio-ports/org.qemu.guest_agent.0 -t /run -f /run/qemu-ga.pid' >/dev/null
for _ in $(seq 1 60); do
    tiny run "$run/a" 'timeout 1 sh -c "echo free >/free && sync"; cat /free 2>/dev/null' | grep -q free && break
    sleep 0.5
done
tiny run "$run/a" 'cat /free' >"$folder/free"
says "it is let go on as soon as an agent answers" "free" "$folder/free"

# --- a limit of time
both --freeze-limit 2 >"$folder/output" 2>&1
is "a barrier that takes too long is no failure" "$?" 0
says "but what was let go on before is told" "let go on after 2 s" "$folder/output"
echo done
