#include "kernel/hypercall.h"
#include "abi/micronova.h"
#include "arch/cpu.h"
#include "arch/log.h"
#include "arch/pcpu.h"
#include "arch/tsc.h"
#include "kernel/control.h"
#include "kernel/memory.h"
#include "kernel/probe.h"
#include "kernel/report.h"
#include "kernel/vm.h"
#include "vmx/microscope.h"

// ---- Arguments ----

// Copies guest text of `bytes` into buf[max + 1] and terminates it.
static enum error read_text(const struct call *c, uint64_t at, uint64_t bytes, char *buf, size_t max)
{
    if (bytes > max)
        return E_TOO_BIG;
    buf[bytes] = 0;
    return bytes ? guest_read(c->v->space, gpa(at), buf, bytes) : E_OK;
}

enum error call_name(const struct call *c, uint64_t at, uint64_t bytes, char *buf, size_t max)
{
    enum error e = read_text(c, at, bytes, buf, max);
    if (e)
        return e;
    for (uint64_t i = 0; i < bytes; i++)
        if (!is_name_char(buf[i]))
            return E_INVALID;
    return bytes ? E_OK : E_INVALID;
}

// ---- The calls, each by its row in HYPERCALLS ----

static int64_t call_VERSION(const struct call *c)
{
    (void)c;
    return ABI_VERSION;
}

static int64_t call_CONSOLE_WRITE(const struct call *c)
{
    char text[CONSOLE_WRITE_MAX + 1];
    enum error e = read_text(c, call_arg(c, 0), call_arg(c, 1), text, CONSOLE_WRITE_MAX);
    if (e)
        return -(int64_t)e;
    vm_lock(c->v->vm);
    size_t taken = vm_console_write(c->v->vm, text, call_arg(c, 1));
    vm_unlock(c->v->vm);
    return taken || !call_arg(c, 1) ? (int64_t)taken : -(int64_t)E_AGAIN;
}

static int64_t call_TAP_PLAN(const struct call *c)
{
    struct vm *vm = c->v->vm;
    if (vm->has_plan)
        return -E_EXISTS;
    if (call_arg(c, 0) > TAP_PLAN_MAX)
        return -E_TOO_BIG;
    vm->has_plan = true;
    vm->planned = (uint32_t)call_arg(c, 0);
    return 0;
}

static int64_t call_TAP_POINT(const struct call *c)
{
    static const enum point_result results[] = {
        [TAP_NOT_OK] = POINT_NOT_OK, [TAP_OK] = POINT_OK, [TAP_SKIP] = POINT_SKIP};
    char name[TAP_NAME_MAX + 1], detail[TAP_DETAIL_MAX + 1];
    enum error e = call_name(c, call_arg(c, 1), call_arg(c, 2), name, TAP_NAME_MAX);
    if (!e)
        e = read_text(c, call_arg(c, 3), call_arg(c, 4), detail, TAP_DETAIL_MAX);
    if (!e && call_arg(c, 0) >= array_size(results))
        e = E_INVALID;
    if (!e && !report_has_room())
        e = E_AGAIN;
    if (e)
        return -(int64_t)e;
    report_point(results[call_arg(c, 0)], c->v->vm->machine->name, name, *detail ? detail : NULL);
    __atomic_add_fetch(&c->v->vm->delivered, 1, __ATOMIC_RELAXED);
    return 0;
}

static int64_t call_EXIT(const struct call *c)
{
    vm_end(c->v->vm, END_EXIT, call_arg(c, 0), NULL);
    return 0;
}

static int64_t call_TIME(const struct call *c)
{
    switch (call_arg(c, 0)) {
    case TIME_TSC_HZ:
        return (int64_t)tsc_hz;
    case TIME_TSC_BOOT:
        return (int64_t)tsc_boot.v;
    }
    return -E_INVALID;
}

static int64_t call_BENCH(const struct call *c)
{
    char name[TAP_NAME_MAX + 1], unit[BENCH_UNIT_MAX + 1];
    enum error e = call_name(c, call_arg(c, 1), call_arg(c, 2), name, TAP_NAME_MAX);
    if (!e)
        e = call_name(c, call_arg(c, 3), call_arg(c, 4), unit, BENCH_UNIT_MAX);
    if (!e && !report_has_room())
        e = E_AGAIN;
    if (e)
        return -(int64_t)e;
    log_info("bench %s %lu %s", name, call_arg(c, 0), unit);
    return 0;
}

static int64_t exits_of(const struct vcpu *v)
{
    int64_t n = 0;
    for (unsigned reason = 0; reason < EXIT_REASONS_COUNTED; reason++)
        n += v->exits[reason];
    return n;
}

static int64_t call_QUERY(const struct call *c)
{
    const struct vm *vm = c->v->vm;
    switch (call_arg(c, 0)) {
    case QUERY_VM_BYTES:
        return (int64_t)vm_bytes(vm);
    case QUERY_VM_CREATE:
        return (int64_t)vm->create_ticks;
    case QUERY_MAX_HANDLER:
        return microscope_longest(c->v);
    case QUERY_VMREADS:
        return microscope_vmcs(false);
    case QUERY_VMWRITES:
        return microscope_vmcs(true);
    case QUERY_EXITS:
        return exits_of(c->v);
    case QUERY_RUN_TICKS:
        return (int64_t)sched_run_ticks(&c->v->sched, rdtsc());
    case QUERY_PROCESSOR:
        return this_pcpu()->id;
    }
    return -E_INVALID;
}

static int64_t call_CONTROL(const struct call *c)
{
    return control_call(c->v, call_arg(c, 0), call_arg(c, 1), call_arg(c, 2), call_arg(c, 3));
}

static int64_t call_PROBE(const struct call *c)
{
    return probe_call(c->v, call_arg(c, 0), call_arg(c, 1), call_arg(c, 2));
}

static int64_t call_MEMORY(const struct call *c)
{
    return memory_call(c->v, call_arg(c, 0), call_arg(c, 1), call_arg(c, 2), call_arg(c, 3), call_arg(c, 4));
}

// The calls that take arguments or give a result, as vmx/ calls them. A yield does neither.
#define WRAP(name)                                                                     \
    void hypercall_##name(struct vcpu *v)                                              \
    {                                                                                  \
        v->gpr[RAX] = (uint64_t)call_##name(&(struct call){v, vcpu_in_64bit_mode(v)}); \
    }
WRAP(VERSION)
WRAP(CONSOLE_WRITE)
WRAP(TAP_PLAN)
WRAP(TAP_POINT)
WRAP(EXIT)
WRAP(TIME)
WRAP(BENCH)
WRAP(QUERY)
WRAP(CONTROL)
WRAP(PROBE)
WRAP(MEMORY)

void hypercall_YIELD(struct vcpu *v)
{
    v->gpr[RAX] = 0;
    sched_end_turn(&v->sched);
    vcpu_attention(v);
}
