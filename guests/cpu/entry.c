// The state in which the loader starts a machine (abi/micronova.h).
#include "guests/cpu/cpu.h"

enum { CS_AT_ENTRY = 0x10, DATA_AT_ENTRY = 0x18, DR7_AT_ENTRY = 0x400 };

static const struct {
    const char *name;
    uint16_t (*read)(void);
    uint16_t expected;
} selectors[] = {
    {"entry-cs", read_cs, CS_AT_ENTRY  },
    {"entry-ss", read_ss, DATA_AT_ENTRY},
    {"entry-ds", read_ds, DATA_AT_ENTRY},
    {"entry-es", read_es, DATA_AT_ENTRY},
    {"entry-fs", read_fs, DATA_AT_ENTRY},
    {"entry-gs", read_gs, DATA_AT_ENTRY},
};

static const struct {
    const char *name;
    const word_t *at;
    word_t expected;
} registers[] = {
    {"entry-ax",    &entry_state.ax,    START_MAGIC },
    {"entry-cx",    &entry_state.cx,    0           },
    {"entry-dx",    &entry_state.dx,    0           },
    {"entry-bx",    &entry_state.bx,    0           },
    {"entry-sp",    &entry_state.sp,    0           },
    {"entry-bp",    &entry_state.bp,    0           },
    {"entry-si",    &entry_state.si,    0           },
#ifdef __x86_64__
    {"entry-r8",    &entry_state.r8,    0           },
    {"entry-r9",    &entry_state.r9,    0           },
    {"entry-r10",   &entry_state.r10,   0           },
    {"entry-r11",   &entry_state.r11,   0           },
    {"entry-r12",   &entry_state.r12,   0           },
    {"entry-r13",   &entry_state.r13,   0           },
    {"entry-r14",   &entry_state.r14,   0           },
    {"entry-r15",   &entry_state.r15,   0           },
#endif
    {"entry-flags", &entry_state.flags, RFLAGS_FIXED},
};

enum { OTHER_POINTS = 5 };

unsigned entry_points(void)
{
    return array_size(selectors) + array_size(registers) + OTHER_POINTS;
}

void entry_test(void)
{
    for (unsigned i = 0; i < array_size(selectors); i++)
        check_equal(selectors[i].name, selectors[i].expected, selectors[i].read());
    for (unsigned i = 0; i < array_size(registers); i++)
        check_equal(registers[i].name, registers[i].expected, *registers[i].at);
    const struct start_info *start = (const struct start_info *)entry_state.di;
    check_equal("entry-info", START_MAGIC, start->magic);
    check_equal("entry-cr0", (is_64bit() ? CR0_PG : 0) | CR0_ET | CR0_PE, read_cr0());
    check_equal("entry-cr4", is_64bit() ? CR4_PAE : 0, read_cr4());
    check_equal("entry-efer", is_64bit() ? EFER_LME | EFER_LMA : 0, rdmsr(0xc0000080));
    check_equal("entry-dr7", DR7_AT_ENTRY, read_dr7());
}
