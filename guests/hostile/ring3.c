// From CPL 3: hypercalls are refused, privileged instructions fault, CPUID works.
#include "guests/hostile/hostile.h"
#include "guests/lib/user.h"

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
    user_prepare();
    bool xsave = cpuid(1, 0).ecx >> 26 & 1;
    if (xsave)
        write_cr4(read_cr4() | CR4_OSXSAVE);
    for (unsigned i = 0; i < array_size(rows); i++) {
        if (!strcmp(rows[i].name, "xsetbv") && !xsave) {
            skip(rows[i].name, "no XSAVE");
            continue;
        }
        struct user_end end = user_run(rows[i].code);
        check(end.vector == rows[i].vector && (!rows[i].has_result || (sword_t)end.ax == rows[i].result),
              rows[i].name, "expected %s, RAX %ld\ngot %s, RAX %ld", fault_name(rows[i].vector),
              (long)rows[i].result, fault_name(end.vector), (long)end.ax);
    }
    check_equal("alive", ABI_VERSION, (uint64_t)hypercall0(HC_VERSION));
    return tap_end();
}
