/*
 * More sessions: one that merges runs, one of a sweep that copies what is live out of a pack, one that forgets; what is
 * no session: a reader, an undo, a hold.
 */

/* ---- a backup that outlives epochs: it goes on as session 2, and once more as session 3 ------------------------- */
/* X is captured in session 1, Y in whatever session comes behind it. A session that moves names all that was captured
 * so far in a last checkpoint, claims a slot in the open epoch, and goes on if its `abandon` wins; it looks at nothing.
 */
inline Store() {
    if
    :: own -> atomic {
            packs = packs | own;
#ifdef MERGING
            lists[me] = own; runs = runs | BIT(me); addsRuns[me] = BIT(me)
#endif
        }
    :: else
    fi
}

proctype Mover() {
    byte me = 1, e, seen, own;

    atomic { Claim() }
    atomic { ReadIndex(e - 1);
        if
        :: seen & KEYS_X -> own = 0
        :: own = BIT(1)
        fi }
    Store();
    do
    :: me < 3 ->
#ifndef MOVE_WITHOUT_CHECKPOINT
        atomic { tail > e && !(ENDED & BIT(me)) -> checkpointed = checkpointed | BIT(me); adds[me] = own; Check() };
#endif
#ifdef MOVE_ABANDONS_FIRST
        atomic { !(ENDED & BIT(me)) -> abandoned = abandoned | BIT(me) };
#endif
        atomic { tail > e && tail <= MAX_EPOCH ->
            e = tail; epochOf[me + 1] = e; slots[e] = slots[e] | BIT(me + 1); claims++ };
        atomic { if
#ifdef MOVE_ABANDONS_FIRST
            :: true
#elif defined(MOVE_IGNORES_FENCE)
            :: true -> abandoned = abandoned | (BIT(me) & ~ENDED)
#else
            :: ENDED & BIT(me) -> goto end
            :: else -> abandoned = abandoned | BIT(me)
#endif
            fi;
            me++; own = 0 };
        atomic { ReadIndex(e - 1);
            if
            :: seen & KEYS_Y -> own = 0
            :: own = BIT(me)
            fi };
        Store()
    :: break
    od;
    atomic { if
        :: !(ENDED & BIT(me)) ->
            committed = committed | BIT(me); adds[me] = own; acknowledged = acknowledged | BIT(me); Check()
        :: else
        fi };
end: skip
}

#ifdef MERGING
/* ---- merges the runs that count into one, and may move on ------------------------------------------------------ */
proctype Merger(byte me) {
    byte e, own, input;

    atomic { Claim() }
    atomic {
        Count(e - 1); input = counts; counts = 0;
        own = 3 + me; Merge(own, input, LEFT_OUT(e - 1)); input = 0
    }
#ifdef MOVES
    if
    :: atomic { tail > e && tail <= MAX_EPOCH && !(slots[tail] & BIT(3)) ->
            e = tail; epochOf[3] = e; slots[e] = slots[e] | BIT(3); claims++ };
        atomic { if
            :: ENDED & BIT(me) -> goto end
            :: else -> abandoned = abandoned | BIT(me); me = 3
            fi };
#ifndef MOVE_KEEPS_MERGED
        atomic { if
            :: (lists[own] & doomed[e - 1]) || (CONDEMNED_RUNS(e - 1) & BIT(own)) ->
                input = own; own = 3;
                lists[3] = lists[input] & ~LEFT_OUT(e - 1); merges[3] = merges[input];
                runs = runs | BIT(3); input = 0
            :: else
            fi };
#endif
    :: skip
    fi;
#endif
    atomic { if
        :: !(ENDED & BIT(me)) ->
            addsRuns[me] = BIT(own); committed = committed | BIT(me);
#ifdef DELETE_INPUTS
            runs = runs & ~merges[own];
#endif
            Check()
        :: else
        fi };
end: skip
}

/* ---- a reader without a slot: what it does not find it looks for again, in the newest close -------------------- */
proctype Reader(byte point) {
    byte e, known;

again:
    atomic { e = tail - 1; POINTS(e) & BIT(point) & ~forgotten -> Find(e); known = counts; counts = 0; found = 0 };
    atomic { known = known & runs; known = LISTED(known) & packs;
        if
        :: SERVED(BIT(point), known)
        :: else -> if
#ifdef NO_RELOAD
            :: true -> assert(!(VISIBLE & BIT(point)))
#else
            :: tail == e + 1 -> assert(!(VISIBLE & BIT(point)))
            :: tail != e + 1 -> goto again
#endif
            fi
        fi }
}
#endif

/* ---- a sweep's own session: copies what is live of the packs SOURCE, and commits without a point --------------- */
#ifndef SOURCE
#define SOURCE      1
#endif
#ifdef MERGE_LEAVES_OUT_SOURCE
#define LEFT_BEHIND SOURCE
#else
#define LEFT_BEHIND 0
#endif

