// Invalidation is what no emulator at hand can show to be missing, so processors are modelled here with
// TLBs that keep everything until an INVEPT: tagged by EPTP, surviving switches, also of destroyed spaces.
#include "mm/quarantine.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/memory.h"
#include "mm/mm.h"
#include "mm/space_impl.h"
#include "tests/host/buddy_check.h"
#include "tests/host/ept_lookup.h"
#include "tests/host/ram.h"

enum { FRAMES = 1024, CPUS = 4, SPACES = 5, PAGES = 24, TLB = 4096, STEPS = 300000, VM = OWNER_VM };

struct translation {
    uint64_t eptp, gfn;
    hpa_t at;
};

static struct cpu {
    struct space *in_guest; // runs its guest at this moment; NULL: in the hypervisor or idle
    unsigned count;
    struct translation tlb[TLB];
} cpus[CPUS];

static struct space *spaces[SPACES];
static uint16_t owners[SPACES];
static uint16_t next_owner;
static uint64_t free_at_start;

static int start(void **state)
{
    (void)state;
    memset(cpus, 0, sizeof(cpus));
    memset(spaces, 0, sizeof(spaces));
    memset(pcpus, 0, sizeof(pcpus));
    assert_int_equal(host_mm_start(FRAMES), E_OK);
    free_at_start = frames.free;
    next_owner = VM;
    srand(17);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < CPUS; i++) // after a failed test too, or the next line would never end
        space_leave(i);
    while (quarantine_poll())
        ;
    frame_cache_flush(host_frame_cache);
    assert_int_equal(frames.free, free_at_start);
    assert_int_equal(frames.promised, 0);
    assert_null(buddy_check(&frames));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    free(host_ram);
    host_ram = NULL;
    return 0;
}

// ---- One step at a time ----

static struct space *make(uint16_t owner)
{
    struct space *s = space_create(owner);
    assert_non_null(s);
    assert_int_equal(space_add_slot(s, gfn(0), PAGES, SLOT_RAM | SLOT_BALLOON), E_OK);
    uint64_t done;
    for (uint64_t i = 0; i < PAGES; i += done)
        assert_int_equal(space_take(s, gfn(i), PAGES - i, ~0ull, &done), E_OK);
    return s;
}

static void an_unmapped_frame_waits_for_those_who_run_the_space(void **state)
{
    (void)state;
    struct space *s = make(VM), *other = make(VM + 1);
    uint64_t done, pages = PAGES + 4; // RAM and tables
    assert_true(seat_stale(s, &seats[0]));
    assert_true(space_enter(s, &seats[0])); // a new space owes an INVEPT everywhere
    assert_false(seat_stale(s, &seats[0]));
    assert_true(space_enter(other, &seats[1]));
    assert_true(space_enter(s, &seats[2]));
    assert_false(space_enter(s, &seats[2])); // once done, not again

    assert_int_equal(space_give(s, gfn(3), 2, &done), E_OK);
    assert_int_equal(done, 2);
    assert_int_equal(pcpus[0].kick, 1);
    assert_int_equal(pcpus[1].kick, 0);
    assert_int_equal(pcpus[2].kick, 1);
    assert_true(quarantine_poll());
    assert_int_equal(buddy_owned(&frames, VM), pages);
    assert_true(seat_stale(s, &seats[0]));
    assert_true(space_enter(s, &seats[0]));
    assert_true(quarantine_poll()); // processor 2 has not passed
    assert_int_equal(buddy_owned(&frames, VM), pages);
    space_leave(2);
    assert_false(quarantine_poll());
    assert_int_equal(buddy_owned(&frames, VM), pages - 2);
    assert_true(space_enter(s, &seats[2])); // it compares before it comes back

    char byte = 1;
    assert_int_equal(guest_read(s, gpa(0x3000), &byte, 1), E_BAD_ADDRESS);
    assert_int_equal(space_fault(s, gpa(0x3000), ACCESS_READ), E_BAD_ADDRESS);
    assert_int_equal(space_take(s, gfn(3), 1, ~0ull, &done), E_OK);
    assert_int_equal(guest_read(s, gpa(0x3000), &byte, 1), E_OK);
    assert_int_equal(byte, 0);
    space_destroy(s);
    assert_true(quarantine_poll());
    assert_false(space_enter(other, &seats[0])); // older than the last INVEPT there
    space_leave(2);
    assert_false(quarantine_poll());
    assert_int_equal(buddy_owned(&frames, VM), 0);
    space_leave(0);
    space_leave(1);
    space_destroy(other);
}

