#include "dev/lapic.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/host/apics.h"

enum { EN = 0x800, EXTD = 0x400, BSP = 0x100 };

static struct apics a;
static struct lapic *const l = &a.lapic[0];

static int start(void **state)
{
    (void)state;
    apics_create(&a, APICS);
    return 0;
}

static uint32_t in(struct lapic *x, unsigned reg)
{
    return lapic_mmio_read(x, reg << 4, 4);
}

static void out(struct lapic *x, unsigned reg, uint32_t v)
{
    lapic_mmio_write(x, reg << 4, 4, v);
}

static int start_x2apic(void **state)
{
    start(state);
    for (unsigned i = 0; i < APICS; i++) {
        assert_true(lapic_set_base(&a.lapic[i], LAPIC_PAGE | EN | EXTD));
        assert_true(lapic_wrmsr(&a.lapic[i], 0x80f, 0x1ff));
    }
    return 0;
}

static int start_xapic(void **state)
{
    start(state);
    for (unsigned i = 0; i < APICS; i++)
        out(&a.lapic[i], LAPIC_SVR, 0x1ff);
    return 0;
}

static uint64_t get(unsigned reg)
{
    uint64_t v = 0xdead;
    assert_true(lapic_rdmsr(l, 0x800 + reg, &v));
    return v;
}

static void power_up_state(void **state)
{
    (void)state;
    assert_int_equal(in(l, LAPIC_SVR), 0xff);
    assert_int_equal(in(l, LAPIC_DFR), 0xffffffff);
    assert_int_equal(in(l, LAPIC_VERSION), 0x01050014);
    assert_int_equal(in(&a.lapic[3], LAPIC_ID), 3u << 24);
    for (unsigned reg = LAPIC_LVT_TIMER; reg <= LAPIC_LVT_ERROR; reg++)
        assert_int_equal(in(l, reg), 0x10000);
    assert_int_equal(l->base, LAPIC_PAGE | EN | BSP);
    assert_int_equal(a.lapic[1].base, LAPIC_PAGE | EN);
    assert_int_equal(lapic_highest(l), LAPIC_NONE);
}

// SDM, "x2APIC State Transitions".
static void apic_base_transitions(void **state)
{
    (void)state;
    static const uint64_t value[] = {0, EXTD, EN, EN | EXTD};
    static const bool legal[3][4] = {
        {true, false, true,  false}, // from disabled
        {true, false, true,  true }, // xAPIC
        {true, false, false, true }, // x2APIC
    };
    for (unsigned from = 0; from < 3; from++)
        for (unsigned to = 0; to < 4; to++) {
            start(state);
            if (from != LAPIC_XAPIC)
                assert_true(lapic_set_base(l, LAPIC_PAGE | (from == LAPIC_OFF ? 0 : EN | EXTD)));
            assert_int_equal(l->mode, from);
            uint64_t before = l->base;
            assert_int_equal(lapic_set_base(l, LAPIC_PAGE | value[to]), legal[from][to]);
            assert_int_equal(l->base, legal[from][to] ? LAPIC_PAGE | BSP | value[to] : before);
        }
    for (unsigned bit = 0; bit < 64; bit++) {
        start(state);
        bool ok = bit == 8 || bit == 10 || (bit >= 11 && bit < 36);
        assert_int_equal(lapic_set_base(l, EN | 1ull << bit), ok);
    }
}

static void disabling_forgets(void **state)
{
    (void)state;
    out(l, LAPIC_TPR, 0x55);
    lapic_post(l, 0x66, false);
    lapic_merge(l);
    assert_true(lapic_set_base(l, LAPIC_PAGE));
    assert_false(lapic_post(l, 0x67, false));
    assert_int_equal(lapic_bus_send(&a.bus, &(struct apic_message){.delivery = DELIVER_NMI}), 0);
    assert_true(lapic_takes_extint(l));
    uint64_t v;
    assert_false(lapic_rdmsr(l, 0x802, &v));
    assert_true(lapic_set_base(l, LAPIC_PAGE | EN));
    assert_int_equal(in(l, LAPIC_TPR), 0);
    assert_int_equal(in(l, LAPIC_IRR + 3), 0);
    assert_int_equal(in(l, LAPIC_SVR), 0xff);
}

