/* Whether somebody judges a machine that halts while its last peer goes (kernel/sleep.c): its vCPU, which could still be
 * interrupted as long as there is a peer; the peer, which is counted off; the chore. Who counts does it by a locked
 * instruction, so there are no store buffers here.
 *
 * Checked: the machine does not halt for ever (an invalid end state). This must fail:
 *   EARLY      whether there is a peer is looked at before the vCPU counts as asleep (sleep_fall)
 */
bool peer = true, asleep = false, due = false, judged = false;

proctype halts()
{
    bool last;
#ifdef EARLY
    last = !peer;
    asleep = true;
#else
    asleep = true;
    last = !peer;
#endif
    if
    :: last -> due = true
    :: else
    fi;
    judged
}

proctype peer_goes()
{
    peer = false;
    due = true
}

proctype chore()
{
end:
    do
    ::
        due;
        due = false;
        judged = judged || asleep
    od
}

init {
    atomic { run halts(); run peer_goes(); run chore() }
}
