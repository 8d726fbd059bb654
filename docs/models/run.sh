#!/bin/sh
# Searches every state of the small casts below and compares what comes out with what must come out.
# Usage: run.sh [--large] [part of a name]. Needs spin and gcc; see README.md.
set -u
LC_ALL=C
export LC_ALL
model=$(cd "$(dirname "$0")" && pwd)/repository.pml
large=no
if [ "${1-}" = --large ]; then large=yes; shift; fi
wanted=${1-}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
for tool in spin gcc; do
    command -v "$tool" >"$work/tool" || { echo "run.sh: $tool is missing: apt-get install $tool" >&2; exit 2; }
done
failures=0
number=0

W1='run Writer(1, 0, false);'
W2='run Writer(2, 0, false);'
R1='run Writer(1, 0, true);'        # makes the pack R again, with the same bytes
S1='run Sweep(1);'
S2='run Sweep(2);'
NET='run Network();'

# check <safe|broken> <name> <cast> [macro or macro=value ...]
check() {
    expected=$1 name=$2 cast=$3
    shift 3
    case $name in *"$wanted"*) ;; *) return ;; esac
    number=$((number + 1))
    here=$work/$number
    mkdir "$here" && cp "$model" "$here" && cd "$here" || exit 2
    {
        printf '#define ACTORS %s\n' "$cast"
        for macro in "$@"; do
            case $macro in
            *=*) printf '#define %s %s\n' "${macro%%=*}" "${macro#*=}" ;;
            *) printf '#define %s\n' "$macro" ;;
            esac
        done
        printf '#include "repository.pml"\n'
    } >check.pml
    # A broken rule is searched breadth first: the trail is then the shortest.
    order=
    if [ "$expected" = broken ]; then order=-DBFS; fi
    began=$(date +%s)
    if spin -a check.pml >log 2>&1 &&
        gcc -O1 -w -DSAFETY -DCOLLAPSE -DNOFAIR -DVECTORSZ=512 -DMEMLIM=1900 $order -o pan pan.c >>log 2>&1; then
        ./pan -E -n -m100000 >out 2>&1
        cat out >>log
    fi
    seconds=$(($(date +%s) - began))
    states=$(sed -n 's/^ *\([0-9][0-9]*\) states, stored.*/\1/p' log)
    found=failed
    if grep -q 'errors: 0' log; then found=safe; fi
    if grep -q 'assertion violated' log; then found=broken; fi
    if grep -Eq 'max search depth too small|reached -DMEMLIM|out of memory|VECTORSZ' log; then found=incomplete; fi
    verdict=ok
    if [ "$found" != "$expected" ]; then
        verdict='NOT AS EXPECTED'
        failures=$((failures + 1))
        tail -n 20 log >&2
    fi
    printf '%-68s %-10s %9s states %3d s  %s\n' "$name" "$found" "${states:-?}" "$seconds" "$verdict"
    cd "$work" && rm -rf "$here"
}

echo '-- the rules as they stand'
check safe 'one writer, two sweeps, three closes' "$W1 $S2 $S1" SAME_VERDICT
check safe 'two writers, two racing sweeps, two closes' "$W1 $W2 $S1 $S1" MAX_EPOCH=2
check safe 'two writers, the second inherits from the first, three closes' "$W1 run Writer(2, 2, false); $S2"
check safe 'inherit from a point that is forgotten meanwhile' "$W1 run Writer(2, 2, false); run Forget(1); $S2"
check safe 'forget, undo or pin, inherit' \
    'run Writer(1, 1, false); run Forget(0); run Undo(0); run Sweep(2);' FORGOTTEN=0
check safe 'undo or pin against two sweeps' "run Undo(0); $S1 $S2" SAME_VERDICT
check safe 'checkpoints, resumed by inheriting' "$W1 run Writer(2, 2, false); $S2" CHECKPOINTS
check safe 'a finished pack of a dead session is adopted' "$W1 $W2 $S2" ADOPT
check safe 'the same pack stored again after it was condemned' "$R1 $S2 $S1" PACKS=17
check safe 'the same pack stored by two replicators' "$R1 run Writer(2, 0, true); $S2" PACKS=17
check safe 'a session moves to the next epoch' "$W1 $S2 $S1" MOVES
check safe 'two copies of a chunk, both garbage' "$W1 $S2 $S1" PACKS=5 RUNS=5 SAME_VERDICT
check safe 'two copies of a chunk, one must stay' "$W1 $S2 $S1" PACKS=5 RUNS=5 FORGOTTEN=0
check safe 'a partly live pack is rewritten' "$W1 $W2 $S2" NO_POINT=2 FORGOTTEN=0 KEYS_X=7 KEYS_Y=5 NEED_X=5 NEED_Y=4
check safe 'lost answers, one writer, two sweeps' "$W1 $S2 $S1 $NET" LOST_ANSWERS MAX_EPOCH=2
check safe 'checkpoints, moves, adoption, inheriting at once' \
    'run Writer(1, 1, false); run Writer(2, 2, false); run Sweep(2);' ADOPT CHECKPOINTS MOVES
