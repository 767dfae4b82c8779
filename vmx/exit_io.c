// IN and OUT. The string forms are in vmx/string_io.c.
#include "sdm/qualification.h"
#include "vmx/exit.h"
#include "vmx/string_io.h"

// A read changes AL, AX or EAX; a 32-bit result clears the upper half of RAX in every mode that has one.
static inline void set_result(struct vcpu *v, unsigned width, uint32_t value)
{
    if (width == 4)
        v->gpr[RAX] = value;
    else if (width == 2)
        v->gpr[RAX] = (v->gpr[RAX] & ~0xffffull) | (uint16_t)value;
    else
        v->gpr[RAX] = (v->gpr[RAX] & ~0xffull) | (uint8_t)value;
}

static noinline_cold void io_wide(struct vcpu *v, struct device *d, struct io_access a)
{
    if (a.in)
        set_result(v, a.size, device_in_wide(d, a.port, a.size));
    else
        device_out_wide(d, a.port, a.size, (uint32_t)v->gpr[RAX]);
}

void exit_io(struct vcpu *v, uint64_t qualification)
{
    struct io_access a = decode_io_access(qualification);
    if (unlikely(a.string)) {
        string_io(v, qualification);
        return;
    }
    struct device *d = io_find(v->io, a.port);
    if (unlikely(a.size != 1))
        io_wide(v, d, a);
    else if (a.in)
        set_result(v, 1, d->ops->in(d, a.port));
    else
        d->ops->out(d, a.port, (uint8_t)v->gpr[RAX]);
    skip_instruction();
}
