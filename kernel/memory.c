#include "kernel/memory.h"
#include "arch/pcpu.h"
#include "kernel/balloon.h"
#include "kernel/control.h"
#include "mm/dirty.h"

enum { LOG_WORDS = 256 }; // of the log a call

static int64_t result(enum error e, uint64_t value)
{
    return e ? -(int64_t)e : (int64_t)value;
}

// ---- Leaves and rights ----

_Static_assert((int)MEMORY_READ == SLOT_READ && (int)MEMORY_WRITE == SLOT_WRITE &&
                   (int)MEMORY_EXEC == SLOT_EXEC,
               "the rights of the ABI are a slot's");

static int64_t leaf(const struct memory_args *args)
{
    bool possible = !(args->a >> (48 - PAGE_SHIFT));
    return possible ? (int64_t)space_leaf_pages(args->v->space, gfn(args->a)) : 0;
}

static int64_t rights(const struct memory_args *args)
{
    uint64_t done;
    if (args->c > SLOT_RAM)
        return -E_INVALID;
    enum error e = space_set_rights(args->v->space, gfn(args->a), args->b, (unsigned)args->c, &done);
    vcpu_attention(args->v);
    return result(e, done);
}

// ---- The dirty log, of oneself or of another ----

struct log_part {
    uint64_t first, pages, done, bits[LOG_WORDS];
};

// RAM behind mem=, if there is some.
static gfn_t behind(const struct vm *vm)
{
    return gfn(vm->machine->mem >> PAGE_SHIFT);
}

static int64_t start(struct vm *vm, void *context)
{
    (void)context;
    enum error e = dirty_start(vm->space, gfn(0));
    if (e == E_OK && vm->machine->balloon) {
        e = dirty_start(vm->space, behind(vm));
        if (e != E_OK)
            dirty_stop(vm->space, gfn(0));
    }
    for (uint32_t i = 0; e == E_OK && i < vm->cpu_count; i++)
        vcpu_log_writes(&vm->cpus[i]->vcpu);
    return -(int64_t)e;
}

// What it split goes together again by chores, wherever its machine runs.
static int64_t stop(struct vm *vm, void *context)
{
    (void)context;
    this_pcpu()->kick = 1;
    if (vm->machine->balloon)
        dirty_stop(vm->space, behind(vm));
    return -(int64_t)dirty_stop(vm->space, gfn(0));
}

static int64_t sync(struct vm *vm, void *context)
{
    (void)context;
    dirty_sync(vm->space);
    return 0;
}

static int64_t passed(struct vm *vm, void *context)
{
    (void)context;
    return space_has_passed(vm->space) ? 0 : -E_AGAIN;
}

static int64_t read(struct vm *vm, void *context)
{
    struct log_part *p = context;
    enum error e = dirty_read(vm->space, gfn(p->first), min_u64(p->pages, LOG_WORDS * 64), p->bits, &p->done);
    return result(e, p->done);
}

static int64_t put_back(struct vm *vm, void *context)
{
    struct log_part *p = context;
    // Behind a read that gave pages, so that it is set. NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage)
    dirty_put_back(vm->space, gfn(p->first), p->done, p->bits);
    return -E_BAD_ADDRESS;
}

// Serves a request about machine args->a.
static int64_t log_with(const struct memory_args *args, int64_t (*serve)(struct vm *vm, void *context),
                        void *context)
{
    struct vcpu *v = args->v;
    if (!(v->rights & RIGHT_CONTROL) && !(v->rights & RIGHT_LOG && args->a == v->vm_id))
        return -E_DENIED;
    vcpu_attention(v); // it may be about this machine
    int64_t result;
    control_lock();
    struct vm *vm = control_find(args->a, &result);
    if (vm)
        result = serve(vm, context);
    control_unlock();
    return result;
}

// The lock under which the other was found is not held while this machine's memory is written.
static int64_t log_read(const struct memory_args *args)
{
    struct log_part p;
    p.first = args->b;
    p.pages = args->c;
    int64_t done = log_with(args, read, &p);
    if (done <= 0)
        return done;
    enum error e = guest_write(args->v->space, gpa(args->d), p.bits, align_up((uint64_t)done, 64) / 8);
    return e ? log_with(args, put_back, &p) : done;
}

// ---- Dispatch ----

// Either a call of its own, or what log_with() serves.
static const struct {
    int64_t (*call)(const struct memory_args *args);
    int64_t (*serve)(struct vm *vm, void *context);
} calls[] = {
    [MEMORY_LEAF] = {.call = leaf},
    [MEMORY_RIGHTS] = {.call = rights},
    [LOG_START] = {.serve = start},
    [LOG_STOP] = {.serve = stop},
    [LOG_SYNC] = {.serve = sync},
    [LOG_READ] = {.call = log_read},
    [LOG_PASSED] = {.serve = passed},
    [BALLOON_GIVE] = {.call = balloon_give},
    [BALLOON_TAKE] = {.call = balloon_take},
    [BALLOON_FIGURE] = {.call = balloon_figure},
    [BALLOON_WANT] = {.call = balloon_want},
    [BALLOON_EVENT] = {.call = balloon_event},
};

int64_t memory_call(struct vcpu *v, uint64_t op, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    const struct memory_args args = {v, a, b, c, d};
    if (op >= array_size(calls))
        return -E_INVALID;
    return calls[op].serve ? log_with(&args, calls[op].serve, NULL) : calls[op].call(&args);
}
