// What is delivered, when and in which order (SDM, "Interrupt, Task, and Processor Priority").
#include "guests/apic/apic.h"

enum { ABSENT = 9 };

static uint32_t ppr_inside, ppr_above;
static bool isr_inside, irr_inside;

unsigned delivery_points(void)
{
    return 22;
}

static void look(uint8_t vector)
{
    isr_inside = apic_bit(APIC_ISR, vector);
    irr_inside = apic_bit(APIC_IRR, vector);
    ppr_inside = apic_read(APIC_PPR);
    apic_write(APIC_TPR, 0x75);
    ppr_above = apic_read(APIC_PPR);
    apic_write(APIC_TPR, 0);
}

static void check_one(void)
{
    seen_reset(look);
    apic_self(0x63);
    check(apic_bit(APIC_IRR, 0x63), named("pending-in-irr"), "expected IRR bit 63h set\ngot it clear");
    check(!apic_bit(APIC_ISR, 0x63), named("pending-not-in-isr"), "expected ISR bit 63h clear\ngot it set");
    interrupts_window();
    CHECK_SEEN(named("self-ipi"), 0x63);
    check(isr_inside && !irr_inside, named("inside-isr"), "expected ISR 1, IRR 0\ngot ISR %d, IRR %d",
          isr_inside, irr_inside);
    check_equal(named("inside-ppr"), 0x60, ppr_inside);
    check_equal(named("inside-ppr-tpr-above"), 0x75, ppr_above);
    check(!apic_bit(APIC_ISR, 0x63), named("eoi-clears-isr"), "expected ISR bit 63h clear\ngot it set");
    check_equal(named("eoi-lowers-ppr"), 0, apic_read(APIC_PPR));
}

static void send(const uint8_t *vectors, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        apic_self(vectors[i]);
}

static void check_order(void)
{
    static const uint8_t mixed[] = {0x31, 0x75, 0xfe, 0x74, 0x20, 0x75};
    send(mixed, sizeof mixed);
    interrupts_window();
    CHECK_SEEN(named("highest-first"), 0xfe, 0x75, 0x74, 0x31, 0x20);
    interrupts_on();
    send(mixed, 3);
    interrupts_off();
    CHECK_SEEN(named("at-once"), 0x31, 0x75, 0xfe);
}

static void check_tpr(void)
{
    static const uint8_t around[] = {0x4f, 0x5f, 0x60};
    apic_write(APIC_TPR, 0x50);
    check_equal(named("tpr-is-ppr"), 0x50, apic_read(APIC_PPR));
    send(around, sizeof around);
    interrupts_on();
    __asm__ volatile("nop");
    CHECK_SEEN(named("tpr-holds-back"), 0x60);
    apic_write(APIC_TPR, 0x4f);
    __asm__ volatile("nop");
    CHECK_SEEN(named("tpr-lets-in-one-class"), 0x5f);
    apic_write(APIC_TPR, 0);
    __asm__ volatile("nop");
    interrupts_off();
    CHECK_SEEN(named("tpr-lets-in-the-rest"), 0x4f);
}

#ifdef __x86_64__
static void write_cr8(uint64_t value)
{
    __asm__ volatile("mov %0, %%cr8" : : "r"(value) : "memory");
}
static uint64_t read_cr8(void)
{
    uint64_t value;
    __asm__ volatile("mov %%cr8, %0" : "=r"(value) : : "memory");
    return value;
}
static void cr8_reserved(void *unused)
{
    (void)unused;
    write_cr8(16);
}
static void check_cr8(void)
{
    write_cr8(6);
    check_equal(named("cr8-is-tpr"), 0x60, apic_read(APIC_TPR));
    apic_write(APIC_TPR, 0x9c);
    check_equal(named("tpr-is-cr8"), 9, read_cr8());
    check_fault(named("cr8-reserved"), FAULT_GP, catch_exception(cr8_reserved, NULL));
    apic_self(0x95);
    interrupts_on();
    __asm__ volatile("nop");
    unsigned before = seen.count;
    write_cr8(8);
    __asm__ volatile("nop");
    interrupts_off();
    check(before == 0 && seen.count == 1, named("cr8-lets-in"), "expected 0 before, 1 after\ngot %u, %u",
          before, seen.count);
    write_cr8(0);
    seen_reset(NULL);
}
#else
static void check_cr8(void)
{
    static const char *const names[] = {"cr8-is-tpr", "tpr-is-cr8", "cr8-reserved", "cr8-lets-in"};
    for (unsigned i = 0; i < array_size(names); i++)
        skip(named(names[i]), "CR8 is of 64-bit mode");
}
#endif

// During 41h: 4fh and 35h wait for its EOI, 62h comes in between; 41h comes once more however often it was sent.
static void nest(uint8_t vector)
{
    static const uint8_t inner[] = {0x35, 0x4f, 0x41, 0x62, 0x41};
    if (vector != 0x41 || seen.count != 1)
        return;
    interrupts_on();
    send(inner, sizeof inner);
    interrupts_off();
}

static void check_nesting(void)
{
    seen_reset(nest);
    apic_self(0x41);
    interrupts_window();
    CHECK_SEEN(named("nesting"), 0x41, 0x62, 0x4f, 0x41, 0x35);
    check_equal(named("nesting-all-ended"), 0, apic_read(APIC_PPR));
}

// Destinations: this APIC by ID and logically, others, nobody.
static void check_destinations(void)
{
    uint32_t self = apic_id(), logical = 1u << self, other = 2u << self;
    interrupts_on();
    if (!apic_x2) {
        apic_write(APIC_DFR, 0xffffffff);
        apic_write(APIC_LDR, logical << 24);
    }
    apic_send(self, 0x41);
    apic_send(self, ICR_ASSERT | 0x42);
    apic_send(logical, ICR_LOGICAL | 0x43);
    apic_send(other, ICR_LOGICAL | 0x44);
    apic_send(ABSENT, 0x45);
    apic_send(0, ICR_OTHERS | 0x46);
    apic_send(ABSENT, ICR_ALL | 0x47);
    apic_send(apic_x2 ? ~0u : 0xff, 0x48);
    apic_send(logical, ICR_LOGICAL | 1 << 8 | 0x49); // lowest priority
    interrupts_off();
    CHECK_SEEN(named("destinations"), 0x41, 0x42, 0x43, 0x47, 0x48, 0x49);
    // Delivery modes that do not exist, INIT de-asserted, SIPI to nobody: nothing comes of them.
    apic_send(ABSENT, ICR_SIPI | 0x10);
    apic_send(ABSENT, ICR_INIT | ICR_ASSERT);
    apic_send(self, 3 << 8 | 0x50);
    apic_send(self, 7 << 8 | 0x50);
    apic_send(self, ICR_SIPI | 0x10); // runs already
    interrupts_window();
    CHECK_NOTHING_SEEN(named("destinations-none"));
}

void delivery_test(void)
{
    seen_reset(NULL);
    check_one();
    check_order();
    check_tpr();
    check_cr8();
    check_nesting();
    check_destinations();
}
