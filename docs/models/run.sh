#!/bin/sh
# Searches every state of the small casts below and compares what comes out with what must come out.
# Usage: run.sh [--large] [part of a name]. Needs spin and gcc; see README.md.
set -u
LC_ALL=C
export LC_ALL
models=$(cd "$(dirname "$0")" && pwd)
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
S3='run Sweep(3);'
NET='run Network();'
FORGET='run Forgetter(2, 0);'       # session 2 says that point 0 is forgotten
HOLD='run Hold(0, 0);'
HELD_TWICE='run Hold(0, 0); run Hold(1, 0);'
M1='run Merger(1);'                 # session 1 merges runs
C1='run Rewriter(1);'               # session 1 copies what is live of pack 0; session 2 does
C2='run Rewriter(2);'

MOVER='run Mover();'                # one backup in sessions 1, 2 and 3
# Sessions 1 to 3 are one backup; X is captured in the first, Y (keys 2 and 3) in what comes behind it.
moving='KEYS_X=3 KEYS_Y=12 NEED_Y=12'

# check <safe|broken> <name> <cast> [macro or macro=value ...]
check() {
    expected=$1 name=$2 cast=$3
    shift 3
    # Words of one argument are several macros.
    # shellcheck disable=SC2048,SC2086
    set -- $*
    case $name in *"$wanted"*) ;; *) return ;; esac
    number=$((number + 1))
    here=$work/$number
    mkdir "$here" && cp "$models"/*.pml "$here" && cd "$here" || exit 2
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
    # A broken rule is searched breadth first: the trail is then the shortest, and soon found. Compiling is what counts.
    order=-O1
    if [ "$expected" = broken ]; then order='-O0 -DBFS'; fi
    began=$(date +%s)
    if spin -a check.pml >log 2>&1 &&
        gcc -w -DSAFETY -DCOLLAPSE -DNOFAIR -DVECTORSZ=512 -DMEMLIM=1900 $order -o pan pan.c >>log 2>&1; then
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
check safe 'a backup moves twice, behind checkpoints of all it has' "$MOVER $S3" "$moving" MAX_EPOCH=4 SAME_VERDICT
check safe 'a backup moves behind checkpoints, two sweeps' "$MOVER $S2 $S1" "$moving" SAME_VERDICT
check safe 'a backup moves behind checkpoints, runs are objects' "$MOVER $S2" "$moving" MERGING SAME_VERDICT
check safe 'a backup moves behind checkpoints, a sweep merges' "$MOVER $S2" "$moving" MERGING SWEEP_MERGES
check safe 'two copies of a chunk, both garbage' "$W1 $S2 $S1" PACKS=5 RUNS=5 SAME_VERDICT
check safe 'two copies of a chunk, one must stay' "$W1 $S2 $S1" PACKS=5 RUNS=5 FORGOTTEN=0
check safe 'a partly live pack is rewritten' "$W1 $W2 $S2" NO_POINT=2 FORGOTTEN=0 KEYS_X=7 KEYS_Y=5 NEED_X=5 NEED_Y=4
check safe 'lost answers, one writer, two sweeps' "$W1 $S2 $S1 $NET" LOST_ANSWERS MAX_EPOCH=2
check safe 'checkpoints, moves, adoption, inheriting at once' \
    'run Writer(1, 1, false); run Writer(2, 2, false); run Sweep(2);' ADOPT CHECKPOINTS MOVES
check safe 'committed outcomes tidied, sweeps stop at the next close' "$W1 $S2 $S1" TIDY_COMMITTED STOP_IF_CLOSED_AGAIN

# Point 0 lives; sessions 2 and 3 have no point of their own.
roots='ROOTS FORGOTTEN=0 NO_POINT=12'
# Session 1 merges, and goes on as session 3 if it moves; session 2 is a writer.
merging='MERGING NO_POINT=10'
# Pack 0 holds X and Y, and point 0 needs X. Sessions 1 and 2 copy X; writer 3 needs both. Or 1 copies (and moves as 3)
# and writer 2 needs both. Or sweeps copy without a session, into keys 2 and 3, and writer 1 needs both.
two_copies='FORGOTTEN=0 KEYS_Y=9 NEED_X=9 NEED_Y=8 NO_POINT=6'
one_copy='FORGOTTEN=0 KEYS_Y=5 NEED_X=5 NEED_Y=4 NO_POINT=10'
in_close='REWRITE_IN_CLOSE FORGOTTEN=0 KEYS_Y=3 NEED_X=3 NEED_Y=2'

echo '-- pins, holds, undo and forgetting as they stand'
check safe 'forget, undo, hold, three epochs' "$FORGET run Undo(0); $HOLD $S2" "$roots"
check safe 'forget twice, undo' "$FORGET run Forgetter(3, 0); run Undo(0); $S2" "$roots"
check safe 'forget, two holds of one point, released' "$FORGET $HELD_TWICE $S2" "$roots"
check safe 'forget and hold against two sweeps' "$FORGET $HOLD $S2 $S1" "$roots" SAME_VERDICT
check safe 'forget, undo, hold against two racing sweeps' "$FORGET run Undo(0); $HOLD $S1 $S1" \
    "$roots" SAME_VERDICT MAX_EPOCH=2
check safe 'forget and hold of a point that is new' "$W1 run Forgetter(2, 1); run Hold(0, 1); $S2" "$roots"
check safe 'forget and undo of a point that is new' "$W1 run Forgetter(2, 1); run Undo(1); $S2" "$roots"
check safe 'a forgotten point goes one close later' "$FORGET run Undo(0); $HOLD $S2" "$roots" DELAY=1

echo '-- merging as it stands'
check safe 'runs are objects, two writers, three epochs' "$W1 $W2 $S2" MERGING NEWCOMERS
check safe 'runs are objects, two sweeps' "$W1 $S2 $S1" MERGING SAME_VERDICT NEWCOMERS
check safe 'a session merges, a writer' "$M1 $W2 $S2" "$merging" NEWCOMERS
check safe 'a session and a sweep merge, a writer' "$M1 $W2 $S2" "$merging" SWEEP_MERGES NEWCOMERS
check safe 'a session merges behind a verdict, a writer' "$M1 $W2 $S2" "$merging" \
    MERGE_BEHIND_VERDICT SAME_VERDICT NEWCOMERS
check safe 'a session and a sweep merge behind a verdict, a writer' "$M1 $W2 $S2" "$merging" \
    MERGE_BEHIND_VERDICT SAME_VERDICT SWEEP_MERGES NEWCOMERS
check safe 'two sessions and a sweep merge' "$M1 run Merger(2); $S2" \
    MERGING NO_POINT=14 FORGOTTEN=0 SWEEP_MERGES NEWCOMERS
check safe 'two sessions merge, a writer' "$M1 run Merger(2); run Writer(3, 0, false); $S1" \
    MERGING NO_POINT=6 NEWCOMERS
check safe 'two sweeps merge at once' "$S2 $S1" MERGING SWEEP_MERGES FORGOTTEN=0 SAME_VERDICT NEWCOMERS
check safe 'a sweep merges, a reader' "$W2 run Reader(2); $S2" "$merging" SWEEP_MERGES
check safe 'a session merges and moves, a writer' "$M1 $W2 $S2" "$merging" MOVES SWEEP_MERGES NEWCOMERS
check safe 'a session merges and moves, four epochs' "$M1 $S3" "$merging" MOVES SWEEP_MERGES NEWCOMERS MAX_EPOCH=4

echo '-- rewriting by sweeps as it stands'
check safe 'two sweeps copy, three epochs' "$C1 $C2 $S2" "$two_copies" SAME_VERDICT NEWCOMERS
check safe 'two sweeps copy and race' "$C1 $C2 $S1 $S1" "$two_copies" SAME_VERDICT NEWCOMERS MAX_EPOCH=2
check safe 'two sweeps copy, a writer leans on the old pack' "$C1 $C2 run Writer(3, 0, false); $S1" \
    "$two_copies" SAME_VERDICT NEWCOMERS
check safe 'a sweep copies and moves, a writer' "$C1 $W2 $S2" "$one_copy" MOVES NEWCOMERS
check safe 'a sweep copies and merges, a writer' "$C1 $W2 $S2" "$one_copy" MERGING REWRITE_MERGES NEWCOMERS
check safe 'a sweep copies and merges behind a verdict, a writer' "$C1 $W2 $S2" \
    "$one_copy" MERGING REWRITE_MERGES MERGE_BEHIND_VERDICT SAME_VERDICT NEWCOMERS
check safe 'a sweep copies, merges and moves, a writer' "$C1 $W2 $S2" \
    "$one_copy" MERGING REWRITE_MERGES MOVES NEWCOMERS
check safe 'copies named in the close itself, a writer' "$W1 $S2" "$in_close" SAME_VERDICT NEWCOMERS
check safe 'copies named in the close itself, two sweeps' "$S2 $S1" "$in_close" SAME_VERDICT NEWCOMERS

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
check broken '28 a backup moves without a checkpoint of all it has' "$MOVER $S2" "$moving" MOVE_WITHOUT_CHECKPOINT
check broken '28 a backup abandons, and then claims its next slot' "$MOVER $S3" \
    "$moving" MAX_EPOCH=4 MOVE_ABANDONS_FIRST
check broken '28 a backup moves though it was fenced' "$MOVER $S3" "$moving" MAX_EPOCH=4 MOVE_IGNORES_FENCE
check broken '11 condemned copies count as copies for the next sweep' \
    "$S2 $S1" PACKS=5 RUNS=5 FORGOTTEN=0 COUNT_CONDEMNED
check broken '12 a hold without a slot' "$FORGET $HOLD $S2" "$roots" HOLD_WITHOUT_SLOT
check broken '12 an undo without a slot' "$FORGET run Undo(0); $S2" "$roots" UNDO_WITHOUT_SLOT
check broken '13 a hold that does not look whether its point lives' "$FORGET $HOLD $S2" "$roots" HOLD_WITHOUT_CHECK
check broken '13 an undo that does not look whether its point lives' \
    "$FORGET run Undo(0); $S2" "$roots" UNDO_WITHOUT_CHECK
check broken '14 forget beats hold' "$FORGET $HOLD $S2" "$roots" FORGET_BEATS_HOLD
check broken '15 holds count in their own epoch only' "$FORGET $HOLD $S2" "$roots" HOLDS_OF_OPEN_EPOCH_ONLY
check broken '16 an undo counts in its own epoch only' "$FORGET run Undo(0); $S2" "$roots" UNDOS_OF_OPEN_EPOCH_ONLY
check broken '17 a release names the point' "$FORGET $HELD_TWICE $S2" "$roots" RELEASE_NAMES_POINT
check broken '18 the delay begins with the slot of the session' "$FORGET run Undo(0); $S2" \
    "$roots" DELAY=1 DELAY_FROM_SLOT
check broken '19 a merged run counts because it is there' "$M1 $W2 $S2" "$merging" MERGE_BY_LISTING
check broken '19 a run counts because a merged one names it' "$W2 $S3" \
    "$merging" SWEEP_MERGES MAX_EPOCH=4 BELIEVE_MERGED_INPUT
check broken '20 merged runs are deleted without a close' "$M1 run Reader(0); $S1" "$merging" FORGOTTEN=0 DELETE_INPUTS
check broken '20 a reader tells of a loss without looking again' "$W2 run Reader(2); $S2" \
    "$merging" SWEEP_MERGES NO_RELOAD
check broken '21 a session leaves fresh keys out of what it merges' "$M1 $W2 $S2" "$merging" MERGE_LEAVES_OUT_FRESH
check broken '21 a sweep leaves fresh keys out of what it merges' "$W1 $S2" \
    MERGING SWEEP_MERGES MERGE_LEAVES_OUT_FRESH
check broken '21 a copying session leaves the old pack out' "$C1 $W2 $S2" \
    "$one_copy" MERGING REWRITE_MERGES MERGE_LEAVES_OUT_SOURCE
check broken '22 carried keys stay in what is merged' "$M1 $S3" \
    "$merging" SWEEP_MERGES MAX_EPOCH=4 MERGE_KEEPS_CARRIED NEWCOMERS
check broken '23 a sweep names a merged run that was condemned' "$S2 $S1" \
    MERGING SWEEP_MERGES FORGOTTEN=0 MERGE_NAMED_LATE
check broken '23 a sweep names a copy that was condemned' "$S2 $S1" "$in_close" COPY_NAMED_LATE
check broken '24 a merging session moves and does not look again' "$M1 $S3" \
    "$merging" SWEEP_MERGES MAX_EPOCH=4 MOVES MOVE_KEEPS_MERGED NEWCOMERS
check broken '24 a copying session moves and does not look again' "$C1 $S3" \
    "$one_copy" MOVES NO_MOVE_CHECK MAX_EPOCH=4
check broken '25 a session moves though it was fenced' "$W1 $S2" MOVES MOVE_IGNORES_FENCE
check broken '26 a copy counts because it is there' "$C1 $S2" "$one_copy" COPY_BY_LISTING
check broken '27 the old pack is deleted behind its copy' "$C1 $W2 $S2" "$one_copy" DELETE_AFTER_COPY
check broken '27 a rewritten pack is deleted without a re-mark' "$C1 $W2 $S2" "$one_copy" NO_REMARK

echo '-- wordings that look right'
check broken 'A close before the last close is settled' "$W1 $S2 $S1" CARRY_UNSETTLED
check broken 'B generation = next after the condemned ones known' "$R1 $S2 $S1" PACKS=17 NEXT_GENERATION
check broken 'C committed outcomes tidied once in a ledger' "$W1 $S2 $S1" TIDY_COMMITTED
check broken 'D forgetting takes effect at once in mark and re-mark' \
    "$W1 run Writer(2, 2, false); run Forget(1); $S1" FORGET_AT_ONCE
check broken 'E horizon = the epoch that is closed' "$W1 $S1" HORIZON_TOO_HIGH
check broken 'F generation leaves out what is condemned' "$W1 $S1" GENERATION_WITHOUT_CONDEMNED
check broken 'G pardon any one copy' "$W1 $S1 $S1" PACKS=5 RUNS=5 PARDON_ONE
check broken 'H carried until the deletion was answered' "$M1 $W2 $S2" "$merging" CARRY_UNTIL_DELETED
check broken 'I carried while a run of the generation lists it' "$M1 $W2 $S2" "$merging" SWEEP_MERGES CARRY_WHILE_LISTED
check broken 'I carried for one more close' "$W2 $S3" "$merging" MAX_EPOCH=4 CARRY_ONCE
check broken 'J the inventory of an outcome that the ledger names counts' "$C1 $W2 $S2" "$one_copy" LEDGER_NAMES_PACKS
check broken 'K packs are pardoned, runs are not' "$M1 $W2 $S2" "$merging" NO_RUN_PARDON

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
    check safe 'a session and a sweep merge, a writer, four epochs' "$M1 $W2 $S3" "$merging" SWEEP_MERGES MAX_EPOCH=4
    check safe 'a session and two sweeps merge' "$M1 $S2 $S1" "$merging" FORGOTTEN=0 SWEEP_MERGES
    check safe 'a session merges, a writer, two sweeps' "$M1 $W2 $S2 $S1" "$merging"
    check safe 'two sweeps merge at once, a writer' "$W1 $S1 $S1" MERGING SWEEP_MERGES MAX_EPOCH=2 SAME_VERDICT
    check safe 'two sweeps copy, a writer leans on the old pack, two closes' "$C1 $C2 run Writer(3, 0, false); $S2" \
        "$two_copies" MAX_EPOCH=2 NEWCOMERS
    check safe 'copies named in the close itself, a writer, two sweeps' "$W1 $S1 $S1" \
        "$in_close" SAME_VERDICT NEWCOMERS MAX_EPOCH=2
    check safe 'a sweep copies and merges, another merges, a writer' "$C1 $W2 $S2" \
        "$one_copy" MERGING REWRITE_MERGES SWEEP_MERGES NEWCOMERS
fi

if [ "$number" -eq 0 ]; then echo "run.sh: no check has '$wanted' in its name" >&2; exit 2; fi
if [ "$failures" -ne 0 ]; then echo "$failures of $number checks did not come out as expected" >&2; exit 1; fi
echo "$number checks came out as expected"
