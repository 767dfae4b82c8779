#include "vmx/apicv.h"
#include "arch/memory.h"
#include "arch/string.h"
#include "dev/lapic.h"
#include "mm/ept.h"
#include "mm/mm.h"
#include "vmx/exit.h"
#include "vmx/msr.h"
#include "vmx/vmx.h"

// One of each for all machines. Nobody's accesses reach the memory of the APIC-access page, so it holds nothing; the
// directory leads to it alone. A guest's page walk through it may: it finds zeros and writes none (SDM, "Guest-Physical
// Accesses to the APIC-Access Page").
static hpa_t access_page, directory;

static bool take_page(hpa_t *at)
{
    pfn_t f = buddy_alloc(&frames, 0, OWNER_KERNEL);
    if (pfn_is_none(f))
        return false;
    memset(pfn_to_virt(f), 0, PAGE_SIZE);
    *at = pfn_to_hpa(f);
    return true;
}

enum error apicv_init(struct reason *why)
{
    enum { PD_INDEX = LAPIC_PAGE >> 21 & 511, PT_INDEX = LAPIC_PAGE >> PAGE_SHIFT & 511 };
    hpa_t table;
    if (!take_page(&access_page) || !take_page(&directory) || !take_page(&table) ||
        msr_policy_let_x2apic_through() != E_OK)
        return reason_set(why, E_NO_MEMORY, "no memory for APIC virtualization");
    ((uint64_t *)hpa_to_virt(directory))[PD_INDEX] = table.v | EPT_RIGHTS;
    ((uint64_t *)hpa_to_virt(table))[PT_INDEX] =
        access_page.v | EPT_READ | EPT_WRITE | MT_WB << EPT_TYPE_SHIFT;
    return E_OK;
}

// ---- A vCPU ----

enum error apicv_create(struct vcpu *v, uint16_t owner)
{
    pfn_t f = buddy_alloc_or_fail(&frames, 0, owner);
    if (pfn_is_none(f))
        return E_NO_MEMORY;
    v->apic_page = pfn_to_virt(f);
    memset(v->apic_page, 0, PAGE_SIZE);
    return E_OK;
}

void apicv_destroy(struct vcpu *v, uint16_t owner)
{
    if (v->apic_page)
        buddy_free(&frames, hpa_to_pfn(virt_to_hpa(v->apic_page)), owner);
    v->apic_page = NULL;
}

// Other bits of these words change for other reasons.
static void change(enum vmcs32 word, uint32_t changing, uint32_t bits)
{
    vmwrite32(word, (vmread32(word) & ~changing) | (bits & changing));
}

static void write_controls(const struct vcpu *v)
{
    change(PRIMARY_CONTROLS, PRIMARY_TPR_SHADOW | PRIMARY_CR8_LOAD_EXITING | PRIMARY_CR8_STORE_EXITING,
           vmx_controls.apic[v->apic_help].primary);
    change(SECONDARY_CONTROLS,
           SECONDARY_APIC_ACCESSES | SECONDARY_X2APIC_MODE | SECONDARY_APIC_REGISTERS |
               SECONDARY_VIRTUAL_INTERRUPT_DELIVERY,
           vmx_controls.apic[v->apic_help].secondary);
    vmwrite64(MSR_BITMAP, v->apic_help == APIC_HELP_MSRS ? vmx_msr_bitmap_x2apic.v : vmx_msr_bitmap.v);
}

static void write_eoi_exits(const struct vcpu *v)
{
    for (unsigned i = 0; i < array_size(v->eoi_exits); i++)
        vmwrite64((enum vmcs64)(EOI_EXIT_BITMAP_0 + 2 * i), v->eoi_exits[i]);
}

void apicv_setup(struct vcpu *v)
{
    memset(v->eoi_exits, 0, sizeof v->eoi_exits);
    vmwrite64(VIRTUAL_APIC_ADDRESS, virt_to_hpa(v->apic_page).v);
    vmwrite64(APIC_ACCESS_ADDRESS, access_page.v);
    vmwrite32(TPR_THRESHOLD, 0);
    vmwrite16(GUEST_INTERRUPT_STATUS, 0);
    write_eoi_exits(v);
    write_controls(v);
}

// With "virtualize APIC accesses" the same translations mean something else (SDM, "Issues Pertaining to Page Size and
// TLB Management").
void vcpu_help_apic(struct vcpu *v, enum apic_help help)
{
    v->apic_help = (uint8_t)help;
    write_controls(v);
    flush_guest_tlb(v);
}

void vcpu_set_apic_status(struct vcpu *v, uint8_t requested, uint8_t in_service)
{
    (void)v;
    vmwrite16(GUEST_INTERRUPT_STATUS, (uint16_t)(in_service << 8 | requested));
}

uint8_t vcpu_apic_requested(const struct vcpu *v)
{
    (void)v;
    return (uint8_t)vmread16(GUEST_INTERRUPT_STATUS);
}

void vcpu_request_apic(struct vcpu *v, uint8_t vector)
{
    (void)v;
    vmwrite16(GUEST_INTERRUPT_STATUS, (uint16_t)((vmread16(GUEST_INTERRUPT_STATUS) & 0xff00) | vector));
}

void vcpu_set_eoi_exits(struct vcpu *v, const uint64_t vectors[static 4])
{
    if (likely(!memcmp(v->eoi_exits, vectors, sizeof v->eoi_exits)))
        return;
    memcpy(v->eoi_exits, vectors, sizeof v->eoi_exits);
    write_eoi_exits(v);
}

enum error vcpu_show_apic_page(struct space *s, bool shown)
{
    return space_link(s, gpa(LAPIC_PAGE & ~((1ull << 30) - 1)), shown ? directory : hpa(0));
}

// ---- Exits ----

// Both come behind the instruction.
void exit_apic_write(struct vcpu *v, uint64_t qualification)
{
    vcpu_upcalls.apic_written(v, qualification & (PAGE_SIZE - 1));
}

void exit_virtualized_eoi(struct vcpu *v, uint64_t qualification)
{
    vcpu_upcalls.apic_ended(v, (uint8_t)qualification);
}
