// One VM entry on a vCPU's second VMCS.
#include "vmx/probe.h"
#include "arch/cpu.h"
#include "arch/descriptors.h"
#include "arch/exception.h"
#include "arch/lapic.h"
#include "arch/memory.h"
#include "arch/pcpu.h"
#include "arch/string.h"
#include "arch/tsc.h"
#include "mm/mm.h"
#include "sdm/exit_reason.h"
#include "sdm/msr.h"
#include "sdm/qualification.h"
#include "sdm/vm_error.h"
#include "vmx/msr.h"
#include "vmx/state.h"

_Static_assert(offsetof(struct probe, gpr) == 0 && offsetof(struct probe, rsp) == 8 * GPR_COUNT &&
                   offsetof(struct probe, efer) == 8 * (GPR_COUNT + 1),
               "probe_entry.asm");

// ---- The way in and out: vmx/probe_entry.asm ----

void probe_restore_host(struct probe *p);
extern char probe_landings[], probe_landing_efer[], probe_landing_cr3[], probe_landing_cr0[],
    probe_landing_cr4[];
enum { LANDING_BYTES = 16 };

extern struct probe *probe_inside[PCPU_MAX];
struct probe *probe_inside[PCPU_MAX]; // who has entered on each processor

static void put(char *end, const void *value, size_t bytes)
{
    __asm__("" : "+r"(end)); // for the compiler nothing stands before a label
    memcpy(end - bytes, value, bytes);
}

// Control registers as immediates of the landing's own code: the text is read-only but for this. All processors
// have the same values, so that doing it again harms nobody.
static void patch_landing(void)
{
    uint64_t cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4(), efer = rdmsr(MSR_EFER);
    write_cr0(cr0 & ~(uint64_t)CR0_WP);
    put(probe_landing_efer, &efer, 4);
    put(probe_landing_cr3, &cr3, 8);
    put(probe_landing_cr0, &cr0, 8);
    put(probe_landing_cr4, &cr4, 8);
    write_cr0(cr0);
}

// With the stack back, and nothing else that VM exits load: not even this_pcpu() works.
void probe_restore_host(struct probe *p)
{
    struct pcpu *here = p->vmcs.active_on;
    descriptors_reload(here->arch);
    wrmsr(MSR_FS_BASE, 0);
    pcpu_bind(here);
    p->pat = rdmsr(MSR_PAT);
    wrmsr(MSR_PAT, p->initial[AT_HOST_PAT]);
    wrmsr(MSR_DEBUGCTL, 0);
    wrmsr(MSR_SYSENTER_CS, 0);
    wrmsr(MSR_SYSENTER_ESP, 0);
    wrmsr(MSR_SYSENTER_EIP, 0);
}

// ---- Fields ----

static void write_at(unsigned at, uint64_t value)
{
    vmwrite_raw(vmcs_fields[at].encoding, value);
}

static bool loads_host(uint32_t field)
{
    return vmcs_group(field) == VMCS_HOST || field == (uint32_t)VM_EXIT_CONTROLS ||
           field == (uint32_t)VM_EXIT_MSR_LOAD_COUNT;
}

// All of the fields into `now`. E_NOT_FOUND: one does not exist.
static enum error take(struct probe *p, const struct probe_field *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        unsigned at = image_at(f[i].field);
        if (at >= VMCS_FIELD_COUNT || !p->exists[at])
            return E_NOT_FOUND;
        if (f[i].flags & ~(uint32_t)PROBE_XOR || vmcs_group(f[i].field) == VMCS_EXIT_INFO)
            return E_INVALID;
        p->now[at] = f[i].flags & PROBE_XOR ? p->initial[at] ^ f[i].value : f[i].value;
        p->changed_host |= loads_host(f[i].field);
    }
    return E_OK;
}

static void write_all(const struct probe *p)
{
    for (unsigned i = 0; i < p->fields; i++)
        vmwrite_raw(p->field[i].encoding, p->now[p->field[i].at]);
}

static void write_some(const struct probe *p, const struct probe_field *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        write_at(image_at(f[i].field), p->now[image_at(f[i].field)]);
}

// What differs between processors, and which landing.
static void write_host(struct probe *p)
{
    unsigned id = this_pcpu()->id;
    uint64_t landing =
        (uint64_t)(uintptr_t)(p->changed_host ? probe_landings + LANDING_BYTES * id : (char *)probe_exit);
    if (p->now[AT_HOST_RIP] == p->initial[AT_HOST_RIP])
        vmwrite_nat(HOST_RIP, landing);
}

static void read_back(const struct probe *p, struct probe_field *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        unsigned at = image_at(f[i].field);
        bool there = at < VMCS_FIELD_COUNT && p->exists[at];
        f[i].flags = there ? PROBE_SET : PROBE_ABSENT;
        f[i].value = there ? vmread_raw(f[i].field) : 0;
    }
}

