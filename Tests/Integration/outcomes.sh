#!/bin/sh
# What a person is told, and with which status, when the world is not as it should be: gaps in the repository, another
# disk at the path, wrong clocks, wrong key files, signals, servers that hang (design §7).
. "$(dirname -- "$0")/cases.sh"
noise "$folder/disk" 3 31
noise "$folder/next" 3 32
without_passphrase() { env -u DOZO_PASSPHRASE_FILE "$dozo" "$@"; }
fresh() { rm -rf "$folder/fresh"; env XDG_STATE_HOME="$folder/fresh" "$@"; }
holds "init" "$dozo" init
holds "backup" "$dozo" backup --guest g --disk "d=$folder/disk"
cp -a "$DOZO_REPOSITORY" "$folder/first"
holds "another night" "$dozo" backup --guest g --disk "d=$folder/next"

# --- a gap: status 3, also on a host that has seen nothing, and the rest is there
cp -a "$DOZO_REPOSITORY" "$folder/gap"
slot=$(cd "$folder/gap" && find log -type f | sort | tail -n 1)
rm "$folder/gap/$slot"
ends_with 3 "may lack points.*$slot\|$slot" "a fresh host is told that the last slot is lost" fresh "$dozo" points \
    -r "$folder/gap"
ends_with 3 "newer point" "and that @latest may be another" fresh "$dozo" restore -r "$folder/gap" g@latest \
    --to "$folder/1"
holds "what it restored is the older one, whole" cmp "$folder/disk" "$folder/1"
point=$(fresh "$dozo" points -r "$folder/gap" --json 2>/dev/null >"$folder/points.json"
    json "$folder/points.json" 'd[0]["id"]')
ends_with 0 "" "a point that is named by its id is what was asked for" fresh "$dozo" restore -r "$folder/gap" \
    "$point" --to "$folder/2"
if [ "$(json "$folder/points.json" 'd[0]["new_bytes"] > 0 and d[0]["stored_bytes"] > 0')" = True ]; then
    pass "points say what was new and stored, as JSON"
else fail "points say what was new and stored, as JSON" "$(head -c 300 "$folder/points.json")"; fi
rm -rf "$folder/gap"

# --- another repository with the same passphrase at a path that is known
"$dozo" init -r "$folder/usb" >/dev/null 2>&1
holds "a disk is used" "$dozo" backup -r "$folder/usb" --guest g --disk "d=$folder/disk"
mv "$folder/usb" "$folder/usb one"
XDG_STATE_HOME="$folder/elsewhere" "$dozo" init -r "$folder/usb" >/dev/null 2>&1
ends_with 7 "another repository lies in" "another disk at the path is refused: points" "$dozo" points -r "$folder/usb"
ends_with 7 "other-repository" "another disk at the path is refused: backup" "$dozo" backup -r "$folder/usb" \
    --guest g --disk "d=$folder/disk"
holds "it is taken when it is meant" "$dozo" backup -r "$folder/usb" --guest g --disk "d=$folder/disk" \
    --other-repository
holds "and then known" "$dozo" points -r "$folder/usb"
mv "$folder/usb" "$folder/usb two" && mv "$folder/usb one" "$folder/usb"
holds "and so is the first" "$dozo" points -r "$folder/usb"

# --- clocks
if command -v faketime >/dev/null 2>&1; then
    "$dozo" init -r "$folder/clocks" >/dev/null 2>&1
    holds "a clock far ahead" faketime "2035-01-01 00:00:00" "$dozo" backup -r "$folder/clocks" --guest g \
        --disk "d=$folder/disk"
    holds "the clock is set right" "$dozo" backup -r "$folder/clocks" --guest g --disk "d=$folder/next"
    ends_with 0 "a clock was wrong" "a clock that was wrong is told" "$dozo" restore -r "$folder/clocks" g@latest \
        --to "$folder/latest"
    holds "@latest is the one that was made last" cmp "$folder/next" "$folder/latest"
else
    skip "clocks far ahead" "needs faketime"
fi

