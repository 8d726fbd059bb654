#!/bin/sh
# The real agent with a schedule of seconds (S10, S36, S49, S50): three guests under QEMU that are written all the time,
# five kill -9, a window that closes, reloads, orders, and an orderly end. AGENT_KILLS=20 in the soak.
. "$(dirname -- "$0")/cases.sh"
for command in qemu-system-x86_64 qemu-img; do
    command -v "$command" >/dev/null 2>&1 ||
        { skip "nights of the agent" "$command is missing"; echo done; exit 0; }
done
# Sockets have short paths.
nights=$(mktemp -d "${TMPDIR:-/tmp}/nights.XXXXXX") || exit 1
trap 'rm -rf "$folder" "$nights"' EXIT
unset DOZO_REPOSITORY
"${DOZO_PYTHON:-python3}" "$top/Tests/Support/agent_nights.py" "$dozo" "$nights" "${AGENT_KILLS:-5}" ||
    fail "nights of the agent" "the script ended early"
echo done
