#ifdef __x86_64__
#include "guests/lib/user.h"
#include "guests/lib/guest.h"

enum {
    GDT_CODE = 2,
    GDT_DATA = 3,
    GDT_CODE32 = 4,
    GDT_USER_CODE = 5,
    GDT_USER_DATA = 6,
    GDT_TSS = 7,
    GDT_ENTRIES = 9
};

void user_enter(const void *code, void *stack); // guests/lib/user64.asm
uint32_t compatibility_enter(const void *code);
extern const char user_landing[];

struct task_state {
    uint32_t reserved;
    uint32_t rsp0[2];
    uint32_t rest[23]; // RSP1 up to the I/O map base, which lies beyond the limit: no ports for CPL 3
} __attribute__((packed));

static struct task_state tss;
static uint64_t gdt[GDT_ENTRIES] = {
    [GDT_CODE] = 0x00af9b000000ffff,      [GDT_DATA] = 0x00cf93000000ffff,
    [GDT_CODE32] = 0x00cf9b000000ffff,    [GDT_USER_CODE] = 0x00affb000000ffff,
    [GDT_USER_DATA] = 0x00cff3000000ffff,
};
static char user_stack[1024] __attribute__((aligned(16)));
static char fault_stack[4096] __attribute__((aligned(16)));
static struct user_end end;

static bool on_exception(struct frame *f)
{
    if ((f->cs & 3) != 3)
        return false;
    end = (struct user_end){(uint8_t)f->vector, f->ax};
    f->ip = (word_t)user_landing;
    f->cs = read_cs();
    f->ss = GDT_DATA * 8;
    f->flags = RFLAGS_FIXED;
    return true;
}

// A large page: the entry of the page directory is the last one.
static void open_pages(void)
{
    enum { LEVELS = 3, USER = 4 };
    uint64_t at = read_cr3();
    for (unsigned level = 0; level < LEVELS; level++) {
        uint64_t *table = (uint64_t *)(at & 0x000ffffffffff000ull);
        table[0] |= USER;
        at = table[0];
    }
    write_cr3(read_cr3());
}

void user_prepare(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) gdtr = {sizeof gdt - 1, (uint64_t)gdt};
    uint64_t at = (uint64_t)&tss, stack = (uint64_t)(fault_stack + sizeof fault_stack);
    tss.rsp0[0] = (uint32_t)stack;
    tss.rsp0[1] = (uint32_t)(stack >> 32);
    tss.rest[22] = (uint32_t)sizeof tss << 16;
    gdt[GDT_TSS] = (sizeof tss - 1) | (at & 0xffffff) << 16 | 0x89ull << 40 | (at >> 24 & 0xff) << 56;
    gdt[GDT_TSS + 1] = at >> 32;
    __asm__ volatile("lgdt %0; ltr %w1" : : "m"(gdtr), "r"(GDT_TSS * 8));

    open_pages();

    for (enum vector v = 0; v < 32; v++)
        exception_handle(v, on_exception);
    exception_open_to_users(VECTOR_BP);
}

struct user_end user_run(const void *code)
{
    end.vector = VECTOR_NONE;
    user_enter(code, user_stack + sizeof user_stack);
    return end;
}

uint32_t compatibility_run(const void *code)
{
    return compatibility_enter(code);
}
#endif
