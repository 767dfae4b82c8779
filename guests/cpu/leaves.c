// CPUID: the hypervisor's leaves, what is hidden from guests, what must agree with the machine.
#include "guests/cpu/cpu.h"

// What no guest is offered, because nothing stands behind it: bits that must be 0 in `reg`.
static const struct {
    const char *name;
    uint32_t leaf, subleaf;
    unsigned reg;
    uint32_t mask;
} hidden[] = {
    {"hidden-monitor",         1,   0, ECX, 1u << 3   },
    {"hidden-vmx",             1,   0, ECX, 1u << 5   },
    {"hidden-smx",             1,   0, ECX, 1u << 6   },
    {"hidden-eist",            1,   0, ECX, 1u << 7   },
    {"hidden-pdcm",            1,   0, ECX, 1u << 15  },
    {"hidden-debug-store",     1,   0, EDX, 1u << 21  },
    {"hidden-thermal",         6,   0, EAX, ~(1u << 2)},
    {"hidden-aperf",           6,   0, ECX, 1u << 0   },
    {"hidden-pmu",             0xa, 0, EAX, 0xff      },
    {"hidden-processor-trace", 7,   0, EBX, 1u << 25  },
    {"hidden-sgx",             7,   0, EBX, 1u << 2   },
};

enum { OTHER_POINTS = 8, LEAF_TSC = 0x15 };

unsigned leaves_points(void)
{
    return array_size(hidden) + OTHER_POINTS;
}

static void check_hypervisor_leaves(void)
{
    char text[13] = "";
    struct cpuid c = cpuid(CPUID_HYPERVISOR, 0);
    memcpy(text, &c.ebx, 4);
    memcpy(text + 4, &c.ecx, 4);
    memcpy(text + 8, &c.edx, 4);
    check(!strcmp(text, MICRONOVA_SIGNATURE), "signature", "expected %s\ngot %s", MICRONOVA_SIGNATURE, text);
    check(c.eax >= CPUID_MICRONOVA, "highest-hypervisor-leaf", "expected %#x or more\ngot %#x",
          CPUID_MICRONOVA, c.eax);
    check_equal("abi-version", ABI_VERSION, cpuid(CPUID_MICRONOVA, 0).eax);
    check_bits("hypervisor-present", 1u << 31, 1u << 31, cpuid(1, 0).ecx);
}

// Nobody has to measure the TSC: it counts at the rate of a core crystal whose frequency is told (SDM, "CPUID", leaf
// 15H), unless that does not fit into 32 bits.
static void check_tsc_leaf(uint64_t tsc_hz)
{
    struct cpuid c = cpuid(0, 0).eax >= LEAF_TSC ? cpuid(LEAF_TSC, 0) : (struct cpuid){0};
    uint64_t expected = tsc_hz >> 32 ? 0 : tsc_hz;
    check(c.eax == 1 && c.ebx == 1 && c.ecx == expected, "tsc-leaf", "expected 1, 1, %llu\ngot %u, %u, %u",
          (unsigned long long)expected, c.eax, c.ebx, c.ecx);
}

void leaves_test(void)
{
    check_hypervisor_leaves();
    const struct start_info *start = (const struct start_info *)entry_state.di;
    check_tsc_leaf(start->tsc_hz);
    check_equal("tsc-khz", divide(start->tsc_hz, 1000), cpuid(CPUID_MICRONOVA, 0).ecx);
    check_equal("vm-id", start->vm_id, cpuid(CPUID_MICRONOVA, 0).edx);

    char vendor[13] = "";
    struct cpuid c = cpuid(0, 0);
    memcpy(vendor, &c.ebx, 4);
    memcpy(vendor + 4, &c.edx, 4);
    memcpy(vendor + 8, &c.ecx, 4);
    check(!strcmp(vendor, "GenuineIntel"), "vendor", "expected GenuineIntel\ngot %s", vendor);

    for (unsigned i = 0; i < array_size(hidden); i++) {
        if (hidden[i].leaf > c.eax) {
            check(true, hidden[i].name, "no such leaf");
            continue;
        }
        struct cpuid leaf = cpuid(hidden[i].leaf, hidden[i].subleaf);
        const uint32_t regs[] = {leaf.eax, leaf.ebx, leaf.ecx, leaf.edx};
        check_bits(hidden[i].name, hidden[i].mask, 0, regs[hidden[i].reg]);
    }
}
