#include "kernel/probe.h"
#include "arch/cpu.h"
#include "arch/memory.h"
#include "arch/pcpu.h"
#include "kernel/report.h"
#include "mm/frame.h"
#include "vmx/probe.h"

enum { WORD = 8 };

static uint16_t owner_of(const struct vcpu *v)
{
    return (uint16_t)(OWNER_VM + v->vm_id);
}

static struct probe_field *buffer_of(const struct vcpu *v)
{
    return v->probe ? v->probe->buffer : NULL;
}

static enum error copy_in(struct vcpu *v, uint64_t at, void *to, size_t bytes)
{
    return at % WORD ? E_INVALID : guest_read(v->space, gpa(at), to, bytes);
}

static enum error copy_out(struct vcpu *v, uint64_t at, const void *from, size_t bytes)
{
    return at % WORD ? E_INVALID : guest_write(v->space, gpa(at), from, bytes);
}

// ---- The operations, each by its row in PROBE_OPS ----

struct args {
    struct vcpu *v;
    uint64_t first, second;
};

static int64_t op_OPEN(const struct args *args)
{
    enum error e = probe_open(args->v, owner_of(args->v), args->first, gpa(args->second));
    if (!e)
        sched_stay(&args->v->sched); // its second VMCS is active here
    return -(int64_t)e;
}

// The fields that TEMPLATE and BASE name: `second` of them at `first`.
static enum error fields_in(const struct args *args, struct probe_field *f)
{
    if (!f)
        return E_NOT_FOUND;
    if (args->second > PROBE_FIELDS_MAX)
        return E_TOO_BIG;
    return copy_in(args->v, args->first, f, args->second * sizeof(*f));
}

static int64_t op_TEMPLATE(const struct args *args)
{
    struct probe_field *f = buffer_of(args->v);
    enum error e = fields_in(args, f);
    for (uint64_t i = 0; !e && i < args->second; i++)
        e = probe_template(args->v, &f[i]);
    if (!e)
        e = copy_out(args->v, args->first, f, args->second * sizeof(*f));
    return -(int64_t)e;
}

static int64_t op_ATTEMPT(const struct args *args)
{
    struct vcpu *v = args->v;
    struct probe_attempt a;
    struct probe_field *f = buffer_of(v);
    if (!f)
        return -E_NOT_FOUND;
    enum error e = copy_in(v, args->first, &a, sizeof(a));
    if (!e && (a.writes > PROBE_FIELDS_MAX || a.reads > PROBE_FIELDS_MAX - a.writes))
        e = E_TOO_BIG;
    if (!e)
        e = copy_in(v, a.fields, f, (a.writes + a.reads) * sizeof(*f));
    if (!e)
        e = probe_attempt(v, &a, f);
    if (!e)
        e = copy_out(v, a.fields + a.writes * sizeof(*f), f + a.writes, a.reads * sizeof(*f));
    if (!e)
        e = copy_out(v, args->first, &a, sizeof(a));
    return -(int64_t)e;
}

static int64_t op_RUN(const struct args *args)
{
    struct probe_step steps[PROBE_STEPS_MAX];
    uint64_t at = args->first, count = args->second;
    if (count > PROBE_STEPS_MAX)
        return -E_TOO_BIG;
    enum error e = copy_in(args->v, at, steps, count * sizeof(*steps));
    if (!e)
        e = probe_run(args->v, steps, (uint32_t)count);
    if (!e)
        e = copy_out(args->v, at, steps, count * sizeof(*steps));
    return -(int64_t)e;
}

static int64_t op_ADDRESS(const struct args *args)
{
    void *byte = guest_map(args->v->space, gpa(args->first), 1);
    return byte ? (int64_t)virt_to_hpa(byte).v : -(int64_t)E_BAD_ADDRESS;
}

static int64_t op_MSR(const struct args *args)
{
    uint64_t value = 0;
    if (args->first > UINT32_MAX)
        return -E_INVALID;
    if (!rdmsr_safe((uint32_t)args->first, &value))
        return -E_NOT_FOUND;
    return -(int64_t)copy_out(args->v, args->second, &value, sizeof(value));
}

static int64_t op_CPUID(const struct args *args)
{
    struct cpuid r = cpuid((uint32_t)args->first, (uint32_t)(args->first >> 32));
    return -(int64_t)copy_out(args->v, args->second, &r, sizeof(r));
}

static int64_t op_PROCESSOR(const struct args *args)
{
    (void)args;
    return this_pcpu()->id;
}

static int64_t op_BASE(const struct args *args)
{
    struct probe_field *f = buffer_of(args->v);
    enum error e = fields_in(args, f);
    return -(int64_t)(e ? e : probe_base(args->v->probe, f, (uint32_t)args->second));
}

static int64_t op_VMCS(const struct args *args)
{
    return args->v->probe ? (int64_t)args->v->probe->vmcs.region.v : -(int64_t)E_NOT_FOUND;
}

static int64_t op_FLUSH(const struct args *args)
{
    (void)args;
    report_drain();
    return 0;
}

int64_t probe_call(struct vcpu *v, uint64_t op, uint64_t first, uint64_t second)
{
    static int64_t (*const ops[])(const struct args *args) = {
#define X(name, number) [number] = op_##name,
        PROBE_OPS(X)
#undef X
    };
    if (!(v->rights & RIGHT_PROBE) || !vcpu_in_64bit_mode(v))
        return -E_DENIED;
    return op < array_size(ops) && ops[op] ? ops[op](&(struct args){v, first, second}) : -(int64_t)E_INVALID;
}