// Which MSRs there are, for reading and for writing, against the SDM's "x2APIC Register Address Space".
static void x2apic_msrs_that_exist(void **state)
{
    (void)state;
    static const uint8_t read[] = {0x02, 0x03, 0x08, 0x0a, 0x0d, 0x0f, 0x28, 0x30, 0x32,
                                   0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3e};
    static const uint8_t write[] = {0x08, 0x0b, 0x0f, 0x28, 0x30, 0x32, 0x33,
                                    0x34, 0x35, 0x36, 0x37, 0x38, 0x3e, 0x3f};
    for (unsigned n = 0; n < 0x100; n++) {
        uint64_t v;
        bool readable = (n >= 0x10 && n < 0x28) || (n < 0x40 && memchr(read, (int)n, sizeof read));
        bool writable = memchr(write, (int)n, sizeof write);
        assert_int_equal(lapic_rdmsr(l, 0x800 + n, &v), readable);
        assert_int_equal(lapic_wrmsr(l, 0x800 + n, 0), writable);
    }
    uint64_t v;
    assert_false(lapic_rdmsr(l, 0x7ff, &v));
    assert_false(lapic_rdmsr(l, 0, &v));
    assert_true(lapic_set_base(l, LAPIC_PAGE));
    for (unsigned n = 0; n < 0x100; n++)
        assert_false(lapic_rdmsr(l, 0x800 + n, &v) || lapic_wrmsr(l, 0x800 + n, 0));
}

static void x2apic_reserved_bits(void **state)
{
    (void)state;
    static const struct {
        uint8_t reg;
        uint64_t allowed;
    } rows[] = {
        {0x08, 0xff              },
        {0x0b, 0                 },
        {0x0f, 0x11ff            },
        {0x28, 0                 },
        {0x32, 0x710ff           },
        {0x33, 0x117ff           },
        {0x34, 0x117ff           },
        {0x35, 0x1f7ff           },
        {0x36, 0x1f7ff           },
        {0x37, 0x110ff           },
        {0x38, 0xffffffff        },
        {0x3e, 0xb               },
        {0x3f, 0xff              },
        {0x30, 0xffffffff000cdfff},
    };
    for (unsigned i = 0; i < array_size(rows); i++)
        for (unsigned bit = 0; bit < 64; bit++)
            assert_int_equal(lapic_wrmsr(l, 0x800u + rows[i].reg, 1ull << bit), rows[i].allowed >> bit & 1);
}

static void ids_differ_by_mode(void **state)
{
    (void)state;
    uint64_t v;
    assert_true(lapic_rdmsr(&a.lapic[3], 0x802, &v));
    assert_int_equal(v, 3);
    assert_true(lapic_rdmsr(&a.lapic[3], 0x80d, &v));
    assert_int_equal(v, 8);
    lapic_init_signal(&a.lapic[3]);
    assert_true(lapic_rdmsr(&a.lapic[3], 0x80d, &v));
    assert_int_equal(v, 8);
    assert_int_equal(a.lapic[3].mode, LAPIC_X2APIC);
}

static void self_ipi_and_eoi(void **state)
{
    (void)state;
    assert_true(lapic_wrmsr(l, 0x83f, 0x41));
    assert_true(lapic_wrmsr(l, 0x83f, 0x52));
    assert_int_equal(lapic_highest(l), 0x52);
    lapic_accept(l, 0x52);
    assert_int_equal(get(LAPIC_PPR), 0x50);
    assert_int_equal(lapic_highest(l), LAPIC_NONE);
    assert_true(lapic_wrmsr(l, 0x83f, 0x5f)); // same class: waits
    assert_int_equal(lapic_highest(l), LAPIC_NONE);
    assert_true(lapic_wrmsr(l, 0x80b, 0));
    assert_int_equal(lapic_highest(l), 0x5f);
    lapic_accept(l, 0x5f);
    assert_true(lapic_wrmsr(l, 0x80b, 0));
    assert_int_equal(lapic_highest(l), 0x41);
    assert_true(lapic_wrmsr(l, 0x808, 0x40));
    assert_int_equal(lapic_highest(l), LAPIC_NONE);
    lapic_set_cr8(l, 3);
    assert_int_equal(lapic_cr8(l), 3);
    assert_int_equal(get(LAPIC_TPR), 0x30);
    assert_int_equal(lapic_highest(l), 0x41);
    assert_int_equal(a.eois, 0);
    assert_true(lapic_wrmsr(l, 0x80b, 0)); // nothing in service
}

