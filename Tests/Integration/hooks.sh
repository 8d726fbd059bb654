#!/bin/sh
# What goes into guests for their applications (agent/hooks): the dispatcher with hooks of every kind, each sample hook
# against a stand-in that takes nothing but what it should be told, and against the real server where one is installed.
# No guest runs here; quiesce-hooks.sh has those.
. "$(dirname -- "$0")/cases.sh"
dispatcher=$top/agent/hooks/dozo-fsfreeze-hook
samples=$top/agent/hooks/hooks.d
is() { if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "'$2' is not '$3'"; fi; }
# ends STATUS NAME COMMAND…: whatever it says.
ends() {
    wanted=$1; case_name=$2
    shift 2
    "$@" >"$folder/output" 2>&1 </dev/null
    status=$?
    if [ "$status" = "$wanted" ]; then pass "$case_name"
    else fail "$case_name" "status $status instead of $wanted: $(tail -n 2 "$folder/output" | tr '\n' ' ')"; fi
}
says() { if grep -q -- "$2" "$3"; then pass "$1"; else fail "$1" "$(tail -n 2 "$3" | tr '\n' ' ')"; fi; }
[ -r /proc/sys/kernel/random/boot_id ] || { skip "hooks of guests" "this is no Linux"; echo done; exit 0; }

# --- the dispatcher
hooks=$folder/hooks state=$folder/state-of-hooks log=$folder/called
mkdir "$hooks"
: >"$log"
DOZO_HOOKS_CONFIG=$folder/hooks.conf
export DOZO_HOOKS_CONFIG
limits() { # HOOK ALL
    printf 'hooks="%s"\nstate="%s"\nhook_seconds=%s\nall_seconds=%s\n' "$hooks" "$state" "$1" "$2" >"$DOZO_HOOKS_CONFIG"
}
limits 10 20
# hook NAME BODY: $1 in the body is freeze or thaw.
hook() {
    printf '#!/bin/sh\necho "%s $1" >>"%s"\n%s\n' "$1" "$log" "$2" >"$hooks/$1"
    chmod 755 "$hooks/$1"
}
frees() { rm -rf "$hooks"/*; : >"$log"; }
called() { tr '\n' ',' <"$log"; : >"$log"; }
# state_is NAME WANTED: lines without what differs from run to run, joined.
state_is() {
    found=$(sed -e 's/^boot .*/boot/' -e 's/ [0-9]*$/ N/' "$state/application" | tail -n +2 | tr '\n' ',')
    is "$1" "$found" "$2"
}

hook 20-b ''; hook 10-a ''; hook 15-idle 'exit 3'
hook .hidden ''; hook 30-c.dpkg-old ''; hook 40-d ''; chmod 644 "$hooks/40-d"; mkdir "$hooks/50-folder"
ends 0 "a freeze" "$dispatcher" freeze
is "calls hooks in the order of their names, and nothing else that lies there" "$(called)" \
    "10-a freeze,15-idle freeze,20-b freeze,"
state_is "says so" "boot,freeze N,state frozen,thaws N,hook 10-a ok N,hook 15-idle idle N,hook 20-b ok N,end,"
says "and which start it was" "^boot $(cat /proc/sys/kernel/random/boot_id)$" "$state/application"
says "and that it was the first one" "^freeze 1$" "$state/application"
ends 0 "a thaw" "$dispatcher" thaw
is "calls them in reverse" "$(called)" "20-b thaw,15-idle thaw,10-a thaw,"
says "and counts" "^thaws 1$" "$state/application"
"$dispatcher" thaw
is "a second thaw calls nobody" "$(called)" ""
says "and is counted" "^thaws 2$" "$state/application"
"$dispatcher" freeze
says "the next freeze has the next number" "^freeze 2$" "$state/application"
: >"$log"
"$dispatcher" freeze
is "a freeze that was never followed by a thaw is undone by the next one" "$(called)" \
    "20-b thaw,15-idle thaw,10-a thaw,10-a freeze,15-idle freeze,20-b freeze,"
