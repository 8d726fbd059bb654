#!/bin/sh
# What a real Xen writes of its guests' memory, stored and given back: `make integration-xen`. The lab is made once,
# in .build/xen-lab, and then boots for each run; without root or packages it is a counted skip.
wanted="streams of Xen"
. "$(dirname -- "$0")/cases-xen.sh"
python=${DOZO_PYTHON:-/usr/bin/python3}
verifier=/usr/lib/xen-4.17/bin/verify-stream-v2
holds "a Xen host saves its guests" sh "$top/Tests/Support/xen-lab.sh" capture "$lab"
captured=$lab/captured
if [ -s "$captured/pv.before" ] && [ -s "$captured/pv.after" ]; then
    before=$(sed 's/number //' "$captured/pv.before")
    after=$(sed 's/number //' "$captured/pv.after")
    if [ "$after" -gt "$before" ] && [ "$after" -le $((before + 3)) ]; then
        pass "a saved guest goes on ($before, then $after)"
    else fail "a saved guest goes on" "$before, then $after"; fi
else
    fail "a saved guest goes on" "it did not count"
fi
holds "init" "$dozo" init
verified() { PYTHONPATH=/usr/lib/xen-4.17/lib/python /usr/bin/python3 "$verifier" -f xl -i "$1"; }
for pair in xen-save:pv.checkpoint xen-save:pv.save xen-core:pv.core xen-save:pvh.save; do
    name=${pair##*:}
    holds "$name is stored" "$dozo" backup --guest "${name%%.*}" --memory "$captured/$name"
    "$dozo" show "${name%%.*}@latest" --json >"$folder/show.json" 2>/dev/null
    if [ "$(json "$folder/show.json" 'd["point"]["memory_format"]')" = "${pair%%:*}" ]; then
        pass "$name is known as ${pair%%:*}"
    else fail "$name is known as ${pair%%:*}" "$(head -c 300 "$folder/show.json")"; fi
    case $name in
        pv.save|pv.core)
            # Seconds lie between them, and the first one is stored.
            added=$(json "$folder/show.json" 'd["new_bytes"]')
            if [ "$added" -lt 20000000 ]; then pass "$name shares pages with the checkpoint ($added bytes new)"
            else fail "$name shares pages with the checkpoint" "$added bytes new"; fi ;;
    esac
    rm -f "$folder/back"
    holds "$name is restored" "$dozo" restore "${name%%.*}@latest" --memory-to "$folder/back"
    holds "$name is what it was" cmp "$captured/$name" "$folder/back"
    case $name in
        *.core) ;;
        *)
            if [ -x "$verifier" ]; then holds "Xen's own verifier takes $name" verified "$folder/back"
            else skip "Xen's own verifier takes $name" "needs xen-utils-4.17"; fi ;;
    esac
done
# The guest's own stream, as a toolstack hands it on, without what stands before and behind it.
"$python" - "$captured/pv.save" "$folder/inner" <<'PY'
import sys
data = open(sys.argv[1], "rb").read()
open(sys.argv[2], "wb").write(data[data.index(b"\xff" * 8 + b"XENF"):-8])
PY
holds "the guest's own stream is stored" "$dozo" backup --guest inner --memory "$folder/inner"
holds "it is restored" "$dozo" restore inner@latest --memory-to "$folder/inner.back"
holds "it is what it was" cmp "$folder/inner" "$folder/inner.back"
holds "everything verifies" "$dozo" verify --content
echo done