// What lapic_accept_self() does in one step, for every vector and task priority, with and without something in
// service: the same as a write to SELF IPI whose interrupt is then accepted.
static void accepted_at_once(void **state)
{
    (void)state;
    struct lapic *other = &a.lapic[1];
    for (unsigned i = 0; i < 256 * 256; i++) {
        uint8_t vector = (uint8_t)i, tpr = (uint8_t)(i >> 8);
        for (unsigned k = 0; k < 2; k++) {
            struct lapic *x = &a.lapic[k];
            lapic_init_signal(x);
            assert_true(lapic_wrmsr(x, 0x80f, i % 7 ? 0x1ff : 0xff) && lapic_wrmsr(x, 0x808, tpr));
            if (i % 3 == 0 && lapic_wrmsr(x, 0x83f, 0x93) && lapic_highest(x) == 0x93)
                lapic_accept(x, 0x93);
            x->regs[(LAPIC_TMR + vector / 32) * 4] = ~0u; // it came by level before
        }
        if (l->irr_words)
            continue; // priority holds back the one before: not for here
        bool done = lapic_accept_self(l, vector);
        assert_true(lapic_wrmsr(other, 0x83f, vector));
        assert_int_equal(done, lapic_highest(other) == vector);
        if (!done)
            continue;
        lapic_accept(other, vector);
        l->regs[LAPIC_ID * 4] = other->regs[LAPIC_ID * 4];
        l->regs[LAPIC_LDR * 4] = other->regs[LAPIC_LDR * 4];
        assert_memory_equal(l->regs, other->regs, sizeof a.regs[0]);
        assert_true(l->irr_words == other->irr_words && l->isr_words == other->isr_words);
    }
}

// A processor puts into the page what the guest wrote, reserved bits and all, before anybody looks: the outcome is that
// of a write that we carry out, for every register that it lets through (SDM, "Determining Whether a Write Access is
// Virtualized").
static void written_by_the_processor(void **state)
{
    (void)state;
    static const uint8_t regs[] = {
        LAPIC_ID,        LAPIC_LDR,       LAPIC_DFR,           LAPIC_SVR,     LAPIC_ESR,
        LAPIC_ICR,       LAPIC_LVT_TIMER, LAPIC_LVT_THERMAL,   LAPIC_LVT_PMC, LAPIC_LVT_LINT0,
        LAPIC_LVT_LINT1, LAPIC_LVT_ERROR, LAPIC_INITIAL_COUNT, LAPIC_DIVIDE};
    static struct apics b;
    for (unsigned i = 0; i < 20000; i++) {
        if (i % 500 == 0) {
            start_xapic(NULL);
            b = a;
            for (unsigned k = 0; k < APICS; k++) {
                b.pointers[k] = &b.lapic[k];
                b.lapic[k].bus = &b.bus;
                b.lapic[k].regs = b.regs[k];
            }
            b.bus.lapic = b.pointers;
        }
        a.now += 77, b.now += 77;
        uint8_t reg = regs[(unsigned)rand() % sizeof regs];
        uint32_t value = (uint32_t)rand() * 2u ^ (uint32_t)rand() >> 3;
        if (reg == LAPIC_ICR)
            value &= ~0x500u; // nothing that the owner has to act on
        lapic_mmio_write(&a.lapic[0], (uint32_t)reg << 4, 4, value);
        b.regs[0][reg * 4] = value;
        lapic_written(&b.lapic[0], (uint32_t)reg << 4);
        assert_memory_equal(a.regs, b.regs, sizeof a.regs);
        assert_int_equal(a.armed[0], b.armed[0]);
        assert_int_equal(lapic_mmio_read(&a.lapic[0], LAPIC_CURRENT_COUNT << 4, 4),
                         lapic_mmio_read(&b.lapic[0], LAPIC_CURRENT_COUNT << 4, 4));
        assert_int_equal(a.lapic[0].errors, b.lapic[0].errors);
        assert_int_equal(a.lapic[1].posted, b.lapic[1].posted);
    }
}

// The processor requests and delivers in the page by itself: its highest and what we knew make up the highest there is.
static void requests_of_the_processor(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50000; i++) {
        lapic_init_signal(l);
        assert_true(lapic_wrmsr(l, 0x80f, 0x1ff));
        int highest = LAPIC_NONE;
        for (unsigned k = (unsigned)rand() % 4; k; k--) // ours, some of them delivered since
            assert_true(lapic_wrmsr(l, 0x83f, 16 + (unsigned)rand() % 240));
        for (unsigned w = 0; w < LAPIC_WORDS; w++)
            l->regs[(LAPIC_IRR + w) * 4] &= rand() & 1 ? 0 : ~0u;
        unsigned theirs = rand() & 3 ? 16 + (unsigned)rand() % 240 : 0;
        if (theirs)
            l->regs[(LAPIC_IRR + theirs / 32) * 4] |= 1u << theirs % 32;
        for (int v = 16; v < 256; v++)
            if (l->regs[(LAPIC_IRR + v / 32) * 4] >> v % 32 & 1)
                highest = v;
        lapic_add_requests(l, (uint8_t)theirs);
        assert_int_equal(lapic_top_request(l), highest);
        assert_int_equal(lapic_highest(l), highest);
    }
}

