/*
 * Pins, holds, undo and forgetting with all that belongs to them: what `repository.pml` adds when ROOTS is defined.
 * Without it forgetting is a fact that a sweep sees, and an undo a single act.
 *
 * Hold h is a slot that keeps points for as long as it stands; a pin is the same to the protocol. A release is a
 * record, and so is a forget: it stands in the outcome of a session, whose heads name the undos that it has seen.
 */

byte holds[EPOCHS];         /* holds whose slot is in epoch e */
byte holdOn[2];             /* points that hold h names */
byte standing;              /* holds whose owner was told that they stand, and has not released them */
byte released;              /* holds whose release is on record */
byte undos[EPOCHS];         /* points that the undo slots of epoch e name */
byte forgets[SESSIONS];     /* points that the outcome of a session forgets */
byte aware[SESSIONS];       /* of these, the ones whose undo it had seen: it forgets them again */
byte forgottenIn;           /* the epoch that was open at the last forget */

/* the contents of close(e) */
byte held[EPOCHS];          /* holds of earlier epochs that stand */
byte pending[EPOCHS];       /* points that a forget names which was read, and that are still in the ledger */

#ifndef DELAY
#define DELAY   0           /* 1: a forgotten point goes at the earliest one close after the one that read the forget */
#endif

#define ON(m)           ((((m) & 1) * holdOn[0]) | ((((m) >> 1) & 1) * holdOn[1]))
#define KEPT            ON(standing)
#define GONE            (forgotten & ~KEPT)
#ifdef UNDOS_OF_OPEN_EPOCH_ONLY
#define UNDONE(e)       undos[e + 1]
#else
#define UNDONE(e)       (undos[e] | undos[e + 1])
#endif
#define FORGETS(m, s, e)    ((((m) >> s) & 1) * (forgets[s] & ~(UNDONE(e) & ~aware[s])))
#ifdef HOLDS_OF_OPEN_EPOCH_ONLY
#define HOLDS(e)        holds[e + 1]
#else
#define HOLDS(e)        (held[e] | holds[e + 1])
#endif

/* ---- a sweep: which points close(e + 1) drops, having read the outcomes of `x` --------------------------------- */
inline DropForgotten() {
    roots = x & committed & ~horizon[e];
    pend = (pending[e] & ~undos[e + 1]) | FORGETS(roots, 2, e) | FORGETS(roots, 3, e);
    hld = HOLDS(e);
    if                                                      /* releases are read or not */
    :: released & hld ->
#ifdef RELEASE_NAMES_POINT
        keep = ON(released);
        if
        :: holdOn[0] & keep -> hld = hld & ~1
        :: else
        fi;
        if
        :: holdOn[1] & keep -> hld = hld & ~2
        :: else
        fi;
        keep = 0
#else
        hld = hld & ~released
#endif
    :: true
    fi;
    roots = pend & hor;
#ifndef FORGET_BEATS_HOLD
    roots = roots & ~ON(hld);
#endif
#if DELAY
#ifdef DELAY_FROM_SLOT                                      /* as old as the slot of the session that said so */
    roots = roots & (pending[e] | (((forgets[2] && epochOf[2] <= e) -> forgets[2] : 0)
                                | ((forgets[3] && epochOf[3] <= e) -> forgets[3] : 0)));
#else
    roots = roots & pending[e];
#endif
#endif
    if                                                      /* whether it drops them now is its own choice */
    :: led = led & ~roots; pend = pend & ~roots
    :: roots & led
    fi;
    roots = 0
}
