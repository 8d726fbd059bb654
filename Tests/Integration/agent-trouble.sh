#!/bin/sh
# What people and hosts do to the agent (S36, S37): wrong questions at its socket, a pipe for a file, strangers' files
# in its folder, a second agent, a full disk. It goes on, or says why it does not begin.
. "$(dirname -- "$0")/cases.sh"
# Sockets have short paths.
trouble=$(mktemp -d "${TMPDIR:-/tmp}/trouble.XXXXXX") || exit 1
trap 'rm -rf "$folder" "$trouble"' EXIT
unset DOZO_REPOSITORY
mkdir "$trouble/state" "$trouble/work"
try() { "${DOZO_PYTHON:-python3}" "$top/Tests/Support/agent_trouble.py" "$dozo" "$trouble/work" "$trouble/state" "$@"; }
if unshare -Urm mount -t tmpfs -o size=1m tmpfs /mnt 2>"$folder/output"; then
    # Its state in a small file system that only this script sees.
    # shellcheck disable=SC2016  # for the inner shell
    unshare -Urm sh -c 'mount -t tmpfs -o size=16m tmpfs "$1" && exec "$2" "$3" "$4" "$5" "$1" SMALL' - \
        "$trouble/state" "${DOZO_PYTHON:-python3}" "$top/Tests/Support/agent_trouble.py" "$dozo" "$trouble/work" ||
        fail "trouble of the agent" "the script ended early"
else
    try || fail "trouble of the agent" "the script ended early"
fi
echo done
