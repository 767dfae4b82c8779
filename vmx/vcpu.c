#include "vmx/vcpu.h"
#include "arch/cpu.h"
#include "arch/string.h"
#include "arch/memory.h"
#include "arch/panic.h"
#include "mm/mm.h"
#include "sdm/bits.h"
#include "vmx/apicv.h"
#include "vmx/exit.h"
#include "vmx/microscope.h"
#include "vmx/pml.h"
#include "vmx/probe.h"
#include "vmx/state.h"
#include "vmx/tags_check.h"
#include "vmx/vmx.h"

static enum error create_region(struct vmcs *m, uint16_t owner)
{
    pfn_t frame = buddy_alloc_or_fail(&frames, 0, owner);
    if (pfn_is_none(frame))
        return E_NO_MEMORY;
    m->region = pfn_to_hpa(frame);
    m->active_on = NULL;
    uint32_t *region = pfn_to_virt(frame);
    memset(region, 0, PAGE_SIZE);
    region[0] = vmx_basic_revision(vmx_caps.basic);
    vmcs_clear(m);
    return E_OK;
}

enum error vcpu_create(struct vcpu *v, uint16_t owner, const struct guest_start *start)
{
    enum error e = create_region(&v->own_vmcs, owner);
    if (e)
        return e;
    e = state_create(v, owner);
    if (!e)
        e = microscope_create(v, owner);
    if (!e)
        e = pml_create(v, owner);
    if (!e && vmx_controls.apicv)
        e = apicv_create(v, owner);
    if (e) {
        vcpu_destroy(v, owner);
        return e;
    }
    v->vmcs = &v->own_vmcs;
    v->fuel = FUEL;
    v->view = (struct guest_view){.space = v->space, .region = ~0ull};
    memcpy(v->gpr, start->gpr, sizeof(v->gpr));
    struct vcpu *was = this_pcpu()->current;
    vmcs_bind(v->vmcs);
    vmcs_setup(v, start);
    vmcs_clear(v->vmcs);
    if (was)
        vmcs_bind(was->vmcs);
    return E_OK;
}

static const struct vmcs_field *field_named(const char *name)
{
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++)
        if (strcmp(vmcs_field_name(vmcs_fields[i].encoding), name) == 0)
            return &vmcs_fields[i];
    return NULL;
}

bool vcpu_break_entry(struct vcpu *v, const char *name, uint64_t xor)
{
    const struct vmcs_field *f = field_named(name);
    if (!f || !vmx_caps_field_exists(&vmx_caps, f))
        return false;
    struct vcpu *was = this_pcpu()->current;
    vmcs_bind(v->vmcs);
    vmwrite_raw(f->encoding, vmread_raw(f->encoding) ^ xor);
    vmcs_clear(v->vmcs);
    if (was)
        vmcs_bind(was->vmcs);
    return true;
}

void vcpu_restart(struct vcpu *v, const struct guest_start *start)
{
    memcpy(v->gpr, start->gpr, sizeof(v->gpr));
    vmcs_restart(v, start);
    v->windows = 0;
    state_restart(v);
    flush_guest_tlb(v);
}

void vcpu_unload(struct vcpu *v)
{
    if (this_pcpu()->current == v)
        vcpu_leave();
    if (this_vmx()->loaded == v)
        state_unload(v);
    vmcs_clear(v->vmcs);
}

void vcpu_retire(struct vcpu *v)
{
    if (this_vmx()->loaded == v)
        this_vmx()->loaded = NULL;
    vmcs_clear(&v->own_vmcs);
    probe_release(v);
}

void vcpu_destroy(struct vcpu *v, uint16_t owner)
{
    state_destroy(v, owner);
    microscope_destroy(v, owner);
    apicv_destroy(v, owner);
    probe_destroy(v);
    pml_destroy(v, owner);
    if (v->own_vmcs.region.v)
        buddy_free(&frames, hpa_to_pfn(v->own_vmcs.region), owner);
    v->own_vmcs.region = hpa(0);
}

uint64_t vcpu_bytes(void)
{
    uint64_t apic = vmx_controls.apicv ? PAGE_SIZE : 0;
    return PAGE_SIZE + state_bytes() + microscope_bytes() + pml_bytes() + apic;
}

// Without VPIDs every entry and exit drops the guest's translations anyway.
void flush_guest_tlb(struct vcpu *v)
{
    if (!(vmx_controls.secondary & SECONDARY_VPID))
        return;
    enum { INVVPID_SINGLE_CONTEXT = 1, INVVPID_ALL_CONTEXTS = 2 };
    struct {
        uint64_t vpid, linear;
    } what = {v->vpid, 0};
    uint64_t type =
        vmx_caps.ept_vpid & EPT_CAP_INVVPID_SINGLE ? INVVPID_SINGLE_CONTEXT : INVVPID_ALL_CONTEXTS;
    bool failed;
    __asm__ volatile("invvpid %1, %2" : "=@ccbe"(failed) : "m"(what), "r"(type) : "memory");
    if (failed)
        panic("INVVPID of VPID %u failed", v->vpid);
    tags_check_invvpid(v->vpid, type == INVVPID_ALL_CONTEXTS);
}

unsigned vcpu_cpl(const struct vcpu *v)
{
    (void)v;
    return (vmread32(GUEST_SS_ACCESS_RIGHTS) & AR_DPL) >> AR_DPL_SHIFT;
}

bool vcpu_has_64bit_code(const struct vcpu *v)
{
    (void)v;
    return vmread32(GUEST_CS_ACCESS_RIGHTS) & AR_L;
}

bool vcpu_in_64bit_mode(const struct vcpu *v)
{
    (void)v;
    return vmread64(GUEST_EFER) & EFER_LMA && vmread32(GUEST_CS_ACCESS_RIGHTS) & AR_L;
}
