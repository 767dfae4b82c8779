/* The queue of ipc/port.h with its parking and waking, on processors with store buffers (tso.pml). One sender; RECEIVERS
 * vCPUs of one machine, each of which takes its SHARE of messages or, with UNTIL_END, all there are until it hears that
 * the sender is gone. Behind its messages the sender notes EVENTS events (ipc/events.h), each of which counts as one of
 * the shares.
 *
 * Checked: every message arrives once and in order; nobody waits for ever (an invalid end state). Each of these takes a
 * fence or lock away that the comments in ipc/ call needed, and must make it fail:
 *   NO_FENCE_SEND  the OR into `ready` is a plain store (port_arrived)
 *   NO_FENCE_END   the AND on `open` is a plain store (tell_end)
 *   NO_FENCE_WAIT  the OR into `look` is a plain store (end_wait)
 *   NO_LAST_LOOK   who waits does not look at `ready` once more
 *   NO_LOOK_OPEN   who waits does not look once more whether somebody is left who may send
 *   NO_FENCE_TAKE  the AND on `ready` is a plain store (end_take)
 *   NO_SECOND_LOOK who took the bit off `ready` does not look at the ring once more
 *   NO_CLAIM_LOCK  the AND on `look` is a plain store (end_take_waiter)
 *   NO_WAKE_AGAIN  who sets the bit of `ready` again wakes nobody (set_again)
 *   NO_READER_LOCK vCPUs of a machine do not exclude each other (get_locked)
 *   NO_ORDER       the index is written before the message (port_put)
 *   NO_FENCE_NOTE  the OR into `ready` is a plain store (events_note)
 *   EARLY_EVENTS   events are looked at before the AND on `ready`, not behind it (look_again)
 *   NO_SET_AGAIN   who takes an event does not set the bit of `ready` again (look_again)
 */
#ifndef RECEIVERS
#define RECEIVERS 1
#endif
#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef EVENTS
#define EVENTS 0
#endif
#ifdef UNTIL_END
#define SHARE 255 /* they hear that the sender is gone */
#else
#define SHARE (me == 0 -> MESSAGES + EVENTS - RECEIVERS + 1 : 1)
#endif
#define DEPTH 2
#define PROCESSORS (RECEIVERS + 1)
#define SENDER RECEIVERS /* its processor; a receiver has that of its number */

/* Memory. */
#define TAIL 0
#define HEAD 1
#define READY 2
#define OPEN 3
#define LOOK 4
#define LOCK 5
#define END_LOCK 6
#define NOTED 7
#define SLOT 8
#define WORDS (SLOT + DEPTH)
#include "tso.pml"

#ifdef NO_FENCE_SEND
#define SET_READY TORN(READY, 1)
#else
#define SET_READY LOCKED(READY, 1)
#endif
#ifdef NO_FENCE_END
#define CLOSE TORN(OPEN, 0)
#else
#define CLOSE LOCKED(OPEN, 0)
#endif
#ifdef NO_FENCE_TAKE
#define CLEAR_READY TORN(READY, 0)
#else
#define CLEAR_READY LOCKED(READY, 0)
#endif
#ifdef NO_FENCE_WAIT
#define SET_LOOK TORN(LOOK, mem[LOOK] | 1 << me)
#else
#define SET_LOOK LOCKED(LOOK, mem[LOOK] | 1 << me)
#endif

bool woken[RECEIVERS]; /* the home has it in its inbox: by locked instructions and an IPI */
byte next = 0;         /* the message that is to be taken next */

/* Takes the bit of `who` off `look`; `had`: it was there. */
#ifdef NO_CLAIM_LOCK
#define TAKE_WAITER(who) had = mem[LOOK] >> who & 1; value = mem[LOOK] & ~(1 << who); STORE(LOOK, value)
#else
#define TAKE_WAITER(who) atomic { FENCE -> had = mem[LOOK] >> who & 1; mem[LOOK] = mem[LOOK] & ~(1 << who) }
#endif

inline wake_waiters()
{
    looks = mem[LOOK];
    w = 0;
    do
    :: w < RECEIVERS ->
        if
        :: looks >> w & 1 ->
            TAKE_WAITER(w);
            if
            :: had -> atomic { FENCE -> woken[w] = true }
            :: else
            fi
        :: else
        fi;
        w++
    :: else -> break
    od
}