// EOIs that the processor carried out: the I/O APIC hears of levels alone, and of none when SVR says so.
static void ended_by_the_processor(void **state)
{
    (void)state;
    assert_true(lapic_post(l, 0x57, true) && lapic_post(l, 0xc8, false));
    assert_false(l->new_levels);
    lapic_merge(l);
    assert_true(l->new_levels);
    assert_int_equal(lapic_levels(l, 1), 1ull << (0x57 - 64));
    assert_int_equal(lapic_levels(l, 3), 0);
    lapic_ended(l, 0xc8);
    assert_int_equal(a.eois, 0);
    lapic_ended(l, 0x57);
    assert_int_equal(a.eois, 1);
    assert_int_equal(a.eoi_vector, 0x57);
    assert_true(lapic_wrmsr(l, 0x80f, 0x11ff));
    lapic_ended(l, 0x57);
    assert_int_equal(a.eois, 1);
}

static void vectors_below_16_are_errors(void **state)
{
    (void)state;
    lapic_wrmsr(l, 0x837, 0x33);
    assert_true(lapic_wrmsr(l, 0x83f, 15));
    assert_int_equal(get(LAPIC_ESR), 0);
    assert_int_equal(lapic_highest(l), 0x33);
    lapic_accept(l, 0x33);
    lapic_wrmsr(l, 0x80b, 0);
    lapic_wrmsr(l, 0x83f, 0); // told already
    assert_int_equal(lapic_highest(l), LAPIC_NONE);
    assert_false(lapic_wrmsr(l, 0x828, 1));
    assert_true(lapic_wrmsr(l, 0x828, 0));
    assert_int_equal(get(LAPIC_ESR), 0x60);
    assert_true(lapic_wrmsr(l, 0x828, 0));
    assert_int_equal(get(LAPIC_ESR), 0);
    lapic_wrmsr(l, 0x837, 0x03); // an error vector that is an error itself
    assert_true(lapic_wrmsr(l, 0x830, 1ull << 32 | 0x0f));
    lapic_wrmsr(l, 0x828, 0);
    assert_int_equal(get(LAPIC_ESR), 0x60);
    assert_int_equal(lapic_merge(&a.lapic[1]), 0);
    lapic_wrmsr(&a.lapic[1], 0x828, 0);
    assert_int_equal(a.regs[1][LAPIC_ESR * 4], 0x40);
    assert_int_equal(lapic_highest(&a.lapic[1]), LAPIC_NONE);
}

static void xapic_reserved_registers(void **state)
{
    (void)state;
    out(l, LAPIC_ID, 0x77000000);
    assert_int_equal(in(l, LAPIC_ID), 0);
    out(l, LAPIC_ESR, 0);
    assert_int_equal(in(l, LAPIC_ESR), 0);
    static const unsigned reserved[] = {0, 0x04, 0x09, 0x0c, 0x2f, 0x3a, 0x3f, 0x40, 0xff};
    for (unsigned i = 0; i < array_size(reserved); i++) {
        assert_int_equal(in(l, reserved[i]), 0);
        out(l, LAPIC_ESR, 0);
        assert_int_equal(in(l, LAPIC_ESR), 0x80);
        out(l, reserved[i], 1);
        out(l, LAPIC_ESR, 0);
        assert_int_equal(in(l, LAPIC_ESR), 0x80);
    }
    assert_int_equal(lapic_mmio_read(l, 0x30, 1), 0x14);
    assert_int_equal(lapic_mmio_read(l, 0x32, 2), 0x0105);
    assert_int_equal(lapic_mmio_read(l, 0x33, 2), 0);
    assert_int_equal(lapic_mmio_read(l, 0x34, 4), 0);
    lapic_mmio_write(l, 0x84, 4, 0xff);
    lapic_mmio_write(l, 0x80, 1, 0xff);
    assert_int_equal(in(l, LAPIC_TPR), 0);
}

