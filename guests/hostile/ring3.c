// From CPL 3: hypercalls are refused, privileged instructions fault, CPUID works.
#include "guests/hostile/hostile.h"

enum { GDT_CODE = 2, GDT_DATA = 3, GDT_USER_CODE = 5, GDT_USER_DATA = 6, GDT_TSS = 7, GDT_ENTRIES = 9 };

void ring3_run(const void *code, void *stack);
extern const char ring3_landing[];

struct task_state {
    uint32_t reserved;
    uint32_t rsp0[2];
    uint32_t rest[23]; // RSP1 up to the I/O map base, which lies beyond the limit: no ports for CPL 3
} __attribute__((packed));

static struct task_state tss;
static uint64_t gdt[GDT_ENTRIES] = {
    [GDT_CODE] = 0x00af9b000000ffff,
    [GDT_DATA] = 0x00cf93000000ffff,
    [GDT_USER_CODE] = 0x00affb000000ffff,
    [GDT_USER_DATA] = 0x00cff3000000ffff,
};
static char user_stack[1024] __attribute__((aligned(16)));
static char fault_stack[4096] __attribute__((aligned(16)));

static struct {
    uint8_t vector;
    word_t ax, cs;
} end;

static bool on_exception(struct frame *f)
{
    if ((f->cs & 3) != 3)
        return false;
    end.vector = (uint8_t)f->vector;
    end.ax = f->ax;
    end.cs = f->cs;
    f->ip = (word_t)ring3_landing;
    f->cs = read_cs();
    f->ss = GDT_DATA * 8;
    f->flags = RFLAGS_FIXED;
    return true;
}

static void prepare(void)
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

    uint64_t *pml4 = (uint64_t *)(read_cr3() & PTE_ADDRESS), *pdpt = (uint64_t *)(pml4[0] & PTE_ADDRESS);
    pml4[0] |= PTE_USER;
    pdpt[0] |= PTE_USER;
    page_directory()[0] |= PTE_USER;
    write_cr3(read_cr3());
}

// The code runs into an INT3 unless it faults before.
static const struct {
    const char *name, *code;
    uint8_t vector;
    bool has_result;
    sword_t result;
} rows[] = {
    {"nothing",        "\xcc",                                                 VECTOR_BP, false, 0        },
    {"vmcall-version", "\x31\xc0\x0f\x01\xc1\xcc",                             VECTOR_BP, true,  -E_DENIED},
    {"vmcall-exit",    "\xb8\x04\x00\x00\x00\x31\xff\x0f\x01\xc1\xcc",         VECTOR_BP, true,  -E_DENIED},
    {"vmcall-unknown", "\xb8\xff\x7f\x00\x00\x0f\x01\xc1\xcc",                 VECTOR_BP, true,  -E_DENIED},
    {"cpuid",          "\x31\xc0\x0f\xa2\x31\xc0\xcc",                         VECTOR_BP, true,  0        },
    {"in",             "\x66\xba\xfd\x03\xec\xcc",                             VECTOR_GP, false, 0        },
    {"out",            "\x66\xba\xf4\x00\xee\xcc",                             VECTOR_GP, false, 0        },
    {"hlt",            "\xf4\xcc",                                             VECTOR_GP, false, 0        },
    {"rdmsr",          "\xb9\x1b\x00\x00\x00\x0f\x32\xcc",                     VECTOR_GP, false, 0        },
    {"wrmsr",          "\xb9\x77\x02\x00\x00\x0f\x30\xcc",                     VECTOR_GP, false, 0        },
    {"invd",           "\x0f\x08\xcc",                                         VECTOR_GP, false, 0        },
    {"wbinvd",         "\x0f\x09\xcc",                                         VECTOR_GP, false, 0        },
    {"xsetbv",         "\x31\xc9\x31\xd2\xb8\x01\x00\x00\x00\x0f\x01\xd1\xcc", VECTOR_GP, false, 0        },
    {"mov-cr0",        "\x0f\x20\xc0\xcc",                                     VECTOR_GP, false, 0        },
    {"mov-cr8",        "\x44\x0f\x20\xc0\xcc",                                 VECTOR_GP, false, 0        },
    {"vmxoff",         "\x0f\x01\xc4\xcc",                                     VECTOR_UD, false, 0        },
    {"getsec",         "\x0f\x37\xcc",                                         VECTOR_UD, false, 0        },
};

int attack_ring3(const struct start_info *start)
{
    (void)start;
    tap_plan(array_size(rows) + 1);
    prepare();
    for (enum vector v = 0; v < 32; v++)
        exception_handle(v, on_exception);
    exception_open_to_users(VECTOR_BP);
    bool xsave = cpuid(1, 0).ecx >> 26 & 1;
    if (xsave)
        write_cr4(read_cr4() | CR4_OSXSAVE);
    for (unsigned i = 0; i < array_size(rows); i++) {
        if (!strcmp(rows[i].name, "xsetbv") && !xsave) {
            skip(rows[i].name, "no XSAVE");
            continue;
        }
        end.vector = VECTOR_NONE;
        ring3_run(rows[i].code, user_stack + sizeof user_stack);
        check(end.vector == rows[i].vector && (!rows[i].has_result || (sword_t)end.ax == rows[i].result),
              rows[i].name, "expected %s, RAX %ld\ngot %s, RAX %ld", fault_name(rows[i].vector),
              (long)rows[i].result, fault_name(end.vector), (long)end.ax);
    }
    check_equal("alive", ABI_VERSION, (uint64_t)hypercall0(HC_VERSION));
    return tap_end();
}