"$dispatcher" thaw
sed 's/^boot .*/boot 0000/' "$state/application" >"$folder/stale" && mv "$folder/stale" "$state/application"
"$dispatcher" freeze
says "a file that another start left says nothing" "^freeze 1$" "$state/application"
"$dispatcher" thaw
for garbage in 'freeze x' 'freeze 7 7' ''; do
    printf 'boot %s\n%s\n' "$(cat /proc/sys/kernel/random/boot_id)" "$garbage" >"$state/application"
    "$dispatcher" freeze 2>/dev/null; "$dispatcher" thaw
done
state_is "nor does one with garbage in it" "boot,freeze N,state thawed,thaws N,hook 10-a ok N,hook 15-idle idle N,\
hook 20-b ok N,thaw 20-b ok N,thaw 15-idle idle N,thaw 10-a ok N,end,"

frees
hook a ''; hook b '[ "$1" = thaw ] || { echo why not; exit 1; }'; hook c ''
ends 1 "a hook that fails refuses the freeze" "$dispatcher" freeze
is "undoes itself and those before, and no other is called" "$(called)" "a freeze,b freeze,b thaw,a thaw,"
state_is "and is named" "boot,freeze N,state refused,thaws N,hook a ok N,hook b failed N,thaw b ok N,thaw a ok N,end,"
"$dispatcher" thaw
is "the thaw behind it calls nobody" "$(called)" ""
frees
hook a ''; hook b '[ "$1" = freeze ] || exit 1'
"$dispatcher" freeze
ends 0 "a thaw is never refused" "$dispatcher" thaw
state_is "but who failed is named" \
    "boot,freeze N,state thawed,thaws N,hook a ok N,hook b ok N,thaw b failed N,thaw a ok N,end,"
frees
limits 2 20
hook a ''; hook b '[ "$1" = thaw ] || { trap "" TERM; while :; do sleep 1; done; }'
ends 1 "a hook that hangs, and does not end when asked, refuses the freeze" "$dispatcher" freeze
is "and is undone" "$(called)" "a freeze,b freeze,b thaw,a thaw,"
state_is "and is named as late" \
    "boot,freeze N,state refused,thaws N,hook a ok N,hook b late N,thaw b ok N,thaw a ok N,end,"
limits 10 1
frees
hook a '[ "$1" = thaw ] || sleep 1.2'; hook b ''
ends 1 "all together have a limit too" "$dispatcher" freeze
says "and those that got no time are late" "^hook [ab] late" "$state/application"
limits 10 20
frees
hook a '[ "$1" = thaw ] || sleep 600 & echo $! >"$DOZO_HOOK_STATE/pid"'
ends 0 "what a hook leaves running holds nothing up" "$dispatcher" freeze
kill "$(cat "$state/hooks/a/pid")" 2>/dev/null
is "its folder is private" "$(stat -c %a "$state/hooks/a")" 700
"$dispatcher" thaw
frees
for number in $(seq 10 42); do hook "h$number" ''; done
ends 1 "thirty-three hooks are too many" "$dispatcher" freeze
says "and undone" "^thaw h10 ok" "$state/application"
frees
: >"$folder/a-file"
printf 'state="%s/below"\n' "$folder/a-file" >>"$DOZO_HOOKS_CONFIG"
hook a ''
ends 1 "where nothing can be written nothing is brought to rest" "$dispatcher" freeze
is "and nobody is called" "$(called)" ""
ends_with 2 "usage" "anything else is refused" "$dispatcher" melt

# --- the sample hooks and their stand-ins
mkdir "$folder/programs" "$folder/of-hook" "$folder/world"
world=$folder/world
DOZO_HOOK_STATE=$folder/of-hook
export DOZO_HOOK_STATE world
# What a stand-in was told that it should not have been stands in here.
: >"$world/unexpected"
# program NAME BODY
program() {
    printf '#!/bin/sh\nunexpected() { echo "$0: $*" >>"$world/unexpected"; exit 9; }\n%s\n' "$2" >"$folder/programs/$1"
    chmod 755 "$folder/programs/$1"
}
# with COMMAND…: with the stand-ins before everything else.
with() { PATH="$folder/programs:$PATH" "$@"; }
program pg_isready 'case "$*" in "-q -t 3 -p 5432"|"-q -t 3 -p 5433 -h /sock") exit "$(cat "$world/pg")" ;; esac
unexpected "$@"'
program psql 'case "$*" in
    "-X -w -A -t -q -v ON_ERROR_STOP=1 -p 5432 -d postgres -c SELECT current_setting("*") -c CHECKPOINT"|\
    "-X -w -A -t -q -v ON_ERROR_STOP=1 -p 5433 -h /sock -d postgres -c SELECT current_setting("*") -c CHECKPOINT") ;;
    *) unexpected "$@" ;;
