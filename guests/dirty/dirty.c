// The dirty log: which pages were written since the last look. A machine with `caps=log` looks at itself; one with
// `caps=control` and `watches=NAME` on its command line at another, which writes every second page of a stretch
// (`works`) until it is destroyed. `meek` has no right. `gib` looks at its first GiB, backed at once: leaves that
// were split go together again. `restart` has two processors: what one wrote is told of though INIT and SIPI start it
// anew right then. However the hypervisor logs, the points are the same.
#include "guests/lib/guest.h"
#include "guests/lib/smp.h"

enum { PAGE_BYTES = 4096, FIRST = 1024, PAGES = 1024, LAST = FIRST + PAGES, ROUNDS = 30, A_ROUND = 60 };
enum { STRETCH = 256, WATCHED = 40, PATIENCE_MS = 20000, IDS = 256, NAME_MAX = 31 };

static uint64_t bits[PAGES / 64];
static bool expected[PAGES];
static uint64_t ticks_a_ms;
static word_t vm_id;

static volatile uint8_t *byte_of(word_t page)
{
    return (volatile uint8_t *)(page * PAGE_BYTES + 100);
}

static sword_t ask(enum memory_op op, word_t id)
{
    return hypercall2(HC_MEMORY, op, id);
}

static sword_t read_log(word_t id, word_t first, word_t pages, void *to)
{
    return hypercall(HC_MEMORY, LOG_READ, id, first, pages, (word_t)to);
}

static bool wait_passed(word_t id)
{
    sword_t got = -E_AGAIN;
    for (uint64_t end = rdtsc() + PATIENCE_MS * ticks_a_ms; got == -E_AGAIN && rdtsc() < end;) {
        got = ask(LOG_PASSED, id);
        if (got == -E_AGAIN)
            yield();
    }
    return got == 0;
}

// The whole stretch, after everything written so far was noted. False: refused.
static bool look(word_t id)
{
    if (ask(LOG_SYNC, id) != 0 || !wait_passed(id))
        return false;
    for (word_t page = FIRST; page < LAST;) {
        sword_t n = read_log(id, page, LAST - page, &bits[(page - FIRST) / 64]);
        if (n <= 0)
            return false;
        page += (word_t)n;
    }
    return wait_passed(id);
}

static bool is_dirty(word_t page)
{
    return bits[(page - FIRST) / 64] >> (page - FIRST) % 64 & 1;
}

static uint32_t random_number(void)
{
    static uint32_t state = 7;
    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

static void expect(const char *name, sword_t want, sword_t got)
{
    check_equal(name, (uint64_t)want, (uint64_t)got);
}

static unsigned count(void)
{
    unsigned n = 0;
    for (word_t page = FIRST; page < LAST; page++)
        n += is_dirty(page);
    return n;
}

// How many pages are told otherwise than they should.
static unsigned wrong(void)
{
    unsigned n = 0;
    for (word_t page = FIRST; page < LAST; page++) {
        n += is_dirty(page) != expected[page - FIRST];
        expected[page - FIRST] = false;
    }
    return n;
}

static void write_page(word_t page)
{
    ++*byte_of(page);
    expected[page - FIRST] = true;
}

static void rounds(word_t me)
{
    unsigned errors = 0, refused = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (unsigned k = 0; k < A_ROUND; k++) {
            word_t page = FIRST + random_number() % PAGES;
            if (random_number() % 3)
                write_page(page);
            else
                (void)*byte_of(page);
        }
        refused += !look(me);
        errors += wrong();
    }
    expect("rounds-refused", 0, refused);
    expect("rounds-wrong", 0, errors);
}

// What the hypervisor writes for the guest is told of, too: here the log itself.
static void by_the_hypervisor(word_t me)
{
    word_t page = FIRST + 700;
    look(me);
    expect("written-by-log", 64, read_log(me, FIRST, 64, (void *)byte_of(page)));
    expected[page - FIRST] = true;
    look(me);
    expect("hypervisor-wrong", 0, wrong());
}

static void rights_count(word_t me)
{
    look(me);
    wrong();
    expect("set-read-only", 2, hypercall(HC_MEMORY, MEMORY_RIGHTS, FIRST + 9, 2, MEMORY_READ, 0));
    expect("set-all", 2, hypercall(HC_MEMORY, MEMORY_RIGHTS, FIRST + 9, 2, 7, 0));
    expected[9] = expected[10] = true;
    look(me);
    expect("rights-wrong", 0, wrong());
}

static sword_t leaf(word_t page)
{
    return hypercall2(HC_MEMORY, MEMORY_LEAF, page);
}

