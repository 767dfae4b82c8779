/* A machine asks for a vector of a port (end_set_event) while a message is sent there (port_put, port_arrives, port_tell), on
 * processors with store buffers (tso.pml). Then it halts.
 *
 * Checked: it does not halt for ever (an invalid end state): the message was there when it looked, or the sender raises
 * the vector. Each of these must fail:
 *   NO_FENCE_VECTOR  the OR into `look` is a plain store (end_set_event)
 *   NO_FENCE_SEND    the OR into `ready` is a plain store (port_arrives)
 *   NO_LOOK          what was there already is not looked for (end_set_event)
 */
#define TAIL 0
#define READY 1
#define LOOK 2
#define VECTOR 3
#define WORDS 4
#define PROCESSORS 2
#include "tso.pml"

bool posted = false; /* in the local APIC: by locked instructions */

proctype sends(byte me)
{
    byte value;
    STORE(TAIL, 1);
#ifdef NO_FENCE_SEND
    TORN(READY, 1);
#else
    LOCKED(READY, 1);
#endif
    if
    :: mem[LOOK] ->
        if
        :: mem[VECTOR] -> posted = true
        :: else
        fi
    :: else
    fi
}

proctype halts(byte me)
{
    byte value;
    STORE(VECTOR, 1);
#ifdef NO_FENCE_VECTOR
    TORN(LOOK, 1);
#else
    LOCKED(LOOK, 1);
#endif
#ifndef NO_LOOK
    if
    :: mem[TAIL] -> posted = true
    :: else
    fi;
#endif
    posted
}

init {
    byte i;
    atomic { drain_all(); run sends(0); run halts(1) }
}
