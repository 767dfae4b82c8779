// The xAPIC page: every form of memory access to it, and offsets that are no registers.
#include "guests/apic/apic.h"

static volatile uint32_t *tpr;

// Reads 60h from TPR or writes 35h to it, and gives what TPR holds then in the low byte, what was got above.
#define FORM(name, before, code)                       \
    static uint32_t form_##name(void)                  \
    {                                                  \
        uint32_t a = 0x35, c = 0;                      \
        *tpr = (before);                               \
        __asm__ volatile("xor %%esi, %%esi\n\t" code   \
                         : "+a"(a), "+c"(c)            \
                         : "d"(tpr)                    \
                         : "memory", "cc", REGISTERS); \
        return a << 8 | (*tpr & 0xff);                 \
    }
#ifdef __x86_64__
#define REGISTERS "rsi", "rdi", "r8"
#define DX        "%%rdx"
#define SI        "%%rsi"
#define DI        "%%rdi"
#else
#define REGISTERS "esi", "edi"
#define DX        "%%edx"
#define SI        "%%esi"
#define DI        "%%edi"
#endif

FORM(load, 0x60, "mov (" DX "), %%eax")
FORM(load_byte, 0x60, "mov (" DX "), %%al")
FORM(load_word, 0x60, "mov (" DX "), %%ax")
FORM(movzx, 0x60, "movzbl (" DX "), %%eax")
FORM(movsx, 0xa0, "movsbw (" DX "), %%ax")
FORM(store, 0, "mov %%eax, (" DX ")")
FORM(store_immediate, 0, "movl $0x42, (" DX ")")
FORM(store_indexed, 0, "mov %%eax, (" DX ", " SI ", 4)")
FORM(or, 0x60, "orl $5, (" DX ")")
FORM(or_register, 0x60, "or %%eax, (" DX ")")
FORM(or_from, 0x60, "or (" DX "), %%eax")
FORM(and, 0x6f, "andl $0xf0, (" DX ")")
FORM(xor, 0x60, "xor %%eax, (" DX ")")
FORM(add, 0x60, "add %%eax, (" DX ")")
FORM(inc, 0x60, "incl (" DX ")")
FORM(not, 0x5a, "notl (" DX ")")
FORM(xchg, 0x60, "xchg %%eax, (" DX ")")
FORM(lock_xadd, 0x60, "lock xadd %%eax, (" DX ")")
FORM(lock_cmpxchg, 0x35, "mov $0x77, %%esi\n\tlock cmpxchg %%esi, (" DX ")")
FORM(cmp, 0x60, "cmpl $0x60, (" DX ")\n\tsete %%al")
FORM(cmp_below, 0x60, "cmp %%eax, (" DX ")\n\tseta %%al")
FORM(test, 0x60, "testl $0x20, (" DX ")\n\tsetne %%al")
FORM(bt, 0x60, "btl $5, (" DX ")\n\tsetc %%al")
FORM(bts, 0x60, "btsl $0, (" DX ")\n\tsetc %%al")
FORM(stos, 0, "mov " DX ", " DI "\n\tcld\n\tstosl")
FORM(lods, 0x60, "mov " DX ", " SI "\n\tcld\n\tlodsl")
#ifdef __x86_64__
FORM(movs, 0x60, "push $0x35\n\tmov %%rdx, %%rsi\n\tmov %%rsp, %%rdi\n\tcld\n\tmovsl\n\tpop %%rax")
FORM(movs_to, 0x60, "push $0x37\n\tmov %%rdx, %%rdi\n\tmov %%rsp, %%rsi\n\tcld\n\tmovsl\n\tpop %%r8")
FORM(rex, 0, "mov %%eax, %%r8d\n\tmov %%r8d, (%%rdx)")
#else
FORM(movs, 0x60, "push $0x35\n\tmov %%edx, %%esi\n\tmov %%esp, %%edi\n\tcld\n\tmovsl\n\tpop %%eax")
FORM(movs_to, 0x60, "push $0x37\n\tmov %%edx, %%edi\n\tmov %%esp, %%esi\n\tcld\n\tmovsl\n\tpop %%edi")
FORM(rex, 0, "mov %%eax, %%edi\n\tmov %%edi, (%%edx)")
#endif

