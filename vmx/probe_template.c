// What an attempt starts from: the state of the vCPU itself, with controls that leave nothing to the entered code,
// its RIP at a VMCALL and a preemption timer of 0; and what an attempt may not have.
#include "vmx/probe.h"
#include "arch/cpu.h"
#include "arch/features.h"
#include "arch/memory.h"
#include "arch/string.h"
#include "mm/mm.h"
#include "sdm/msr.h"

// ---- Template ----

// Fields of VM-execution, VM-exit and VM-entry controls that lead to memory.
// clang-format off
static const uint16_t addresses[] = {
    AT_IO_BITMAP_A, AT_IO_BITMAP_B, AT_MSR_BITMAP, AT_VM_EXIT_MSR_STORE_ADDRESS, AT_VM_EXIT_MSR_LOAD_ADDRESS,
    AT_VM_ENTRY_MSR_LOAD_ADDRESS, AT_EXECUTIVE_VMCS_POINTER, AT_PML_ADDRESS, AT_VIRTUAL_APIC_ADDRESS, AT_APIC_ACCESS_ADDRESS,
    AT_POSTED_INTERRUPT_DESCRIPTOR, AT_EPTP_LIST_ADDRESS, AT_VMREAD_BITMAP, AT_VMWRITE_BITMAP, AT_VE_INFORMATION_ADDRESS,
    AT_SPPT_POINTER, AT_LOW_PASID_DIRECTORY, AT_HIGH_PASID_DIRECTORY, AT_HLAT_POINTER, AT_PID_POINTER_TABLE_ADDRESS, AT_EPT_POINTER,
    AT_VMCS_LINK_POINTER,
};

enum { PIN_WANTED = PIN_EXTERNAL_INTERRUPT_EXITING | PIN_NMI_EXITING | PIN_VIRTUAL_NMIS | PIN_PREEMPTION_TIMER };
enum {
    PRIMARY_WANTED = PRIMARY_HLT_EXITING | PRIMARY_MWAIT_EXITING | PRIMARY_MONITOR_EXITING | PRIMARY_RDPMC_EXITING |
                     PRIMARY_CR8_LOAD_EXITING | PRIMARY_CR8_STORE_EXITING | PRIMARY_UNCONDITIONAL_IO_EXITING |
                     PRIMARY_MOV_DR_EXITING | PRIMARY_ACTIVATE_SECONDARY,
};
enum {
    SECONDARY_OFFERED = SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST | SECONDARY_VPID | SECONDARY_RDTSCP |
                        SECONDARY_INVPCID | SECONDARY_WBINVD_EXITING,
};
enum {
    EXIT_OFFERED = EXIT_SAVE_DEBUG_CONTROLS | EXIT_HOST_ADDRESS_SPACE_SIZE | EXIT_ACKNOWLEDGE_INTERRUPT |
                   EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER | EXIT_LOAD_EFER,
    ENTRY_OFFERED = ENTRY_LOAD_DEBUG_CONTROLS | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER | ENTRY_IA32E_MODE_GUEST,
};

static const struct {
    uint16_t at;
    uint8_t word;
    uint32_t offered;
} words[] = {
    {AT_PIN_BASED_CONTROLS, WORD_PIN,       PIN_WANTED       },
    {AT_PRIMARY_CONTROLS,   WORD_PRIMARY,   (uint32_t)PRIMARY_WANTED},
    {AT_SECONDARY_CONTROLS, WORD_SECONDARY, SECONDARY_OFFERED},
    {AT_VM_EXIT_CONTROLS,   WORD_EXIT,      EXIT_OFFERED     },
    {AT_VM_ENTRY_CONTROLS,  WORD_ENTRY,     ENTRY_OFFERED    },
};
// clang-format on

