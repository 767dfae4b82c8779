#include "kernel/symbols.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "arch/memory.h"

// Three functions as tools/symbols.py would write them; 1 stands for "st", 2 for "_exit", in steps.
#define SELF(c) [c] = {c}
const uint32_t symbol_count = 4;
const uint64_t symbol_base = IMAGE_BASE + 0x1000;
const uint16_t symbol_sizes[] = {0x10, 0x3f0, 0xb00, 0x100};
// clang-format off
const uint8_t symbol_pairs[256][2] = {
    [1] = {'s', 't'}, [2] = {'_', 3}, [3] = {4, 5}, [4] = {'e', 'x'}, [5] = {'i', 't'},
    SELF('_'), SELF('a'), SELF('b'), SELF('c'), SELF('d'), SELF('e'), SELF('f'), SELF('g'), SELF('h'), SELF('i'),
    SELF('l'), SELF('m'), SELF('n'), SELF('o'), SELF('p'), SELF('r'), SELF('s'), SELF('t'), SELF('v'), SELF('w'),
    SELF('x'),
};
// clang-format on
const uint8_t symbol_names[] =
    "\1art\0boot_main\0vmx\2\0a_name_that_is_longer_than_what_a_panic_has_got_room_for";

static void finds_the_function_around_an_address(void **state)
{
    (void)state;
    static const struct {
        uint64_t address;
        const char *name;
        uint64_t offset;
    } rows[] = {
        {IMAGE_BASE + 0x1000, "start",                                           0    },
        {IMAGE_BASE + 0x100f, "start",                                           0xf  },
        {IMAGE_BASE + 0x1010, "boot_main",                                       0    },
        {IMAGE_BASE + 0x1eff, "vmx_exit",                                        0xaff},
        {IMAGE_BASE + 0x1fff, "a_name_that_is_longer_than_what_a_panic_has_got", 0xff },
        {IMAGE_BASE + 0xfff,  NULL,                                              0    },
        {IMAGE_BASE + 0x2000, NULL,                                              0    },
        {IMAGE_BASE - 1,      NULL,                                              0    },
        {0,                   NULL,                                              0    },
        {~0ull,               NULL,                                              0    },
    };
    for (size_t i = 0; i < array_size(rows); i++) {
        struct symbol symbol;
        assert_int_equal(symbol_find(rows[i].address, &symbol), rows[i].name != NULL);
        if (!rows[i].name)
            continue;
        assert_string_equal(symbol.name, rows[i].name);
        assert_int_equal(symbol.offset, rows[i].offset);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_the_function_around_an_address)};
    return cmocka_run_group_tests_name("symbols", tests, NULL, NULL);
}
