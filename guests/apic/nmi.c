// NMIs that a processor sends to itself, and how IRET lets the next one in (SDM, "Handling Multiple NMIs").
#include "guests/apic/apic.h"

static volatile unsigned nmis, most_nested, nested, more;

unsigned nmi_points(void)
{
    return 6;
}

static void send_nmi(void)
{
    apic_send(apic_id(), ICR_NMI);
}

static bool on_nmi(struct frame *f)
{
    (void)f;
    nmis++;
    nested++;
    if (nested > most_nested)
        most_nested = nested;
    for (; more; more--)
        send_nmi();
    nested--;
    return true;
}

// The NMI interrupts an interrupt handler.
static void nmi_inside(uint8_t vector)
{
    (void)vector;
    send_nmi();
    __asm__ volatile("nop; nop");
    seen.vector[1] = (uint8_t)nmis;
}

void nmi_test(void)
{
    exception_handle(VECTOR_NMI, on_nmi);
    nmis = 0;
    send_nmi();
    __asm__ volatile("nop; nop");
    check_equal(named("nmi-with-interrupts-off"), 1, nmis);

    nmis = most_nested = 0;
    more = 3; // while one is handled: a single one is kept
    send_nmi();
    __asm__ volatile("nop; nop; nop");
    check_equal(named("nmi-blocked-keeps-one"), 2, nmis);
    check_equal(named("nmi-until-iret"), 1, most_nested);

    nmis = 0;
    apic_self(0x44);
    send_nmi();
    __asm__ volatile("sti; hlt; cli"); // NMI first, then the interrupt
    check(nmis == 1 && seen.count == 1, named("nmi-and-interrupt"), "expected 1 NMI, 1 interrupt\ngot %u, %u",
          nmis, seen.count);

    nmis = 0;
    seen_reset(nmi_inside);
    apic_self(0x44);
    interrupts_window();
    check_equal(named("nmi-inside-interrupt"), 1, seen.vector[1]);
    check_equal(named("nmi-none-left"), 1, nmis);
    seen_reset(NULL);
    exception_handle(VECTOR_NMI, NULL);
}
