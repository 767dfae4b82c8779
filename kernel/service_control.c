// Other machines by message: abi/services.h.
#include "kernel/control.h"
#include "kernel/services.h"

#define CONTROL(name)                                                            \
    int64_t serve_CONTROL_##name(const struct service_request *r)                \
    {                                                                            \
        return control_call(r->v, CONTROL_##name, r->of[1], r->of[2], r->of[3]); \
    }
CONTROL(NAME)
CONTROL(PAUSE)
CONTROL(RESUME)
CONTROL(RESET)
CONTROL(DESTROY)
CONTROL(TICKS)
#undef CONTROL

int64_t serve_CONTROL_WATCH(const struct service_request *r)
{
    if (!(r->v->rights & RIGHT_CONTROL))
        return -E_DENIED;
    int64_t result = services_watch(r, EVENT_ENDED);
    if (!result && r->of[1]) { // from the first one on
        __atomic_store_n(&r->services->ends_told, 0, __ATOMIC_SEQ_CST);
        if (control_end(0))
            services_note(r->v->vm, EVENT_ENDED);
    }
    return result;
}

// Another vCPU may start anew meanwhile.
bool tell_ended(struct services *s, unsigned event, uint64_t words[3], bool *more)
{
    (void)event;
    if (!control_end(__atomic_load_n(&s->ends_told, __ATOMIC_RELAXED)))
        return false;
    uint32_t n = __atomic_fetch_add(&s->ends_told, 1, __ATOMIC_SEQ_CST);
    const struct control_end *end = control_end(n);
    words[0] = end->id;
    words[1] = end->how;
    words[2] = end->code;
    *more = control_end(n + 1);
    return true;
}
