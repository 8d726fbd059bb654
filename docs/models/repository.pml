/*
 * The repository protocol: control log, sessions, sweep, pack keys, inheriting.
 *
 * One file, many small exhaustive searches: `run.sh` chooses the cast (ACTORS), the state at the start, the rule that
 * is broken on purpose (a macro) and what must come out. README.md explains all of it.
 * runs.pml makes runs objects (MERGING), roots.pml adds holds and undo (ROOTS), sessions.pml has more of those who act.
 *
 * Sets are bit masks in a byte. Bit s of a session set is session s; its restore point has the same number. Session 0
 * ended long ago: it committed point 0 in pack 0. Bit k of a key set is pack key k: keys 0..3 are the packs that
 * session k made for itself, keys 4..7 are generations 0..3 of a pack R that can be made again byte for byte.
 */

#define BIT(n)      (1 << (n))
#define SESSIONS    4
#define EPOCHS      6

#ifndef MAX_EPOCH
#define MAX_EPOCH   3       /* the last epoch that can be closed */
#endif
#ifndef KEYS_X
#define KEYS_X      255     /* keys whose pack holds chunk X */
#endif
#ifndef KEYS_Y
#define KEYS_Y      0       /* keys whose pack holds chunk Y */
#endif
#ifndef NEED_X
#define NEED_X      15      /* points that need chunk X */
#endif
#ifndef NEED_Y
#define NEED_Y      0
#endif
#ifndef PACKS
#define PACKS       1       /* packs in the store at the start */
#endif
#ifndef RUNS
#define RUNS        1       /* of these, the ones the first index generation names */
#endif
#ifndef FORGOTTEN
#define FORGOTTEN   1       /* points forgotten at the start */
#endif
#ifndef NO_POINT
#define NO_POINT    0       /* sessions that add a pack and no point (repacking) */
#endif

/* ---- the store ------------------------------------------------------------------------------------------------- */
byte tail = 1;              /* the open epoch; close(0) is the state at the start */
byte claims;                /* slots claimed in the open epoch: a close fits only behind slots that were all read */
byte slots[EPOCHS];         /* sessions with a slot in epoch e or an older one */
byte epochOf[SESSIONS];
byte committed = 1, checkpointed, fenced, abandoned;
byte adds[SESSIONS];        /* keys that the outcome of a session names */
byte packs = PACKS;         /* keys that exist */
byte forgotten = FORGOTTEN;

/* the contents of close(e) */
byte ledger[EPOCHS];        /* live points */
byte horizon[EPOCHS];       /* sessions the ledger has taken over: what it does not name of theirs is void */
byte generation[EPOCHS];    /* keys that the runs of the index generation name */
byte fresh[EPOCHS];         /* keys condemned here for the first time: the re-mark may pardon them */
byte doomed[EPOCHS];        /* keys carried forward: condemned earlier, verdict given, not known to be deleted */
byte done;                  /* epochs whose deletions have all been answered */

byte acknowledged;          /* points whose writer was told "committed" */
byte tidied;                /* committed outcomes whose objects were removed after a ledger had taken them over */
#ifdef SAME_VERDICT
byte judged, verdict[EPOCHS];
#endif
byte flying;                /* commit entries sent whose answer was lost, not yet arrived */
#ifdef REWRITE_IN_CLOSE
byte copied;                /* copies that sweeps have made and mean to name in a close of their own */
#endif
byte onDisk;                /* keys a writer's own state directory lists as finished */

