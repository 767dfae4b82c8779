/* Memory of processors with store buffers (x86-TSO): plain stores wait in their processor's buffer and reach memory in
 * order, some time later; loads do not wait for them; a locked instruction empties the buffer first. Who includes it
 * says how many WORDS and PROCESSORS there are, and runs drain() for each; `me` is the processor that a process runs on.
 * Reads of what it writes itself are of a local copy, so no load has to look into the buffer. */
byte mem[WORDS];
chan buffer[PROCESSORS] = [3] of { byte, byte };

proctype drain(byte p)
{
    byte at, value;
end:
    do
    :: atomic { buffer[p]?at, value -> mem[at] = value }
    od
}

inline drain_all()
{
    i = 0;
    do
    :: i < PROCESSORS -> run drain(i); i++
    :: else -> break
    od
}

#define STORE(at, value) buffer[me]!at, value
#define FENCE empty(buffer[me])

/* A read-modify-write: locked, or two steps and a store that waits. */
#define LOCKED(at, expression) atomic { FENCE -> mem[at] = expression }
#define TORN(at, expression) value = expression; STORE(at, value)
