/* Whether a machine that halts can still be interrupted by the end of its last peer (kernel/sleep.c, tell_end): one vCPU that
 * halts and is woken by what was posted to its local APIC, and the end of the peer, which posts its interrupt. Who takes a
 * lock or posts does it by a locked instruction, so there are no store buffers here.
 *
 * Checked: the machine is called stuck after it has taken that interrupt, not before; and it does not halt for ever instead
 * (an invalid end state). Each of these must fail:
 *   NO_LOCK    the port is closed and the interrupt raised in two steps (tell_end, end_awaits_interrupt)
 *   LATE       the same, the other way round
 *   NO_ORDER   what is posted is looked at before the port, not behind it (can_wake)
 */
bool open = true, posted = false;

proctype peer_ends()
{
#ifdef NO_LOCK
    open = false;
    posted = true
#else
#ifdef LATE
    posted = true;
    open = false
#else
    atomic { open = false; posted = true }
#endif
#endif
}

proctype halts()
{
    bool taken = false, awaits, came;
    do
    ::
#ifdef NO_ORDER
        came = posted;
        awaits = open;
#else
        awaits = open;
        came = posted;
#endif
        if
        :: came -> posted = false; taken = true
        :: !came && awaits -> posted /* parked until then */
        :: else -> assert(taken); break /* stuck */
        fi
    od
}

init {
    atomic { run peer_ends(); run halts() }
}
