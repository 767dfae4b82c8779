#include "vmx/vmx.h"
#include "arch/cpu.h"
#include "arch/exception.h"
#include "arch/features.h"
#include "arch/log.h"
#include "arch/memory.h"
#include "arch/string.h"
#include "mm/ept.h"
#include "mm/mm.h"
#include "mm/quarantine.h"
#include "sdm/msr.h"
#include "vmx/apicv.h"
#include "vmx/cpuid.h"
#include "vmx/msr.h"
#include "vmx/probe.h"
#include "vmx/state.h"
#include "vmx/vmcs.h"

struct vmx_caps vmx_caps;
struct controls vmx_controls;
hpa_t vmx_msr_bitmap, vmx_msr_bitmap_x2apic;
uint8_t vmx_timer_rate;
int32_t vmx_timer_fuel = -1;
uint64_t vmx_cr0_must, vmx_cr4_must;
static struct vmx_cpu vmx_cpus[PCPU_MAX];

static uint64_t read_msr(void *context, uint32_t msr)
{
    (void)context;
    uint64_t value = 0;
    return rdmsr_safe(msr, &value) ? value : 0;
}

// SDM, "Enabling and Entering VMX Operation": unlocked means that firmware left the choice to us.
static const char *unlock_feature_control(void)
{
    uint64_t control = read_msr(NULL, MSR_FEATURE_CONTROL);
    if (!(control & FEATURE_CONTROL_LOCK)) {
        control |= FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX;
        if (!wrmsr_safe(MSR_FEATURE_CONTROL, control))
            return "IA32_FEATURE_CONTROL, which is unlocked but cannot be written";
    }
    return control & FEATURE_CONTROL_VMX ? NULL : "IA32_FEATURE_CONTROL, which is locked without VMX";
}

// "no VT-x" and "disabled by firmware", in that order (SDM, "Enabling and Entering VMX Operation").
static enum error check_present(struct reason *why)
{
    if (!cpu_has(FEATURE_VMX))
        return reason_set(why, E_UNSUPPORTED, "no VT-x: this processor does not offer VMX");
    const char *locked = unlock_feature_control();
    return locked ? reason_set(why, E_UNSUPPORTED, "VT-x is disabled by firmware: %s", locked) : E_OK;
}

static enum error init_apicv(const char *unwanted, struct reason *why)
{
    struct reason lacks;
    if (!unwanted && controls_negotiate_apicv(&vmx_caps, &vmx_controls, &lacks) != E_OK)
        unwanted = lacks.text;
    if (!unwanted) {
        log_info("local APICs of guests are virtualized by the processor");
        return apicv_init(why);
    }
    log_info("local APICs of guests are virtualized at exits: %s", unwanted);
    return E_OK;
}

enum error vmx_init(const char *no_apicv, struct reason *why)
{
    enum error e = check_present(why);
    if (e)
        return e;
    vmx_caps_read(&vmx_caps, read_msr, NULL);
    e = controls_negotiate(&vmx_caps, &vmx_controls, why);
    if (e)
        return e;
    // Unrestricted guests may clear PE and PG (SDM, "Checks on Guest Control Registers, Debug Registers, and MSRs").
    vmx_cr0_must = vmx_caps.cr0_fixed0 & ~(uint64_t)(CR0_PE | CR0_PG);
    vmx_cr4_must = vmx_caps.cr4_fixed0 | CR4_MCE;
    ept_features.accessed_dirty = vmx_caps.ept_vpid & EPT_CAP_ACCESSED_DIRTY;
    ept_features.pages_2m = vmx_caps.ept_vpid & EPT_CAP_PAGE_2M;
    ept_features.exec_only = vmx_caps.ept_vpid & EPT_CAP_EXECUTE_ONLY;
    ept_features.pages_1g = vmx_caps.ept_vpid & EPT_CAP_PAGE_1G;
    if (vmx_controls.pin & PIN_PREEMPTION_TIMER)
        vmx_timer_fuel = vmx_controls.exit & EXIT_SAVE_PREEMPTION_TIMER ? FUEL : 0;
    vmx_timer_rate = (uint8_t)vmx_misc_timer_rate(vmx_caps.misc);
    cpuid_policy_init();
    state_init();
    probe_init();
    e = msr_policy_init(why);
    return e ? e : init_apicv(no_apicv, why);
}

enum dirty_method vmx_choose_dirty(enum dirty_method wish)
{
    const bool can[] = {
        [DIRTY_PML] = vmx_controls.secondary & SECONDARY_PML,
        [DIRTY_BITS] = ept_features.accessed_dirty,
        [DIRTY_PROTECT] = true,
    };
    dirty_method = wish == DIRTY_METHOD_COUNT ? DIRTY_PML : wish;
    while (!can[dirty_method])
        dirty_method++;
    if (dirty_method != DIRTY_PML)
        vmx_controls.secondary &= ~(uint32_t)SECONDARY_PML;
    return dirty_method;
}

const char *vmx_cpu_differs(void)
{
    struct vmx_caps here;
    const char *differs = unlock_feature_control();
    if (differs)
        return differs;
    vmx_caps_read(&here, read_msr, NULL);
    return vmx_caps_difference(&here, &vmx_caps);
}

bool vmx_enter_operation(hpa_t region)
{
    bool failed;
    __asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region.v) : "memory");
    return !failed;
}

static enum error take_region(struct vmx_cpu *c, struct reason *why)
{
    pfn_t frame = buddy_alloc(&frames, 0, OWNER_KERNEL);
    if (pfn_is_none(frame))
        return reason_set(why, E_NO_MEMORY, "no memory for its VMXON region");
    c->vmxon_region = pfn_to_hpa(frame);
    uint32_t *region = pfn_to_virt(frame);
    memset(region, 0, PAGE_SIZE);
    region[0] = vmx_basic_revision(vmx_caps.basic);
    return E_OK;
}

enum error vmx_init_cpu(struct reason *why)
{
    struct vmx_cpu *c = &vmx_cpus[this_pcpu()->id];
    c->seat = &seats[this_pcpu()->id];
    this_pcpu()->vmx = c;
    enum error e = take_region(c, why);
    if (e)
        return e;
    write_cr0(vmx_caps_fix_cr0(&vmx_caps, read_cr0()));
    write_cr4(vmx_caps_fix_cr4(&vmx_caps, read_cr4()));
    if (!vmx_enter_operation(c->vmxon_region))
        return reason_set(why, E_UNSUPPORTED, "VMXON failed");
    list_init(&c->active);
    __atomic_store_n(&c->on, true, __ATOMIC_RELEASE);
    return E_OK;
}

void vmx_off_cpu(void)
{
    struct vmx_cpu *c = this_vmx();
    if (!c || !c->on)
        return;
    vmcs_clear_active();
    __asm__ volatile("vmxoff" ::: "cc", "memory");
    write_cr4(read_cr4() & ~(uint64_t)CR4_VMXE);
    c->on = false;
}

void vmx_off_now(void)
{
    if (read_cr4() & CR4_VMXE)
        __asm__ volatile("1: vmxoff; 2:" EXCEPTION_FIXUP("1b", "2b")::: "cc", "memory");
}

bool vmx_is_on(const struct pcpu *p)
{
    return __atomic_load_n(&vmx_cpus[p->id].on, __ATOMIC_ACQUIRE);
}

uint32_t vmx_processors(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pcpu_count; i++)
        n += vmx_is_on(&pcpus[i]);
    return n;
}