static void fill_controls(struct probe *p, const struct vcpu *v, uint64_t scratch)
{
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++)
        if (vmcs_group(vmcs_fields[i].encoding) == VMCS_CONTROL)
            p->initial[i] = 0;
    for (unsigned i = 0; i < array_size(words); i++) {
        struct control_capability can = vmx_caps_control(&vmx_caps, words[i].word);
        p->initial[words[i].at] = (can.must_be_1 | words[i].offered) & can.may_be_1;
    }
    for (unsigned i = 0; i < array_size(addresses); i++)
        p->initial[addresses[i]] = scratch;
    p->initial[AT_EXECUTIVE_VMCS_POINTER] = 0;
    p->initial[AT_EPT_POINTER] = space_eptp(v->space);
    p->initial[AT_VMCS_LINK_POINTER] = ~0ull;
    p->initial[AT_VIRTUAL_PROCESSOR_ID] = (uint16_t)~v->vpid;
    p->initial[AT_TSC_MULTIPLIER] = 1ull << 48;
    // What VM entry and exit leave alone stays out of reach (SDM, "Loading Guest Control Registers ...").
    p->initial[AT_CR0_GUEST_HOST_MASK] = CR0_CD | CR0_NW;
    p->initial[AT_CR0_READ_SHADOW] = p->initial[AT_GUEST_CR0];
}

static void fill_guest(struct probe *p, uint64_t landing)
{
    p->initial[AT_GUEST_RIP] = landing;
    p->initial[AT_GUEST_RFLAGS] = RFLAGS_FIXED1;
    p->initial[AT_GUEST_INTERRUPTIBILITY_STATE] = 0;
    p->initial[AT_GUEST_ACTIVITY_STATE] = ACTIVITY_ACTIVE;
    p->initial[AT_GUEST_PENDING_DEBUG_EXCEPTIONS] = 0;
    p->initial[AT_GUEST_DR7] = DR7_INIT;
    p->initial[AT_GUEST_DEBUGCTL] = 0;
    p->initial[AT_PREEMPTION_TIMER_VALUE] = 0;
    p->initial[AT_GUEST_INTERRUPT_STATUS] = 0;
    p->initial[AT_GUEST_PML_INDEX] = 511;
    p->initial[AT_GUEST_SMBASE] = 0;
}

void probe_fill_template(struct probe *p, const struct vcpu *v, uint64_t landing, uint64_t scratch)
{
    p->fields = 0;
    p->template_good = 0;
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++) {
        const struct vmcs_field *f = &vmcs_fields[i];
        p->exists[i] = vmx_caps_field_exists(&vmx_caps, f);
        p->initial[i] = p->exists[i] ? vmread_raw(f->encoding) : 0;
        if (p->exists[i] && vmcs_group(f->encoding) != VMCS_EXIT_INFO)
            p->field[p->fields++] = (typeof(p->field[0])){(uint16_t)vmcs_fields[i].encoding, (uint16_t)i};
    }
    p->initial[AT_HOST_RSP] = (uint64_t)(uintptr_t)p;
    fill_guest(p, landing);
    fill_controls(p, v, scratch);
    memcpy(p->opened, p->initial, sizeof(p->opened));
}

// ---- Fence ----

static uint64_t physical_mask(void)
{
    return (1ull << features.physical_bits) - 1;
}

// Taking a page away draws a new generation, and so ends what is known.
bool probe_owns(struct probe *p, uint64_t address)
{
    uint64_t f = (address & physical_mask()) >> PAGE_SHIFT, generation = space_generation(p->space);
    if (p->known.generation != generation) {
        memset(p->known.frame, 0xff, sizeof(p->known.frame));
        p->known.generation = generation;
    }
    if (f >= frames.count)
        return false;
    uint32_t *known = &p->known.frame[f % PROBE_KNOWN];
    if (*known != f && !space_has_frame(p->space, pfn(f)))
        return false;
    *known = (uint32_t)f;
    return true;
}

static bool is_list(unsigned at) // fence_list() has these
{
    return at == AT_VM_ENTRY_MSR_LOAD_ADDRESS || at == AT_VM_EXIT_MSR_LOAD_ADDRESS ||
           at == AT_VM_EXIT_MSR_STORE_ADDRESS;
}

