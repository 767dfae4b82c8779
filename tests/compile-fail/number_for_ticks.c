// error: incompatible type for argument 1 of .deadline
// Ticks are not nanoseconds, nor any bare number.
#include "arch/types.h"

static inline uint64_t deadline(tsc_t at)
{
    return at.v;
}

uint64_t soon(uint64_t ns);
uint64_t soon(uint64_t ns)
{
#ifdef WRONG
    return deadline(ns);
#else
    return deadline(tsc(ns));
#endif
}
