// The dirty log by all three methods, under a processor that caches translations with their dirty flags and notes
// addresses, against an array of pages: the same accesses give the same answers, and the right ones.
#include "mm/dirty.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/memory.h"
#include "mm/mm.h"
#include "mm/space_impl.h"
#include "tests/host/ept_lookup.h"
#include "tests/host/mm_test.h"

enum {
    FRAMES = 8192,
    VM = OWNER_VM,
    FIRST = 448,
    PAGES = 2000,
    STEPS = 3000,
    NOTES = 512,
    REGION_PAGES = 512
};

static struct space *s;

static int start_with(enum dirty_method method)
{
    mm_test_start(FRAMES, (struct ept_features){.accessed_dirty = true, .pages_2m = true});
    dirty_method = method;
    s = space_create(VM);
    assert_int_equal(space_add_slot(s, gfn(FIRST), PAGES, SLOT_RAM), E_OK);
    return 0;
}

static int start(void **state)
{
    (void)state;
    return start_with(DIRTY_BITS);
}

static int finish(void **state)
{
    (void)state;
    space_destroy(s);
    mm_test_finish();
    return 0;
}

// ---- The processor ----

static struct {
    struct {
        bool valid, writable, dirty; // as cached
    } tlb[PAGES];
    uint64_t notes[NOTES];
    unsigned count;
} cpu;

static void hand_over(void)
{
    dirty_note(s, cpu.notes, cpu.count);
    cpu.count = 0;
}

// An exit and the way back.
static void enter(void)
{
    if (!seat_stale(s, &seats[0]))
        return;
    hand_over();
    if (space_enter(s, &seats[0]))
        memset(cpu.tlb, 0, sizeof(cpu.tlb));
}

// One walk, with the flags it sets; false: an EPT violation.
static bool walk(uint64_t page, bool write)
{
    unsigned level;
    uint64_t *entry = ept_walk(&s->ept, gpa((FIRST + page) << PAGE_SHIFT), &level);
    if (!(*entry & EPT_READ) || (write && !(*entry & EPT_WRITE)))
        return false;
    if (write && !(*entry & EPT_DIRTY) && dirty_method == DIRTY_PML) {
        if (cpu.count == NOTES)
            hand_over(); // page full
        cpu.notes[cpu.count++] = (FIRST + page) << PAGE_SHIFT | 0x123;
    }
    *entry |= EPT_ACCESSED | (write ? EPT_DIRTY : 0);
    cpu.tlb[page].valid = true;
    cpu.tlb[page].writable = *entry & EPT_WRITE;
    cpu.tlb[page].dirty = *entry & EPT_DIRTY;
    return true;
}

// False: the guest got a fault for it.
static bool access(uint64_t page, bool write)
{
    for (int tries = 0;; tries++) {
        assert_true(tries < 3);
        if (cpu.tlb[page].valid && (!write || (cpu.tlb[page].writable && cpu.tlb[page].dirty)))
            return true;
        if (walk(page, write))
            continue;
        enum error e = space_fault(s, gpa((FIRST + page) << PAGE_SHIFT), write ? ACCESS_WRITE : ACCESS_READ);
        cpu.tlb[page].valid = false; // SDM: an EPT violation drops what is cached for the address
        if (e == E_DENIED)
            return false;
        assert_int_equal(e, E_OK);
    }
}

// ---- The log ----

static uint8_t answer[PAGES];

static void sync(void)
{
    dirty_sync(s);
    assert_false(space_has_passed(s));
    enter();
    assert_true(space_has_passed(s));
}

// All of [page, page + pages) into `answer`, in as many calls as it takes.
static unsigned look(uint64_t page, uint64_t pages)
{
    uint64_t bits[PAGES / 64 + 1], done = 0;
    unsigned n = 0;
    for (uint64_t at = page; at < page + pages; at += done) {
        assert_int_equal(dirty_read(s, gfn(FIRST + at), page + pages - at, bits, &done), E_OK);
        assert_true(done > 0 && done <= page + pages - at);
        for (uint64_t i = 0; i < done; i++) {
            answer[at + i] = bits[i / 64] >> i % 64 & 1;
            n += answer[at + i];
        }
        if (done % 64)
            assert_int_equal(bits[done / 64] >> done % 64, 0);
    }
    enter();
    return n;
}

static void all_is_dirty_at_first_and_clean_then(void **state)
{
    (void)state;
    for (enum dirty_method m = 0; m < DIRTY_METHOD_COUNT; m++) {
        start_with(m);
        enter();
        for (int eager = 0; eager < 2; eager++) {
            assert_int_equal(dirty_start(s, gfn(FIRST + 7)), E_OK);
            sync(); // or notes of writes before the start could come later
            assert_int_equal(look(0, PAGES), PAGES);
            assert_int_equal(look(0, PAGES), 0);
            assert_true(access(700, false));
            sync();
            assert_int_equal(look(0, PAGES), 0);
            assert_true(access(700, true));
            sync();
            assert_int_equal(look(0, PAGES), 1);
            assert_int_equal(answer[700], 1);
            assert_true(access(700, true));
            assert_true(access(701, true));
            sync();
            assert_int_equal(look(0, PAGES), 2);
            sync();
            assert_int_equal(look(0, PAGES), 0);
            assert_int_equal(dirty_stop(s, gfn(FIRST)), E_OK);
            assert_true(access(705, true));
            space_populate(s, gfn(FIRST));
        }
        finish(NULL);
    }
    start(NULL);
}

