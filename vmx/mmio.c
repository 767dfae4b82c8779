#include "vmx/mmio.h"
#include "arch/format.h"
#include "sdm/qualification.h"
#include "vmx/emulate.h"
#include "vmx/exit.h"
#include "vmx/guest_memory.h"

enum { FLAGS = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF };

// The processor has translated the access that made the exit: it need not be done again.
struct mmio {
    struct emulation emulation; // first
    struct vcpu *v;
    gpa_t at;
    uint64_t linear;
    bool linear_valid;
};

static bool to_device(const struct mmio *m, enum emulate_access how, unsigned size, uint64_t *value)
{
    if (how == EMULATE_READ)
        *value = vcpu_upcalls.mmio_read(m->v, m->at, size);
    else if (how == EMULATE_WRITE)
        vcpu_upcalls.mmio_write(m->v, m->at, size, *value);
    return true;
}

static bool access(struct emulation *e, enum emulate_access how, unsigned segment, uint64_t offset,
                   unsigned size, uint64_t *value)
{
    static const enum guest_move moves[] = {
        [EMULATE_PROBE] = GUEST_PROBE, [EMULATE_READ] = GUEST_LOAD, [EMULATE_WRITE] = GUEST_STORE};
    struct mmio *m = (struct mmio *)e;
    enum access rights = how == EMULATE_READ ? ACCESS_READ : ACCESS_WRITE;
    uint64_t linear;
    if (!guest_operand(m->v, segment, offset, size, rights, &linear))
        return false;
    bool in_page = (m->at.v & (PAGE_SIZE - 1)) + size <= PAGE_SIZE;
    if (likely(m->linear_valid && linear == m->linear && in_page))
        return to_device(m, how, size, value);
    return guest_move(m->v, linear, value, size, moves[how]);
}

static unsigned code_width(const struct vcpu *v)
{
    if (vcpu_in_64bit_mode(v))
        return 8;
    return vmread32(GUEST_CS_ACCESS_RIGHTS) & AR_DB ? 4 : 2;
}

static unsigned stack_width(const struct vcpu *v)
{
    if (vcpu_in_64bit_mode(v))
        return 8;
    return vmread32(GUEST_SS_ACCESS_RIGHTS) & AR_DB ? 4 : 2;
}

// Up to 15 bytes; fewer when they come up to a page that they may not need.
static bool fetch(struct vcpu *v, uint64_t linear, uint8_t code[INSTRUCTION_BUFFER], unsigned *got)
{
    unsigned in_page = PAGE_SIZE - (linear & (PAGE_SIZE - 1));
    *got = (unsigned)min_u64(in_page, INSTRUCTION_MAX);
    return guest_move(v, linear, code, *got, GUEST_FETCH);
}

static void refuse(struct vcpu *v, const uint8_t *code, unsigned got, gpa_t at)
{
    char text[160], bytes[3 * INSTRUCTION_MAX + 1] = "";
    for (unsigned i = 0; i < got; i++)
        format(bytes + 3 * i, sizeof bytes - 3 * i, " %02x", code[i]);
    format(text, sizeof text, "an instruction that is not emulated reaches the device at %lx:%s", at.v,
           bytes);
    vcpu_upcalls.end(v, END_UNHANDLED, text);
}

static bool decode(struct vcpu *v, struct instruction *i, gpa_t at)
{
    uint8_t code[INSTRUCTION_BUFFER];
    unsigned got, width = code_width(v);
    uint64_t linear = vmread_nat(GUEST_RIP) + (width == 8 ? 0 : vmread_nat(GUEST_CS_BASE));
    if (!fetch(v, linear, code, &got))
        return false;
    if (likely(decode_instruction(i, code, got, width)))
        return true;
    // It may go on in the next page.
    if (got < INSTRUCTION_MAX) {
        if (!guest_move(v, linear + got, code + got, INSTRUCTION_MAX - got, GUEST_FETCH))
            return false;
        got = INSTRUCTION_MAX;
        if (decode_instruction(i, code, got, width))
            return true;
    }
    refuse(v, code, got, at);
    return false;
}

static void finish(struct vcpu *v, const struct instruction *i, struct emulation *e,
                   enum emulate_outcome outcome)
{
    if (outcome == EMULATE_STOPPED)
        return;
    vmwrite_nat(GUEST_RSP, v->gpr[RSP]);
    vmwrite_nat(GUEST_RFLAGS, (vmread_nat(GUEST_RFLAGS) & ~(uint64_t)FLAGS) | (e->rflags & FLAGS));
    if (outcome == EMULATE_RETIRE)
        skip_bytes(i->length);
    else
        skip_slow();
    vcpu_upcalls.offer(v);
}

void mmio_emulate(struct vcpu *v, gpa_t at)
{
    struct instruction i;
    uint64_t qualification = vmread_nat(EXIT_QUALIFICATION);
    if (!decode(v, &i, at))
        return;
    uint64_t stamp = v->gpr[RSP]; // the exit's, for the microscope
    v->gpr[RSP] = vmread_nat(GUEST_RSP);
    struct mmio m = {
        .emulation = {.gpr = v->gpr,
                      .rip = vmread_nat(GUEST_RIP),
                      .rflags = vmread_nat(GUEST_RFLAGS),
                      .stack_size = (uint8_t)stack_width(v),
                      .access = access},
        .v = v,
        .at = at,
        .linear = vmread_nat(GUEST_LINEAR_ADDRESS),
        .linear_valid = decode_ept_violation(qualification).linear_valid,
    };
    finish(v, &i, &m.emulation, emulate(&i, &m.emulation));
    v->gpr[RSP] = stamp;
}
