#include "vmx/pml.h"
#include "arch/memory.h"
#include "mm/dirty.h"
#include "mm/mm.h"
#include "vmx/exit.h"
#include "vmx/vmx.h"

enum { ENTRIES = 512 };

static bool in_use(void)
{
    return vmx_controls.secondary & SECONDARY_PML;
}

enum error pml_create(struct vcpu *v, uint16_t owner)
{
    v->write_notes = PFN_NONE;
    if (!in_use())
        return E_OK;
    v->write_notes = buddy_alloc_or_fail(&frames, 0, owner);
    return pfn_is_none(v->write_notes) ? E_NO_MEMORY : E_OK;
}

void pml_destroy(struct vcpu *v, uint16_t owner)
{
    if (v->write_notes.v && !pfn_is_none(v->write_notes)) // 0: not asked for yet
        buddy_free(&frames, v->write_notes, owner);
    v->write_notes = PFN_NONE;
}

uint64_t pml_bytes(void)
{
    return in_use() ? PAGE_SIZE : 0;
}

void pml_setup(const struct vcpu *v)
{
    if (!in_use())
        return;
    vmwrite64(PML_ADDRESS, pfn_to_hpa(v->write_notes).v);
    vmwrite16(GUEST_PML_INDEX, ENTRIES - 1);
}

// The index goes down and is beyond the page, as a 16-bit number, when that is full.
void pml_drain(struct vcpu *v)
{
    if (!in_use())
        return;
    vmcs_bind(v->vmcs);
    unsigned next = (uint16_t)(vmread16(GUEST_PML_INDEX) + 1);
    const uint64_t *notes = pfn_to_virt(v->write_notes);
    if (next < ENTRIES)
        dirty_note(v->space, notes + next, ENTRIES - next);
    vmwrite16(GUEST_PML_INDEX, ENTRIES - 1);
}
