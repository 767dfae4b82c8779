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
    if (!result && r->of[1])
        control_tell_ended(r->v->vm);
    return result;
}

// The lowest id of those that are to be told.
static bool next_ended(uint64_t ended[MACHINE_IDS / 64], uint32_t *id)
{
    for (unsigned i = 0; i < MACHINE_IDS / 64; i++) {
        uint64_t ids = __atomic_load_n(&ended[i], __ATOMIC_ACQUIRE);
        if (ids) {
            *id = i * 64 + (uint32_t)__builtin_ctzll(ids);
            return true;
        }
    }
    return false;
}

bool tell_ended(struct services *s, unsigned event, uint64_t words[3], bool *more)
{
    uint32_t id;
    (void)event;
    if (!next_ended(s->ended, &id))
        return false;
    __atomic_fetch_and(&s->ended[id / 64], ~(1ull << id % 64), __ATOMIC_RELAXED);
    words[0] = id;
    words[1] = control_outcome(id, &words[2]);
    *more = next_ended(s->ended, &id);
    return true;
}
