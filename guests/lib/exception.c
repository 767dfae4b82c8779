#include "guests/lib/exception.h"
#include "guests/lib/print.h"

enum { EXCEPTIONS = 32, VECTORS = 256, STUB_BYTES = 16, GATE_INTERRUPT = 0x8e00, GATE_DPL3 = 0x6000 };

struct gate {
    uint16_t offset_low, selector, type, offset_middle;
#ifdef __x86_64__
    uint32_t offset_high, reserved;
#endif
};

struct table_register {
    uint16_t limit;
    word_t base;
} __attribute__((packed));

extern const char exception_stubs[];
extern const char catch_landing[];
extern word_t catch_stack;
bool catch_call(void (*fn)(void *), void *arg);
void exception_dispatch(struct frame *f);

static struct gate idt[VECTORS];
static unsigned vectors = EXCEPTIONS; // within its limit
static exception_handler *handlers[VECTORS];
static struct fault last_fault;
static uint16_t kernel_cs, kernel_ss;

static const char *const names[EXCEPTIONS] = {
    "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9",   "#TS",
    "#NP", "#SS", "#GP", "#PF", "15",  "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
    "22",  "23",  "24",  "25",  "26",  "27",  "28",  "29",  "30",  "31",
};

const char *fault_name(uint8_t vector)
{
    return vector < EXCEPTIONS ? names[vector] : "no exception";
}

void gate_set(unsigned v, const void *entry)
{
    word_t at = (word_t)entry;
    idt[v] = (struct gate){.offset_low = (uint16_t)at,
                           .selector = kernel_cs,
                           .type = GATE_INTERRUPT,
                           .offset_middle = (uint16_t)(at >> 16)};
#ifdef __x86_64__
    idt[v].offset_high = (uint32_t)(at >> 32);
#endif
}

void exceptions_init(void)
{
    kernel_cs = read_cs();
    kernel_ss = read_ss();
    for (unsigned v = 0; v < VECTORS; v++)
        gate_set(v, exception_stubs + v * STUB_BYTES);
    exceptions_load();
}

void exceptions_load(void)
{
    struct table_register idtr = {(uint16_t)(vectors * sizeof idt[0] - 1), (word_t)idt};
    __asm__ volatile("lidt %0" : : "m"(idtr));
}

void exception_handle(unsigned v, exception_handler *handler)
{
    handlers[v] = handler;
    if (v >= vectors) {
        vectors = VECTORS;
        exceptions_load();
    }
}

void exception_open_to_users(enum vector v)
{
    idt[v].type |= GATE_DPL3;
}

static _Noreturn void unexpected(const struct frame *f)
{
    print("unexpected vector %u (%s), error code %#lx, at %#lx, CR2 %#lx\n", (unsigned)f->vector,
          f->vector < EXCEPTIONS ? names[f->vector] : "interrupt", (unsigned long)f->error_code,
          (unsigned long)f->ip, (unsigned long)read_cr2());
    guest_exit(0x100 + f->vector);
}

void exception_dispatch(struct frame *f)
{
    if (handlers[f->vector] && handlers[f->vector](f))
        return;
    if (!catch_stack)
        unexpected(f);
    last_fault = (struct fault){.vector = (uint8_t)f->vector, .error_code = f->error_code, .ip = f->ip};
    if (f->vector == VECTOR_PF)
        last_fault.address = read_cr2();
    f->ip = (word_t)catch_landing;
    f->cs = kernel_cs;
    f->flags = RFLAGS_FIXED;
#ifdef __x86_64__
    f->ss = kernel_ss;
    f->sp = catch_stack;
#endif
}

struct fault catch_exception(void (*fn)(void *), void *arg)
{
    return catch_call(fn, arg) ? last_fault : FAULT_NONE;
}

struct operands {
    uint32_t index;
    uint64_t value;
};

#define TRY(name, statement)       \
    static void do_##name(void *p) \
    {                              \
        struct operands *o = p;    \
        statement;                 \
    }
TRY(rdmsr, o->value = rdmsr(o->index))
TRY(wrmsr, wrmsr(o->index, o->value))
TRY(xsetbv, xsetbv(o->index, o->value))
TRY(write_cr0, write_cr0((word_t)o->value))
TRY(write_cr4, write_cr4((word_t)o->value))
#undef TRY

struct fault try_rdmsr(uint32_t index, uint64_t *value)
{
    struct operands o = {index, 0};
    struct fault f = catch_exception(do_rdmsr, &o);
    *value = o.value;
    return f;
}

struct fault try_wrmsr(uint32_t index, uint64_t value)
{
    return catch_exception(do_wrmsr, &(struct operands){index, value});
}

struct fault try_xsetbv(uint32_t index, uint64_t value)
{
    return catch_exception(do_xsetbv, &(struct operands){index, value});
}

struct fault try_write_cr0(word_t value)
{
    return catch_exception(do_write_cr0, &(struct operands){0, value});
}

struct fault try_write_cr4(word_t value)
{
    return catch_exception(do_write_cr4, &(struct operands){0, value});
}

static void do_code(void *code)
{
#ifdef __x86_64__
    __asm__ volatile("call *%0"
                     : "+a"(code)
                     :
                     : "rcx", "rdx", "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                       "r15", "memory", "cc");
#else
    __asm__ volatile("call *%0" : "+a"(code) : : "ecx", "edx", "ebx", "esi", "edi", "memory", "cc");
#endif
}

struct fault try_code(const void *code)
{
    return catch_exception(do_code, (void *)(uintptr_t)code);
}