check safe 'committed outcomes tidied, sweeps stop at the next close' "$W1 $S2 $S1" TIDY_COMMITTED STOP_IF_CLOSED_AGAIN

echo '-- one rule broken each time'
check broken '1 sessions found by a listing that lags' "$W1 $S1" SESSIONS_BY_LISTING
check broken '1 index read before the slot is claimed' "$W1 $S1" READ_BEFORE_CLAIM
check broken '2 a cached run outside the generation is believed' "$W1 $S2" BELIEVE_CACHED_RUN
check broken '3 fenced tidied away, no void rule: data lost' "$W1 $S2" TIDY_FENCED NO_VOID_RULE
check broken '3 fenced tidied away, void rule: writer deceived' "$W1 $S2" TIDY_FENCED
check broken '4 condemned keys dropped before they are deleted' "$W1 $S2 $S1" DROP_BEFORE_DELETED
check broken '4 a pack is named by its hash alone' "$R1 $S1" PACKS=17 NAME_IS_HASH
check broken '5 no answer taken for success' "$W1 $S1 $NET" LOST_ANSWERS UNKNOWN_IS_SUCCESS
check broken '5 no answer taken for failure' "$W1 $S1 $NET" LOST_ANSWERS UNKNOWN_IS_FAILURE
check broken '6 adoption without the epoch rule' "$W1 $W2 $S2" ADOPT NO_ADOPTION_RULE
check broken '7 inherit without checking that the base is live' 'run Writer(1, 1, false); run Sweep(1);' NO_BASE_CHECK
check broken '8 delete without a re-mark' "$W1 $S1" NO_REMARK
check broken '9 undo or pin without a slot' "run Undo(0); $S1" UNDO_WITHOUT_SLOT
check broken '10 a session moves and does not look again' "$W1 $S2" MOVES NO_MOVE_CHECK
check broken '11 condemned copies count as copies for the next sweep' \
    "$S2 $S1" PACKS=5 RUNS=5 FORGOTTEN=0 COUNT_CONDEMNED

echo '-- wordings that look right'
check broken 'A close before the last close is settled' "$W1 $S2 $S1" CARRY_UNSETTLED
check broken 'B generation = next after the condemned ones known' "$R1 $S2 $S1" PACKS=17 NEXT_GENERATION
check broken 'C committed outcomes tidied once in a ledger' "$W1 $S2 $S1" TIDY_COMMITTED
check broken 'D forgetting takes effect at once in mark and re-mark' \
    "$W1 run Writer(2, 2, false); run Forget(1); $S1" FORGET_AT_ONCE
check broken 'E horizon = the epoch that is closed' "$W1 $S1" HORIZON_TOO_HIGH
check broken 'F generation leaves out what is condemned' "$W1 $S1" GENERATION_WITHOUT_CONDEMNED
check broken 'G pardon any one copy' "$W1 $S1 $S1" PACKS=5 RUNS=5 PARDON_ONE

if [ "$large" = yes ]; then
    echo '-- larger casts'
    check safe 'two writers, two sweeps, three closes' "$W1 run Writer(2, 3, false); $S2 $S1"
    check safe 'two writers, two sweeps, adoption' "$W1 $W2 $S2 $S1" ADOPT
    check safe 'two writers, lost answers' "$W1 $W2 $S2 $NET" LOST_ANSWERS
    check safe 'forget, undo, inherit, two sweeps' \
        'run Writer(1, 1, false); run Forget(0); run Undo(0); run Sweep(2); run Sweep(1);' FORGOTTEN=0
    check safe 'checkpoints, moves, adoption, forget, inherit' "$W1 run Writer(2, 2, false); run Forget(1); $S2" \
        ADOPT CHECKPOINTS MOVES
    check safe 'two writers, four closes' "$W1 $W2 run Sweep(3);" MAX_EPOCH=4
fi

if [ "$number" -eq 0 ]; then echo "run.sh: no check has '$wanted' in its name" >&2; exit 2; fi
if [ "$failures" -ne 0 ]; then echo "$failures of $number checks did not come out as expected" >&2; exit 1; fi
echo "$number checks came out as expected"
