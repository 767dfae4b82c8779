// The model of cached translations, alone and around real spaces: with every rule kept no entry is wrong; each rule
// broken on purpose is noticed.
#include "vmx/tags.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/memory.h"
#include "mm/mm.h"
#include "mm/quarantine.h"
#include "mm/space_impl.h"
#include "tests/host/ram.h"
#include "sdm/bits.h"

static struct tags t;
static struct reason why;
static const struct tag_paging reset;

static int start(void **state)
{
    (void)state;
    t = (struct tags){0};
    why.text[0] = '\0';
    return 0;
}

static enum error enter(uint64_t vpid, uint64_t stay, uint64_t root, uint64_t generation)
{
    return tags_enter(&t, (struct tag){vpid, stay}, (struct tag){root, generation}, &why);
}

// ---- The sets ----

static void the_same_again_owes_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(enter(1 + i % 5, 10 + i % 5, 0x1000 * (i % 3), i % 3), E_OK);
}

static void a_root_that_comes_back_owes_invept(void **state)
{
    (void)state;
    assert_int_equal(enter(1, 1, 0x101e, 7), E_OK);
    assert_int_equal(enter(2, 2, 0x201e, 8), E_OK);
    tags_invvpid(&t, 1);
    tags_invvpid_all(&t); // leaves what roots tag
    assert_int_equal(enter(3, 3, 0x101e, 9), E_INVALID);
    assert_non_null(strstr(why.text, "expected INVEPT: EPT root 101e"));
    assert_int_equal(enter(3, 3, 0x101e, 9), E_OK); // told once
    tags_invept_all(&t);
    assert_int_equal(enter(3, 3, 0x101e, 10), E_OK);
    assert_int_equal(enter(2, 2, 0x201e, 11), E_OK);
}

static void a_vpid_that_comes_back_owes_invvpid(void **state)
{
    (void)state;
    assert_int_equal(enter(5, 1, 0x1000, 1), E_OK);
    assert_int_equal(enter(6, 2, 0x1000, 1), E_OK);
    tags_invvpid(&t, 6);
    assert_int_equal(enter(5, 3, 0x1000, 1), E_INVALID);
    assert_non_null(strstr(why.text, "expected INVVPID: VPID 5"));
    tags_invvpid(&t, 5);
    assert_int_equal(enter(5, 4, 0x1000, 1), E_OK);
    tags_invvpid_all(&t);
    assert_int_equal(enter(5, 5, 0x1000, 1), E_OK);
    tags_invept_all(&t); // combined mappings carry both tags
    assert_int_equal(enter(5, 6, 0x1000, 1), E_OK);
}

static void without_vpids_entries_flush(void **state)
{
    (void)state;
    assert_int_equal(enter(0, 1, 0x1000, 1), E_OK);
    assert_int_equal(enter(0, 2, 0x1000, 1), E_OK);
    assert_int_equal(enter(0, 3, 0x1000, 2), E_INVALID);
}

static void what_was_seen_longest_ago_is_forgotten(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= TAGS_KEPT + 1; i++)
        assert_int_equal(enter(i, i, i << 12, i), E_OK);
    assert_int_equal(enter(1, 99, 0x1000, 99), E_OK);
    assert_int_equal(enter(3, 99, 0x3000, 99), E_INVALID);
    assert_int_equal(t.vpids.count, TAGS_KEPT);
}

// ---- vCPUs ----

static void a_stay_lasts_while_nothing_interferes(void **state)
{
    struct tag_stay stay = {0};
    struct tag_paging now = reset;
    (void)state;
    uint64_t stamp = tags_stamp(&stay, 0, &now);
    assert_int_not_equal(stamp, 0);
    now = (struct tag_paging){CR0_PG | CR0_PE, 0x5000, CR4_PAE, EFER_LMA}; // the guest's own doing
    tags_left(&stay, &now);
    assert_int_equal(tags_stamp(&stay, 0, &now), stamp);
    now.cr4 |= CR4_OSFXSR; // drops nothing
    assert_int_equal(tags_stamp(&stay, 0, &now), stamp);
}

static void moving_begins_another(void **state)
{
    struct tag_stay stay = {0};
    (void)state;
    uint64_t first = tags_stamp(&stay, 0, &reset), second = tags_stamp(&stay, 1, &reset),
             third = tags_stamp(&stay, 0, &reset);
    assert_true(first != second && second != third && first != third);
    assert_int_equal(enter(5, first, 0x1000, 1), E_OK);
    assert_int_equal(enter(5, third, 0x1000, 1), E_INVALID); // back, and nothing was dropped here
}