// clang-format off
static const struct {
    const char *name;
    uint32_t (*run)(void);
    uint32_t accumulator, tpr; // afterwards
} forms[] = {
    {"mov-load",            form_load,            0x60, 0x60},
    {"mov-load-byte",       form_load_byte,       0x60, 0x60},
    {"mov-load-word",       form_load_word,       0x60, 0x60},
    {"movzx",               form_movzx,           0x60, 0x60},
    {"movsx",               form_movsx,           0xffa0, 0xa0},
    {"mov-store",           form_store,           0x35, 0x35},
    {"mov-store-immediate", form_store_immediate, 0x35, 0x42},
    {"mov-store-indexed",   form_store_indexed,   0x35, 0x35},
    {"mov-store-r8",        form_rex,             0x35, 0x35},
    {"or-immediate",        form_or,              0x35, 0x65},
    {"or-register",         form_or_register,     0x35, 0x75},
    {"or-from",             form_or_from,         0x75, 0x60},
    {"and",                 form_and,             0x35, 0x60},
    {"xor",                 form_xor,             0x35, 0x55},
    {"add",                 form_add,             0x35, 0x95},
    {"inc",                 form_inc,             0x35, 0x61},
    {"not",                 form_not,             0x35, 0xa5},
    {"xchg",                form_xchg,            0x60, 0x35},
    {"lock-xadd",           form_lock_xadd,       0x60, 0x95},
    {"lock-cmpxchg",        form_lock_cmpxchg,    0x35, 0x77},
    {"cmp",                 form_cmp,             0x01, 0x60},
    {"cmp-register",        form_cmp_below,       0x01, 0x60},
    {"test",                form_test,            0x01, 0x60},
    {"bt",                  form_bt,              0x01, 0x60},
    {"bts",                 form_bts,             0x00, 0x61},
    {"stos",                form_stos,            0x35, 0x35},
    {"lods",                form_lods,            0x60, 0x60},
    {"movs-from",           form_movs,            0x60, 0x60},
    {"movs-to",             form_movs_to,         0x35, 0x37},
};
// clang-format on

enum { ESR_ILLEGAL_REGISTER = 0x80, OTHER_POINTS = 7 };

unsigned page_points(void)
{
    return array_size(forms) + OTHER_POINTS;
}

static void check_form(unsigned i)
{
    char name[TAP_NAME_MAX + 1];
    format_text(name, sizeof name, "form-%s", forms[i].name);
    uint32_t got = forms[i].run();
    check(got == (forms[i].accumulator << 8 | forms[i].tpr), name,
          "expected accumulator %#x, TPR %#x\ngot %#x, %#x", forms[i].accumulator, forms[i].tpr, got >> 8,
          got & 0xff);
}

static uint32_t errors(void)
{
    apic_write(APIC_ESR, 0);
    return apic_read(APIC_ESR);
}

static void check_offsets(void)
{
    volatile uint8_t *page = (volatile uint8_t *)(word_t)APIC_PAGE;
    errors();
    check_equal("page-version-byte-2", apic_read(APIC_VERSION) >> 16 & 0xff, page[APIC_VERSION * 16 + 2]);
    check_equal("page-no-error-so-far", 0, errors());
    (void)*(volatile uint32_t *)(page + 0x40);
    check_equal("page-illegal-register-read", ESR_ILLEGAL_REGISTER, errors());
    *(volatile uint32_t *)(page + 0xff0) = 1;
    check_equal("page-illegal-register-written", ESR_ILLEGAL_REGISTER, errors());
    *(volatile uint32_t *)(page + APIC_VERSION * 16) = 0;
    check_bits("page-version-is-read-only", 0xff, apic_read(APIC_VERSION) & 0xff, 0x14);
    check_equal("page-write-of-read-only-is-no-error", 0, errors());
    apic_write(APIC_DFR, 0x0fffffff);
    check_equal("page-dfr-model", 0x0fffffff, apic_read(APIC_DFR));
    apic_write(APIC_DFR, 0xffffffff);
}

void page_test(void)
{
    apic_enable(false);
    tpr = apic_at(APIC_TPR);
    for (unsigned i = 0; i < array_size(forms); i++)
        check_form(i);
    *tpr = 0;
    check_offsets();
}