#define ENDED           (committed | fenced | abandoned)
#define CONDEMNED(e)    (fresh[e] | doomed[e])
#define OF(m, s)        ((((m) >> s) & 1) * adds[s])
#define ADDED(m)        (OF(m, 0) | OF(m, 1) | OF(m, 2) | OF(m, 3))
#ifdef NO_VOID_RULE
#define COUNTS(e)       255
#else
#define COUNTS(e)       (255 ^ horizon[e])
#endif
/* what somebody who stands in epoch e + 1 may believe: the last close, and outcomes that were read and are not void */
#define POINTS(e)       ((ledger[e] | ((committed | checkpointed) & COUNTS(e))) & ~NO_POINT)
#ifdef MERGING
#include "runs.pml"
#else
#ifdef LEDGER_NAMES_PACKS
#define INDEX(e)        (generation[e] | ADDED((committed | checkpointed) & (COUNTS(e) | ledger[e])))
#else
#define INDEX(e)        (generation[e] | ADDED((committed | checkpointed) & COUNTS(e)))
#endif
#define BELIEVED(e)     (INDEX(e) & ~CONDEMNED(e))
#endif

#define HAVE(need, keys, p)  (!((p) & (need)) || (keys))
#define SERVED(p, keys) (HAVE(NEED_X, (keys) & KEYS_X, p) && HAVE(NEED_Y, (keys) & KEYS_Y, p))
#ifdef ROOTS
#include "roots.pml"
#else
#define KEPT            0
#define GONE            forgotten
#endif
#define VISIBLE         (POINTS(tail - 1) & (committed | tidied) & ~GONE)

#ifdef MERGING
inline NewcomersFind() { Believe(tail - 1); assert(!(found & ~packs)); found = 0 }
#else
inline NewcomersFind() { assert(!(BELIEVED(tail - 1) & ~packs)) }
#endif

/* the promises: see README.md */
inline Check() {
#ifdef MERGING
    Find(tail - 1); assert(SERVED(VISIBLE, packs & found)); counts = 0; found = 0;
#else
    assert(SERVED(VISIBLE, packs & INDEX(tail - 1)));                       /* every visible point can be restored */
#endif
    assert(!(acknowledged & ~NO_POINT & ~GONE & ~POINTS(tail - 1)));        /* no acknowledged commit is lost */
#ifdef ROOTS
    assert(!(KEPT & ~POINTS(tail - 1)));                                    /* no hold that stands is lost */
#endif
#ifdef NEWCOMERS                                /* what a newcomer believes is there */
    NewcomersFind()
#endif
}

/* ---- a writer: session `me`, which may inherit from the points `base` ------------------------------------------- */
inline Claim() {
    tail <= MAX_EPOCH;
    e = tail; epochOf[me] = e; slots[e] = slots[e] | BIT(me); claims++
}

inline ReadIndex(at) {
#ifdef MERGING
    Believe(at); seen = found; found = 0;
#else
    seen = BELIEVED(at);
#endif
#ifdef BELIEVE_CACHED_RUN
    seen = (seen | 1) & ~CONDEMNED(at)
#endif
}

#ifdef NO_BASE_CHECK
#define LIVE_BASE(e)    base
#else
#define LIVE_BASE(e)    (base & POINTS(e))
#endif

/* a pack is named hash.generation, and the generation is the epoch of the slot of who stores it */
#if defined(NAME_IS_HASH)
#define COPY_KEY(e)     BIT(4)
#elif defined(NEXT_GENERATION)     /* older wording: the next generation after the condemned ones that are known */
#define COPY_KEY(e)     (CONDEMNED(e - 1) & BIT(4) -> (CONDEMNED(e - 1) & BIT(5) -> BIT(6) : BIT(5)) : BIT(4))
#else
#define COPY_KEY(e)     BIT(4 + e)
#endif

#ifdef NO_ADOPTION_RULE
#define MAY_ADOPT(e, s) (!(CONDEMNED(e - 1) & BIT(s)))
#else
#define MAY_ADOPT(e, s) (e <= epochOf[s] + 1 && !(CONDEMNED(e - 1) & BIT(s)))
#endif

