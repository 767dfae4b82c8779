#include "vmx/guest_memory.h"
#include "arch/cpu.h"
#include "arch/features.h"
#include "arch/string.h"
#include "sdm/qualification.h"
#include "vmx/exit.h"
#include "vmx/guest_paging.h"
#include "vmx/guest_segment.h"

static struct guest_paging read_paging(const struct vcpu *v)
{
    struct guest_paging p = {
        .cr0 = vmread_nat(GUEST_CR0),
        .cr3 = vmread_nat(GUEST_CR3),
        .cr4 = vmread_nat(GUEST_CR4),
        .efer = vmread64(GUEST_EFER),
        .rflags = vmread_nat(GUEST_RFLAGS),
        .cpl = vcpu_cpl(v),
        .physical_bits = features.physical_bits,
    };
    bool pae = p.cr0 & CR0_PG && p.cr4 & CR4_PAE && !(p.efer & EFER_LMA);
    for (unsigned i = 0; pae && i < 4; i++)
        p.pdpte[i] = vmread64((enum vmcs64)(GUEST_PDPTE0 + 2 * i));
    return p;
}

bool guest_operand(struct vcpu *v, unsigned segment, uint64_t offset, unsigned size, enum access access,
                   uint64_t *linear)
{
    struct guest_segment s = {
        .base = vmread_nat((enum vmcsnat)(GUEST_ES_BASE + 2 * segment)),
        .limit = vmread32((enum vmcs32)(GUEST_ES_LIMIT + 2 * segment)),
        .rights = vmread32((enum vmcs32)(GUEST_ES_ACCESS_RIGHTS + 2 * segment)),
        .keeps_base = segment == SEG_FS || segment == SEG_GS,
    };
    if (guest_linear(&s, vcpu_in_64bit_mode(v), offset, size, access, linear))
        return true;
    vcpu_inject_fault(v, segment == SEG_SS ? EXC_SS : EXC_GP, 0);
    return false;
}

// Why an access of the guest's cannot be made: rights of the page are the guest's own affair, as with an EPT violation.
static noinline_cold void cannot_move(struct vcpu *v, enum error e)
{
    if (e == E_DENIED && !(vmread32(IDT_VECTORING_INFO) & EVENT_INFO_VALID))
        vcpu_inject_fault(v, EXC_GP, 0);
    else
        diagnose_end(v, e == E_NO_MEMORY ? END_NO_MEMORY : END_OUTSIDE);
}

static enum error move_ram(struct space *s, gpa_t at, uint8_t *value, unsigned chunk, enum guest_move how)
{
    if (how == GUEST_STORE)
        return guest_write(s, at, value, chunk);
    return how == GUEST_PROBE ? guest_probe(s, at, chunk) : guest_read(s, at, value, chunk);
}

// Whether it was RAM or a device that could serve it.
static bool move_physical(struct vcpu *v, gpa_t at, uint8_t *value, unsigned chunk, unsigned size,
                          enum guest_move how)
{
    enum error e = move_ram(v->space, at, value, chunk, how);
    if (!e)
        return true;
    if (e == E_BAD_ADDRESS && chunk == size && size <= sizeof(uint64_t) && how != GUEST_FETCH &&
        vcpu_upcalls.mmio_covers(v, at)) {
        uint64_t v64 = 0;
        memcpy(&v64, value, size);
        if (how == GUEST_STORE)
            vcpu_upcalls.mmio_write(v, at, size, v64);
        else if (how == GUEST_LOAD)
            v64 = vcpu_upcalls.mmio_read(v, at, size);
        memcpy(value, &v64, size);
        return true;
    }
    cannot_move(v, e);
    return false;
}

static bool move(struct vcpu *v, const struct guest_paging *p, uint64_t linear, void *value, unsigned size,
                 enum guest_move how)
{
    enum access access = how == GUEST_STORE || how == GUEST_PROBE ? ACCESS_WRITE : ACCESS_READ;
    uint64_t wrap = vcpu_in_64bit_mode(v) ? ~0ull : UINT32_MAX;
    for (unsigned done = 0; done < size;) {
        uint64_t from = (linear + done) & wrap;
        unsigned chunk = (unsigned)min_u64(size - done, PAGE_SIZE - (from & (PAGE_SIZE - 1)));
        gpa_t at;
        uint32_t pf_error;
        enum error e = guest_translate(p, v->space, from, access, &at, &pf_error);
        if (e == E_NOT_FOUND) {
            write_cr2(from);
            vcpu_inject_fault(v, EXC_PF, pf_error);
            return false;
        }
        if (e) {
            cannot_move(v, e);
            return false;
        }
        if (!move_physical(v, at, (uint8_t *)value + done, chunk, size, how))
            return false;
        done += chunk;
    }
    return true;
}

bool guest_move(struct vcpu *v, uint64_t linear, void *value, unsigned size, enum guest_move how)
{
    struct guest_paging p = read_paging(v);
    if (how == GUEST_FETCH) // the processor fetched them already: no rights to check again
        p.cr4 &= ~(uint64_t)CR4_SMAP;
    return move(v, &p, linear, value, size, how);
}

bool guest_move_system(struct vcpu *v, uint64_t linear, void *value, unsigned size, enum guest_move how)
{
    struct guest_paging p = read_paging(v);
    p.cpl = 0;
    p.rflags &= ~(uint64_t)RFLAGS_AC;
    return move(v, &p, linear, value, size, how);
}

static noinline_cold unsigned fetch_slow(struct vcpu *v, uint64_t linear, uint8_t *code)
{
    unsigned n = (unsigned)min_u64(PAGE_SIZE - linear % PAGE_SIZE, INSTRUCTION_MAX);
    return guest_move(v, linear, code, n, GUEST_FETCH) ? n : 0;
}

// Sixteen bytes at once where the page has as many.
unsigned guest_fetch(struct vcpu *v, bool in_64bit_mode, uint64_t linear,
                     uint8_t code[static INSTRUCTION_BUFFER])
{
    if (unlikely(!in_64bit_mode || linear % PAGE_SIZE > PAGE_SIZE - 16))
        return fetch_slow(v, linear, code);
    const void *at = guest_fetched(&v->view, vmread_nat(GUEST_CR3), linear);
    if (unlikely(!at))
        return fetch_slow(v, linear, code);
    const uint64_t *quads = at;
    ((uint64_t *)code)[0] = quads[0];
    ((uint64_t *)code)[1] = quads[1];
    return INSTRUCTION_MAX;
}