// Leaves go together in portions; the longest time that those take of this vCPU's, in ticks, is `longest_gap`.
static uint64_t longest_gap;

static bool leaf_becomes(word_t page, sword_t pages)
{
    uint64_t end = rdtsc() + PATIENCE_MS * ticks_a_ms, now, last = rdtsc();
    while (leaf(page) != pages && (last = rdtsc()) < end)
        for (unsigned i = 0; i < 10000; i++) {
            now = rdtsc();
            longest_gap = now - last > longest_gap ? now - last : longest_gap;
            last = now;
        }
    return leaf(page) == pages;
}

static void goes_together(bool eager)
{
    expect("leaf-while-logged", 1, leaf(FIRST + 3));
    expect("stop", 0, ask(LOG_STOP, vm_id));
    check(leaf_becomes(FIRST + 3, eager ? 512 : 1), "leaf-again", "expected %d pages\ngot %ld",
          eager ? 512 : 1, (long)leaf(FIRST + 3));
}

static void refusals(word_t me, word_t end)
{
    static uint64_t word;
    expect("read-between", -E_INVALID, read_log(me, FIRST + 1, 64, &word));
    expect("read-nothing", -E_INVALID, read_log(me, FIRST, 0, &word));
    expect("read-beyond", -E_BAD_ADDRESS, read_log(me, end, 64, &word));
    expect("read-to-nowhere", -E_BAD_ADDRESS, read_log(me, FIRST, 64, (void *)(end * PAGE_BYTES)));
    expect("other-machine", -E_DENIED, ask(LOG_START, me + 1));
    expect("wild-machine", -E_DENIED, ask(LOG_START, ~(word_t)0));
}

static int look_at_oneself(const struct start_info *start, bool eager)
{
    word_t me = start->vm_id, end = start->mem_bytes / PAGE_BYTES;
    tap_plan(26);
    expect("read-unlogged", -E_NOT_FOUND, read_log(me, FIRST, 64, bits));
    expect("stop-unlogged", -E_NOT_FOUND, ask(LOG_STOP, me));
    write_page(FIRST + 3);
    expect("start", 0, ask(LOG_START, me));
    expect("start-twice", -E_EXISTS, ask(LOG_START, me));
    check(look(me), "first-look", "expected yes\ngot no");
    expect("all-at-first", PAGES, count());
    look(me);
    expect("none-then", 0, count());
    wrong();
    write_page(FIRST + 3);
    write_page(FIRST + 900);
    (void)*byte_of(FIRST + 901);
    look(me);
    expect("two-then", 2, count());
    expect("two-wrong", 0, wrong());
    rounds(me);
    by_the_hypervisor(me);
    rights_count(me);
    refusals(me, end);
    goes_together(eager);
    write_page(FIRST + 3);
    expect("kept", 0, *byte_of(FIRST + 901));
    return tap_end();
}

// ---- A GiB ----

enum { GIB_PAGES = 512 * 512, FAR = 300 * 512 + 5 };

static bool read_all(void)
{
    static uint64_t words[GIB_PAGES / 64];
    for (word_t page = 0; page < GIB_PAGES;) {
        sword_t n = read_log(vm_id, page, GIB_PAGES - page, &words[page / 64]);
        if (n <= 0)
            return false;
        page += (word_t)n;
    }
    return ask(LOG_SYNC, vm_id) == 0 && wait_passed(vm_id);
}

static int look_at_a_gib(void)
{
    tap_plan(12);
    expect("leaf", GIB_PAGES, leaf(FAR));
    expect("set-read-only", 1, hypercall(HC_MEMORY, MEMORY_RIGHTS, FAR, 1, MEMORY_READ, 0));
    expect("leaf-split", 1, leaf(FAR));
    expect("leaf-beside", 512, leaf(FAR + 512));
    expect("set-back", 1, hypercall(HC_MEMORY, MEMORY_RIGHTS, FAR, 1, 7, 0));
    check(leaf_becomes(FAR, GIB_PAGES), "leaf-after-rights", "expected %d pages\ngot %ld", GIB_PAGES,
          (long)leaf(FAR));
    expect("start", 0, ask(LOG_START, vm_id));
    check(read_all(), "read", "expected yes\ngot no");
    *byte_of(FAR) = 5;
    expect("leaf-written", 1, leaf(FAR));
    expect("stop", 0, ask(LOG_STOP, vm_id));
    check(leaf_becomes(FAR, GIB_PAGES), "leaf-after-log", "expected %d pages\ngot %ld", GIB_PAGES,
          (long)leaf(FAR));
    expect("kept", 5, *byte_of(FAR));
    static const char name[] = "longest-gap", unit[] = "ticks";
    hypercall(HC_BENCH, longest_gap, (word_t)name, sizeof name - 1, (word_t)unit, sizeof unit - 1);
    return tap_end();
}