esac
echo one >>"$world/checkpoints"
cat "$world/settings"
exit "$(cat "$world/psql")"'
program mariadb '[ "$1 $2 $3 $4" = "--batch --unbuffered --skip-column-names --skip-reconnect" ] || unexpected "$@"
shift 4
[ ! -f "$world/mariadb-down" ] || { cat "$world/mariadb-down" >&2; exit 1; }
[ $# = 0 ] || { [ "$*" = "-e SELECT 1" ] || unexpected "$@"; echo 1; exit; }
step=0
while read -r line; do
    step=$((step + 1))
    case "$step $line" in
        "1 SET SESSION lock_wait_timeout=5, SESSION wait_timeout=70;") ;;
        "2 FLUSH TABLES WITH READ LOCK;") : >"$world/locked" ;;
        "3 SELECT '"'locked'"';") echo locked ;;
        "4 SELECT '"'still locked'"';") [ -f "$world/locked" ] || { echo "ERROR 2006: gone" >&2; exit 1; }
            echo "still locked" ;;
        "5 UNLOCK TABLES;") rm -f "$world/locked"; : >"$world/unlocked" ;;
        *) unexpected "$step $line" ;;
    esac
done
rm -f "$world/locked"'
program redis-cli 'say() { printf "%s\r\n" "$@"; }
[ ! -f "$world/redis-down" ] || { cat "$world/redis-down"; exit 1; }
case "$*" in
    PING) if [ "$(cat "$world/password")" = "${REDISCLI_AUTH:-}" ]; then say PONG; else say "NOAUTH needed"; fi ;;
    "CLIENT PAUSE 60000 WRITE") : >"$world/paused"; say OK ;;
    "CLIENT UNPAUSE") rm -f "$world/paused"; say OK ;;
    BGSAVE) [ -f "$world/paused" ] || unexpected "saved while writes went on"
        echo 3 >"$world/saving"; say "Background saving started" ;;
    "INFO persistence")
        left=$(cat "$world/saving")
        say "# Persistence" "rdb_bgsave_in_progress:$((left > 0))" "rdb_last_bgsave_status:$(cat "$world/saved")" \
            "aof_enabled:$(cat "$world/aof")" aof_last_write_status:ok "aof_buffer_length:$left"
        [ "$left" = 0 ] || echo $((left - 1)) >"$world/saving" ;;
    *) unexpected "$@" ;;
esac'
program systemctl 'case "$*" in
    "is-active --quiet thing") [ -f "$world/up" ] ;;
    "stop thing") rm "$world/up" ;;
    "start thing") : >"$world/up" ;;
    *) unexpected "$@" ;;
esac'
program id 'if [ $# = 1 ] && [ "$1" != -un ]; then exit 0; fi; exec /usr/bin/id "$@"'
# settings NAME TEXT: what stands in /etc/dozo/NAME.conf in a guest.
for name in POSTGRESQL MARIADB REDIS SERVICE; do
    eval "DOZO_${name}_CONFIG=\$folder/$name.conf; export DOZO_${name}_CONFIG"
    : >"$folder/$name.conf"
done
settings() { printf '%s\n' "$2" >"$folder/$1.conf"; }