static void software_disable(void **state)
{
    (void)state;
    out(l, LAPIC_LVT_LINT0, 0x700);
    assert_true(lapic_takes_extint(l));
    lapic_post(l, 0x44, false);
    lapic_merge(l);
    out(l, LAPIC_SVR, 0xff);
    assert_int_equal(in(l, LAPIC_LVT_LINT0), 0x10700);
    out(l, LAPIC_LVT_LINT0, 0x700);
    assert_int_equal(in(l, LAPIC_LVT_LINT0), 0x10700);
    assert_false(lapic_takes_extint(l));
    assert_int_equal(lapic_highest(l), 0x44); // what it has, it keeps
    assert_false(lapic_post(l, 0x55, false));
    assert_int_equal(lapic_bus_send(&a.bus, &(struct apic_message){.delivery = DELIVER_NMI}), 1);
    assert_int_equal(lapic_merge(l), LAPIC_EVENT_NMI);
}

static unsigned receivers(unsigned vector)
{
    unsigned set = 0;
    for (unsigned i = 0; i < APICS; i++) {
        lapic_merge(&a.lapic[i]);
        set |= (lapic_highest(&a.lapic[i]) == (int)vector) << i;
        if (set >> i & 1) {
            lapic_accept(&a.lapic[i], (uint8_t)vector);
            lapic_mmio_write(&a.lapic[i], 0xb0, 4, 0);
        }
    }
    return set;
}

static unsigned xapic_send(uint32_t icr, uint8_t destination)
{
    out(l, LAPIC_ICR_HIGH, (uint32_t)destination << 24);
    out(l, LAPIC_ICR, icr);
    return receivers(icr & 0xff);
}

static void xapic_destinations(void **state)
{
    (void)state;
    assert_int_equal(xapic_send(0x4031, 2), 1u << 2);
    assert_int_equal(xapic_send(0x4031, 0), 1);
    assert_int_equal(xapic_send(0x4031, 9), 0);
    assert_int_equal(xapic_send(0x4031, 0xff), 15);
    assert_int_equal(xapic_send(0x44031, 9), 1);
    assert_int_equal(xapic_send(0x84031, 9), 15);
    assert_int_equal(xapic_send(0xc4031, 9), 14);
    for (unsigned i = 0; i < APICS; i++)
        out(&a.lapic[i], LAPIC_LDR, 0x01000000u << i);
    assert_int_equal(xapic_send(0x4831, 0x06), 6);
    assert_int_equal(xapic_send(0x4831, 0xf0), 0);
    for (unsigned i = 0; i < APICS; i++) {
        out(&a.lapic[i], LAPIC_DFR, 0);
        assert_int_equal(in(&a.lapic[i], LAPIC_DFR), 0x0fffffff);
        out(&a.lapic[i], LAPIC_LDR, (i / 2) << 28 | 0x01000000u << i % 2);
    }
    assert_int_equal(xapic_send(0x4831, 0x13), 12);
    assert_int_equal(xapic_send(0x4831, 0x02), 2);
    assert_int_equal(xapic_send(0x4831, 0xf1), 5);
    assert_int_equal(xapic_send(0x4831, 0xff), 15);
    for (unsigned i = 0; i < APICS; i++)
        out(&a.lapic[i], LAPIC_DFR, 0x50000000);
    assert_int_equal(xapic_send(0x4831, 0x13), 0);
    unsigned one = xapic_send(0x4131, 0xff);
    assert_true(one && !(one & (one - 1))); // lowest priority: exactly one
    one = xapic_send(0xc4131, 0);
    assert_true(one && !(one & (one - 1)) && one != 1);
}

static unsigned x2apic_send(uint64_t icr)
{
    assert_true(lapic_wrmsr(l, 0x830, icr));
    unsigned set = 0;
    for (unsigned i = 0; i < APICS; i++) {
        lapic_merge(&a.lapic[i]);
        if (lapic_highest(&a.lapic[i]) != (int)(icr & 0xff))
            continue;
        set |= 1u << i;
        lapic_accept(&a.lapic[i], (uint8_t)icr);
        lapic_wrmsr(&a.lapic[i], 0x80b, 0);
    }
    return set;
}

static void x2apic_destinations(void **state)
{
    (void)state;
    assert_int_equal(x2apic_send(2ull << 32 | 0x4031), 4);
    assert_int_equal(x2apic_send(0xffull << 32 | 0x4031), 0);
    assert_int_equal(x2apic_send(0xffffffffull << 32 | 0x4031), 15);
    assert_int_equal(x2apic_send(0x0000000cull << 32 | 0x4831), 12);
    assert_int_equal(x2apic_send(0x0001000cull << 32 | 0x4831), 0);
    assert_int_equal(get(LAPIC_ICR), 0x0001000cull << 32 | 0x4831);
    assert_int_equal(x2apic_send(0x5000000000ull | 0xc4031), 14);
}

static uint32_t events_of_icr(uint32_t icr)
{
    assert_true(lapic_wrmsr(l, 0x830, 1ull << 32 | icr));
    return lapic_merge(&a.lapic[1]);
}