proctype Writer(byte me; byte base; bool copies) {
    byte e, seen, own;

#ifdef READ_BEFORE_CLAIM
    atomic { e = tail; ReadIndex(e - 1) }
    atomic { tail <= MAX_EPOCH; epochOf[me] = tail; slots[tail] = slots[tail] | BIT(me); claims++ }
#else
    atomic { Claim() }
#endif
    atomic {
#ifndef READ_BEFORE_CLAIM
        ReadIndex(e - 1);
#endif
        if
        :: copies -> own = COPY_KEY(e)
        :: !copies && SERVED(BIT(me), seen) && !(NO_POINT & BIT(me)) -> own = 0         /* dedup, all of it */
        :: !copies && LIVE_BASE(e - 1) -> own = 0; seen = 0                             /* unchanged: inherit */
#ifdef ADOPT
        :: me == 2 && (onDisk & BIT(1)) && MAY_ADOPT(e, 1) -> own = BIT(1)          /* a finished pack of session 1 */
#endif
        :: !copies -> own = BIT(me)
        fi
    }
    if
    :: own == 0 || (own == BIT(1) && me != 1)
    :: else -> atomic {
            packs = packs | own; onDisk = onDisk | own;
#ifdef MERGING
            lists[me] = own; runs = runs | BIT(me); addsRuns[me] = BIT(me)
#endif
        }
    fi;
#ifdef CHECKPOINTS
    if
    :: atomic { !(ENDED & BIT(me)) -> checkpointed = checkpointed | BIT(me); adds[me] = own; Check() }
    :: skip
    fi;
#endif
#ifdef MOVES
    /* session 1 may go on as session 3 in a later epoch: slot first, then `abandon`, then look at its packs again */
    if
    :: atomic { me == 1 && tail > e && tail <= MAX_EPOCH && !(slots[tail] & BIT(3)) ->
            e = tail; epochOf[3] = e; slots[e] = slots[e] | BIT(3); claims++ };
        atomic { if
#ifdef MOVE_IGNORES_FENCE
            :: ENDED & BIT(1) -> me = 3
#else
            :: ENDED & BIT(1) -> goto end
#endif
            :: else -> abandoned = abandoned | BIT(1); me = 3
            fi };
#ifndef NO_MOVE_CHECK
        atomic { if
            :: own & CONDEMNED(e - 1) -> own = BIT(3)
            :: !own && !SERVED(BIT(3), seen & ~CONDEMNED(e - 1)) -> own = BIT(3)
            :: else
            fi };
        if
        :: own == BIT(3) -> packs = packs | own
        :: else
        fi
#endif
    :: skip
    fi;
#endif
#ifdef LOST_ANSWERS
again:
    atomic {
        if                                                  /* the answer comes */
        :: !(ENDED & BIT(me)) -> committed = committed | BIT(me); adds[me] = own; goto told
        :: ENDED & BIT(me) -> goto told
        :: adds[me] = own; flying = flying | BIT(me)        /* no answer; the entry may arrive at any time, or never */
        fi
    }
#if defined(UNKNOWN_IS_SUCCESS)
    goto success;
#elif defined(UNKNOWN_IS_FAILURE)
    goto failure;
#endif
    if                                                      /* read back until bytes come; send the same bytes again */
    :: atomic { ENDED & BIT(me) -> goto told }
    :: atomic { !(ENDED & BIT(me)) -> goto again }
    fi;
told:
    atomic { if
    :: committed & BIT(me) -> goto success
    :: else -> goto failure
    fi }
success:
    atomic { acknowledged = acknowledged | BIT(me); assert(committed & BIT(me)); Check(); goto end }
failure:
    atomic { !(flying & BIT(me)) -> assert(!(committed & BIT(me))) }
#else
    atomic { if
        :: !(ENDED & BIT(me)) ->
            committed = committed | BIT(me); adds[me] = own; acknowledged = acknowledged | BIT(me); Check()
        :: else
        fi }
#endif
end: skip
}

#include "sessions.pml"

