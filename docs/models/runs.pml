/*
 * Index runs as objects: what `repository.pml` adds when MERGING is defined. Without it a generation is a set of keys.
 *
 * Bit r of a run set is run r: runs 0..3 are those that session r put for its own pack; 3 is also what session 3, which
 * moved, makes anew; 4 and 5 are merged by sessions 1 and 2, 6 and 7 by sweeps, which name them in their own close. A
 * run never changes: it lists pack keys, and names the runs that it merges, with what those had merged.
 */

#define RUN_SETS    8
byte runs = 1;              /* runs that exist */
byte lists[RUN_SETS];       /* keys that a run lists */
byte merges[RUN_SETS];      /* runs that it merges */
byte addsRuns[SESSIONS];    /* runs that the outcome of a session names */
byte made;                  /* merged runs of sweeps so far */

/* the contents of close(e): the index generation as it is written, and runs among the condemned keys */
byte generationRuns[EPOCHS];
byte freshRuns[EPOCHS];
byte doomedRuns[EPOCHS];
#ifdef SAME_VERDICT
byte verdictRuns[EPOCHS];
#endif

#define IN(m, r, what)      ((((m) >> r) & 1) * what[r])
#define LISTED(m)           (IN(m, 0, lists) | IN(m, 1, lists) | IN(m, 2, lists) | IN(m, 3, lists) \
                            | IN(m, 4, lists) | IN(m, 5, lists) | IN(m, 6, lists) | IN(m, 7, lists))
#define MERGED(m)           (IN(m, 3, merges) | IN(m, 4, merges) | IN(m, 5, merges) | IN(m, 6, merges) \
                            | IN(m, 7, merges))
#define NAMED(m)            (IN(m, 0, addsRuns) | IN(m, 1, addsRuns) | IN(m, 2, addsRuns) | IN(m, 3, addsRuns))
#define TOP(m)              ((m) & ~MERGED(m))              /* what a run that counts has merged is passed over */
#define OUTCOMES            (committed | checkpointed)
#define CONDEMNED_RUNS(e)   (freshRuns[e] | doomedRuns[e])
#ifdef LEDGER_NAMES_RUNS
#define COUNTING(e)         (generationRuns[e] | NAMED(OUTCOMES & (COUNTS(e) | ledger[e])))
#else
#define COUNTING(e)         (generationRuns[e] | NAMED(OUTCOMES & COUNTS(e)))
#endif

/* What is found by who stands in epoch e + 1; and what a session believes, which may have read a run long ago and so
   misses none. `found` are keys, `counts` the runs that are not passed over; both are 0 but for a moment. */
byte counts, found;
inline PassOver() { found = MERGED(counts); counts = counts & ~found }
inline Find(e) { d_step { counts = COUNTING(e) & runs; PassOver(); found = LISTED(counts) } }
inline Count(e) { counts = COUNTING(e) & ~CONDEMNED_RUNS(e); PassOver(); found = 0 }
inline Believe(e) {
#ifdef BELIEVE_MERGED_INPUT
    d_step { counts = COUNTING(e); found = MERGED(counts) | counts; found = LISTED(found) & ~CONDEMNED(e); counts = 0 }
#else
    d_step { Count(e); found = LISTED(counts) & ~CONDEMNED(e); counts = 0 }
#endif
}

/* ---- merging: what a session leaves out of the run that it puts ------------------------------------------------ */
#ifdef MERGE_KEEPS_CARRIED
#define LEFT_OUT(e)         0
#elif defined(MERGE_LEAVES_OUT_FRESH)
#define LEFT_OUT(e)         CONDEMNED(e)
#elif defined(MERGE_BEHIND_VERDICT)         /* the session of a sweep, which knows a verdict when there is one */
#define LEFT_OUT(e)         (doomed[e] | ((judged >> (e)) & 1) * verdict[e])
#else
#define LEFT_OUT(e)         doomed[e]
#endif

inline Merge(r, source, gone) {
    lists[r] = LISTED(source) & ~(gone);
    merges[r] = (source) | MERGED(source);
    runs = runs | BIT(r)
}

/* ---- a sweep --------------------------------------------------------------------------------------------------- */
/* Which condemned runs of close(e) are deleted; what is left of the index is in `names`. */
inline RemarkRuns() {
    x = NAMED(OUTCOMES & slots[e] & ~horizon[e]);
#ifdef NO_RUN_PARDON
    deadRuns = CONDEMNED_RUNS(e);
#else
    deadRuns = CONDEMNED_RUNS(e) & ~(freshRuns[e] & x);
#endif
    x = (generationRuns[e] | x) & ~deadRuns;
    names = LISTED(TOP(x));
    x = 0;
#ifdef SAME_VERDICT
    assert(!(judged & BIT(e)) || verdictRuns[e] == deadRuns);
    verdictRuns[e] = deadRuns
#endif
}

/* The runs of close(e + 1), from the outcomes of `x`; a sweep may put a merged run of its own into it. */
inline ComposeRuns() {
    named = (generationRuns[e] | NAMED(OUTCOMES & x & ~horizon[e])) & ~deadRuns;
#ifdef SWEEP_MERGES
    if
    :: !mine && made < 2 ->
        mine = 6 + made; made++; mineEpoch = e + 1; Merge(mine, TOP(named), dead); named = named | BIT(mine)
#ifdef MERGE_NAMED_LATE
    :: mine -> named = named | BIT(mine)
#else
    :: mine && e + 1 <= mineEpoch + 1 && !(CONDEMNED_RUNS(e) & BIT(mine)) -> named = named | BIT(mine)
#endif
    :: true
    fi;
#endif
#ifdef MERGE_BY_LISTING
    top = named & ~MERGED(named | runs);
#else
    top = TOP(named);
#endif
    names = LISTED(top)
}

/* Keys leave the carried list when their deletion was answered, and nobody can name them any more. */
#if defined(CARRY_UNTIL_DELETED)
#define STAYS_CARRIED   0
#elif defined(CARRY_WHILE_LISTED)
#define STAYS_CARRIED   (dead & LISTED(top))
#elif defined(CARRY_ONCE)
#define STAYS_CARRIED   (dead & fresh[e])
#else
#define STAYS_CARRIED   (dead & (fresh[e] | LISTED(top)))
#endif

inline CondemnRuns() {
    if
    :: condRuns = (named & ~top) | (runs & ~named & ~deadRuns)      /* orphans, when the listing shows them */
    :: condRuns = named & ~top
    fi;
#ifdef MERGE_LEAVES_OUT_FRESH
    if
    :: mine && (top & BIT(mine)) -> lists[mine] = lists[mine] & ~cond
    :: else
    fi;
#endif
    carRuns = ((done & BIT(e)) -> 0 : deadRuns)
}
