#include "dev/ioapic.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include "dev/pic.h"
#include "tests/host/apics.h"

enum { LEVEL = 0x8000, MASKED = 0x10000, REMOTE_IRR = 0x4000, LOGICAL = 0x800 };

static struct apics a;
static struct ioapic io;

static int start(void **state)
{
    (void)state;
    apics_create(&a, 2);
    for (unsigned i = 0; i < 2; i++)
        lapic_mmio_write(&a.lapic[i], 0xf0, 4, 0x1ff);
    ioapic_init(&io, &a.bus, 2);
    return 0;
}

static uint32_t get(uint8_t index)
{
    ioapic_write(&io, IOAPIC_SELECT, 4, index);
    assert_int_equal(ioapic_read(&io, IOAPIC_SELECT, 4), index);
    return ioapic_read(&io, IOAPIC_WINDOW, 4);
}

static void put(uint8_t index, uint32_t v)
{
    ioapic_write(&io, IOAPIC_SELECT, 4, index);
    ioapic_write(&io, IOAPIC_WINDOW, 4, v);
}

static void entry(unsigned pin, uint32_t low, uint8_t destination)
{
    put((uint8_t)(0x11 + 2 * pin), (uint32_t)destination << 24);
    put((uint8_t)(0x10 + 2 * pin), low);
}

// The vector that arrived at APIC `n` since the last look, or LAPIC_NONE.
static int arrived(unsigned n)
{
    struct lapic *l = &a.lapic[n];
    lapic_merge(l);
    int vector = lapic_highest(l);
    if (vector != LAPIC_NONE) {
        lapic_accept(l, (uint8_t)vector);
        lapic_mmio_write(l, 0xb0, 4, 0);
    }
    return vector;
}

static void registers(void **state)
{
    (void)state;
    assert_int_equal(get(0), 2u << 24);
    assert_int_equal(get(1), 0x00170020);
    put(0, 0xffffffff);
    put(1, 0);
    assert_int_equal(get(0), 0x0f000000);
    assert_int_equal(get(1), 0x00170020);
    assert_int_equal(get(2), 0x0f000000);
    for (unsigned pin = 0; pin < GSIS; pin++) {
        assert_int_equal(get((uint8_t)(0x10 + 2 * pin)), MASKED);
        put((uint8_t)(0x11 + 2 * pin), 0xffffffff);
        put((uint8_t)(0x10 + 2 * pin), 0xffffffff);
        assert_int_equal(get((uint8_t)(0x10 + 2 * pin)), 0x1afff);
        assert_int_equal(get((uint8_t)(0x11 + 2 * pin)), 0xff000000);
    }
    put(0x40, 1);
    assert_int_equal(get(0x40), 0);
    assert_int_equal(get(0xff), 0);
    ioapic_write(&io, IOAPIC_SELECT, 1, 1); // not 32 bits
    assert_int_equal(ioapic_read(&io, IOAPIC_SELECT, 4), 0xff);
    assert_int_equal(ioapic_read(&io, IOAPIC_WINDOW, 2), 0);
    assert_int_equal(ioapic_read(&io, 0x20, 4), 0);
    ioapic_write(&io, 0x24, 4, ~0u);
}

static void edges(void **state)
{
    (void)state;
    entry(4, 0x44, 1);
    ioapic_set(&io, 4, true);
    assert_int_equal(arrived(0), LAPIC_NONE);
    assert_int_equal(arrived(1), 0x44);
    ioapic_set(&io, 4, true);
    assert_int_equal(arrived(1), LAPIC_NONE);
    ioapic_set(&io, 4, false);
    entry(4, MASKED | 0x44, 1);
    ioapic_set(&io, 4, true); // lost
    entry(4, 0x44, 1);
    assert_int_equal(arrived(1), LAPIC_NONE);
    assert_int_equal(a.eois, 0);
}

static void levels(void **state)
{
    (void)state;
    entry(10, MASKED | LEVEL | 0x51, 0);
    ioapic_set(&io, 10, true);
    assert_int_equal(arrived(0), LAPIC_NONE);
    entry(10, LEVEL | 0x51, 0); // the level has waited
    assert_int_equal(get(0x24), LEVEL | REMOTE_IRR | 0x51);
    assert_int_equal(arrived(0), 0x51);
    assert_int_equal(a.eois, 1);
    assert_int_equal(arrived(0), LAPIC_NONE);
    ioapic_eoi(&io, 0x52);
    assert_int_equal(arrived(0), LAPIC_NONE);
    ioapic_eoi(&io, 0x51);
    assert_int_equal(arrived(0), 0x51);
    ioapic_set(&io, 10, false);
    ioapic_write(&io, IOAPIC_EOI, 4, 0x51);
    assert_int_equal(arrived(0), LAPIC_NONE);
    assert_int_equal(get(0x24), LEVEL | 0x51);
}