proctype Network() {        /* entries on their way arrive, or are lost */
end: do
    :: atomic { flying ->
            if
            :: flying & BIT(1) -> flying = flying & ~BIT(1);
                if
                :: !(ENDED & BIT(1)) -> committed = committed | BIT(1); Check()
                :: true
                fi
            :: flying & BIT(2) -> flying = flying & ~BIT(2);
                if
                :: !(ENDED & BIT(2)) -> committed = committed | BIT(2); Check()
                :: true
                fi
            fi }
    od
}

/* ---- forgetting, and taking it back ----------------------------------------------------------------------------- */
proctype Forget(byte point) {   /* an ordinary record: a sweep may see it late */
    atomic { POINTS(tail - 1) & BIT(point) -> forgotten = forgotten | BIT(point) }
}

#ifndef ROOTS
proctype Undo(byte point) {     /* also a pin or a hold of a point that is about to go: refused when it is gone */
    byte e;
#ifdef UNDO_WITHOUT_SLOT
    atomic { e = tail; POINTS(e - 1) & BIT(point) };
    atomic { forgotten = forgotten & ~BIT(point);
        acknowledged = acknowledged | BIT(point); Check() }
#else
    atomic { POINTS(tail - 1) & BIT(point) -> forgotten = forgotten & ~BIT(point); claims++;
        acknowledged = acknowledged | BIT(point); Check() }
#endif
}
#endif

/* ---- a sweep: settles and carries out close(e), then closes e + 1, `passes` times -------------------------------- */
inline Settle(s) {
    if
    :: slots[e] & ~ENDED & BIT(s) -> atomic {
            if
            :: slots[e] & ~ENDED & BIT(s) -> fenced = fenced | BIT(s)
            :: else
            fi }
#ifdef SESSIONS_BY_LISTING
    :: slots[e] & ~ENDED & BIT(s)               /* the listing lags: the session is overlooked */
#endif
    :: !(slots[e] & ~ENDED & BIT(s))
    fi
}

/* Which condemned keys of close(e) are deleted. Reads only what can no longer change: the close and ended sessions. */
inline Remark() {
    roots = (ledger[e] | ((committed | checkpointed) & slots[e] & ~horizon[e])) & ~NO_POINT;
#ifdef MERGING
    RemarkRuns();
#else
    names = generation[e] | ADDED((committed | checkpointed) & slots[e] & ~horizon[e]);
#endif
#ifdef COPY_BY_LISTING
    names = names | packs;
#endif
#ifdef FORGET_AT_ONCE
    roots = roots & ~forgotten;
#endif
    keep = 0;
#ifndef NO_REMARK
    if
    :: (roots & NEED_X) && !(names & ~CONDEMNED(e) & KEYS_X) -> keep = names & fresh[e] & KEYS_X
    :: else
    fi;
    if
    :: (roots & NEED_Y) && !(names & ~CONDEMNED(e) & KEYS_Y) -> keep = keep | (names & fresh[e] & KEYS_Y)
    :: else
    fi;
#ifdef PARDON_ONE                               /* any one copy will do */
    if
    :: keep & 1 -> keep = 1
    :: keep & 2 -> keep = 2
    :: keep & 4 -> keep = 4
    :: keep & 8 -> keep = 8
    :: !keep
    fi;
#endif
#endif
    dead = CONDEMNED(e) & ~keep;
#ifdef SAME_VERDICT                             /* every sweep that carries out close(e) must delete the same keys */
    if
    :: judged & BIT(e) -> assert(verdict[e] == dead)
    :: else -> judged = judged | BIT(e); verdict[e] = dead
    fi;
#endif
    roots = 0; names = 0; keep = 0
}

inline Choose(need, keys) {                     /* every copy, or any one of them */
    if
    :: (led & need) && (keys) -> keep = keep | (keys)
    :: (led & need) && (keys) -> x = 1; do
        :: !((keys) & x) -> x = x << 1
        :: (keys) & x -> break
        od; keep = keep | x
    :: (led & need) && (keys) -> x = 128; do
        :: !((keys) & x) -> x = x >> 1
        :: (keys) & x -> break
        od; keep = keep | x
    :: !((led & need) && (keys))
    fi;
    x = 0
}

