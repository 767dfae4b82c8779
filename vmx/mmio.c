// Instructions that reach a device's memory, which no EPT entry maps.
#include "sdm/qualification.h"
#include "sdm/text.h"
#include "vmx/emulate.h"
#include "vmx/exit.h"
#include "vmx/guest_memory.h"

// The processor has translated the access that made the exit: it need not be done again.
struct mmio {
    struct emulation emulation; // first
    struct vcpu *v;
    gpa_t at;
    uint64_t linear;
    bool linear_valid;
};

static bool in_page(gpa_t at, unsigned size)
{
    return at.v % PAGE_SIZE + size <= PAGE_SIZE;
}

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
    if (m->linear_valid && linear == m->linear && in_page(m->at, size))
        return to_device(m, how, size, value);
    return guest_move(m->v, linear, value, size, moves[how]);
}

static noinline_cold unsigned default_size(enum vmcs32 rights)
{
    return vmread32(rights) & AR_DB ? 4 : 2;
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

// It goes on in the next page, or is not known.
static noinline_cold bool decode_slow(struct vcpu *v, struct instruction *i, uint8_t *code, unsigned got,
                                      uint64_t linear, unsigned width, gpa_t at)
{
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

static bool decode(struct vcpu *v, struct instruction *i, uint64_t rip, unsigned width, gpa_t at)
{
    uint8_t code[INSTRUCTION_BUFFER];
    uint64_t linear = likely(width == 8) ? rip : (uint32_t)(rip + vmread_nat(GUEST_CS_BASE));
    unsigned got = guest_fetch(v, width == 8, linear, code);
    if (unlikely(!got))
        return false;
    return likely(decode_instruction(i, code, got, width)) || decode_slow(v, i, code, got, linear, width, at);
}

// Most of all: a MOV in 64-bit mode, where offset and linear address are one but in FS and GS, and it is the access
// that the processor made.
static bool moves_at_once(const struct vcpu *v, const struct instruction *i, gpa_t at, uint64_t rip)
{
    return is_move(i) && i->segment < SEG_FS && in_page(at, i->size) &&
           effective_address(i, v->gpr, rip) == vmread_nat(GUEST_LINEAR_ADDRESS);
}

static noinline_cold enum emulate_outcome emulate_any(struct vcpu *v, const struct instruction *i, gpa_t at,
                                                      uint64_t rip, uint64_t rflags, bool linear_valid)
{
    struct mmio m = {
        .emulation = {.gpr = v->gpr,
                      .rip = rip,
                      .rflags = rflags,
                      .stack_size =
                          (uint8_t)(vcpu_in_64bit_mode(v) ? 8 : default_size(GUEST_SS_ACCESS_RIGHTS)),
                      .access = access},
        .v = v,
        .at = at,
        .linear = vmread_nat(GUEST_LINEAR_ADDRESS),
        .linear_valid = linear_valid,
    };
    enum emulate_outcome outcome = emulate(i, &m.emulation);
    if (m.emulation.rflags != rflags)
        vmwrite_nat(GUEST_RFLAGS, m.emulation.rflags);
    return outcome;
}

__attribute__((hot)) void mmio_emulate(struct vcpu *v, gpa_t at, uint64_t qualification)
{
    struct instruction i;
    enum emulate_outcome outcome = EMULATE_RETIRE;
    bool long_mode = vcpu_in_64bit_mode(v), linear_valid = decode_ept_violation(qualification).linear_valid;
    uint64_t rip = vmread_nat(GUEST_RIP);
    if (!decode(v, &i, rip, likely(long_mode) ? 8 : default_size(GUEST_CS_ACCESS_RIGHTS), at))
        return;
    uint64_t stamp = v->gpr[RSP]; // the exit's, for the microscope
    uint64_t rsp = vmread_nat(GUEST_RSP), rflags = vmread_nat(GUEST_RFLAGS);
    v->gpr[RSP] = rsp;
    if (unlikely(!long_mode || !linear_valid || !moves_at_once(v, &i, at, rip)))
        outcome = emulate_any(v, &i, at, rip, rflags, linear_valid);
    else if (i.to_register)
        finish_load(&i, v->gpr, vcpu_upcalls.mmio_read(v, at, i.size));
    else
        vcpu_upcalls.mmio_write(v, at, i.size, other_operand(&i, v->gpr) & byte_masks[i.size]);
    if (unlikely(v->gpr[RSP] != rsp))
        vmwrite_nat(GUEST_RSP, v->gpr[RSP]);
    v->gpr[RSP] = stamp;
    if (unlikely(outcome == EMULATE_STOPPED))
        return;
    if (likely(outcome == EMULATE_RETIRE))
        skip_from(rip, i.length, rflags);
    else
        skip_slow();
    vcpu_upcalls.offer(v);
}