usual_user="user=$(id -un)"
settings POSTGRESQL "$usual_user"
echo 0 >"$world/pg"; echo onon >"$world/settings"; echo 0 >"$world/psql"
ends 0 "postgresql: a checkpoint" with "$samples/postgresql" freeze
is "postgresql: one" "$(cat "$world/checkpoints")" one
ends 0 "postgresql: nothing is held" with "$samples/postgresql" thaw
settings POSTGRESQL "$usual_user
servers='5432 5433:/sock'"
ends 0 "postgresql: of every server" with "$samples/postgresql" freeze
is "postgresql: three by now" "$(wc -l <"$world/checkpoints" | tr -d ' ')" 3
echo offon >"$world/settings"
ends_with 1 "fsync" "postgresql: a server that no power cut may meet is refused" with "$samples/postgresql" freeze
echo 1 >"$world/psql"
ends 1 "postgresql: a checkpoint that fails" with "$samples/postgresql" freeze
echo 1 >"$world/pg"
ends_with 1 "starting or stopping" "postgresql: a server that just starts" with "$samples/postgresql" freeze
echo 2 >"$world/pg"
ends_with 3 "not running" "postgresql: one that is down has nothing to do" with "$samples/postgresql" freeze
settings POSTGRESQL "$usual_user
when_down=fail"
ends_with 1 "not running" "postgresql: or fails, as it is told" with "$samples/postgresql" freeze

ends 0 "mariadb: tables are locked" with "$samples/mariadb" freeze
is "mariadb: until" "$(ls "$world" | grep locked)" locked
ends 0 "mariadb: the thaw" with "$samples/mariadb" thaw
is "mariadb: lets them go" "$(ls "$world" | grep locked)" unlocked
ends 3 "mariadb: a thaw without a freeze does nothing" with "$samples/mariadb" thaw
with "$samples/mariadb" freeze
rm "$world/locked"
ends_with 1 "lost before the thaw" "mariadb: a lock that was lost is told" with "$samples/mariadb" thaw
settings MARIADB "hold=1"
sed -i 's/wait_timeout=70/wait_timeout=11/' "$folder/programs/mariadb"
with "$samples/mariadb" freeze
for _ in $(seq 1 100); do [ -f "$world/locked" ] || break; sleep 0.1; done
is "mariadb: a thaw that never comes is not waited for" "$(ls "$world" | grep '^locked')" ""
ends_with 1 "lost before the thaw" "mariadb: and one that comes late fails" with "$samples/mariadb" thaw
echo "ERROR 2002 (HY000): Can't connect" >"$world/mariadb-down"
ends_with 3 "not running" "mariadb: a server that is down has nothing to do" with "$samples/mariadb" freeze
settings MARIADB "when_down=fail"
ends_with 1 "not running" "mariadb: or fails, as it is told" with "$samples/mariadb" freeze
echo "ERROR 1045 (28000): Access denied" >"$world/mariadb-down"
ends_with 1 "Access denied" "mariadb: a wrong password fails" with "$samples/mariadb" freeze

echo 0 >"$world/saving"; echo ok >"$world/saved"; echo 0 >"$world/aof"; : >"$world/password"
ends 0 "redis: a snapshot while writes wait" with "$samples/redis" freeze
is "redis: they wait on, and the snapshot is done" "$(cat "$world/saving") $(ls "$world/paused")" "0 $world/paused"
ends 0 "redis: until the thaw" with "$samples/redis" thaw
is "redis: and go on" "$(ls "$world/paused" 2>/dev/null)" ""
ends 3 "redis: a thaw without a freeze does nothing" with "$samples/redis" thaw
with "$samples/redis" freeze
echo $(($(cut -d. -f1 /proc/uptime) - 61)) >"$folder/of-hook/since"
ends_with 1 "before the thaw" "redis: a thaw that comes late fails" with "$samples/redis" thaw
echo err >"$world/saved"
ends_with 1 "could not save" "redis: a snapshot that fails" with "$samples/redis" freeze
ends 0 "redis: whose undoing lets writes go on" with "$samples/redis" thaw
echo 1 >"$world/aof"; echo 3 >"$world/saving"
ends 0 "redis: with an append-only file it is written out, nothing else" with "$samples/redis" freeze
is "redis: to its end" "$(cat "$world/saving")" 0
with "$samples/redis" thaw
echo secret >"$world/password"
ends_with 1 "NOAUTH" "redis: without its password" with "$samples/redis" freeze
settings REDIS "password_file=\"$world/password\""
ends 0 "redis: and with it" with "$samples/redis" freeze
with "$samples/redis" thaw
echo "Could not connect to Redis at 127.0.0.1:6379: Connection refused" >"$world/redis-down"
ends_with 3 "not running" "redis: a server that is down has nothing to do" with "$samples/redis" freeze
settings REDIS "when_down=fail"
ends_with 1 "not running" "redis: or fails, as it is told" with "$samples/redis" freeze