// Not the machine's, and good all the same.
static bool is_given(const struct probe *p, unsigned at, uint64_t value)
{
    return (at == AT_EPT_POINTER &&
            !((value ^ space_eptp(p->space)) & physical_mask() & ~(uint64_t)(PAGE_SIZE - 1))) ||
           (at == AT_EXECUTIVE_VMCS_POINTER && value == 0) ||
           (at == AT_VMCS_LINK_POINTER && value == p->vmcs.region.v);
}

// All ones are what rows about "no address" use: they have to be refused, or are not looked at. What the template has
// is looked at like others: the machine may have given its page back since.
static enum error fence_addresses(struct probe *p)
{
    uint64_t generation = space_generation(p->space);
    bool template_good = p->template_good == generation, changed = false;
    for (unsigned i = 0; i < array_size(addresses); i++) {
        unsigned at = addresses[i];
        uint64_t value = p->now[at];
        if (value == p->initial[at]) {
            if (template_good)
                continue;
        } else {
            changed = true;
        }
        if (value != ~0ull && !is_list(at) && !is_given(p, at, value) && !probe_owns(p, value))
            return E_DENIED;
    }
    if (!changed)
        p->template_good = generation;
    return E_OK;
}

// HOST_RIP has no neighbour that could be survived: only addresses that must be refused. HOST_CR3 likewise keeps its
// tables.
static enum error fence_host(const struct probe *p)
{
    uint64_t cr3 = p->now[AT_HOST_CR3] ^ p->initial[AT_HOST_CR3];
    if (p->now[AT_HOST_RIP] != p->initial[AT_HOST_RIP] &&
        is_canonical(p->now[AT_HOST_RIP], features.linear_bits))
        return E_DENIED;
    return cr3 & ((1ull << features.physical_bits) - 1) ? E_DENIED : E_OK;
}

// Something has to end the run: the timer, also while halted, and not in wait-for-SIPI (SDM, "VMX-Preemption Timer"),
// where nothing but a SIPI does; or an interrupt of the box, which ends what is active. What an INIT leaves pending
// is taken behind the attempt, for which there has to be the timer (probe_drain_init()).
static enum error fence_end(const struct probe *p, uint32_t flags)
{
    bool timer = p->now[AT_PIN_BASED_CONTROLS] & PIN_PREEMPTION_TIMER;
    uint64_t state = p->now[AT_GUEST_ACTIVITY_STATE];
    bool init = flags & PROBE_SEND_INIT, waits = state == ACTIVITY_WAIT_FOR_SIPI;
    if ((init || waits) && !probe_signals_survived)
        return E_UNSUPPORTED;
    if (waits)
        return flags & PROBE_SEND_SIPI ? E_OK : E_UNSUPPORTED;
    if (init && !(p->opened[AT_PIN_BASED_CONTROLS] & PIN_PREEMPTION_TIMER))
        return E_UNSUPPORTED;
    bool interrupts = p->now[AT_PIN_BASED_CONTROLS] & PIN_EXTERNAL_INTERRUPT_EXITING;
    return timer || (interrupts && state != ACTIVITY_HLT && state != ACTIVITY_SHUTDOWN) ? E_OK
                                                                                        : E_UNSUPPORTED;
}

// Without EPT the entered code's addresses are the box's: its paging structures must be the machine's, and nothing
// may make it look at another table.
static enum error fence_memory(struct probe *p)
{
    bool secondary = p->now[AT_PRIMARY_CONTROLS] & PRIMARY_ACTIVATE_SECONDARY;
    if (secondary && p->now[AT_SECONDARY_CONTROLS] & SECONDARY_EPT)
        return E_OK;
    bool injects = p->now[AT_VM_ENTRY_INTERRUPTION_INFO] >> 31;
    return probe_owns(p, p->now[AT_GUEST_CR3]) && !injects ? E_OK : E_DENIED;
}