enum error probe_template(const struct vcpu *v, struct probe_field *f)
{
    const struct probe *p = v->probe;
    if (!p)
        return E_NOT_FOUND;
    unsigned at = image_at(f->field);
    bool there = at < VMCS_FIELD_COUNT && p->exists[at];
    f->flags = there ? PROBE_SET : PROBE_ABSENT;
    f->value = there ? p->initial[at] : 0;
    return E_OK;
}

// ---- Translations: what an attempt finds must not depend on the one before ----

static void drop_translations(const struct probe *p)
{
    struct {
        uint64_t first, second;
    } what = {0, 0};
    if (vmx_caps.ept_vpid & EPT_CAP_INVEPT_ALL)
        __asm__ volatile("invept %0, %1" ::"m"(what), "r"(2ull) : "cc", "memory");
    what.first = (uint16_t)p->initial[AT_VIRTUAL_PROCESSOR_ID];
    if (vmx_caps.ept_vpid & EPT_CAP_INVVPID_SINGLE && what.first)
        __asm__ volatile("invvpid %0, %1" ::"m"(what), "r"(1ull) : "cc", "memory");
}

// ---- What the entered code may have left in the processor ----

static void restore_msrs(const struct vcpu *v, uint64_t kernel_gs_base)
{
    for (unsigned i = 0; i < KEPT_COUNT; i++)
        if (kept_msr_exists[i])
            wrmsr(kept_msr_number[i], v->state.msr[i]);
    wrmsr(MSR_KERNEL_GS_BASE, kernel_gs_base);
}

static bool may_change_msrs(const struct probe *p)
{
    return p->now[AT_VM_ENTRY_MSR_LOAD_COUNT] | p->now[AT_VM_EXIT_MSR_LOAD_COUNT] ||
           p->now[AT_PRIMARY_CONTROLS] & PRIMARY_MSR_BITMAPS;
}

// ---- The attempt ----

static void classify(struct probe_attempt *a, uint64_t rflags)
{
    a->instruction_flags = rflags;
    if (!rflags)
        a->outcome = vmread32(EXIT_REASON) & REASON_ENTRY_FAILURE ? PROBE_FAILED_ENTRY : PROBE_ENTERED;
    else if ((rflags & (RFLAGS_CF | RFLAGS_ZF)) == (RFLAGS_CF | RFLAGS_ZF))
        a->outcome = PROBE_NOTHING;
    else
        a->outcome = rflags & RFLAGS_CF ? PROBE_FAIL_INVALID : PROBE_FAIL_VALID;
}

static void read_exit(struct probe_attempt *a)
{
#define X(member, field) a->member = vmread_raw(field);
    PROBE_EXIT_FIELDS(X)
#undef X
}

// ---- The latest end ----

// What runs longer, for want of a preemption timer or with a long one, is ended by the local APIC's timer: a
// processor is not lost to a subject that loops, as long as interrupts exit.
enum { LATEST_MS = 1000 };

static bool may_run_long(const struct probe *p)
{
    uint64_t timer = (uint32_t)p->now[AT_PREEMPTION_TIMER_VALUE];
    return !(p->now[AT_PIN_BASED_CONTROLS] & PIN_PREEMPTION_TIMER) ||
           timer << vmx_timer_rate > tsc_from_ms(LATEST_MS).v;
}

// An interrupt or NMI of the box that ended the run has to be served. True: it was not what the attempt was about.
static bool intruded(const struct probe_attempt *a)
{
    struct event e = decode_event((uint32_t)a->interruption);
    if (a->outcome != PROBE_ENTERED)
        return false;
    if (a->reason == REASON_EXTERNAL_INTERRUPT && e.valid) {
        interrupt_dispatch(e.vector);
        return !(a->flags & PROBE_INTERRUPT && e.vector == PROBE_VECTOR);
    }
    if (a->reason == REASON_EXCEPTION_OR_NMI && e.type == EVENT_NMI)
        __asm__ volatile("int $2" ::: "memory");
    return false;
}

static enum probe_way { WAY_RESUME = 1, WAY_MOV_SS = 2 } way_of(const struct probe_attempt *a)
{
    return (a->flags & PROBE_RESUME ? WAY_RESUME : 0) | (a->flags & PROBE_MOV_SS ? WAY_MOV_SS : 0);
}

static void prepare(struct probe *p, const struct probe_attempt *a, const struct probe_field *fields)
{
    if (a->flags & PROBE_KEEP) {
        vmcs_bind(&p->vmcs);
        write_some(p, fields, a->writes);
    } else {
        vmcs_clear(&p->vmcs);
        vmcs_bind(&p->vmcs);
        write_all(p);
        if (!(a->flags & PROBE_CACHED))
            drop_translations(p);
        p->filled = true;
    }
    probe_write_lists(p);
    write_host(p);
    if (a->flags & PROBE_NO_VMCS)
        vmcs_clear(&p->vmcs);
    if (a->flags & PROBE_INTERRUPT)
        lapic_send(this_pcpu()->apic_id, IPI_FIXED, PROBE_VECTOR);
}

