// The PIC pair through LINT0, as a machine starts ("virtual wire"), the timer of the PC raising its line 0, and
// the same line through the I/O APIC.
#include "guests/apic/apic.h"

enum { PIC1 = 0x20, PIC1_DATA = 0x21, PIC2 = 0xa0, PIC2_DATA = 0xa1, PIT_0 = 0x40, PIT_MODE = 0x43 };
enum { PIC_VECTORS = 0xd8, PIC_EOI = 0x20, PIC_READ_ISR = 0x0b, PIC_READ_IRR = 0x0a };
enum { PIT_ONE_SHOT = 0x30, PIT_TICKS = 4096 };
enum { IOAPIC_PIT_PIN = 2, IOAPIC_VECTOR = 0xa2, LINT0_EXTINT = 0x700 };

static unsigned times;
static uint8_t isr_inside;

unsigned pic_points(void)
{
    return 10;
}

static bool on_pic(struct frame *f)
{
    (void)f;
    times++;
    outb(PIC1, PIC_READ_ISR);
    isr_inside = inb(PIC1);
    outb(PIC1, PIC_EOI);
    return true;
}

static void pic_init(void)
{
    outb(PIC1, 0x11);
    outb(PIC1_DATA, PIC_VECTORS);
    outb(PIC1_DATA, 1 << 2);
    outb(PIC1_DATA, 1);
    outb(PIC2, 0x11);
    outb(PIC2_DATA, PIC_VECTORS + 8);
    outb(PIC2_DATA, 2);
    outb(PIC2_DATA, 1);
    outb(PIC2_DATA, 0xff);
    outb(PIC1_DATA, 0xfe);
}

// Long enough to halt before it is over.
static void pit_one_shot(void)
{
    outb(PIT_MODE, PIT_ONE_SHOT);
    outb(PIT_0, PIT_TICKS & 0xff);
    outb(PIT_0, PIT_TICKS >> 8);
}

static void wait_times(unsigned n)
{
    uint64_t end = rdtsc() + 100 * LATE;
    interrupts_on();
    while (times < n && rdtsc() < end)
        pause();
    interrupts_off();
}

static volatile uint32_t *ioapic(unsigned reg)
{
    *(volatile uint32_t *)(word_t)(uint32_t)IOAPIC_PAGE = reg;
    return (volatile uint32_t *)(word_t)((uint32_t)IOAPIC_PAGE + 0x10);
}

static void check_ioapic(void)
{
    check_bits("ioapic-version", 0xff0000, 23 << 16, *ioapic(1));
    outb(PIC1_DATA, 0xff);
    *ioapic(0x10 + 2 * IOAPIC_PIT_PIN + 1) = apic_id() << 24;
    *ioapic(0x10 + 2 * IOAPIC_PIT_PIN) = IOAPIC_VECTOR;
    check_equal("ioapic-entry", IOAPIC_VECTOR, *ioapic(0x10 + 2 * IOAPIC_PIT_PIN));
    pit_one_shot();
    wait_seen(1, 100 * LATE);
    CHECK_SEEN("ioapic-edge", IOAPIC_VECTOR);
    pit_one_shot();
    halt_once();
    CHECK_SEEN("ioapic-ends-halt", IOAPIC_VECTOR);
    *ioapic(0x10 + 2 * IOAPIC_PIT_PIN) = LVT_MASKED;
}

void pic_test(void)
{
    apic_x2 = false;
    check_bits("virtual-wire-lint0", LVT_MASKED | 0x700, LINT0_EXTINT, apic_read(APIC_LVT_LINT0));
    exception_handle(PIC_VECTORS, on_pic);
    pic_init();
    pit_one_shot();
    wait_times(1);
    check_equal("pic-extint", 1, times);
    check_equal("pic-isr-inside", 1, isr_inside);
    pit_one_shot();
    halt_once();
    check_equal("pic-ends-halt", 2, times);
    outb(PIC1_DATA, 0xff);
    pit_one_shot();
    wait_times(3);
    check_equal("pic-masked", 2, times);
    outb(PIC1_DATA, 0xfe); // the request has waited
    interrupts_window();
    check_equal("pic-unmasked", 3, times);
    outb(PIC1_DATA, 0xff);
    check_ioapic();
    exception_handle(PIC_VECTORS, NULL);
}
