#include "dev/pic.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "dev/line.h"

static struct pic pic;
static unsigned outputs;
static bool intr;

static void output(void *owner, bool asserted)
{
    assert_ptr_equal(owner, &pic);
    assert_true(asserted != intr);
    intr = asserted;
    outputs++;
}

static void out(uint16_t port, uint8_t v)
{
    pic.device.ops->out(&pic.device, port, v);
}

static uint8_t in(uint16_t port)
{
    return (uint8_t)pic.device.ops->in(&pic.device, port);
}

static void program(uint8_t icw4)
{
    out(0x20, 0x11);
    out(0x21, 0x20);
    out(0x21, 4);
    out(0x21, icw4);
    out(0xa0, 0x11);
    out(0xa1, 0x28);
    out(0xa1, 2);
    out(0xa1, 1);
}

static int start(void **state)
{
    (void)state;
    intr = false;
    pic_init(&pic, output, &pic);
    program(1);
    return 0;
}

static void edge(unsigned irq)
{
    pic_set(&pic, irq, false);
    pic_set(&pic, irq, true);
}

static void masked_after_start(void **state)
{
    (void)state;
    pic_init(&pic, NULL, NULL);
    for (unsigned i = 0; i < 16; i++)
        edge(i);
    assert_false(pic_pending(&pic));
    assert_int_equal(in(0x21), 0xff);
    assert_int_equal(in(0xa1), 0xff);
}

static void edges_interrupt_once(void **state)
{
    (void)state;
    edge(4);
    assert_true(pic_pending(&pic) && intr);
    assert_int_equal(pic_acknowledge(&pic), 0x24);
    assert_false(pic_pending(&pic) || intr);
    out(0x20, 0x20);
    assert_false(pic_pending(&pic));
    edge(4);
    assert_true(pic_pending(&pic));
}

static void a_request_that_vanishes_is_spurious(void **state)
{
    (void)state;
    edge(3);
    pic_set(&pic, 3, false);
    assert_false(pic_pending(&pic));
    assert_int_equal(pic_acknowledge(&pic), 0x27);
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0); // nothing in service
    edge(12);
    out(0xa1, 0xff);
    assert_int_equal(pic_acknowledge(&pic), 0x27);
}

static void cascade_and_priorities(void **state)
{
    (void)state;
    edge(12);
    assert_int_equal(pic_acknowledge(&pic), 0x2c);
    edge(8);
    assert_false(pic_pending(&pic)); // the master holds the slave back as a whole
    edge(3);
    assert_false(pic_pending(&pic)); // IRQ 3 ranks behind the cascade
    edge(1);
    assert_int_equal(pic_acknowledge(&pic), 0x21);
    out(0x20, 0x20);
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 4);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    assert_int_equal(pic_acknowledge(&pic), 0x28);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    assert_int_equal(pic_acknowledge(&pic), 0x23);
    pic_set(&pic, 2, true); // nobody's line
}

static void special_fully_nested_lets_the_slave_nest(void **state)
{
    (void)state;
    program(0x11);
    edge(12);
    assert_int_equal(pic_acknowledge(&pic), 0x2c);
    edge(8);
    assert_true(pic_pending(&pic));
    assert_int_equal(pic_acknowledge(&pic), 0x28);
}

static void levels_repeat_until_released(void **state)
{
    (void)state;
    out(0x4d0, 0xff);
    out(0x4d1, 0xff);
    assert_int_equal(in(0x4d0), 0xf8);
    assert_int_equal(in(0x4d1), 0xde);
    pic_set(&pic, 10, true);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pic_acknowledge(&pic), 0x2a);
        assert_false(pic_pending(&pic));
        out(0xa0, 0x20);
        out(0x20, 0x20);
        assert_true(pic_pending(&pic));
    }
    pic_set(&pic, 10, false);
    assert_false(pic_pending(&pic));
}

static void rotation(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++)
        if (i != 2)
            edge(i);
    assert_int_equal(pic_acknowledge(&pic), 0x20);
    out(0x20, 0xa0); // rotate on non-specific EOI: 0 is last now
    assert_int_equal(pic_acknowledge(&pic), 0x21);
    out(0x20, 0xe3); // rotate on specific EOI of 3, which is not in service: 4 is first
    assert_int_equal(pic_acknowledge(&pic), 0x24);
    out(0x20, 0x64);
    out(0x20, 0x61);
    out(0x20, 0xc6); // set priority: 7 is first
    assert_int_equal(pic_acknowledge(&pic), 0x27);
    out(0x20, 0x67);
    assert_int_equal(pic_acknowledge(&pic), 0x23);
}

static void auto_eoi_with_rotation(void **state)
{
    (void)state;
    program(3);
    out(0x20, 0x80);
    edge(0);
    edge(1);
    assert_int_equal(pic_acknowledge(&pic), 0x20);
    edge(0);
    assert_int_equal(pic_acknowledge(&pic), 0x21);
    assert_int_equal(pic_acknowledge(&pic), 0x20);
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0);
    out(0x20, 0x00); // fixed priorities again
    edge(0);
    edge(1);
    assert_int_equal(pic_acknowledge(&pic), 0x21); // as rotation has left them
}