static void registers_changed_in_its_place_do_too(void **state)
{
    static const struct tag_paging changed[] = {{.cr0 = CR0_PG},   {.cr3 = 0x1000},    {.cr4 = CR4_PGE},
                                                {.cr4 = CR4_PAE},  {.cr4 = CR4_PCIDE}, {.cr4 = CR4_SMEP},
                                                {.efer = EFER_NXE}};
    (void)state;
    for (size_t i = 0; i < array_size(changed); i++) {
        struct tag_stay stay = {0};
        uint64_t stamp = tags_stamp(&stay, 0, &reset);
        tags_left(&stay, &reset);
        assert_int_not_equal(tags_stamp(&stay, 0, &changed[i]), stamp);
    }
}

// ---- Around real spaces: machines come, move and go; VPIDs and roots are used again ----

enum { FRAMES = 1024, CPUS = 3, MACHINES = 4, STEPS = 20000 };
enum rules { INVEPT_WHEN_OWED = 1, INVVPID_WHEN_NEW = 2, INVVPID_FOR_CR = 4, ALL_RULES = 7 };

static struct processor {
    struct tags tags;
} processors[CPUS];
static struct model {
    struct space *space;
    struct tag_stay stay;
    struct tag_paging paging;
    unsigned bound; // to the processor before this number; 0: to none
} machines[MACHINES];

static void leave(const struct model *m)
{
    if (m->bound && seats[m->bound - 1].space == m->space)
        space_leave(m->bound - 1);
}

static void reborn(unsigned i)
{
    struct model *m = &machines[i];
    if (m->space) {
        leave(m);
        space_destroy(m->space);
        while (quarantine_poll())
            ;
    }
    *m = (struct model){.space = space_create((uint16_t)(OWNER_VM + i))};
    assert_non_null(m->space);
}

static enum error run(unsigned i, unsigned cpu, unsigned rules)
{
    struct model *m = &machines[i];
    struct processor *p = &processors[cpu];
    uint64_t vpid = i + 1;
    if (m->bound != cpu + 1) {
        leave(m);
        m->bound = cpu + 1;
        if (rules & INVVPID_WHEN_NEW)
            tags_invvpid(&p->tags, vpid);
    }
    if (rand() % 8 == 0) {
        m->paging.cr4 ^= CR4_PGE;
        if (rules & INVVPID_FOR_CR)
            tags_invvpid(&p->tags, vpid);
    }
    if (seat_stale(m->space, &seats[cpu]) && space_enter(m->space, &seats[cpu]) && rules & INVEPT_WHEN_OWED)
        tags_invept_all(&p->tags);
    struct tag stay = {vpid, tags_stamp(&m->stay, cpu, &m->paging)};
    enum error e =
        tags_enter(&p->tags, stay, (struct tag){space_eptp(m->space), seats[cpu].generation}, &why);
    tags_left(&m->stay, &m->paging);
    return e;
}

// The sentence about the first wrong entry, "" when there was none.
static const char *live(unsigned rules)
{
    memset(processors, 0, sizeof(processors));
    memset(machines, 0, sizeof(machines));
    assert_int_equal(host_mm_start(FRAMES), E_OK);
    srand(29);
    why.text[0] = '\0';
    for (unsigned i = 0; i < MACHINES; i++)
        reborn(i);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)rand() % MACHINES, cpu = (unsigned)rand() % 4 ? machines[i].bound : 0;
        if (rand() % 50 == 0)
            reborn(i);
        if (run(i, cpu ? cpu - 1 : (unsigned)rand() % CPUS, rules))
            return why.text;
    }
    return "";
}

static void kept_rules_make_no_wrong_entry(void **state)
{
    (void)state;
    assert_string_equal(live(ALL_RULES), "");
}

static void a_broken_rule_is_noticed(void **state)
{
    (void)state;
    assert_non_null(strstr(live(ALL_RULES & ~INVEPT_WHEN_OWED), "expected INVEPT"));
    assert_non_null(strstr(live(ALL_RULES & ~INVVPID_WHEN_NEW), "expected INVVPID"));
    assert_non_null(strstr(live(ALL_RULES & ~INVVPID_FOR_CR), "expected INVVPID"));
}

static int stop(void **state)
{
    (void)state;
    free(host_ram);
    host_ram = NULL;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_same_again_owes_nothing, start),
        cmocka_unit_test_setup(a_root_that_comes_back_owes_invept, start),
        cmocka_unit_test_setup(a_vpid_that_comes_back_owes_invvpid, start),
        cmocka_unit_test_setup(without_vpids_entries_flush, start),
        cmocka_unit_test_setup(what_was_seen_longest_ago_is_forgotten, start),
        cmocka_unit_test_setup(a_stay_lasts_while_nothing_interferes, start),
        cmocka_unit_test_setup(moving_begins_another, start),
        cmocka_unit_test_setup(registers_changed_in_its_place_do_too, start),
        cmocka_unit_test_setup(kept_rules_make_no_wrong_entry, start),
        cmocka_unit_test_setup(a_broken_rule_is_noticed, start),
    };
    return cmocka_run_group_tests(tests, NULL, stop);
}
