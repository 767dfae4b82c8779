#include "tests/host/mm_test.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "arch/memory.h"
#include "mm/mm.h"
#include "mm/quarantine.h"
#include "tests/host/buddy_check.h"

uint64_t free_at_start;

void mm_test_start(uint64_t pages, struct ept_features features)
{
    assert_int_equal(host_mm_start(pages), E_OK);
    ept_features = features;
    free_at_start = frames.free;
}

void mm_test_finish(void)
{
    for (uint32_t i = 0; i < PCPU_MAX; i++)
        space_leave(i);
    while (quarantine_poll())
        ;
    assert_int_equal(mm_at_rest(), free_at_start); // whatever the cache holds
    frame_cache_flush(host_frame_cache);
    assert_int_equal(frames.promised, 0);
    assert_int_equal(frames.free, free_at_start);
    assert_int_equal(mm_at_rest(), free_at_start);
    for (unsigned owner = OWNER_VM; owner < OWNER_COUNT; owner++)
        assert_int_equal(buddy_owned(&frames, (uint16_t)owner) + frames.account[owner].bytes, 0);
    assert_int_equal(buddy_owned(&frames, OWNER_OBJECTS), 0);
    const char *wrong = buddy_check(&frames);
    assert_string_equal(wrong ? wrong : "sound", "sound");
}

int mm_test_stop(void **state)
{
    (void)state;
    free(host_ram);
    host_ram = NULL;
    return 0;
}
