// Messages that go nowhere or say nothing: every combination that the ICR has, to processors that do not exist.
#include "guests/hostile/hostile.h"
#include "guests/lib/apic.h"

enum { FIRST_LEGAL = 16, ESR_SEND_ILLEGAL = 0x20, VECTOR = 0x99, MODES = 8, FIXED = 0, LOWEST = 1, NMI = 4 };
enum { LEVEL_AND_TRIGGER = 3, LEVEL_SHIFT = 14, DELIVERY_SHIFT = 8 };

static volatile unsigned arrived;

static bool on_interrupt(struct frame *f)
{
    (void)f;
    arrived++;
    apic_eoi();
    return true;
}

static bool on_nmi(struct frame *f)
{
    (void)f;
    arrived++;
    return true;
}

// To ids and logical ids that no processor has, and to all others, where there are none.
static void to_nobody(const char *name, uint8_t vector)
{
    static const struct {
        uint32_t destination, icr;
    } nobody[] = {
        {14,   0                       },
        {254,  0                       },
        {0x80, ICR_LOGICAL             },
        {0,    ICR_OTHERS              },
        {3,    ICR_OTHERS | ICR_LOGICAL}
    };
    arrived = 0;
    for (uint32_t mode = 0; mode < MODES; mode++)
        for (uint32_t level = 0; level <= LEVEL_AND_TRIGGER; level++)
            for (unsigned i = 0; i < array_size(nobody); i++)
                apic_send(nobody[i].destination,
                          nobody[i].icr | mode << DELIVERY_SHIFT | level << LEVEL_SHIFT | vector);
    interrupts_window();
    check_equal(name, 0, arrived);
}

// To itself, by modes that are reserved or go with no shorthand. INIT would reach this processor.
static void in_vain(void)
{
    static const uint32_t self[] = {3 << DELIVERY_SHIFT,
                                    7 << DELIVERY_SHIFT,
                                    2 << DELIVERY_SHIFT,
                                    ICR_SELF | 2 << DELIVERY_SHIFT,
                                    ICR_SELF | ICR_NMI,
                                    ICR_SELF | ICR_INIT,
                                    ICR_SELF | ICR_SIPI,
                                    ICR_ALL | ICR_NMI,
                                    ICR_ALL | ICR_INIT,
                                    ICR_ALL | ICR_SIPI,
                                    ICR_ALL | 1 << DELIVERY_SHIFT,
                                    ICR_SIPI,
                                    ICR_INIT | 1 << 15};
    arrived = 0;
    for (unsigned i = 0; i < array_size(self); i++)
        apic_send(apic_id(), self[i] | VECTOR);
    interrupts_window();
    check_equal(apic_x2 ? "x2apic-in-vain" : "xapic-in-vain", 0, arrived);
}

// Vectors below 16 are errors, one by one.
static void illegal_vectors(void)
{
    unsigned told = 0;
    arrived = 0;
    for (unsigned vector = 0; vector < FIRST_LEGAL; vector++) {
        apic_write(APIC_ESR, 0);
        apic_self((uint8_t)vector);
        apic_write(APIC_ESR, 0);
        told += (apic_read(APIC_ESR) & ESR_SEND_ILLEGAL) != 0;
    }
    interrupts_window();
    check_equal(apic_x2 ? "x2apic-illegal-told" : "xapic-illegal-told", FIRST_LEGAL, told);
    check_equal(apic_x2 ? "x2apic-illegal-none" : "xapic-illegal-none", 0, arrived);
}

static void one_mode(bool x2apic)
{
    apic_enable(x2apic);
    to_nobody(x2apic ? "x2apic-nobody" : "xapic-nobody", VECTOR);
    to_nobody(x2apic ? "x2apic-nobody-illegal" : "xapic-nobody-illegal", 3);
    in_vain();
    illegal_vectors();
}

int attack_ipis(const struct start_info *start)
{
    (void)start;
    tap_plan(12);
    apic_map();
    for (unsigned vector = 32; vector < 256; vector++)
        exception_handle(vector, on_interrupt);
    exception_handle(VECTOR_NMI, on_nmi);
    one_mode(false);
    one_mode(true);
    arrived = 0;
    apic_self(VECTOR);
    interrupts_window();
    check_equal("still-arrives", 1, arrived);
    check_equal("alive", ABI_VERSION, (uint64_t)hypercall0(HC_VERSION));
    return tap_end();
}

// The only processor waits for a SIPI that nobody can send.
int attack_init_self(const struct start_info *start)
{
    (void)start;
    apic_map();
    apic_enable(false);
    apic_send(apic_id(), ICR_INIT | ICR_ASSERT);
    __asm__ volatile("nop");
    return 1;
}