static void edge_mode_forgets_remote_irr(void **state)
{
    (void)state;
    entry(10, LEVEL | 0x51, 0);
    ioapic_set(&io, 10, true);
    assert_int_equal(get(0x24), LEVEL | REMOTE_IRR | 0x51);
    put(0x24, MASKED | 0x51);
    assert_int_equal(get(0x24), MASKED | 0x51);
    put(0x24, LEVEL | 0x51);
    assert_int_equal(get(0x24), LEVEL | REMOTE_IRR | 0x51);
}

static void destinations_and_delivery_modes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++)
        lapic_mmio_write(&a.lapic[i], 0xd0, 4, 0x01000000u << i);
    entry(5, LOGICAL | 0x66, 3);
    ioapic_set(&io, 5, true);
    assert_true(arrived(0) == 0x66 && arrived(1) == 0x66);
    ioapic_set(&io, 5, false);
    entry(5, LOGICAL | 0x166, 3); // lowest priority
    ioapic_set(&io, 5, true);
    assert_true((arrived(0) == 0x66) != (arrived(1) == 0x66));
    static const struct {
        uint32_t mode, event;
    } modes[] = {
        {0x200, 0                 },
        {0x300, 0                 },
        {0x400, LAPIC_EVENT_NMI   },
        {0x500, LAPIC_EVENT_INIT  },
        {0x700, LAPIC_EVENT_EXTINT},
    };
    for (unsigned i = 0; i < array_size(modes); i++) {
        ioapic_set(&io, 5, false);
        entry(5, LEVEL | modes[i].mode, 1);
        ioapic_set(&io, 5, true);
        assert_int_equal(lapic_merge(&a.lapic[1]), modes[i].event);
        assert_false(get(0x1a) & REMOTE_IRR);
    }
}

// Nobody accepted it: remote IRR must not wait for an EOI that never comes.
static void refused_levels_leave_no_remote_irr(void **state)
{
    (void)state;
    entry(6, LEVEL | 0x05, 0);
    ioapic_set(&io, 6, true);
    assert_false(get(0x1c) & REMOTE_IRR);
    entry(6, LEVEL | 0x61, 9);
    assert_false(get(0x1c) & REMOTE_IRR);
    entry(6, LEVEL | 0x61, 1);
    assert_int_equal(arrived(1), 0x61);
}

// An interrupt of the PIC is none of them: it waits for interrupts to be on.
static void signals_are_nmi_init_and_sipi(void **state)
{
    (void)state;
    for (unsigned pin = 0; pin < GSIS; pin++) {
        for (uint32_t mode = 0; mode < 8; mode++) {
            entry(pin, mode << 8 | 0x44, 0);
            assert_int_equal(ioapic_signals(&io), mode >= 4 && mode <= 6);
            entry(pin, MASKED | mode << 8 | 0x44, 0);
            assert_false(ioapic_signals(&io));
        }
    }
}

static void lines_reach_both_controllers(void **state)
{
    (void)state;
    struct pic pic;
    struct router r;
    struct line pit = {0}, shared[2], none = {0};
    pic_init(&pic, NULL, NULL);
    router_init(&r, &pic, &io);
    line_set(&none, true);
    line_connect(&pit, &r, PIT_IRQ);
    for (unsigned i = 0; i < 2; i++)
        line_connect(&shared[i], &r, 17);
    entry(PIT_GSI, 0x30, 0);
    line_edge(&pit);
    assert_int_equal(arrived(0), 0x30);
    assert_int_equal(pic.chip[0].irr, 1);
    line_edge(&pit);
    assert_int_equal(arrived(0), 0x30);
    entry(17, LEVEL | 0x71, 0);
    line_set(&shared[0], true);
    line_set(&shared[1], true);
    line_set(&shared[0], false);
    assert_int_equal(arrived(0), 0x71);
    ioapic_eoi(&io, 0x71);
    assert_int_equal(arrived(0), 0x71);
    line_set(&shared[1], false);
    ioapic_eoi(&io, 0x71);
    assert_int_equal(arrived(0), LAPIC_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(registers, start),
        cmocka_unit_test_setup(edges, start),
        cmocka_unit_test_setup(levels, start),
        cmocka_unit_test_setup(edge_mode_forgets_remote_irr, start),
        cmocka_unit_test_setup(destinations_and_delivery_modes, start),
        cmocka_unit_test_setup(refused_levels_leave_no_remote_irr, start),
        cmocka_unit_test_setup(signals_are_nmi_init_and_sipi, start),
        cmocka_unit_test_setup(lines_reach_both_controllers, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
