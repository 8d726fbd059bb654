# Sourced by the integration scripts that run guests under QEMU: what cases.sh gives, a guest that is made once, and a
# folder $run in which they live, each in a folder of its own that goes with it.
# shellcheck shell=sh
. "$(dirname -- "$0")/cases.sh"
python=${DOZO_PYTHON:-python3}
tiny() { "$python" "$top/Tests/Support/tiny_guest.py" "$@"; }
for command in qemu-system-x86_64 qemu-img; do
    command -v "$command" >/dev/null 2>&1 ||
        { skip "guests of $(basename "$0" .sh)" "$command is missing"; echo done; exit 0; }
done
# Sockets have short paths.
run=$(mktemp -d "${TMPDIR:-/tmp}/guest.XXXXXX") || exit 1
# shellcheck disable=SC2317  # called by the trap
clean_up() {
    for started in "$run"/*/pid; do
        [ ! -f "$started" ] || tiny stop "$(dirname "$started")" --kill >/dev/null 2>&1
    done
    umount "$run/small" 2>/dev/null
    rm -rf "$folder" "$run"
}
trap clean_up EXIT
guest=$top/.build/tiny-guest
# Made again when what it is made of was changed.
if [ ! -s "$guest/vdc.raw" ] || [ -n "$(find "$top"/Tests/Support/*guest* -newer "$guest/vdc.raw")" ]; then
    holds "a guest is made" "$top/Tests/Support/tiny-guest.sh" "$guest"
fi
# is NAME FOUND WANTED, says NAME PATTERN FILE: one counted case each.
is() { if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "$2 is not $3"; fi; }
says() { if grep -q -- "$2" "$3"; then pass "$1"; else fail "$1" "$(tail -n 2 "$3" | tr '\n' ' ')"; fi; }
# small MEBIBYTES: a file system of that size at $run/small; fails where this user may not mount one.
small() { mkdir -p "$run/small" && mount -t tmpfs -o "size=$1m" tmpfs "$run/small" 2>/dev/null; }
# killed_behind_each FOLDER PATTERN COMMAND…: the backup COMMAND --qmp MONITOR is killed once behind each command that
# it gives to QEMU and whose name matches PATTERN. Prints where the guest stood still afterwards or was at rest, and
# where a backup that follows fails.
kill_at_command() { "$python" "$top/Tests/Support/kill-at-command.py" "$@"; }
killed_behind_each() {
    of=$1 pattern=$2; shift 2
    kill_at_command --commands "$folder/commands" "$of/qmp.sock" -- "$@" --qmp {} >"$folder/told" 2>&1 ||
        { tail -n 2 "$folder/told"; return; }
    numbers=$(grep -nE "$pattern" "$folder/commands" | cut -d: -f1)
    echo "$numbers" | wc -w >"$folder/moments"
    for number in $numbers; do
        moment="$number:$(sed -n "${number}p" "$folder/commands")"
        kill_at_command --at "$number" "$of/qmp.sock" -- "$@" --qmp {} >/dev/null 2>&1
        [ $? = 137 ] || echo "$moment was not reached"
        tiny qmp "$of" query-status | grep -q '"running": true' || echo "$moment: stands still"
        [ ! -S "$of/agent.sock" ] || tiny agent "$of" guest-fsfreeze-status | grep -q thawed ||
            echo "$moment: at rest"
        "$@" --qmp "$of/qmp.sock" >"$folder/told" 2>&1 || echo "$moment: $(tail -n 1 "$folder/told")"
    done
}