ends_with 3 "no service is named" "service: without settings it does nothing" with "$samples/service" freeze
settings SERVICE "service=thing"
ends_with 3 "not running" "service: nor while the service is down" with "$samples/service" freeze
: >"$world/up"
ends 0 "service: it is stopped" with "$samples/service" freeze
is "service: and stays so" "$(ls "$world/up" 2>/dev/null)" ""
ends 0 "service: until the thaw" with "$samples/service" thaw
is "service: that starts it" "$(ls "$world/up")" "$world/up"
settings SERVICE "service=thing hold=1"
with "$samples/service" freeze
for _ in $(seq 1 100); do [ ! -f "$world/up" ] || break; sleep 0.1; done
is "service: a thaw that never comes is not waited for" "$(ls "$world/up")" "$world/up"
ends_with 1 "before the thaw" "service: and one that comes late fails" with "$samples/service" thaw
is "no stand-in was told anything else" "$(cat "$world/unexpected")" ""

# --- real servers, on sockets in a folder of their own
# Not below a folder of ours alone: the servers are other users.
servers=$(mktemp -d /tmp/hooks.XXXXXX) || exit 1
started=
# shellcheck disable=SC2317  # called by the trap
clean_up() {
    # What they hold goes with their folder, and a Redis whose writes are held takes its time over a kind word.
    for process in $started; do kill -KILL "$process" 2>/dev/null; done
    for process in $started; do wait "$process" 2>/dev/null; done
    rm -rf "$folder" "$servers"
}
trap clean_up EXIT
chmod 755 "$servers"
# They make files of their own while they are set up.
mkdir "$servers/tmp" && chmod 1777 "$servers/tmp"
TMPDIR=$servers/tmp
export TMPDIR
# as USER COMMAND…: as that user, if this one may become it; servers refuse to run as root.
as() {
    name=$1
    shift
    if [ "$(id -u)" = 0 ]; then set -- setpriv --reuid "$name" --regid "$name" --clear-groups -- "$@"; fi
    exec "$@"
}
# serve USER COMMAND…: in the background, ended with this script.
serve() {
    as "$@" >"$servers/log" 2>&1 &
    started="$started $!"
}
# answers COMMAND…: waits until it succeeds.
answers() {
    for _ in $(seq 1 300); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
    tail -n 3 "$servers/log"
    return 1
}
# place NAME USER: a folder of that user.
place() {
    mkdir "$servers/$1" && { [ "$(id -u)" != 0 ] || chown "$2" "$servers/$1"; }
}