# --- key files
echo "some text" >"$folder/text"
holds "a reader's credential" "$dozo" key enroll --role reader --to "$folder/reader.key"
(umask 077 && sed 's/$/\r/' "$folder/reader.key" >"$folder/crlf.key" && cp "$folder/text" "$folder/text.key")
ends_with 5 "is not a credential file" "a text that is no credential is status 5" without_passphrase points \
    --key-file "$folder/text.key"
ends_with 6 "CR LF" "a credential with other line ends is told so" without_passphrase points --key-file \
    "$folder/crlf.key"
(umask 077 && echo wrong >"$folder/wrong")
ends_with 1 "128 MiB of memory" "too little memory is status 1" sh -c 'ulimit -v 300000; "$1" points' sh "$dozo"
"$dozo" points --json --passphrase-file "$folder/wrong" >"$folder/out" 2>"$folder/err"
if [ "$(json "$folder/err" 'd["status"]')" = 5 ] && [ ! -s "$folder/out" ]; then pass "a failure as JSON"
else fail "a failure as JSON" "$(cat "$folder/err")"; fi
ends_with 1 "no guest has the id" "an id of no guest is not taken for a name" "$dozo" backup --guest \
    0123456789abcdef0123456789abcdef --disk "d=$folder/disk"
as_nobody() { :; }
if [ "$(id -u)" -ne 0 ]; then as_nobody() { "$@"; }
elif command -v setpriv >/dev/null 2>&1 && setpriv --reuid=65534 --clear-groups "$dozo" --version >/dev/null 2>&1; then
    as_nobody() { setpriv --reuid=65534 --clear-groups "$@"; }
else as_nobody() { return 99; }; fi
if as_nobody true; then
    cp -a "$DOZO_REPOSITORY" "$folder/closed"
    cp "$DOZO_PASSPHRASE_FILE" "$folder/open passphrase"
    [ "$(id -u)" -ne 0 ] || chown -R 65534 "$folder/closed" "$folder/open passphrase"
    chmod 711 "$folder"
    find "$folder/closed/keys" "$folder/closed/spare/keys" -type f -exec chmod 000 {} +
    mkdir "$folder/state of nobody"; chmod 777 "$folder/state of nobody"
    ends_with 1 "ermission" "key slots that cannot be read are status 1" as_nobody env \
        XDG_STATE_HOME="$folder/state of nobody" "$dozo" points -r "$folder/closed" \
        --passphrase-file "$folder/open passphrase"
else skip "key slots that cannot be read are status 1" "this user is root and setpriv cannot run the binary"; fi
if unshare -Urm true 2>/dev/null; then
    # shellcheck disable=SC2016  # expanded by the inner shell
    ends_with 1 "mounted read-only" "a store that is mounted read-only says so" unshare -Urm sh -c \
        'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && "$2" backup --guest g --disk "d=$3"' sh \
        "$DOZO_REPOSITORY" "$dozo" "$folder/disk"
else skip "a store that is mounted read-only says so" "a private mount namespace is not to be had"; fi