static void special_mask_mode_passes_over_what_is_masked(void **state)
{
    (void)state;
    edge(3);
    assert_int_equal(pic_acknowledge(&pic), 0x23);
    edge(6);
    assert_false(pic_pending(&pic));
    out(0x21, 8);
    assert_false(pic_pending(&pic));
    out(0x20, 0x68);
    assert_int_equal(pic_acknowledge(&pic), 0x26);
    out(0x20, 0x20); // does not end 3
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 8);
    out(0x20, 0x48);
    out(0x20, 0x20);
    assert_int_equal(in(0x20), 0);
}

static void poll_acknowledges(void **state)
{
    (void)state;
    edge(5);
    out(0x20, 0x0c);
    assert_int_equal(in(0x20), 0x85);
    assert_false(pic_pending(&pic));
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0x20);
    out(0x20, 0x0c);
    assert_int_equal(in(0x21), 0);
    assert_int_equal(in(0x21), 0); // IMR again
    edge(9);
    out(0xa0, 0x0c);
    assert_int_equal(in(0xa0), 0x81);
}

static void initialisation_sequences(void **state)
{
    (void)state;
    edge(4);
    out(0x21, 0xff);
    out(0x20, 0x12); // single, no ICW4
    assert_int_equal(in(0x21), 0);
    assert_false(pic_pending(&pic)); // the edge is forgotten
    out(0x21, 0x5f);
    out(0x21, 0x81); // OCW1 already
    assert_int_equal(in(0x21), 0x81);
    edge(1);
    assert_int_equal(pic_acknowledge(&pic), 0x59);
    out(0x20, 0x13);
    out(0x21, 0x60);
    out(0x21, 2); // ICW4: automatic EOI
    edge(1);
    pic_acknowledge(&pic);
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0);
    out(0x20, 0x10);
    out(0x21, 0x70);
    out(0x21, 4); // ICW3
    out(0x21, 0xfe);
    assert_int_equal(in(0x21), 0xfe);
}

// One chip, fully nested with rotation and special mask, by walking through priorities one by one.
struct model {
    bool line[8], level[8], request[8], service[8], masked[8];
    unsigned first;
    bool special_mask;
};

static int model_asking(const struct model *m)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned n = (m->first + i) % 8;
        if (m->service[n] && !(m->special_mask && m->masked[n]))
            return -1;
        if (m->request[n] && !m->masked[n])
            return (int)n;
    }
    return -1;
}

static void model_line(struct model *m, unsigned n, bool level)
{
    if (level != m->line[n])
        m->request[n] = level;
    m->line[n] = level;
}

static void model_eoi(struct model *m, bool rotate)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned n = (m->first + i) % 8;
        if (!m->service[n] || (m->special_mask && m->masked[n]))
            continue;
        m->service[n] = false;
        if (rotate)
            m->first = (n + 1) % 8;
        return;
    }
}

static void step(struct model *m)
{
    unsigned n = (unsigned)rand() % 8, what = (unsigned)rand() % 16;
    if (n == 2)
        return;
    if (what < 6) {
        bool level = rand() & 1;
        pic_set(&pic, n, level);
        model_line(m, n, level);
    } else if (what < 10 && pic_pending(&pic)) {
        int want = model_asking(m);
        assert_int_equal(pic_acknowledge(&pic), 0x20 + want);
        m->service[want] = true;
        if (!m->level[want])
            m->request[want] = false;
    } else if (what < 12) {
        out(0x20, what & 1 ? 0xa0 : 0x20);
        model_eoi(m, what & 1);
    } else if (what == 12) {
        out(0x20, (uint8_t)(0x60 | n));
        m->service[n] = false;
    } else if (what == 13) {
        m->masked[n] = !m->masked[n];
        out(0x21, in(0x21) ^ (uint8_t)(1u << n));
    } else if (what == 14) {
        m->special_mask = rand() & 1;
        out(0x20, m->special_mask ? 0x68 : 0x48);
    } else if (n > 2) {
        m->level[n] = !m->level[n];
        out(0x4d0, in(0x4d0) ^ (uint8_t)(1u << n));
        if (m->level[n])
            m->request[n] = m->line[n];
    }
}

static void one_chip_matches_a_naive_model(void **state)
{
    (void)state;
    struct model m = {0};
    srand(1);
    for (unsigned i = 0; i < 200000; i++) {
        step(&m);
        assert_int_equal(pic_pending(&pic), model_asking(&m) >= 0);
        assert_int_equal(intr, pic_pending(&pic));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(masked_after_start, start),
        cmocka_unit_test_setup(edges_interrupt_once, start),
        cmocka_unit_test_setup(a_request_that_vanishes_is_spurious, start),
        cmocka_unit_test_setup(cascade_and_priorities, start),
        cmocka_unit_test_setup(special_fully_nested_lets_the_slave_nest, start),
        cmocka_unit_test_setup(levels_repeat_until_released, start),
        cmocka_unit_test_setup(rotation, start),
        cmocka_unit_test_setup(auto_eoi_with_rotation, start),
        cmocka_unit_test_setup(special_mask_mode_passes_over_what_is_masked, start),
        cmocka_unit_test_setup(poll_acknowledges, start),
        cmocka_unit_test_setup(initialisation_sequences, start),
        cmocka_unit_test_setup(one_chip_matches_a_naive_model, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
