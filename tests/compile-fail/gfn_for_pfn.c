// error: incompatible type for argument 1 of .pfn_to_hpa
// A guest's frame number is no host frame number.
#include "arch/types.h"

hpa_t where(gfn_t g, pfn_t f);
hpa_t where(gfn_t g, pfn_t f)
{
#ifdef WRONG
    f = PFN_NONE;
    return pfn_to_hpa(g);
#else
    (void)g;
    return pfn_to_hpa(f);
#endif
}