static void delivery_modes(void **state)
{
    (void)state;
    assert_int_equal(events_of_icr(0x4400), LAPIC_EVENT_NMI);
    assert_int_equal(events_of_icr(0x4500), LAPIC_EVENT_INIT);
    assert_int_equal(events_of_icr(0x8500), 0); // INIT de-assert
    assert_int_equal(events_of_icr(0x469a), LAPIC_EVENT_SIPI | 0x9a0000);
    assert_int_equal(events_of_icr(0x4200), 0); // SMI
    assert_int_equal(events_of_icr(0x4333), 0); // reserved
    assert_int_equal(events_of_icr(0x4733), 0);
    assert_int_equal(events_of_icr(0x44400), 0); // NMI to self, to all: no valid combination
    assert_int_equal(events_of_icr(0x84500), 0);
    assert_int_equal(lapic_merge(l), 0);
    lapic_wrmsr(l, 0x830, 1ull << 32 | 0x4611);
    lapic_wrmsr(l, 0x830, 1ull << 32 | 0x4622);
    assert_int_equal(lapic_merge(&a.lapic[1]), LAPIC_EVENT_SIPI | 0x110000);
    lapic_wrmsr(l, 0x830, 1ull << 32 | 0x4611);
    lapic_wrmsr(l, 0x830, 1ull << 32 | 0x4500);
    lapic_wrmsr(l, 0x830, 1ull << 32 | 0x4622);
    assert_int_equal(lapic_merge(&a.lapic[1]), LAPIC_EVENT_INIT | LAPIC_EVENT_SIPI | 0x220000);
}

static void one_kick_until_merged(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        lapic_post(&a.lapic[2], (uint8_t)(16 + i % 240), false);
    assert_int_equal(a.kicks[2], 1);
    assert_true(lapic_posted(&a.lapic[2]));
    lapic_merge(&a.lapic[2]);
    assert_false(lapic_posted(&a.lapic[2]));
    assert_int_equal(lapic_highest(&a.lapic[2]), 255);
    lapic_post_event(&a.lapic[2], LAPIC_EVENT_NMI);
    assert_int_equal(a.kicks[2], 2);
}

static void level_interrupts_broadcast_their_eoi(void **state)
{
    (void)state;
    lapic_post(l, 0x81, true);
    lapic_merge(l);
    assert_int_equal(get(LAPIC_TMR + 4), 2);
    lapic_accept(l, 0x81);
    lapic_wrmsr(l, 0x80b, 0);
    assert_int_equal(a.eois, 1);
    assert_int_equal(a.eoi_vector, 0x81);
    lapic_post(l, 0x81, false);
    lapic_merge(l);
    assert_int_equal(get(LAPIC_TMR + 4), 0);
    lapic_accept(l, 0x81);
    lapic_wrmsr(l, 0x80b, 0);
    lapic_wrmsr(l, 0x80f, 0x11ff); // suppressed
    lapic_post(l, 0x81, true);
    lapic_merge(l);
    lapic_accept(l, 0x81);
    lapic_wrmsr(l, 0x80b, 0);
    assert_int_equal(a.eois, 1);
}

static void local_pins(void **state)
{
    (void)state;
    lapic_virtual_wire(l);
    assert_true(lapic_takes_extint(l));
    lapic_wrmsr(l, 0x835, 0x45);
    assert_false(lapic_takes_extint(l));
    lapic_wrmsr(l, 0x835, 0x10700);
    assert_false(lapic_takes_extint(l));
}

static bool fired(uint8_t vector)
{
    if (lapic_highest(l) != vector)
        return false;
    lapic_accept(l, vector);
    lapic_wrmsr(l, 0x80b, 0);
    return true;
}

static void at(uint64_t now)
{
    a.now = now;
    if (a.armed[0] <= now)
        lapic_timer(l);
}