#ifdef COUNT_CONDEMNED
#define PRESENT     names
#elif defined(COPY_BY_LISTING)
#define PRESENT     ((names | packs) & ~dead)
#else
#define PRESENT     (names & ~dead)
#endif

/* What close(e + 1) will say. */
inline Compose() {
    claimed = claims;
    hor = slots[e];
#ifdef CARRY_UNSETTLED
    if
    :: slots[e] & ~ENDED -> hor = horizon[e]
    :: else
    fi;
#endif
    if
#ifdef HORIZON_TOO_HIGH
    :: hor = slots[e + 1]
#else
    :: !(slots[e + 1] & ~ENDED) -> hor = slots[e + 1]
#endif
    :: skip
    fi;
    x = 0;
    if                                          /* younger sessions: their outcomes are read or not */
    :: x = slots[e + 1]
    :: hor != slots[e + 1] -> x = hor
    fi;
    led = (ledger[e] | ((committed | checkpointed) & x & ~horizon[e])) & ~NO_POINT;
#ifdef MERGING
    ComposeRuns();
#else
    names = generation[e] | ADDED((committed | checkpointed) & x & ~horizon[e]);
#endif
#ifdef FORGET_AT_ONCE
    led = led & ~forgotten;
#elif defined(ROOTS)
    DropForgotten();
#else
    led = led & ~(forgotten & hor);
#endif
    if
    :: led = led & ~(checkpointed & ~committed & ENDED & hor)       /* checkpoints that a later commit replaced */
    :: checkpointed & ~committed & ENDED & hor
    fi;
    x = 0;
#ifndef COUNT_CONDEMNED
    if
    :: !unsettled -> names = names & ~dead      /* verdict given: nobody believes these entries any more */
    :: unsettled
    fi;
#endif
    car = dead;
    if
#ifdef MERGING
    :: (done & BIT(e)) && !unsettled -> car = STAYS_CARRIED
#else
    :: (done & BIT(e)) && !unsettled -> car = 0
#endif
#ifdef DROP_BEFORE_DELETED
    :: true -> names = names | (generation[e] & dead); car = 0
#endif
    :: !(done & BIT(e)) || unsettled
    fi;
#ifdef REWRITE_IN_CLOSE                         /* a sweep names its copy of the old pack in its own close */
    if
    :: !copy && copied < 2 && (names & packs & 1) -> copy = 4 << copied; copied++; copyEpoch = e + 1;
        packs = packs | copy; names = names | copy
#ifdef COPY_NAMED_LATE
    :: copy -> names = names | copy
#else
    :: copy && e + 1 <= copyEpoch + 1 && !(CONDEMNED(e) & copy) -> names = names | copy
#endif
    :: true
    fi;
#endif
    keep = 0;
    Choose(NEED_X, PRESENT & KEYS_X);
    Choose(NEED_Y, PRESENT & KEYS_Y);
    cond = names & ~dead & ~keep;
    if                                          /* orphans: the listing is a hint, it may lag */
    :: cond = cond | (packs & ~dead & ~keep)
    :: packs & ~dead & ~keep & ~cond
    fi;
#ifdef GENERATION_WITHOUT_CONDEMNED
    names = names & ~cond;
#endif
#ifdef MERGING
    CondemnRuns();
#endif
    keep = 0
}

inline Forgo() {
    claimed = 0; hor = 0; led = 0; names = 0; car = 0; cond = 0;
#ifdef MERGING
    named = 0; top = 0; carRuns = 0; condRuns = 0;
#endif
#ifdef ROOTS
    pend = 0; hld = 0;
#endif
    x = 0
}