// MSRs that are given back after an attempt, and those that can be in no list (SDM, "Loading MSRs").
static bool listable(uint32_t msr)
{
    static const uint32_t some[] = {MSR_STAR,        MSR_LSTAR,        MSR_CSTAR,        MSR_FMASK,
                                    MSR_TSC_AUX,     MSR_FS_BASE,      MSR_GS_BASE,      MSR_KERNEL_GS_BASE,
                                    MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_SMM_MONITOR_CTL,
                                    MSR_PAT,         MSR_EFER};
    for (unsigned i = 0; i < array_size(some); i++)
        if (msr == some[i])
            return true;
    return (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST) || msr == MSR_MTRRCAP ||
           (msr >= MSR_VMX_BASIC && msr <= MSR_VMX_VMFUNC);
}

// A list whose end no physical address can name is refused by every processor, and begins where there is nothing.
static bool runs_out(uint64_t address, uint64_t count)
{
    uint64_t end = 1ull << features.physical_bits;
    return address < end && address >= end - PAGE_SIZE && address + 16 * count > end;
}

static const struct {
    uint16_t address, count;
} lists[] = {
    {AT_VM_ENTRY_MSR_LOAD_ADDRESS, AT_VM_ENTRY_MSR_LOAD_COUNT},
    {AT_VM_EXIT_MSR_LOAD_ADDRESS,  AT_VM_EXIT_MSR_LOAD_COUNT },
    {AT_VM_EXIT_MSR_STORE_ADDRESS,
     AT_VM_EXIT_MSR_STORE_COUNT                              }, // from PROBE_LISTS on those that nothing is loaded from
};

struct msr_entry {
    uint32_t index, reserved;
    uint64_t value;
};

// Page by page, each if it is the machine's. NULL: nothing is copied.
static bool copy_own(struct probe *p, char *to, uint64_t from, uint64_t bytes)
{
    for (uint64_t done = 0, n; done < bytes; done += n) {
        n = min_u64(bytes - done, PAGE_SIZE - (from + done) % PAGE_SIZE);
        if (!probe_owns(p, from + done))
            return false;
        if (to)
            memcpy(to + done, hpa_to_virt(hpa((from + done) & physical_mask())), n);
    }
    return true;
}

static enum error fence_list(struct probe *p, unsigned which)
{
    uint64_t address = p->now[lists[which].address], count = (uint32_t)p->now[lists[which].count];
    uint64_t begin = address & ~15ull, bytes = 16 * count;
    if (count > PROBE_MSRS_MAX)
        return E_TOO_BIG;
    if (runs_out(address, count))
        return E_OK;
    if (bytes > probe_list_bytes())
        return E_TOO_BIG;
    struct msr_entry *copy = which < PROBE_LISTS ? hpa_to_virt(p->list[which].at) : NULL;
    if (!copy_own(p, (char *)copy, begin, bytes))
        return E_DENIED;
    for (uint64_t i = 0; copy && i < count; i++)
        if (!listable(copy[i].index))
            return E_DENIED;
    if (copy)
        p->list[which].used = address == (begin & physical_mask()); // else the address has to be refused
    return E_OK;
}

void probe_write_lists(const struct probe *p)
{
    for (unsigned i = 0; i < PROBE_LISTS; i++)
        if (p->list[i].used)
            vmwrite_raw(vmcs_fields[lists[i].address].encoding, p->list[i].at.v);
}

enum error probe_fence(struct probe *p, uint32_t flags)
{
    for (unsigned i = 0; i < PROBE_LISTS; i++)
        p->list[i].used = false;
    enum error e = fence_addresses(p);
    if (!e)
        e = fence_host(p);
    if (!e)
        e = fence_end(p, flags);
    if (!e)
        e = fence_memory(p);
    for (unsigned i = 0; !e && i < array_size(lists); i++)
        if (p->now[lists[i].count])
            e = fence_list(p, i);
    return e;
}