static void a_clean_read_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(dirty_start(s, gfn(FIRST)), E_OK);
    look(0, PAGES);
    uint64_t generation = space_generation(s);
    look(0, PAGES);
    assert_int_equal(space_generation(s), generation);
}

static void mistakes_are_told(void **state)
{
    (void)state;
    uint64_t bits[8] = {0}, done;
    assert_int_equal(dirty_read(s, gfn(FIRST), 64, bits, &done), E_NOT_FOUND);
    assert_int_equal(dirty_stop(s, gfn(FIRST)), E_NOT_FOUND);
    assert_int_equal(dirty_start(s, gfn(FIRST - 1)), E_BAD_ADDRESS);
    assert_int_equal(dirty_start(s, gfn(~0ull)), E_BAD_ADDRESS);
    assert_int_equal(space_add_slot(s, gfn(100001), 4, SLOT_RAM), E_OK);
    assert_int_equal(space_add_slot(s, gfn(200000), 64, SLOT_WINDOW), E_OK);
    assert_int_equal(dirty_start(s, gfn(100001)), E_UNSUPPORTED);
    assert_int_equal(dirty_start(s, gfn(200000)), E_BAD_ADDRESS);
    uint64_t rest = buddy_available(&frames);
    assert_int_equal(buddy_reserve(&frames, rest), E_OK);
    assert_int_equal(dirty_start(s, gfn(FIRST)), E_NO_MEMORY);
    buddy_unreserve(&frames, rest);
    assert_int_equal(dirty_start(s, gfn(FIRST)), E_OK);
    assert_int_equal(dirty_start(s, gfn(FIRST)), E_EXISTS);
    assert_int_equal(dirty_read(s, gfn(FIRST + 1), 64, bits, &done), E_INVALID);
    assert_int_equal(dirty_read(s, gfn(FIRST), 0, bits, &done), E_INVALID);
    assert_int_equal(dirty_read(s, gfn(0), 64, bits, &done), E_BAD_ADDRESS);
    assert_int_equal(dirty_read(s, gfn(FIRST + 64), 1, bits, &done), E_OK);
    assert_int_equal(done, 1);
    assert_int_equal(bits[0], ~0ull); // the word is taken whole
    dirty_put_back(s, gfn(FIRST + 64), done, bits);
    assert_int_equal(dirty_read(s, gfn(FIRST + 64), 64, bits, &done), E_OK);
    assert_int_equal(bits[0], ~0ull);
}

// ---- A slot whose bitmap is more than a frame ----

enum { FAR = 1 << 20, MANY = 100 * 1000 + 7, PART_WORDS = PAGE_SIZE / 8 };

// How many pages of the slot are told of, in calls of that many.
static uint64_t count_far(uint64_t pages)
{
    static uint64_t bits[MANY / 64 + 1];
    uint64_t n = 0, done;
    for (uint64_t at = 0; at < MANY; at += done) {
        assert_int_equal(dirty_read(s, gfn(FAR + at), min_u64(pages, MANY - at), bits, &done), E_OK);
        assert_in_range(done, 1, min_u64(pages, MANY - at));
        for (uint64_t i = 0; i < align_up(done, 64) / 64; i++)
            n += (unsigned)__builtin_popcountll(bits[i]);
    }
    return n;
}

static void a_large_log_is_filled_as_it_is_read(void **state)
{
    (void)state;
    enum { WORD = 3 * PART_WORDS }; // in the last frame
    assert_int_equal(space_add_slot(s, gfn(FAR), MANY, SLOT_RAM | SLOT_BALLOON), E_OK);
    for (int life = 0; life < 2; life++) {
        assert_int_equal(dirty_start(s, gfn(FAR)), E_OK);
        uint64_t *word = &s->slot[1].dirty[WORD], rubbish = 0x5a5a5a5a5a5a5a5a;
        assert_int_not_equal(*word, ~0ull); // nobody had the time
        *word = rubbish;
        assert_int_equal(count_far(64 * 100), MANY);
        assert_int_equal(*word, 0);
        assert_int_equal(count_far(MANY), 0);
        dirty_note(s, (uint64_t[]){(FAR + WORD * 64ull + 5) << PAGE_SHIFT}, 1);
        assert_int_equal(*word, 1 << 5);
        assert_int_equal(count_far(64 * 100), 1);
        assert_int_equal(dirty_stop(s, gfn(FAR)), E_OK);
    }
}

// ---- At random ----

static bool model[PAGES], writable[PAGES];

static void expect_model(uint64_t page, uint64_t pages)
{
    for (uint64_t i = page; i < page + pages; i++)
        if (answer[i] != model[i])
            fail_msg("%s: page %lu: expected %d, got %d", dirty_method_word(dirty_method), i, model[i],
                     answer[i]);
    memset(model + page, 0, pages);
}