proctype Sweep(byte passes) {
    byte e, dead, claimed, hor, led, names, car, cond, keep, roots, x;
    bool unsettled;
#ifdef MERGING
    byte deadRuns, named, top, carRuns, condRuns, mine, mineEpoch;
#endif
#ifdef ROOTS
    byte pend, hld;
#endif
#ifdef REWRITE_IN_CLOSE
    byte copy, copyEpoch;
#endif

next:
    atomic { e = tail - 1; unsettled = false };
#ifdef CARRY_UNSETTLED                          /* older wording: carry everything, settle when there is time */
    if
    :: passes && tail <= MAX_EPOCH && !(done & BIT(e)) -> dead = CONDEMNED(e); unsettled = true; goto compose
    :: skip
    fi;
#endif
settle:
    Settle(1); Settle(2); Settle(3);
    atomic { Remark() };
#ifdef STOP_IF_CLOSED_AGAIN
    if
    :: tail > e + 1 -> goto retire
    :: tail == e + 1
    fi;
#endif
    if
    :: done & BIT(e)
    :: !(done & BIT(e)) ->
        if
        :: passes                               /* leaves the deleting to somebody else, or for later */
        :: atomic { x = 1 };
            do
            :: atomic { dead & x -> packs = packs & ~x; Check(); x = x << 1 }
            :: atomic { x && !(dead & x) -> do
                :: x && !(dead & x) -> x = x << 1
                :: !x || (dead & x) -> break
                od }
            :: !x -> break
            od;
#ifdef MERGING
            atomic { runs = runs & ~deadRuns; Check() };
#endif
            atomic { done = done | BIT(e) }
        fi
    fi;
#ifdef TIDY_FENCED
    atomic { fenced = fenced & ~horizon[tail - 1] };
#endif
#ifdef TIDY_COMMITTED
    atomic { x = committed & horizon[tail - 1] & ~1;
        if
        :: x & 2 -> adds[1] = 0
        :: else
        fi;
        if
        :: x & 4 -> adds[2] = 0
        :: else
        fi;
        committed = committed & ~x; tidied = tidied | x; x = 0 };
#endif
retire:
    if
    :: !passes || tail > MAX_EPOCH -> goto end
    :: passes && tail != e + 1 -> goto next
    :: passes && tail == e + 1 && tail <= MAX_EPOCH
    fi;
compose:
    atomic { if
        :: tail != e + 1 -> goto next
        :: else
        fi;
        Compose() }
    atomic {
        if
        :: tail == e + 1 && claims == claimed ->
            e++; passes--;
            ledger[e] = led; horizon[e] = hor; fresh[e] = cond; doomed[e] = car;
#ifdef MERGING
            generationRuns[e] = top; freshRuns[e] = condRuns; doomedRuns[e] = carRuns;
            deadRuns = 0;
#else
            generation[e] = names;
#endif
#ifdef ROOTS
            pending[e] = pend; held[e] = hld;
#endif
#ifdef CARRY_UNSETTLED
            fresh[e] = cond | car; doomed[e] = 0;
#endif
            slots[e + 1] = slots[e]; tail = e + 1; claims = 0;
            unsettled = false;
            dead = 0; Forgo(); Check(); goto settle
        :: tail == e + 1 && claims != claimed -> Forgo(); goto compose
        :: tail != e + 1 ->
            dead = 0; Forgo();
#ifdef MERGING
            deadRuns = 0;
#endif
            goto next
        fi
    }
end: skip
}

init {
    atomic {
        adds[0] = 1; ledger[0] = 1; horizon[0] = 1; slots[0] = 1; slots[1] = 1; done = 1;
#ifdef ROOTS
        pending[0] = FORGOTTEN;
#endif
#ifdef MERGING
        lists[0] = RUNS; generationRuns[0] = 1; addsRuns[0] = 1;
#else
        generation[0] = RUNS;
#endif
        ACTORS
    }
}