// E_AGAIN, E_UNSUPPORTED: nobody sends the signal, and nothing was entered. E_INTERRUPTED: the box ended the run.
static enum error attempt_once(struct probe *p, struct probe_attempt *a, struct probe_field *fields)
{
    const uint32_t signal = a->flags & PROBE_SIGNALS;
    if (a->flags & PROBE_NMIS_BLOCKED)
        probe_block_nmis(p);
    prepare(p, a, fields);
    bool waits = p->now[AT_GUEST_ACTIVITY_STATE] == ACTIVITY_WAIT_FOR_SIPI;
    enum error e = signal ? probe_signal_ask((enum probe_flag)signal, waits) : E_OK;
    if (e)
        return e;
    memcpy(p->gpr, a->gpr, sizeof(p->gpr));
    probe_inside[this_pcpu()->id] = p;
    uint64_t begun = rdtsc().v;
    uint64_t rflags = probe_enter(p, way_of(a));
    a->ticks = rdtsc().v - begun;
    a->sent = signal && probe_signal_left();
    if (!p->changed_host)
        memcpy(a->gpr, p->gpr, sizeof(p->gpr));
    classify(a, rflags);
    a->efer = p->efer;
    a->pat = p->pat;
    a->error = 0;
    if (a->outcome == PROBE_FAIL_VALID)
        a->error = vmread32(VM_INSTRUCTION_ERROR);
    else if (!rflags)
        read_exit(a);
    return intruded(a) ? E_INTERRUPTED : E_OK;
}

// Whatever was raised for an attempt and not taken in it is taken now; what the entered code took by its own IDT is
// served here, the box's own interrupts among it.
static void settle(const struct probe *p, const struct probe_attempt *a)
{
    int vector;
    if (!(p->now[AT_PIN_BASED_CONTROLS] & PIN_EXTERNAL_INTERRUPT_EXITING))
        while ((vector = lapic_in_service()) >= 0)
            interrupt_dispatch((uint8_t)vector);
    if (a->flags & PROBE_INTERRUPT)
        take_interrupts();
}

static bool blocks_nmis(const struct probe *p, const struct probe_attempt *a)
{
    struct event e = decode_event((uint32_t)p->now[AT_VM_ENTRY_INTERRUPTION_INFO]);
    bool delivered = !(p->now[AT_PIN_BASED_CONTROLS] & PIN_NMI_EXITING);
    return (e.valid && e.type == EVENT_NMI) || delivered || a->flags & PROBE_NMIS_BLOCKED ||
           (p->now[AT_GUEST_INTERRUPTIBILITY_STATE] | a->interruptibility) & BLOCKING_BY_NMI;
}

enum { TRIES = 8 };

static bool left_init_pending(const struct probe_attempt *a)
{
    return a->flags & PROBE_SEND_INIT && a->sent &&
           !(a->outcome == PROBE_ENTERED && a->reason == REASON_INIT_SIGNAL);
}

static enum error attempt(struct vcpu *v, struct probe_attempt *a, struct probe_field *fields)
{
    struct probe *p = v->probe;
    uint64_t kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE);
    tsc_t latest = tsc(may_run_long(p) ? rdtsc().v + tsc_from_ms(LATEST_MS).v : ~0ull);
    unsigned more = a->flags & PROBE_KEEP ? 0 : TRIES - 1;
    enum error e;
    if (latest.v != ~0ull)
        lapic_timer_arm(latest);
    while ((e = attempt_once(p, a, fields)) == E_INTERRUPTED && more-- > 0 && rdtsc().v < latest.v)
        if (blocks_nmis(p, a))
            probe_unblock_nmis(p); // the next try begins as this one did
    if (latest.v != ~0ull)
        lapic_timer_arm(tsc(~0ull));
    settle(p, a);
    if (!(a->flags & PROBE_NO_VMCS))
        read_back(p, fields + a->writes, a->reads);
    if (may_change_msrs(p))
        restore_msrs(v, kernel_gs_base);
    if (blocks_nmis(p, a))
        probe_unblock_nmis(p);
    if (left_init_pending(a))
        probe_drain_init(p);
    vmcs_bind(v->vmcs);
    return e == E_INTERRUPTED ? E_OK : e;
}

static bool known(uint32_t flags)
{
    uint32_t signals = flags & PROBE_SIGNALS;
    return !(flags & ~(uint32_t)PROBE_FLAGS) && !(signals & (signals - 1));
}

