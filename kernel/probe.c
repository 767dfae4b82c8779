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

static int64_t op_OPEN(struct vcpu *v, uint64_t landing, uint64_t scratch)
{
    enum error e = probe_open(v, owner_of(v), landing, gpa(scratch));
    if (!e)
        sched_stay(&v->sched); // its second VMCS is active here
    return -(int64_t)e;
}

static int64_t op_TEMPLATE(struct vcpu *v, uint64_t at, uint64_t count)
{
    struct probe_field *f = buffer_of(v);
    if (!f)
        return -E_NOT_FOUND;
    if (count > PROBE_FIELDS_MAX)
        return -E_TOO_BIG;
    enum error e = copy_in(v, at, f, count * sizeof(*f));
    for (uint64_t i = 0; !e && i < count; i++)
        e = probe_template(v, &f[i]);
    if (!e)
        e = copy_out(v, at, f, count * sizeof(*f));
    return -(int64_t)e;
}

static int64_t op_ATTEMPT(struct vcpu *v, uint64_t at, uint64_t none)
{
    (void)none;
    struct probe_attempt a;
    struct probe_field *f = buffer_of(v);
    if (!f)
        return -E_NOT_FOUND;
    enum error e = copy_in(v, at, &a, sizeof(a));
    if (!e && (a.writes > PROBE_FIELDS_MAX || a.reads > PROBE_FIELDS_MAX - a.writes))
        e = E_TOO_BIG;
    if (!e)
        e = copy_in(v, a.fields, f, (a.writes + a.reads) * sizeof(*f));
    if (!e)
        e = probe_attempt(v, &a, f);
    if (!e)
        e = copy_out(v, a.fields + a.writes * sizeof(*f), f + a.writes, a.reads * sizeof(*f));
    if (!e)
        e = copy_out(v, at, &a, sizeof(a));
    return -(int64_t)e;
}

static int64_t op_RUN(struct vcpu *v, uint64_t at, uint64_t count)
{
    struct probe_step steps[PROBE_STEPS_MAX];
    if (count > PROBE_STEPS_MAX)
        return -E_TOO_BIG;
    enum error e = copy_in(v, at, steps, count * sizeof(*steps));
    if (!e)
        e = probe_run(v, steps, (uint32_t)count);
    if (!e)
        e = copy_out(v, at, steps, count * sizeof(*steps));
    return -(int64_t)e;
}

static int64_t op_ADDRESS(struct vcpu *v, uint64_t at, uint64_t none)
{
    (void)none;
    void *byte = guest_map(v->space, gpa(at), 1);
    return byte ? (int64_t)virt_to_hpa(byte).v : -(int64_t)E_BAD_ADDRESS;
}

static int64_t op_MSR(struct vcpu *v, uint64_t index, uint64_t at)
{
    uint64_t value = 0;
    if (index > UINT32_MAX)
        return -E_INVALID;
    if (!rdmsr_safe((uint32_t)index, &value))
        return -E_NOT_FOUND;
    return -(int64_t)copy_out(v, at, &value, sizeof(value));
}

static int64_t op_CPUID(struct vcpu *v, uint64_t leaf, uint64_t at)
{
    struct cpuid r = cpuid((uint32_t)leaf, (uint32_t)(leaf >> 32));
    return -(int64_t)copy_out(v, at, &r, sizeof(r));
}

static int64_t op_PROCESSOR(struct vcpu *v, uint64_t none, uint64_t neither)
{
    (void)v;
    (void)none;
    (void)neither;
    return this_pcpu()->id;
}

static int64_t op_BASE(struct vcpu *v, uint64_t at, uint64_t count)
{
    struct probe_field *f = buffer_of(v);
    if (!f)
        return -E_NOT_FOUND;
    if (count > PROBE_FIELDS_MAX)
        return -E_TOO_BIG;
    enum error e = copy_in(v, at, f, count * sizeof(*f));
    return -(int64_t)(e ? e : probe_base(v->probe, f, (uint32_t)count));
}

static int64_t op_VMCS(struct vcpu *v, uint64_t none, uint64_t neither)
{
    (void)none;
    (void)neither;
    return v->probe ? (int64_t)v->probe->vmcs.region.v : -(int64_t)E_NOT_FOUND;
}

static int64_t op_FLUSH(struct vcpu *v, uint64_t none, uint64_t neither)
{
    (void)v;
    (void)none;
    (void)neither;
    report_drain();
    return 0;
}

int64_t probe_call(struct vcpu *v, uint64_t op, uint64_t first, uint64_t second)
{
    static int64_t (*const ops[])(struct vcpu * v, uint64_t first, uint64_t second) = {
#define X(name, number) [number] = op_##name,
        PROBE_OPS(X)
#undef X
    };
    if (!(v->rights & RIGHT_PROBE) || !vcpu_in_64bit_mode(v))
        return -E_DENIED;
    return op < array_size(ops) && ops[op] ? ops[op](v, first, second) : -(int64_t)E_INVALID;
}