static void timer_one_shot(void **state)
{
    (void)state;
    lapic_wrmsr(l, 0x832, 0x70);
    lapic_wrmsr(l, 0x838, 500);
    assert_int_equal(a.armed[0], 1000); // divided by 2 at first
    lapic_init_signal(l);
    assert_int_equal(a.armed[0], ~0ull);
    lapic_wrmsr(l, 0x80f, 0x1ff);
    lapic_wrmsr(l, 0x83e, 0xb); // by 1
    lapic_wrmsr(l, 0x832, 0x70);
    at(1000);
    lapic_wrmsr(l, 0x838, 500);
    assert_int_equal(a.armed[0], 1500);
    at(1499);
    assert_int_equal(get(LAPIC_CURRENT_COUNT), 1);
    assert_false(fired(0x70));
    at(1500);
    assert_true(fired(0x70));
    assert_int_equal(get(LAPIC_CURRENT_COUNT), 0);
    assert_int_equal(get(LAPIC_INITIAL_COUNT), 500);
    assert_int_equal(a.armed[0], ~0ull);
    lapic_wrmsr(l, 0x838, 500);
    lapic_wrmsr(l, 0x838, 0); // stops
    assert_int_equal(a.armed[0], ~0ull);
    at(3000);
    assert_false(fired(0x70));
    lapic_wrmsr(l, 0x838, 500);
    lapic_wrmsr(l, 0x832, 0x10070); // masked while it runs: the expiry is lost
    at(4000);
    lapic_wrmsr(l, 0x832, 0x70);
    assert_false(fired(0x70));
    assert_int_equal(get(LAPIC_CURRENT_COUNT), 0);
}

static void timer_divides(void **state)
{
    (void)state;
    static const uint8_t code[] = {0xb, 0, 1, 2, 3, 8, 9, 10};
    for (unsigned i = 0; i < array_size(code); i++) {
        lapic_wrmsr(l, 0x83e, code[i]);
        lapic_wrmsr(l, 0x832, 0x70);
        lapic_wrmsr(l, 0x838, 1000);
        assert_int_equal(a.armed[0], a.now + (1000ull << i));
        a.now += 400u << i;
        assert_int_equal(get(LAPIC_CURRENT_COUNT), 600);
        lapic_wrmsr(l, 0x83e, 0xb);
        assert_int_equal(get(LAPIC_CURRENT_COUNT), 600);
        assert_int_equal(a.armed[0], a.now + 600);
    }
}

static void timer_periodic(void **state)
{
    (void)state;
    lapic_wrmsr(l, 0x83e, 0xb);
    lapic_wrmsr(l, 0x832, 0x20070);
    lapic_wrmsr(l, 0x838, 1000);
    for (unsigned i = 1; i < 10; i++) {
        assert_int_equal(a.armed[0], 1000 * i);
        at(1000 * i + 7); // late, but no drift
        assert_true(fired(0x70));
        assert_int_equal(get(LAPIC_CURRENT_COUNT), 993);
    }
    at(25500); // many periods missed: once
    assert_true(fired(0x70));
    assert_int_equal(a.armed[0], 26000);
    lapic_wrmsr(l, 0x838, 1); // no faster than every 100
    at(25501);
    assert_true(fired(0x70));
    assert_int_equal(a.armed[0], 25601);
    get(LAPIC_CURRENT_COUNT);
}

// The next expiry of a fast period is put off; until then a timer that became one-shot stands at zero.
static void timer_never_counts_above_its_initial_count(void **state)
{
    (void)state;
    lapic_wrmsr(l, 0x83e, 0xb);
    lapic_wrmsr(l, 0x832, 0x20070);
    lapic_wrmsr(l, 0x838, 10);
    at(15);
    assert_int_equal(a.armed[0], 115);
    lapic_wrmsr(l, 0x832, 0x70);
    at(17);
    assert_int_equal(get(LAPIC_CURRENT_COUNT), 3);
    at(90);
    assert_int_equal(get(LAPIC_CURRENT_COUNT), 0);
}

static void timer_tsc_deadline(void **state)
{
    (void)state;
    lapic_set_tsc_deadline(l, 5000);
    assert_int_equal(lapic_tsc_deadline(l), 0); // not in this mode
    lapic_wrmsr(l, 0x832, 0x40070);
    lapic_wrmsr(l, 0x838, 77);
    assert_int_equal(get(LAPIC_INITIAL_COUNT), 0);
    lapic_set_tsc_deadline(l, 5000);
    assert_int_equal(a.armed[0], 5000);
    assert_int_equal(lapic_tsc_deadline(l), 5000);
    assert_int_equal(get(LAPIC_CURRENT_COUNT), 0);
    at(5000);
    assert_true(fired(0x70));
    assert_int_equal(lapic_tsc_deadline(l), 0);
    lapic_set_tsc_deadline(l, 1); // has passed
    assert_true(fired(0x70));
    lapic_set_tsc_offset(l, 1000000);
    lapic_set_tsc_deadline(l, 1006000);
    assert_int_equal(a.armed[0], 6000);
    lapic_set_tsc_offset(l, 2000000); // the guest sets its TSC forward
    assert_true(fired(0x70));
    lapic_set_tsc_deadline(l, ~0ull);
    assert_false(fired(0x70));
    lapic_wrmsr(l, 0x832, 0x70); // leaving the mode disarms
    assert_int_equal(a.armed[0], ~0ull);
    lapic_wrmsr(l, 0x832, 0x40070);
    assert_int_equal(lapic_tsc_deadline(l), 0);
}