static void random_rights(void)
{
    uint64_t page = (uint64_t)rand() % PAGES, pages = 1 + (uint64_t)rand() % 700, done;
    bool write = rand() % 4;
    while (page < PAGES && pages) {
        uint64_t n = min_u64(pages, PAGES - page);
        assert_int_equal(space_set_rights(s, gfn(FIRST + page), n, write ? SLOT_RAM : SLOT_READ, &done),
                         E_OK);
        for (uint64_t i = page; i < page + done; i++)
            model[i] = true, writable[i] = write;
        page += done;
        pages -= done;
    }
    enter();
}

// Some pages are cached as dirty when the log is read.
static void write_some(void)
{
    sync();
    for (int i = 0; i < 300; i++) {
        uint64_t page = (uint64_t)rand() % PAGES;
        model[page] |= access(page, true);
    }
    hand_over();
}

// No log for a while, in which leaves begin to go together again.
static void pause_log(void)
{
    assert_int_equal(dirty_stop(s, gfn(FIRST)), E_OK);
    for (int i = rand() % 8; i > 0; i--) {
        uint64_t page = (uint64_t)rand() % PAGES;
        assert_int_equal(access(page, true), writable[page]);
        enter();
        quarantine_poll();
    }
    assert_int_equal(dirty_start(s, gfn(FIRST)), E_OK);
    memset(model, true, sizeof(model));
}

static unsigned level_of(uint64_t page)
{
    struct ept_leaf leaf;
    assert_true(ept_lookup(&s->ept, gfn_to_gpa(gfn(page)), &leaf));
    return leaf.level;
}

// Without log, and all pages alike: no write faults any more, and whole regions are large leaves as they were at first.
static void all_goes_together(void)
{
    uint64_t done;
    assert_int_equal(dirty_stop(s, gfn(FIRST)), E_OK);
    for (uint64_t page = FIRST; page < FIRST + PAGES; page += done)
        assert_int_equal(space_set_rights(s, gfn(page), FIRST + PAGES - page, SLOT_RAM, &done), E_OK);
    do
        enter();
    while (quarantine_poll());
    for (uint64_t page = FIRST; page < FIRST + PAGES; page++) {
        bool whole = page / REGION_PAGES * REGION_PAGES >= FIRST &&
                     (page / REGION_PAGES + 1) * REGION_PAGES <= FIRST + PAGES;
        assert_int_equal(level_of(page), whole ? EPT_2M : EPT_4K);
        cpu.tlb[page - FIRST].valid = false;
        assert_true(walk(page - FIRST, true));
    }
    assert_true(dirty_method != DIRTY_PML || cpu.count == 0);
}

static void random_step(void)
{
    uint64_t page = (uint64_t)rand() % PAGES;
    uint8_t byte = 0;
    switch (rand() % 200) {
    case 0:
        random_rights();
        return;
    case 1:
        page = page / 64 * 64;
        write_some();
        uint64_t pages = min_u64((1 + (uint64_t)rand() % 30) * 64, PAGES - page);
        look(page, pages);
        expect_model(page, pages);
        return;
    case 3:
        if (rand() % 4 == 0)
            pause_log();
        return;
    case 2:
        write_some();
        look(0, PAGES);
        expect_model(0, PAGES);
        return;
    default:
        if (rand() % 3 == 0) {
            bool ok = guest_write(s, gpa((FIRST + page) << PAGE_SHIFT), &byte, 1) == E_OK;
            assert_int_equal(ok, writable[page]);
            model[page] |= ok;
        } else if (rand() % 2) {
            assert_int_equal(access(page, true), writable[page]);
            model[page] |= writable[page];
        } else {
            assert_true(access(page, false));
        }
    }
}

static void every_method_agrees_with_the_array(void **state)
{
    (void)state;
    for (enum dirty_method m = 0; m < DIRTY_METHOD_COUNT; m++)
        for (int eager = 0; eager < 2; eager++) {
            start_with(m);
            srand(23);
            memset(&cpu, 0, sizeof(cpu));
            memset(model, true, sizeof(model));
            memset(writable, true, sizeof(writable));
            if (eager)
                space_populate(s, gfn(FIRST));
            assert_int_equal(dirty_start(s, gfn(FIRST)), E_OK);
            enter();
            for (int i = 0; i < STEPS * 10; i++)
                random_step();
            if (eager)
                all_goes_together();
            finish(NULL);
        }
    start(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(all_is_dirty_at_first_and_clean_then, finish),
        cmocka_unit_test_setup_teardown(a_clean_read_changes_nothing, start, finish),
        cmocka_unit_test_setup_teardown(mistakes_are_told, start, finish),
        cmocka_unit_test_setup_teardown(a_large_log_is_filled_as_it_is_read, start, finish),
        cmocka_unit_test_teardown(every_method_agrees_with_the_array, finish),
    };
    return cmocka_run_group_tests(tests, NULL, mm_test_stop);
}
