// Balloon and memory by message: abi/services.h.
#include "kernel/balloon.h"
#include "kernel/memory.h"
#include "kernel/services.h"
#include "mm/mm.h"

#define BALLOON(name)                                                              \
    int64_t serve_BALLOON_##name(const struct service_request *r)                  \
    {                                                                              \
        return memory_call(r->v, BALLOON_##name, r->of[1], r->of[2], r->of[3], 0); \
    }
BALLOON(GIVE)
BALLOON(TAKE)
BALLOON(FIGURE)
BALLOON(WANT)
#undef BALLOON

int64_t serve_BALLOON_WATCH(const struct service_request *r)
{
    return services_watch(r, EVENT_TARGET);
}

static const struct vm *machine_of(const struct services *s)
{
    return s->answers.to->machine;
}

bool tell_target(struct services *s, unsigned event, uint64_t words[3], bool *more)
{
    const struct vm *vm = machine_of(s);
    (void)event, (void)more;
    words[0] = __atomic_load_n(&vm->balloon.target, __ATOMIC_RELAXED);
    words[1] = space_held(vm->space);
    return true;
}

int64_t serve_MEMORY_USAGE(const struct service_request *r)
{
    r->values[0] = buddy_owned(&frames, (uint16_t)(OWNER_VM + r->v->vm_id));
    r->values[1] = space_held(r->v->space);
    return 0;
}

// Who can do something about it.
static bool may_know(const struct vm *vm)
{
    return vm->machine->balloon || vm->machine->rights & RIGHT_CONTROL;
}

bool tell_pressure(struct services *s, unsigned event, uint64_t words[3], bool *more)
{
    (void)s, (void)event, (void)more;
    words[0] = balloon_memory_is_short();
    words[1] = buddy_available(&frames);
    return true;
}

int64_t serve_MEMORY_WATCH(const struct service_request *r)
{
    if (!may_know(r->v->vm))
        return -E_DENIED;
    int64_t result = services_watch(r, EVENT_PRESSURE);
    if (result)
        return result;
    r->values[0] = buddy_available(&frames);
    return balloon_memory_is_short();
}