inline arrived()
{
    SET_READY;
    if
    :: mem[LOOK] != 0 -> wake_waiters()
    :: else
    fi
}

#define TAKE_LOCK(lock) atomic { FENCE && !mem[lock] -> mem[lock] = 1 }

/* events_note() */
inline note(event)
{
    TAKE_LOCK(END_LOCK);
    value = mem[NOTED] | 1 << event;
    STORE(NOTED, value);
#ifdef NO_FENCE_NOTE
    TORN(READY, 1);
#else
    LOCKED(READY, 1);
#endif
    wake_waiters();
    STORE(END_LOCK, 0)
}

proctype sender()
{
    byte me = SENDER, tail = 0, value, looks, w, event = 0;
    bool had;
    do
    :: tail < MESSAGES ->
        (tail - mem[HEAD]) < DEPTH; /* E_AGAIN: tries again */
#ifdef NO_ORDER
        STORE(TAIL, tail + 1);
        STORE(SLOT + tail % DEPTH, tail);
#else
        STORE(SLOT + tail % DEPTH, tail);
        STORE(TAIL, tail + 1);
#endif
        tail++;
        arrived()
    :: else -> break
    od;
    do
    :: event < EVENTS -> note(event); event++
    :: else -> break
    od;
#ifndef STAYS
    TAKE_LOCK(END_LOCK); /* tell_end(): the vCPUs do not run any more */
    CLOSE;
    wake_waiters();
    STORE(END_LOCK, 0)
#endif
}

/* get_locked(): the index of the readers is of all of them. A ticket lock: taken by a locked instruction, given back by
 * a plain store. */
inline get()
{
#ifndef NO_READER_LOCK
    TAKE_LOCK(LOCK);
#endif
    head = mem[HEAD];
    if
    :: head != mem[TAIL] ->
        value = mem[SLOT + head % DEPTH];
        got = true;
        atomic { assert(value == next); next++ }
        STORE(HEAD, head + 1)
    :: else -> got = false
    fi;
#ifndef NO_READER_LOCK
    STORE(LOCK, 0)
#endif
}

inline set_again()
{
    LOCKED(READY, 1);
#ifndef NO_WAKE_AGAIN
    wake_waiters()
#endif
}

/* events_take(): the lowest that is noted. */
inline take_event()
{
    TAKE_LOCK(END_LOCK);
    noted = mem[NOTED];
    if
    :: noted ->
        got = true;
        value = noted & (noted - 1);
        STORE(NOTED, value)
    :: else
    fi;
    STORE(END_LOCK, 0)
}

/* end_take(), then end_wait(), until something was taken or there is nothing more to come (`done`). */
proctype receiver(byte me)
{
    byte head, value, looks, w, taken = 0, noted = 0;
    bool had, got, open, done = false;
    do
    :: taken == SHARE || done -> break
    :: else ->
        open = mem[OPEN];
        got = false;
        do
        :: mem[READY] && !got ->
            get();
            if
            :: !got ->
                FENCE; /* the lock's release, or nothing */
#ifdef EARLY_EVENTS
                take_event();
#endif
                CLEAR_READY;
#ifndef NO_SECOND_LOOK
                if
                :: mem[HEAD] != mem[TAIL] -> set_again()
                :: else ->
#if EVENTS > 0
#ifndef EARLY_EVENTS
                    take_event();
#endif
#ifndef NO_SET_AGAIN
                    if
                    :: noted -> set_again()
                    :: else
                    fi
#endif
#endif
                    skip
                fi
#endif
            :: else
            fi
        :: else -> break
        od;
        if
        :: got -> taken++
        :: !got && !open -> done = true; assert(next == MESSAGES)
        :: else ->
            SET_LOOK;
            if
#ifndef NO_LAST_LOOK
            :: mem[READY] -> TAKE_WAITER(me)
#endif
#ifndef NO_LOOK_OPEN
            :: !mem[READY] && !mem[OPEN] -> TAKE_WAITER(me)
#endif
            :: else ->
                woken[me]; /* parked */
                woken[me] = false;
                if
                :: mem[LOOK] >> me & 1 -> TAKE_WAITER(me)
                :: else
                fi
            fi
        fi
    od
}

init {
    byte i = 0;
    atomic {
        mem[OPEN] = 1;
        drain_all();
        run sender();
        i = 0;
        do
        :: i < RECEIVERS -> run receiver(i); i++
        :: else -> break
        od
    }
}