// ---- Everything at random, against the model of the TLBs ----

static unsigned pick(unsigned n)
{
    return (unsigned)rand() % n;
}

// A translation that a running guest uses must lead to a frame that is still its own.
static void assert_reachable(const struct translation *t, uint16_t owner)
{
    const struct frame *f = &frames.frames[hpa_to_pfn(t->at).v];
    if (f->state != FRAME_USED || f->owner != owner)
        fail_msg("a stale translation leads to a frame that left: owner expected %u, got %u", owner,
                 f->owner);
}

static unsigned index_of(const struct space *s)
{
    unsigned i = 0;
    while (i < SPACES && spaces[i] != s)
        i++;
    return i;
}

static void guest_access(struct cpu *c, uint64_t page)
{
    struct space *s = c->in_guest;
    uint16_t owner = s->owner;
    for (unsigned i = 0; i < c->count; i++)
        if (c->tlb[i].eptp == space_eptp(s) && c->tlb[i].gfn == page) {
            assert_reachable(&c->tlb[i], owner);
            return;
        }
    struct ept_leaf leaf;
    if (!ept_lookup(&s->ept, gfn_to_gpa(gfn(page)), &leaf)) {
        uint64_t done;
        if (!s->dying && space_take(s, gfn(page), 1, ~0ull, &done) != E_OK)
            assert_int_equal(frames.free, 0);
        return; // the next access walks again
    }
    assert_true(c->count < TLB);
    c->tlb[c->count++] = (struct translation){space_eptp(s), page, leaf.at};
    assert_reachable(&c->tlb[c->count - 1], owner);
}

// What the entry path does.
static void enter(struct cpu *c, struct space *s)
{
    uint32_t id = (uint32_t)(c - cpus);
    if (seat_stale(s, &seats[id]) && space_enter(s, &seats[id]))
        c->count = 0; // INVEPT, all contexts
    c->in_guest = s;
}

static void step_cpu(struct cpu *c)
{
    struct space *s = spaces[pick(SPACES)];
    if (c->in_guest && pick(8)) {
        for (int i = 0; i < 3; i++)
            guest_access(c, pick(PAGES));
        return;
    }
    if (c->in_guest && index_of(c->in_guest) < SPACES && pick(2)) { // an exit and back
        enter(c, c->in_guest);
    } else if (s && pick(4)) { // another machine
        enter(c, s);
    } else { // idle
        c->in_guest = NULL;
        space_leave((uint32_t)(c - cpus));
    }
}

static void step_space(unsigned i)
{
    uint64_t done;
    if (!spaces[i] && next_owner < OWNER_COUNT) {
        spaces[i] = space_create(owners[i] = next_owner);
        if (!spaces[i])
            return;
        if (space_add_slot(spaces[i], gfn(0), PAGES, SLOT_RAM | SLOT_BALLOON) == E_OK) {
            next_owner++;
            return;
        }
        space_destroy(spaces[i]);
        spaces[i] = NULL;
    } else if (spaces[i] && pick(12) == 0) {
        space_destroy(spaces[i]);
        spaces[i] = NULL;
    } else if (spaces[i]) {
        uint64_t first = pick(PAGES);
        enum error e = space_give(spaces[i], gfn(first), 1 + pick((unsigned)(PAGES - first)), &done);
        assert_true(e == E_OK || e == E_NOT_FOUND);
    }
}

static void no_guest_ever_reaches_a_frame_that_left(void **state)
{
    (void)state;
    for (int i = 0; i < STEPS; i++) {
        if (pick(10))
            step_cpu(&cpus[pick(CPUS)]);
        else if (pick(3) == 0)
            step_space(pick(SPACES));
        else
            quarantine_poll();
        if (i % 1000 == 0)
            assert_null(buddy_check(&frames));
    }
    assert_true(next_owner > VM + 100); // it did make and destroy
    for (uint32_t i = 0; i < CPUS; i++)
        space_leave(i);
    for (unsigned i = 0; i < SPACES; i++)
        if (spaces[i])
            space_destroy(spaces[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_unmapped_frame_waits_for_those_who_run_the_space, start, finish),
        cmocka_unit_test_setup_teardown(no_guest_ever_reaches_a_frame_that_left, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, stop);
}
