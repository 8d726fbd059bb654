#!/bin/sh
# The hook for a UPS (S10): what it stops and starts, by a stand-in for systemctl; and called by nut's own upsmon, with
# its dummy driver, where that is installed.
. "$(dirname -- "$0")/cases.sh"

hook=$top/agent/nut/dozo-ups
calls=$folder/calls
mkdir "$folder/bin" "$folder/notes" "$folder/active"
export calls folder
# Units are active while a file of their name is there.
cat >"$folder/bin/systemctl" <<'STAND_IN'
#!/bin/sh
echo "$*" >>"$calls"
case "$1" in
    is-active) if [ -e "$folder/active/$2" ]; then echo active; else echo inactive; exit 3; fi ;;
    --no-block)
        [ ! -e "$folder/refuse" ] || exit 1
        case "$2" in stop) rm -f "$folder/active/$3" ;; start) : >"$folder/active/$3" ;; esac ;;
esac
STAND_IN
cat >"$folder/bin/logger" <<'STAND_IN'
#!/bin/sh
shift 4
echo "$*" >>"$folder/log"
STAND_IN
chmod +x "$folder/bin/systemctl" "$folder/bin/logger"
PATH=$folder/bin:$PATH
DOZO_UPS_NOTES=$folder/notes DOZO_UPS_DEFAULTS=$folder/none DOZO_UPS_DIRECT=yes
export PATH DOZO_UPS_NOTES DOZO_UPS_DEFAULTS DOZO_UPS_DIRECT

runs() { [ -e "$folder/active/$1" ]; }
stands() { [ ! -e "$folder/active/$1" ]; }
event() { NOTIFYTYPE=$1 UPSNAME=ups@localhost "$hook" "on battery or not"; }
unit=dozo-agent.service

: >"$folder/active/$unit"
holds "power is lost" event ONBATT
holds "what ran is stopped (S10)" stands $unit
holds "and the log says why" grep -q "stopping $unit: ups@localhost is on battery" "$folder/log"
holds "power is lost again" event ONBATT
holds "the battery is low" event LOWBATT
holds "it was stopped once" test "$(grep -c "stop $unit" "$calls")" = 1
holds "power is back" event ONLINE
holds "what was stopped runs again (S10)" runs $unit
holds "power is back once more" event ONLINE
holds "it was started once" test "$(grep -c "start $unit" "$calls")" = 1

rm "$folder/active/$unit"
holds "power is lost while nothing runs" event ONBATT
holds "power is back then" event ONLINE
holds "what somebody else had stopped stays so" stands $unit

: >"$folder/active/$unit"
for other in COMMOK COMMBAD SHUTDOWN REPLBATT NOCOMM NOPARENT; do
    holds "passed over: $other" event $other
done
holds "it still runs" runs $unit
ends_with 2 "without an event" "a call without an event is told" env -u NOTIFYTYPE "$hook"
holds "a word of upssched" env NOTIFYTYPE=ONLINE "$hook" dozo-on-battery
holds "goes before what upsmon left in the environment" stands $unit
holds "and back" "$hook" dozo-online

: >"$folder/refuse"
ends_with 1 "could not stop $unit" "a stop that is refused is told" event ONBATT
holds "and leaves no note" test -z "$(ls "$folder/notes")"
rm "$folder/refuse"
holds "power is lost, it may" event ONBATT
: >"$folder/refuse"
ends_with 1 "could not start $unit" "a start that is refused is told" event ONLINE
rm "$folder/refuse"
holds "and tried again" event ONLINE
holds "with success" runs $unit

: >"$folder/active/one.service"; : >"$folder/active/two.service"
holds "several units" env DOZO_UNITS="one.service two.service" NOTIFYTYPE=ONBATT "$hook"
holds "all stopped" test ! -e "$folder/active/one.service" -a ! -e "$folder/active/two.service"
holds "the agent, which was not named, was not" runs $unit
# shellcheck disable=SC2016  # must not be expanded
ends_with 2 "no name of a unit" "a name with a command in it is refused" \
    env DOZO_UNITS='one.service;touch$IFS/x' NOTIFYTYPE=ONBATT "$hook"

# --- nut itself: its dummy driver says that power is lost, and upsmon calls the hook
# Debian's /sbin/upsd and upsmon read the system's own configuration first; these are the programs behind them.
programs=/lib/nut
if [ ! -x "$programs/dummy-ups" ] || [ ! -x "$programs/upsd" ] || [ ! -x "$programs/upsmon" ] ||
    [ "$(id -u)" -ne 0 ] || [ -e /run/nut/upsmon.pid ]; then
    skip "nut's dummy driver" "needs root, nut-server and nut-client, and no upsmon of this host"
    echo done
    exit 0
fi
nut=$(mktemp -d /tmp/dozo-nut.XXXXXX) || exit 1 # short and plain: nut makes sockets there and has no quotes
started=
# shellcheck disable=SC2317  # called by the trap
end_nut() {
    for process in $started; do kill "$process" 2>/dev/null; wait "$process" 2>/dev/null; done
    # upsmon writes it there whatever it is told.
    rm -f /run/nut/upsmon.pid
    rm -rf "$nut" "$folder"
}
trap end_nut EXIT
export NUT_CONFPATH="$nut" NUT_STATEPATH="$nut" NUT_ALTPIDPATH="$nut"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
printf '[trial]\n  driver = dummy-ups\n  port = trial.dev\n  mode = dummy-loop\n' >"$nut/ups.conf"
printf 'LISTEN 127.0.0.1 %s\n' "$port" >"$nut/upsd.conf"
printf '[watcher]\n  password = trial\n  upsmon slave\n' >"$nut/upsd.users"
printf '#!/bin/sh\nexec "%s" "$@"\n' "$hook" >"$nut/call"
cat >"$nut/upsmon.conf" <<CONFIGURATION
MONITOR trial@127.0.0.1:$port 0 watcher trial slave
MINSUPPLIES 0
RUN_AS_USER root
SHUTDOWNCMD /bin/true
NOTIFYCMD $nut/call
POLLFREQ 1
POLLFREQALERT 1
NOTIFYFLAG ONBATT EXEC
NOTIFYFLAG ONLINE EXEC
CONFIGURATION
chmod 700 "$nut/call"; chmod 600 "$nut"/*.conf "$nut/upsd.users"
# power WORD: what the UPS says from now on.
power() { printf 'ups.status: %s\nTIMER 1\n' "$1" >"$nut/trial.new" && mv "$nut/trial.new" "$nut/trial.dev"; }
# comes COMMAND…: within twenty seconds.
comes() {
    tries=0
    until "$@" 2>/dev/null; do
        tries=$((tries + 1)); [ $tries -lt 200 ] || return 1
        sleep 0.1
    done
}
power OL
"$programs/dummy-ups" -a trial -u root -D >"$nut/driver.log" 2>&1 & started="$started $!"
comes test -S "$nut/dummy-ups-trial"
"$programs/upsd" -u root -D >"$nut/upsd.log" 2>&1 & started="$started $!"
says() { [ "$(upsc "trial@127.0.0.1:$port" ups.status 2>/dev/null)" = "$1" ]; }
holds "nut's UPS has power" comes says OL
"$programs/upsmon" -p -D >"$nut/upsmon.log" 2>&1 & started="$started $!"
comes grep -q "Logged into UPS" "$nut/upsmon.log"
power OB
holds "nut says that power is lost, and what ran is stopped (S10)" comes stands $unit
power OL
holds "nut says that power is back, and it runs again" comes runs $unit
echo done
