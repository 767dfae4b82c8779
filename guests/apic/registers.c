// Registers that both modes have: what they hold, enabling and disabling, errors, logical addresses.
#include "guests/apic/apic.h"

enum { ERROR_VECTOR = 0x3e, ESR_SEND_ILLEGAL = 0x20, ESR_ANY_ILLEGAL_VECTOR = 0x60 };

// What is written, and what is read afterwards: reserved bits of the page are not kept, delivery status and
// remote IRR are read-only. x2APIC mode faults on reserved bits, so `value` has none.
static const struct {
    const char *name;
    enum apic_register reg;
    uint32_t value, expected;
} held[] = {
    {"tpr",         APIC_TPR,         0xa5,    0xa5   },
    {"svr",         APIC_SVR,         0x1a5,   0x1a5  },
    {"svr-again",   APIC_SVR,         0x1ff,   0x1ff  },
    {"lvt-timer",   APIC_LVT_TIMER,   0x310fd, 0x300fd},
    {"lvt-thermal", APIC_LVT_THERMAL, 0x114fe, 0x104fe},
    {"lvt-pmc",     APIC_LVT_PMC,     0x102fd, 0x102fd},
    {"lvt-lint0",   APIC_LVT_LINT0,   0x1a7fe, 0x1a7fe},
    {"lvt-lint1",   APIC_LVT_LINT1,   0x12400, 0x12400},
    {"lvt-error",   APIC_LVT_ERROR,   0x110fe, 0x100fe},
    {"divide",      APIC_DIVIDE,      0x0a,    0x0a   },
};

enum { OTHER_POINTS = 13 };

unsigned registers_points(void)
{
    return array_size(held) + OTHER_POINTS;
}

static void check_held(void)
{
    for (unsigned i = 0; i < array_size(held); i++) {
        uint32_t before = apic_read(held[i].reg);
        apic_write(held[i].reg, held[i].value);
        uint32_t got = apic_read(held[i].reg);
        apic_write(held[i].reg, before);
        check_equal(named(held[i].name), held[i].expected, got);
    }
}

// SDM, "Local APIC State After It Has Been Software Disabled".
static void check_disable(void)
{
    apic_write(APIC_LVT_TIMER, 0x50);
    apic_write(APIC_SVR, 0xff);
    check_equal(named("disabled-masks-lvt"), LVT_MASKED | 0x50, apic_read(APIC_LVT_TIMER));
    apic_write(APIC_LVT_TIMER, 0x51);
    check_equal(named("disabled-keeps-masks"), LVT_MASKED | 0x51, apic_read(APIC_LVT_TIMER));
    apic_self(0x77);
    interrupts_window();
    CHECK_NOTHING_SEEN(named("disabled-accepts-nothing"));
    apic_write(APIC_SVR, SVR_ENABLE | 0xff);
    interrupts_window();
    CHECK_NOTHING_SEEN(named("enabled-again-nothing-came"));
    check_equal(named("enabled-again-still-masked"), LVT_MASKED | 0x51, apic_read(APIC_LVT_TIMER));
    apic_self(0x77);
    interrupts_window();
    CHECK_SEEN(named("enabled-again"), 0x77);
}

// A vector below 16 is an error of the sender, who here is the receiver too. One interrupt tells of errors until ESR is
// written.
static void check_errors(void)
{
    apic_write(APIC_LVT_ERROR, ERROR_VECTOR);
    apic_write(APIC_ESR, 0);
    apic_write(APIC_ESR, 0);
    check_equal(named("esr-clear"), 0, apic_read(APIC_ESR));
    apic_self(5);
    interrupts_window();
    CHECK_SEEN(named("illegal-vector-interrupts"), ERROR_VECTOR);
    check_equal(named("esr-shows-nothing-before-write"), 0, apic_read(APIC_ESR));
    apic_write(APIC_ESR, 0);
    check_bits(named("esr-illegal-vector"), ESR_SEND_ILLEGAL, ESR_SEND_ILLEGAL, apic_read(APIC_ESR));
    apic_write(APIC_ESR, 0);
    check_equal(named("esr-told-once"), 0, apic_read(APIC_ESR));
    apic_write(APIC_LVT_ERROR, LVT_MASKED);
}

void registers_test(void)
{
    seen_reset(NULL);
    check_equal(named("id"), 0, apic_id());
    check_bits(named("version"), 0xff00f0, 0x050010, apic_read(APIC_VERSION)); // six LVT entries, integrated
    check_held();
    check_disable();
    check_errors();
}
