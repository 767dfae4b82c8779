// error: incompatible types when initializing|invalid initializer
// A guest-physical address is no host-physical one.
#include "arch/types.h"

hpa_t copy(gpa_t g);
hpa_t copy(gpa_t g)
{
#ifdef WRONG
    hpa_t h = g;
#else
    hpa_t h = hpa(g.v);
#endif
    return h;
}
