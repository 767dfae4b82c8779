#include "kernel/backtrace.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/pcpu.h"

static uint64_t stack[64]; // pairs {caller's rbp, return address}

static uint64_t at(unsigned i)
{
    return (uint64_t)(uintptr_t)&stack[i];
}

static struct stack_bounds bounds(void)
{
    return (struct stack_bounds){at(0), at(64)};
}

static size_t walk(uint64_t rbp, uint64_t *addresses)
{
    memset(addresses, 0, BACKTRACE_MAX * sizeof *addresses);
    return backtrace_walk(rbp, bounds(), addresses);
}

static int start(void **state)
{
    (void)state;
    memset(stack, 0, sizeof stack);
    for (unsigned i = 0; i < 3; i++) {
        stack[i * 4] = at(i * 4 + 4);
        stack[i * 4 + 1] = 0x1000 + i;
    }
    return 0;
}

static void follows_a_sound_chain(void **state)
{
    (void)state;
    uint64_t a[BACKTRACE_MAX];
    assert_int_equal(walk(at(0), a), 3); // the fourth frame is zeros
    assert_int_equal(a[0], 0x1000);
    assert_int_equal(a[2], 0x1002);
}

static void stops_at_garbage(void **state)
{
    (void)state;
    uint64_t a[BACKTRACE_MAX];
    const uint64_t garbage[] = {0, 1, ~0ull, at(0), at(4), at(1) + 4, at(63), at(64), 0xffff800000000000};
    for (size_t i = 0; i < array_size(garbage); i++) {
        stack[4] = garbage[i]; // what the second frame calls its caller
        assert_int_equal(walk(at(0), a), 2);
    }
    assert_int_equal(walk(0, a), 0);
    assert_int_equal(walk(at(0) - 8, a), 0);
    assert_int_equal(walk(at(63), a), 0); // half a frame
    assert_int_equal(backtrace_walk(at(0), (struct stack_bounds){0, 0}, a), 0);
}

static void is_bounded(void **state)
{
    (void)state;
    static uint64_t deep[4 * BACKTRACE_MAX];
    uint64_t a[BACKTRACE_MAX];
    for (size_t i = 0; i + 3 < array_size(deep); i += 2) {
        deep[i] = (uint64_t)(uintptr_t)&deep[i + 2];
        deep[i + 1] = 1;
    }
    struct stack_bounds all = {(uint64_t)(uintptr_t)deep, (uint64_t)(uintptr_t)(deep + array_size(deep))};
    assert_int_equal(backtrace_walk(all.low, all, a), BACKTRACE_MAX);
}

static void knows_the_stacks_of_a_slot(void **state)
{
    (void)state;
    const uint64_t slot = 0xffffd00000030000;
    static const struct {
        uint32_t at, low, high;
    } rows[] = {
        {0x0fff, 0,      0     }, // guards
        {0x1000, 0x1000, 0x5000},
        {0x4fff, 0x1000, 0x5000},
        {0x5000, 0,      0     },
        {0x6000, 0x6000, 0x8000},
        {0x8000, 0,      0     },
        {0x9fff, 0x9000, 0xb000},
        {0xc123, 0xc000, 0xe000},
        {0xb000, 0,      0     },
    };
    for (size_t i = 0; i < array_size(rows); i++) {
        struct stack_bounds s = backtrace_stack(slot, slot + rows[i].at);
        assert_int_equal(s.low, rows[i].high ? slot + rows[i].low : 0);
        assert_int_equal(s.high, rows[i].high ? slot + rows[i].high : 0);
    }
    assert_int_equal(backtrace_stack(slot, slot + PCPU_SLOT + 0x1000).high, 0); // a neighbour's stack
    assert_int_equal(backtrace_stack(slot, 0).high, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(follows_a_sound_chain, start),
        cmocka_unit_test_setup(stops_at_garbage, start),
        cmocka_unit_test_setup(is_bounded, start),
        cmocka_unit_test(knows_the_stacks_of_a_slot),
    };
    return cmocka_run_group_tests_name("backtrace", tests, NULL, NULL);
}
