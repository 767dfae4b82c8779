#include "arch/exception.h"
#include "arch/cpu.h"
#include "arch/descriptors.h"
#include "arch/lapic.h"
#include "arch/log.h"
#include "arch/panic.h"
#include "sdm/bits.h"
#include "sdm/msr.h"

// Filled while the boot tables are in force, which ignore rights; read-only ever after (linker.ld).
uint64_t idt[2 * VECTOR_COUNT] __attribute__((aligned(PAGE_SIZE), section(".bss.sealed")));

void (*nmi_handler)(const struct exception_frame *frame);

static void (*handlers[VECTOR_COUNT])(void);
static uint32_t strays[VECTOR_COUNT];

extern const char exception_stubs[VECTOR_COUNT][8]; // arch/exception.asm

struct fixup {
    uint64_t from, to;
};
extern const struct fixup fixups_start[], fixups_end[]; // linker.ld

static const uint8_t ist_of[EXC_COUNT] = {
    [EXC_DF] = IST_DOUBLE_FAULT,
    [EXC_NMI] = IST_NMI,
    [EXC_MC] = IST_MACHINE_CHECK,
};

// SDM, "64-Bit IDT Gate Descriptors": interrupt gates, present, DPL 0.
void exception_init(void)
{
    for (size_t v = 0; v < VECTOR_COUNT; v++) {
        uint64_t at = (uint64_t)(uintptr_t)exception_stubs[v], ist = v < EXC_COUNT ? ist_of[v] : 0;
        idt[2 * v] =
            (at & 0xffff) | SELECTOR_CODE << 16 | ist << 32 | 0x8eull << 40 | (at >> 16 & 0xffff) << 48;
        idt[2 * v + 1] = at >> 32;
    }
}

void interrupt_set(uint8_t vector, void (*handler)(void))
{
    assert(vector >= EXC_COUNT);
    handlers[vector] = handler;
}

void interrupt_dispatch(uint8_t vector)
{
    void (*handler)(void) = handlers[vector];
    if (likely(handler))
        handler();
    else
        __atomic_fetch_add(&strays[vector], 1, __ATOMIC_RELAXED);
    if (vector != VECTOR_SPURIOUS)
        lapic_eoi();
}

uint32_t interrupt_strays(uint8_t vector)
{
    return __atomic_load_n(&strays[vector], __ATOMIC_RELAXED);
}

// SDM, "Machine-Check MSRs": each bank has control, status, address, misc.
static void report_machine_check(void)
{
    enum { BANK_STATUS = 0x401, BANK_ADDRESS = 0x402, BANK_STRIDE = 4 };
    enum { STATUS_RIPV = 1, STATUS_EIPV = 2 };
    uint64_t global = 0;
    rdmsr_safe(MSR_MCG_STATUS, &global);
    log_error("machine check: the program %s go on, the instruction %s to do with it (MCG_STATUS %lx)",
              global & STATUS_RIPV ? "could" : "cannot", global & STATUS_EIPV ? "has" : "has nothing",
              global);
    const uint64_t valid = 1ull << 63, address_valid = 1ull << 58;
    uint64_t capability = 0, status, address;
    rdmsr_safe(MSR_MCG_CAP, &capability);
    for (uint32_t i = 0; i < (capability & 0xff); i++) {
        if (!rdmsr_safe(BANK_STATUS + i * BANK_STRIDE, &status) || !(status & valid))
            continue;
        address = 0;
        if (status & address_valid)
            rdmsr_safe(BANK_ADDRESS + i * BANK_STRIDE, &address);
        log_error("machine check: bank %u status %016lx address %016lx", i, status, address);
    }
}

static bool fixed_up(struct exception_frame *f)
{
    const size_t count = ((uintptr_t)fixups_end - (uintptr_t)fixups_start) / sizeof(struct fixup);
    for (size_t i = 0; i < count; i++) {
        if (fixups_start[i].from == f->rip) {
            f->rip = fixups_start[i].to;
            return true;
        }
    }
    return false;
}

void exception_dispatch(struct exception_frame *f);
void exception_dispatch(struct exception_frame *f)
{
    f->vector &= 0xff; // the stub pushed it sign-extended
    if (f->vector >= EXC_COUNT) {
        interrupt_dispatch((uint8_t)f->vector);
    } else if (f->vector == EXC_NMI) {
        if (nmi_handler)
            nmi_handler(f);
    } else if (!fixed_up(f)) {
        if (f->vector == EXC_MC)
            report_machine_check();
        panic_exception(f, exception_name((unsigned)f->vector));
    }
}

bool rdmsr_safe(uint32_t msr, uint64_t *value)
{
    uint32_t lo, hi, ok = 0;
    __asm__ volatile("1: rdmsr; movl $1, %0; 2:" EXCEPTION_FIXUP("1b", "2b")
                     : "+&r"(ok), "=&a"(lo), "=&d"(hi)
                     : "c"(msr));
    if (ok)
        *value = (uint64_t)hi << 32 | lo;
    return ok;
}

bool wrmsr_safe(uint32_t msr, uint64_t value)
{
    uint32_t ok = 0;
    __asm__ volatile("1: wrmsr; movl $1, %0; 2:" EXCEPTION_FIXUP("1b", "2b")
                     : "+&r"(ok)
                     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
    return ok;
}
