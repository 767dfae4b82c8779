#include "guests/fuzz-devices/fuzz.h"

enum { STUB_BYTES = 16, UNHEEDED_MAX = 64, NO_ERROR_CODE = -1, ACCESS_BYTES = 2 };

extern const char gate_stubs[];
void fuzz_interrupt(struct frame *f);

volatile unsigned seen[256];

static bool nothing(struct frame *f)
{
    (void)f;
    return true;
}

void gates_set(void)
{
    exception_handle(255, nothing); // for the limit
    for (unsigned v = 0; v < 256; v++)
        gate_set(v, gate_stubs + v * STUB_BYTES);
}

// Of both controllers, most of the time: what stays in service blocks others, which is worth seeing too.
static void end_of_interrupt(uint32_t random)
{
    if (over || random % 16 != 0)
        local_write(apic_mode(), APIC_EOI, 0);
    if (over || random / 16 % 4 != 0) {
        outb(PIC1, PIC_EOI);
        outb(PIC2, PIC_EOI);
    }
}

// A line that stays high interrupts for ever, as it would on a PC; so does a flood of NMIs.
static void break_storm(struct fuzzer *f)
{
    f->unheeded = 0;
    f->storms++;
    devices_calm();
}

static _Noreturn void unexpected(const struct frame *f)
{
    print("unexpected %s, error code %#lx, at %#lx, CR2 %#lx\n", fault_name((uint8_t)f->vector),
          (unsigned long)f->error_code, (unsigned long)f->ip, (unsigned long)read_cr2());
    guest_exit(0x100 + f->vector);
}

void fuzz_interrupt(struct frame *frame)
{
    struct fuzzer *f = &fuzzers[this_cpu()];
    if ((sword_t)frame->error_code != NO_ERROR_CODE) { // an exception: RDMSR or WRMSR was refused
        if (frame->vector != VECTOR_GP)
            unexpected(frame);
        frame->ip += ACCESS_BYTES;
        f->refused++;
        return;
    }
    seen[frame->vector]++;
    f->interrupts++;
    end_of_interrupt(random_of(&f->random_inside));
    if (++f->unheeded > UNHEEDED_MAX)
        break_storm(f);
}