enum error probe_attempt(struct vcpu *v, struct probe_attempt *a, struct probe_field *fields)
{
    struct probe *p = v->probe;
    probe_signal_help();
    if (!p)
        return E_NOT_FOUND;
    if (!known(a->flags) || (a->flags & PROBE_KEEP && !p->filled))
        return E_INVALID;
    if (!(a->flags & PROBE_KEEP)) {
        memcpy(p->now, p->initial, sizeof(p->now));
        p->changed_host = false;
    }
    enum error e = take(p, fields, a->writes);
    if (!e)
        e = probe_fence(p, a->flags);
    if (!e)
        e = attempt(v, a, fields);
    if (e)
        p->filled = false;
    return e;
}

enum error probe_base(struct probe *p, const struct probe_field *fields, uint32_t count)
{
    memcpy(p->now, p->initial, sizeof(p->now));
    p->changed_host = p->filled = false;
    enum error e = take(p, fields, count);
    if (!e && p->changed_host)
        e = E_INVALID; // attempts tell by their own fields whether they need the long way back
    if (!e)
        e = probe_fence(p, 0);
    if (e)
        return e;
    memcpy(p->initial, p->now, sizeof(p->now));
    p->template_good = 0;
    return E_OK;
}

// ---- Life ----

static void expected(void)
{
}

void probe_init(void)
{
    interrupt_set(PROBE_VECTOR, expected);
}

static void make_region(struct vmcs *m, hpa_t at)
{
    uint32_t *revision = hpa_to_virt(at);
    memset(revision, 0, PAGE_SIZE);
    *revision = vmx_basic_revision(vmx_caps.basic);
    m->region = at;
    vmcs_clear(m);
}

static unsigned order_of_lists(void)
{
    unsigned order = 0;
    while ((uint64_t)PAGE_SIZE << order < (uint64_t)PROBE_LISTS * probe_list_bytes())
        order++;
    return order;
}

enum { PROBE_ITSELF, REGIONS, MSR_LISTS, ROOM, BLOCKS };

static enum error create(struct vcpu *v, uint16_t owner)
{
    enum { ORDER = 2, TWO = 1 };
    const unsigned order[BLOCKS] = {
        [PROBE_ITSELF] = ORDER, [REGIONS] = TWO, [MSR_LISTS] = order_of_lists(), [ROOM] = PROBE_ROOM_ORDER};
    pfn_t f[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++) {
        f[i] = buddy_alloc_or_fail(&frames, order[i], owner);
        if (pfn_is_none(f[i])) {
            while (i-- > 0)
                buddy_free(&frames, f[i], owner);
            return E_NO_MEMORY;
        }
    }
    struct probe *p = v->probe = pfn_to_virt(f[PROBE_ITSELF]);
    memset(p, 0, sizeof(*p));
    p->owner = owner;
    p->space = v->space;
    for (unsigned i = 0; i < PROBE_LISTS; i++)
        p->list[i].at = hpa(pfn_to_hpa(f[MSR_LISTS]).v + i * probe_list_bytes());
    p->room = pfn_to_virt(f[ROOM]);
    make_region(&p->vmcs, pfn_to_hpa(f[REGIONS]));
    make_region(&p->unblocker, hpa(pfn_to_hpa(f[REGIONS]).v + PAGE_SIZE));
    return E_OK;
}
_Static_assert(sizeof(struct probe) <= 4 * PAGE_SIZE, "a block of order 2");

enum error probe_open(struct vcpu *v, uint16_t owner, uint64_t landing, gpa_t scratch)
{
    void *page = guest_map(v->space, gpa(scratch.v & ~(uint64_t)(PAGE_SIZE - 1)), PAGE_SIZE);
    if (!page)
        return E_BAD_ADDRESS;
    enum error e = v->probe ? E_OK : create(v, owner);
    if (e)
        return e;
    state_use_debug(v); // entered code may use debug registers
    patch_landing();
    probe_room_build(v->probe->room);
    probe_fill_template(v->probe, v, landing, virt_to_hpa(page).v);
    v->probe->filled = false;
    vmcs_bind(v->vmcs);
    return E_OK;
}

void probe_release(struct vcpu *v)
{
    if (v->probe)
        vmcs_clear(&v->probe->vmcs);
}

void probe_destroy(struct vcpu *v)
{
    struct probe *p = v->probe;
    if (!p)
        return;
    v->probe = NULL;
    uint16_t owner = p->owner;
    buddy_free(&frames, hpa_to_pfn(virt_to_hpa(p->room)), owner);
    buddy_free(&frames, hpa_to_pfn(p->vmcs.region), owner);
    buddy_free(&frames, hpa_to_pfn(p->list[0].at), owner);
    buddy_free(&frames, hpa_to_pfn(virt_to_hpa(p)), owner);
}
