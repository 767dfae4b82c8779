#include "kernel/symbols.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "arch/memory.h"

// What tools/symbols.py writes for three functions and the end of the text.
const uint32_t symbol_count = 4;
const uint32_t symbol_offsets[] = {0x1000, 0x1010, 0x1400, 0x2000};
const char symbol_names[] = "start\0boot_main\0vmx_exit\0";

static void finds_the_function_around_an_address(void **state)
{
    (void)state;
    static const struct {
        uint64_t address;
        const char *name;
        uint64_t offset;
    } rows[] = {
        {IMAGE_BASE + 0x1000, "start",     0    },
        {IMAGE_BASE + 0x100f, "start",     0xf  },
        {IMAGE_BASE + 0x1010, "boot_main", 0    },
        {IMAGE_BASE + 0x1fff, "vmx_exit",  0xbff},
        {IMAGE_BASE + 0xfff,  NULL,        0    },
        {IMAGE_BASE + 0x2000, NULL,        0    },
        {IMAGE_BASE - 1,      NULL,        0    },
        {0,                   NULL,        0    },
        {~0ull,               NULL,        0    },
    };
    for (size_t i = 0; i < array_size(rows); i++) {
        uint64_t offset = 0;
        const char *name = symbol_find(rows[i].address, &offset);
        if (!rows[i].name) {
            assert_null(name);
            continue;
        }
        assert_string_equal(name, rows[i].name);
        assert_int_equal(offset, rows[i].offset);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_the_function_around_an_address)};
    return cmocka_run_group_tests_name("symbols", tests, NULL, NULL);
}