// ---- A processor that is started anew ----

enum { LIVES = 40, A_LIFE = 100 };
static volatile unsigned lives;

static void write_for_life(unsigned id)
{
    (void)id;
    for (word_t page = FIRST; page < FIRST + A_LIFE; page++)
        ++*byte_of(page);
    lives++;
    for (;;)
        pause();
}

static void idle(unsigned id)
{
    (void)id;
}

// Whether the other one has written, and was stopped in the middle of its life.
static bool live(unsigned life)
{
    static char stack[CPU_STACK_BYTES] __attribute__((aligned(16)));
    bool began = cpu_start(1, write_for_life, stack + sizeof stack);
    for (uint64_t end = rdtsc() + PATIENCE_MS * ticks_a_ms; lives < life && rdtsc() < end;)
        yield();
    return began && lives == life && cpu_start(1, idle, stack + sizeof stack);
}

static int look_at_lives(void)
{
    unsigned errors = 0, refused = 0, dead = 0;
    tap_plan(4);
    apic_map();
    apic_enable(true);
    expect("start", 0, ask(LOG_START, vm_id));
    look(vm_id);
    for (unsigned life = 1; life <= LIVES; life++) {
        dead += !live(life);
        for (word_t page = 0; page < A_LIFE; page++)
            expected[page] = true;
        refused += !look(vm_id);
        errors += wrong();
    }
    expect("lives-without-start", 0, dead);
    expect("lives-refused", 0, refused);
    expect("lives-wrong", 0, errors);
    return tap_end();
}

// ---- Another machine ----

static void work(void)
{
    for (;;)
        for (word_t page = FIRST; page < FIRST + STRETCH; page += 2) {
            ++*byte_of(page);
            (void)*byte_of(page + 1);
        }
}

static word_t find(const char *name)
{
    char text[NAME_MAX + 1];
    for (word_t id = 0; id < IDS; id++) {
        sword_t length = hypercall(HC_CONTROL, CONTROL_NAME, id, (word_t)text, NAME_MAX, 0);
        text[length < 0 ? 0 : length] = '\0';
        if (!strcmp(text, name))
            return id;
    }
    return IDS;
}

static word_t wait_for(const char *name)
{
    word_t id = IDS;
    for (uint64_t end = rdtsc() + PATIENCE_MS * ticks_a_ms; id == IDS && rdtsc() < end; yield())
        id = find(name);
    return id;
}

static int watch(const char *name)
{
    static bool seen[PAGES];
    unsigned foreign = 0, refused = 0, missing = 0;
    word_t id = wait_for(name);
    tap_plan(6);
    check(id < IDS, "found", "expected a machine called %s\ngot none", name);
    expect("start", 0, ask(LOG_START, id));
    refused += !look(id);
    for (unsigned i = 0; i < WATCHED; i++) {
        uint64_t end = rdtsc() + ticks_a_ms;
        while (rdtsc() < end)
            yield();
        refused += !look(id);
        for (word_t page = FIRST; page < LAST; page++) {
            seen[page - FIRST] |= is_dirty(page);
            foreign += is_dirty(page) && (page >= FIRST + STRETCH || page % 2);
        }
    }
    for (word_t page = FIRST; page < FIRST + STRETCH; page += 2)
        missing += !seen[page - FIRST];
    expect("refused", 0, refused);
    expect("never-written-but-told", 0, foreign);
    expect("written-but-not-told", 0, missing);
    expect("destroy", 0, hypercall2(HC_CONTROL, CONTROL_DESTROY, id));
    return tap_end();
}

static int meek(word_t me)
{
    tap_plan(2);
    expect("start-denied", -E_DENIED, ask(LOG_START, me));
    expect("read-denied", -E_DENIED, read_log(me, FIRST, 64, bits));
    return tap_end();
}

int main(const struct start_info *start)
{
    const char *line = command_line(start);
    static const char key[] = "watches=";
    ticks_a_ms = divide(start->tsc_hz, 1000);
    vm_id = start->vm_id;
    if (word_present(line, "works"))
        work();
    if (word_present(line, "meek"))
        return meek(start->vm_id);
    if (!memcmp(line, key, sizeof key - 1))
        return watch(line + sizeof key - 1);
    if (word_present(line, "gib"))
        return look_at_a_gib();
    if (word_present(line, "restart"))
        return look_at_lives();
    return look_at_oneself(start, word_present(line, "eager"));
}