proctype Rewriter(byte me) {
    byte e, seen, own;

    atomic { Claim() }
    atomic {
        ReadIndex(e - 1); seen = seen & SOURCE;
        if
        :: seen -> own = BIT(me)
        :: !seen -> goto end                                    /* nothing to copy, or condemned: never copied from */
        fi
    }
    atomic { if
        :: packs & seen -> packs = packs | own;
#ifdef MERGING
            lists[me] = own; runs = runs | BIT(me); addsRuns[me] = BIT(me);
#ifdef REWRITE_MERGES                       /* and merges in the same session, leaving out nothing but what is doomed */
            runs = runs & ~BIT(me);
            Count(e - 1); seen = counts; counts = 0;
            Merge(3 + me, seen, (LEFT_OUT(e - 1) | LEFT_BEHIND));
            lists[3 + me] = lists[3 + me] | own; addsRuns[me] = BIT(3 + me);
#endif
#endif
            seen = 0
        :: else -> assert(ENDED & BIT(me)); goto end            /* gone: only when it was fenced */
        fi }
#ifdef MOVES
    if
    :: atomic { me == 1 && tail > e && tail <= MAX_EPOCH && !(slots[tail] & BIT(3)) ->
            e = tail; epochOf[3] = e; slots[e] = slots[e] | BIT(3); claims++ };
        atomic { if
            :: ENDED & BIT(1) -> goto end
            :: else -> abandoned = abandoned | BIT(1); me = 3
            fi };
#ifndef NO_MOVE_CHECK
        atomic { if
            :: own & CONDEMNED(e - 1) -> own = BIT(3); packs = packs | own
            :: else
            fi };
#endif
#ifdef MERGING
        atomic { lists[3] = own; runs = runs | BIT(3); addsRuns[3] = BIT(3) };
#endif
    :: skip
    fi;
#endif
    atomic { if
        :: !(ENDED & BIT(me)) ->
            committed = committed | BIT(me); adds[me] = own;
#ifdef DELETE_AFTER_COPY
            packs = packs & ~SOURCE;
#endif
            Check()
        :: else
        fi };
end: skip
}

#ifdef ROOTS
/* ---- forgets a point; takes that back; holds or pins a point --------------------------------------------------- */
proctype Forgetter(byte me; byte point) {
    byte e;

    atomic { Claim() }
    atomic { if
        :: !(ENDED & BIT(me)) && (POINTS(e - 1) & BIT(point)) ->
            forgets[me] = BIT(point); committed = committed | BIT(me); forgottenIn = tail;
            if                                          /* its heads hold undos of earlier epochs at least */
            :: (undos[1] | undos[2] | undos[3]) & BIT(point) -> aware[me] = BIT(point)
            :: !((e > 1 && undos[1] & BIT(point)) || (e > 2 && undos[2] & BIT(point))) -> true
            fi;
            if
            :: ((undos[1] | undos[2] | undos[3]) & BIT(point)) && !aware[me]        /* the undo wins */
            :: else -> forgotten = forgotten | BIT(point)
            fi
        :: else
        fi }
}

proctype Undo(byte point) {
    byte e;

    atomic { tail <= MAX_EPOCH; e = tail; undos[e] = undos[e] | BIT(point);
#ifndef UNDO_WITHOUT_SLOT
        claims++
#endif
    };
    atomic { if
#ifdef UNDO_WITHOUT_CHECK
        :: true ->
#else
        :: POINTS(e - 1) & BIT(point) ->
#endif
            if
            :: aware[2] & BIT(point) || aware[3] & BIT(point)                       /* forgotten again meanwhile */
            :: else -> forgotten = forgotten & ~BIT(point); acknowledged = acknowledged | BIT(point)
            fi;
            Check()
#ifndef UNDO_WITHOUT_CHECK
        :: else                                             /* refused: it is gone, and not too soon */
#endif
#if DELAY
            -> assert(e > forgottenIn + DELAY)
#endif
        fi }
}

proctype Hold(byte h; byte point) {
    byte e;

    atomic { tail <= MAX_EPOCH; e = tail; holds[e] = holds[e] | BIT(h); holdOn[h] = BIT(point);
#ifndef HOLD_WITHOUT_SLOT
        claims++
#endif
    };
    atomic { if
#ifdef HOLD_WITHOUT_CHECK
        :: true ->
#else
        :: POINTS(e - 1) & BIT(point) ->
#endif
            standing = standing | BIT(h); Check()
#ifndef HOLD_WITHOUT_CHECK
        :: else                                             /* refused, and released below */
#endif
        fi };
    atomic { standing = standing & ~BIT(h); released = released | BIT(h) }
}
#endif
