// x2APIC registers as MSRs: reserved bits, registers that are read-only, write-only or not there, all #GP(0).
#include "guests/apic/apic.h"

#define ALL_BUT(bits) (~(uint64_t)(bits))

static const struct {
    const char *name;
    enum apic_register reg;
    bool write;
    uint64_t value;
} refused[] = {
    {"gp-write-id",             APIC_ID,            true,  0               },
    {"gp-write-version",        APIC_VERSION,       true,  0               },
    {"gp-write-ppr",            APIC_PPR,           true,  0               },
    {"gp-write-ldr",            APIC_LDR,           true,  0               },
    {"gp-read-dfr",             APIC_DFR,           false, 0               },
    {"gp-write-dfr",            APIC_DFR,           true,  0xffffffff      },
    {"gp-write-isr",            APIC_ISR,           true,  0               },
    {"gp-write-irr",            APIC_IRR,           true,  0               },
    {"gp-write-current-count",  APIC_CURRENT_COUNT, true,  0               },
    {"gp-read-eoi",             APIC_EOI,           false, 0               },
    {"gp-write-eoi-not-0",      APIC_EOI,           true,  1               },
    {"gp-write-esr-not-0",      APIC_ESR,           true,  1               },
    {"gp-read-self-ipi",        APIC_SELF_IPI,      false, 0               },
    {"gp-write-self-ipi-wide",  APIC_SELF_IPI,      true,  0x141           },
    {"gp-icr-high",             APIC_ICR_HIGH,      false, 0               },
    {"gp-write-icr-high",       APIC_ICR_HIGH,      true,  0               },
    {"gp-write-tpr-reserved",   APIC_TPR,           true,  0x100           },
    {"gp-write-svr-reserved",   APIC_SVR,           true,  0x3ff           },
    {"gp-write-icr-reserved",   APIC_ICR,           true,  1 << 20         },
    {"gp-write-icr-bit-13",     APIC_ICR,           true,  1 << 13         },
    {"gp-write-timer-reserved", APIC_LVT_TIMER,     true,  1 << 20         },
    {"gp-write-error-mode",     APIC_LVT_ERROR,     true,  1 << 8 | 0x10000},
    {"gp-write-divide-bit-2",   APIC_DIVIDE,        true,  4               },
    {"gp-write-count-wide",     APIC_INITIAL_COUNT, true,  1ull << 32      },
    {"gp-read-804",             0x04,               false, 0               },
    {"gp-write-83d",            0x3d,               true,  0               },
    {"gp-read-840",             0x40,               false, 0               },
    {"gp-read-8ff",             0xff,               false, 0               },
};

enum { OTHER_POINTS = 5 };

unsigned msrs_points(void)
{
    return array_size(refused) + OTHER_POINTS;
}

// x2APIC mode is on; it goes off and on again to see the MSRs from outside too.
void msrs_test(void)
{
    uint64_t value;
    seen_reset(NULL);
    for (unsigned i = 0; i < array_size(refused); i++) {
        uint32_t msr = MSR_X2APIC + refused[i].reg;
        check_fault(refused[i].name, FAULT_GP,
                    refused[i].write ? try_wrmsr(msr, refused[i].value) : try_rdmsr(msr, &value));
    }
    check_equal("x2apic-ldr-derived", 1, apic_read(APIC_LDR));
    apic_write(APIC_SELF_IPI, 0x91);
    interrupts_window();
    CHECK_SEEN("x2apic-self-ipi-register", 0x91);
    wrmsr(MSR_X2APIC + APIC_ICR, 9ull << 32 | 0x92);
    check_equal("x2apic-icr-reads-back", 9ull << 32 | 0x92, rdmsr(MSR_X2APIC + APIC_ICR));
    wrmsr(MSR_APIC_BASE, APIC_PAGE | BASE_BSP);
    wrmsr(MSR_APIC_BASE, APIC_PAGE | BASE_BSP | BASE_ENABLE);
    check_fault("xapic-msr-read", FAULT_GP, try_rdmsr(MSR_X2APIC + APIC_ID, &value));
    check_fault("xapic-msr-write", FAULT_GP, try_wrmsr(MSR_X2APIC + APIC_EOI, 0));
}