postgres=
for found in /usr/lib/postgresql/*/bin; do [ ! -x "$found/initdb" ] || postgres=$found; done
if [ -z "$postgres" ] || ! command -v psql >/dev/null 2>&1; then
    skip "a real PostgreSQL" "it is not installed: apt-get install -y postgresql"
else
    owner=$(id -un)
    [ "$(id -u)" != 0 ] || owner=postgres
    place pg "$owner"
    (as postgres "$postgres/initdb" -D "$servers/pg/data" -A peer) >"$servers/log" 2>&1
    serve postgres "$postgres/postgres" -D "$servers/pg/data" -c listen_addresses= -p 5499 -k "$servers/pg"
    holds "a real PostgreSQL" answers pg_isready -q -p 5499 -h "$servers/pg"
    settings POSTGRESQL "user=$owner
servers=5499:$servers/pg"
    answer() { (as postgres psql -X -A -t -h "$servers/pg" -p 5499 -d postgres -c "$1"); }
    before=$(answer 'SELECT checkpoint_lsn FROM pg_control_checkpoint()')
    answer 'CREATE TABLE t (n int)' >/dev/null
    ends 0 "takes the hook" "$samples/postgresql" freeze
    holds "makes a checkpoint" [ "$before" != "$(answer 'SELECT checkpoint_lsn FROM pg_control_checkpoint()')" ]
    answer 'ALTER SYSTEM SET full_page_writes = off' >/dev/null
    answer 'SELECT pg_reload_conf()' >/dev/null
    for _ in $(seq 1 100); do [ "$(answer 'SHOW full_page_writes')" = on ] || break; sleep 0.1; done
    ends_with 1 "full_page_writes" "and is refused then" "$samples/postgresql" freeze
fi

if ! command -v mariadbd >/dev/null 2>&1 || ! command -v mariadb-install-db >/dev/null 2>&1; then
    skip "a real MariaDB" "it is not installed: apt-get install -y mariadb-server"
else
    owner=$(id -un)
    [ "$(id -u)" != 0 ] || owner=mysql
    place my "$owner"
    mariadb-install-db --no-defaults --user="$owner" --datadir="$servers/my/data" --skip-test-db \
        --auth-root-authentication-method=normal >"$servers/log" 2>&1
    serve mysql mariadbd --no-defaults --datadir="$servers/my/data" --socket="$servers/my/s" \
        --pid-file="$servers/my/pid" --skip-networking
    sql() { timeout "${2:-20}" mariadb --no-defaults -u root -S "$servers/my/s" -N -e "$1"; }
    holds "a real MariaDB" answers sql "SELECT 1"
    sql "CREATE DATABASE d; CREATE TABLE d.t (n int) ENGINE=MyISAM; CREATE TABLE d.i (n int) ENGINE=InnoDB"
    settings MARIADB "options='--no-defaults -u root -S $servers/my/s'"
    ends 0 "takes the hook" "$samples/mariadb" freeze
    ends 124 "lets nobody write" sql "INSERT INTO d.t VALUES (1)" 1
    ends 124 "whatever the engine" sql "INSERT INTO d.i VALUES (1)" 1
    ends 0 "until the thaw" "$samples/mariadb" thaw
    ends 0 "and then again" sql "INSERT INTO d.t VALUES (2); INSERT INTO d.i VALUES (2)"
    "$samples/mariadb" freeze
    sql "KILL $(sql "SELECT id FROM information_schema.processlist WHERE command = 'Sleep'")"
    ends_with 1 "lost before the thaw" "a session that somebody ended is told" "$samples/mariadb" thaw
    settings MARIADB "options='--no-defaults -u root -S $servers/my/s' hold=1"
    "$samples/mariadb" freeze
    holds "a thaw that never comes lets it write again" sql "INSERT INTO d.t VALUES (3)"
    ends_with 1 "lost before the thaw" "and one that comes late is told" "$samples/mariadb" thaw
fi

if ! command -v redis-server >/dev/null 2>&1 || ! command -v redis-cli >/dev/null 2>&1; then
    skip "a real Redis" "it is not installed: apt-get install -y redis-server"
else
    mkdir "$servers/redis"
    redis-server --port 0 --unixsocket "$servers/redis/s" --dir "$servers/redis" --save "" >"$servers/log" 2>&1 &
    started="$started $!"
    redis() { timeout "${2:-20}" redis-cli -s "$servers/redis/s" $1; }
    holds "a real Redis" answers redis PING
    settings REDIS "options='-s $servers/redis/s'"
    redis "SET key value" >/dev/null
    ends 0 "takes the hook" "$samples/redis" freeze
    holds "has a snapshot with what it acknowledged" grep -q value "$servers/redis/dump.rdb"
    ends 124 "lets nobody write" redis "SET key other" 1
    ends 0 "until the thaw" "$samples/redis" thaw
    ends_with 0 OK "and then again" redis "SET key third"
    settings REDIS "options='-s $servers/redis/s' hold=1"
    "$samples/redis" freeze
    holds "a thaw that never comes lets it write again" redis "SET key fourth"
    ends_with 1 "before the thaw" "and one that comes late is told" "$samples/redis" thaw
    settings REDIS "options='-s $servers/redis/s'"
    redis "CONFIG SET appendonly yes" >/dev/null
    redis "SET key appended" >/dev/null
    ends 0 "takes the hook with an append-only file too" "$samples/redis" freeze
    holds "which has what it acknowledged" grep -rq appended "$servers/redis/appendonlydir"
    ends 0 "until that thaw" "$samples/redis" thaw
fi
echo done