// IRR, ISR and TPR against 256 bits without any shortcut.
struct model {
    bool irr[256], isr[256];
    unsigned tpr;
};

static int top(const bool *set)
{
    for (int v = 255; v >= 0; v--)
        if (set[v])
            return v;
    return -1;
}

static int model_highest(const struct model *m)
{
    int irr = top(m->irr), isr = top(m->isr);
    unsigned ppr = isr >= 0 && (unsigned)isr >> 4 > m->tpr >> 4 ? (unsigned)isr & 0xf0 : m->tpr;
    return irr >= 0 && (unsigned)irr >> 4 > ppr >> 4 ? irr : -1;
}

static void step(struct model *m)
{
    uint8_t vector = (uint8_t)(16 + rand() % 240);
    switch (rand() % 6) {
    case 0:
        lapic_wrmsr(l, 0x83f, vector);
        m->irr[vector] = true;
        break;
    case 1:
        lapic_post(l, vector, rand() & 1);
        lapic_merge(l);
        m->irr[vector] = true;
        break;
    case 2:
        lapic_wrmsr(l, 0x808, vector);
        m->tpr = vector;
        break;
    case 3:
        lapic_wrmsr(l, 0x80b, 0);
        if (top(m->isr) >= 0)
            m->isr[top(m->isr)] = false;
        break;
    default:
        if (lapic_highest(l) == LAPIC_NONE)
            break;
        vector = (uint8_t)lapic_highest(l);
        lapic_accept(l, vector);
        m->irr[vector] = false;
        m->isr[vector] = true;
    }
}

static void priorities_match_a_naive_model(void **state)
{
    (void)state;
    struct model m = {0};
    srand(1);
    for (unsigned i = 0; i < 200000; i++) {
        step(&m);
        assert_int_equal(lapic_highest(l), model_highest(&m));
        if (i % 100)
            continue;
        uint8_t irr = l->irr_words, isr = l->isr_words;
        uint32_t ppr = l->regs[LAPIC_PPR * 4];
        lapic_resync(l);
        assert_true(irr == l->irr_words && isr == l->isr_words && ppr == l->regs[LAPIC_PPR * 4]);
        if (i % 1000 == 0)
            lapic_wrmsr(l, 0x808, m.tpr = 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(power_up_state, start),
        cmocka_unit_test_setup(apic_base_transitions, start),
        cmocka_unit_test_setup(disabling_forgets, start_xapic),
        cmocka_unit_test_setup(x2apic_msrs_that_exist, start_x2apic),
        cmocka_unit_test_setup(x2apic_reserved_bits, start_x2apic),
        cmocka_unit_test_setup(ids_differ_by_mode, start_x2apic),
        cmocka_unit_test_setup(self_ipi_and_eoi, start_x2apic),
        cmocka_unit_test_setup(accepted_at_once, start_x2apic),
        cmocka_unit_test_setup(written_by_the_processor, start_xapic),
        cmocka_unit_test_setup(requests_of_the_processor, start_x2apic),
        cmocka_unit_test_setup(ended_by_the_processor, start_x2apic),
        cmocka_unit_test_setup(vectors_below_16_are_errors, start_x2apic),
        cmocka_unit_test_setup(xapic_reserved_registers, start_xapic),
        cmocka_unit_test_setup(software_disable, start_xapic),
        cmocka_unit_test_setup(xapic_destinations, start_xapic),
        cmocka_unit_test_setup(x2apic_destinations, start_x2apic),
        cmocka_unit_test_setup(delivery_modes, start_x2apic),
        cmocka_unit_test_setup(one_kick_until_merged, start_x2apic),
        cmocka_unit_test_setup(level_interrupts_broadcast_their_eoi, start_x2apic),
        cmocka_unit_test_setup(local_pins, start_x2apic),
        cmocka_unit_test_setup(timer_one_shot, start_x2apic),
        cmocka_unit_test_setup(timer_divides, start_x2apic),
        cmocka_unit_test_setup(timer_periodic, start_x2apic),
        cmocka_unit_test_setup(timer_never_counts_above_its_initial_count, start_x2apic),
        cmocka_unit_test_setup(timer_tsc_deadline, start_x2apic),
        cmocka_unit_test_setup(priorities_match_a_naive_model, start_x2apic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