# --- a host that has other work to do
ends_with 2 "is no rate" "a rate that is none is status 2" "$dozo" verify --limit-read fast
ends_with 2 "0 to 19" "a nice value that is none is status 2" "$dozo" verify --nice 20
holds "a paced backup" "$dozo" backup --guest paced --disk "d=$folder/disk" --limit-read 20M --limit-write 30M
holds "a paced restore" "$dozo" restore paced@latest --to "$folder/paced" --limit-read 30M --limit-write 30M
holds "the same bytes: paced" cmp "$folder/disk" "$folder/paced"
mkfifo "$folder/slow"
yields() { # NICE ARGUMENT…
    wanted=$1; shift
    (sleep 20 >"$folder/slow") & writer=$!
    "$dozo" backup --guest slow --disk d=- "$@" <"$folder/slow" >"$folder/output" 2>&1 & program=$!
    sleep 1
    # Of what follows the name of a thread the 17th is its nice value (proc(5)).
    found=$(sed 's/.*) //' /proc/"$program"/task/*/stat | cut -d ' ' -f 17 | sort -u | tr '\n' ' ')
    kill -s TERM "$program"; wait "$program"; kill "$writer" 2>/dev/null
    if [ "$found" = "$wanted " ]; then pass "every thread of a backup has the nice value $wanted"
    else fail "every thread of a backup has the nice value $wanted" "$found"; fi
}
own=$(nice)
if [ "$own" -le 10 ]; then yields 10; fi
yields 15 --nice 15

# --- signals, and a server that hangs
mkfifo "$folder/pipe"
signalled() { # SIGNAL STATUS PATTERN NAME
    (sleep 60 >"$folder/pipe") & writer=$!
    # What runs in the background of a script ignores SIGINT and SIGQUIT, and under nohup SIGHUP, unless told otherwise.
    env --default-signal=HUP,INT,QUIT,TERM "$dozo" backup --guest pipe --disk d=- <"$folder/pipe" \
        >"$folder/output" 2>&1 &
    program=$!
    sleep 1.5
    kill -s "$1" "$program"
    wait "$program"
    status=$?
    kill "$writer" 2>/dev/null
    echo "ended" >>"$folder/output"
    if [ "$status" -eq "$2" ] && grep -q "$3" "$folder/output" && ! grep -qi "backtrace\|0x0" "$folder/output"
    then pass "$4"; else fail "$4" "status $status: $(head -c 200 "$folder/output")"; fi
}
signalled HUP 130 "no restore point was made" "SIGHUP ends a backup like SIGINT"
signalled QUIT 131 "ended" "SIGQUIT ends it at once and prints no memory"
if command -v qemu-img >/dev/null 2>&1; then
    qemu-img create -q -f qcow2 "$folder/big.qcow2" 64G
    qemu-io -c "write -P 7 0 64M" -c "write -P 9 20G 64M" "$folder/big.qcow2" >/dev/null 2>&1
    env --default-signal=INT timeout -s KILL 60 "$dozo" backup --guest hung --disk "d=$folder/big.qcow2" \
        >"$folder/output" 2>&1 &
    guard=$!
    program=
    # The first child of a process, from proc(5): a bare system has no pgrep.
    child() { cat /proc/"$1"/task/*/children 2>/dev/null | tr ' ' '\n' | head -n 1; }
    for _ in $(seq 1 100); do
        program=$(child "$guard")
        [ -n "$program" ] && break
        sleep 0.02
    done
    server=
    for _ in $(seq 1 200); do
        server=$(child "${program:-0}")
        [ -n "$server" ] && break
        sleep 0.02
    done
    if [ -n "$server" ] && kill -s STOP "$server" 2>/dev/null; then
        sleep 1
        kill -s INT "$program"
        began=$(date +%s)
        wait "$guard"
        status=$?
        took=$(($(date +%s) - began))
        if [ "$status" -eq 130 ] && [ "$took" -lt 20 ] && ! kill -0 "$server" 2>/dev/null; then
            pass "a server that hangs does not hold a Ctrl-C, and is gone"
        else fail "a server that hangs does not hold a Ctrl-C, and is gone" "status $status after $took s"; fi
    else skip "a server that hangs does not hold a Ctrl-C" "it was done before it could be stopped"; fi
    ends_with 0 "begins like a qcow2" "a container on standard input is told" sh -c \
        'cat "$2" | "$1" backup --guest piped --disk d=-' sh "$dozo" "$folder/big.qcow2"
else skip "a server that hangs does not hold a Ctrl-C" "needs qemu-utils"; fi
# --- an interrupted verification says nothing of what it did not read, and the next backup leans on it all the same
DOZO_REPOSITORY=$folder/slow-store
noise "$folder/slow.raw" 24 7
holds "init for a slow store" "$dozo" init
holds "backup for a slow store" "$dozo" backup --guest slow --disk "d=$folder/slow.raw"
for how in --content --no-key; do
    env --default-signal=INT timeout --preserve-status -s INT 2 "$dozo" verify $how --limit-read 2M \
        >"$folder/output" 2>&1
    status=$?
    if [ "$status" -eq 130 ] && ! grep -qi "damage" "$folder/output"; then
        pass "an interrupted verification blames nothing ($how)"
    else fail "an interrupted verification blames nothing ($how)" "status $status: $(head -c 300 "$folder/output")"; fi
done
"$dozo" backup --guest slow --disk "d=$folder/slow.raw" --json >"$folder/again.json" 2>"$folder/output"
if [ "$(json "$folder/again.json" 'd["new_bytes"]')" = 0 ]; then pass "nor is anything stored again behind it"
else fail "nor is anything stored again behind it" "$(cat "$folder/again.json")"; fi

# --- standard input without a byte, as a writer leaves it that failed
ends_with 7 "ended without a byte" "an empty standard input makes no point" sh -c \
    'false | "$1" backup --guest slow --disk d=-' sh "$dozo"
if [ "$("$dozo" points --json 2>/dev/null | grep -c '"guest" *: *"slow"')" -eq 2 ]; then
    pass "there are two points as before"
else fail "there are two points as before" "$("$dozo" points 2>&1 | tail -n 4)"; fi
ends_with 0 "is empty; was that meant" "unless it is forced, and then it is told" sh -c \
    'false | "$1" backup -q --guest slow --disk d=- --force' sh "$dozo"
ends_with 0 "not in this one" "a disk that is left out is told" "$dozo" backup -q --guest slow \
    --disk "e=$folder/slow.raw"

# --- stopped while rates hold everything up: it ends at once, says what it had, and that is found again
noise "$folder/held.raw" 80 8
"$dozo" backup --guest held --disk "d=$folder/held.raw" --jobs 1 --json --limit-read 8M --limit-write 100K \
    >"$folder/output" 2>"$folder/told" & program=$!
# The first pack is full: its put waits for the rate.
for _ in $(seq 1 400); do
    moved=$(sed -n 's/^rchar: //p' "/proc/$program/io" 2>/dev/null || echo 0)
    [ "${moved:-0}" -gt 30000000 ] && break
    sleep 0.05
done
began=$(date +%s%3N)
kill -s TERM "$program"; wait "$program"; status=$?
took=$(($(date +%s%3N) - began))
if [ "$status" -eq 130 ] && [ "$took" -lt 8000 ]; then pass "stopped, a backup with rate limits ends at once ($took ms)"
else fail "stopped, a backup with rate limits ends at once" "status $status after $took ms"; fi
tail -n 1 "$folder/told" >"$folder/line"
read=$(json "$folder/line" 'd["read_bytes"]')
if [ "$(json "$folder/line" 'd["status"] == 130 and 16 << 20 <= d["read_bytes"] and d["stored_bytes"] > 0')" = True ]
then pass "and says what it had read and stored"
else fail "and says what it had read and stored" "$(cat "$folder/line")"; fi
"$dozo" backup --guest held --disk "d=$folder/held.raw" --jobs 1 --json >"$folder/again.json" 2>"$folder/output"
if [ "$(json "$folder/again.json" "d['new_bytes'] <= (80 << 20) - $read and d['read_again_bytes'] >= $read")" = True ]
then pass "the next run stores none of it again, and says what it read again"
else fail "the next run stores none of it again, and says what it read again" "$read of $(cat "$folder/again.json")"; fi

# --- a restore that never began says nothing of half a change
mkdir "$folder/t.raw.partial"
ends_with 7 "move it away first" "a folder in the place of the partial file" "$dozo" restore slow@latest \
    --to "$folder/t.raw"
if grep -q "goes on" "$folder/output"; then fail "and no way is named that goes nowhere" "$(cat "$folder/output")"
else pass "and no way is named that goes nowhere"; fi
ends_with 1 "cannot look at" "in place of what is not there" "$dozo" restore slow@latest --in-place \
    --to "$folder/not there"
if grep -q "half changed" "$folder/output"; then fail "nothing is called half changed" "$(cat "$folder/output")"
else pass "nothing is called half changed"; fi
echo done
