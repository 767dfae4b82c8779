// The balloon. Several such machines ask for more memory than the box has: each takes what its target allows, finds it
// zero, fills it with its own pattern, finds that again, and lets others have it. By the command line:
//   share rounds=N   N times: wants all, takes up to its target, gives all back and wants nothing
//   grow             takes what there is until it has had more than its first target, as others end
//   errors           what is refused, also when two vCPUs give the same pages at once (vcpus=2)
//   hole             touches a page that it gave: expect=outside-memory
//   revoke giver=I   vCPU I gives and takes while the other one computes with interrupts off (vcpus=2); with `beside`,
//                    where each has a processor of its own: it sees the other one run while pages go
#include "guests/lib/apic.h"
#include "guests/lib/guest.h"
#include "guests/lib/smp.h"

enum {
    PAGE_BYTES = 4096,
    WORDS = PAGE_BYTES / 8,
    VECTOR = 0x51,
    PATIENCE_MS = 30000,
    RACE_PAGES = 64,
    REVOKES = 200
};

static word_t least, most, salt;
static uint64_t ticks_a_ms;
static volatile unsigned events;
static unsigned not_zero, not_kept;

static sword_t ask(enum memory_op op, word_t a, word_t b)
{
    return hypercall(HC_MEMORY, op, a, b, 0, 0);
}

static sword_t figure(enum balloon_figure which)
{
    return ask(BALLOON_FIGURE, which, 0);
}

static void expect(const char *name, sword_t want, sword_t got)
{
    check_equal(name, (uint64_t)want, (uint64_t)got);
}

static volatile uint64_t *words_of(word_t page)
{
    return (volatile uint64_t *)(page * PAGE_BYTES);
}

static uint64_t pattern(word_t page, unsigned word)
{
    return page * 0x9e3779b97f4a7c15 + word + salt;
}

// A page that was taken: zero, then its own.
static void fill(word_t page)
{
    for (unsigned i = 0; i < WORDS; i += 8) {
        not_zero += words_of(page)[i] != 0;
        words_of(page)[i] = pattern(page, i);
    }
}

static void verify(word_t page)
{
    for (unsigned i = 0; i < WORDS; i += 8)
        not_kept += words_of(page)[i] != pattern(page, i);
}

// From page `at` on, up to the target; where it ended.
static word_t take_from(word_t at)
{
    while (at < most) {
        sword_t n = ask(BALLOON_TAKE, at, most - at);
        if (n <= 0)
            break;
        for (; n > 0; n--)
            fill(at++);
    }
    return at;
}

static void give_all(word_t first, word_t end)
{
    for (word_t page = first; page < end; page++)
        verify(page);
    while (first < end) {
        sword_t n = ask(BALLOON_GIVE, first, end - first);
        if (n <= 0)
            break;
        first += n;
    }
}

static bool on_event(struct frame *f)
{
    (void)f;
    events++;
    apic_write(APIC_EOI, 0);
    return true;
}

static void start_events(void)
{
    apic_map();
    apic_enable(true);
    exception_handle(VECTOR, on_event);
    expect("event", 0, ask(BALLOON_EVENT, VECTOR, 0));
    interrupts_on();
}

static bool wait_for(bool (*what)(void))
{
    uint64_t end = rdtsc() + PATIENCE_MS * ticks_a_ms;
    while (!what() && rdtsc() < end)
        yield();
    return what();
}

static bool target_is_high(void)
{
    return figure(BALLOON_TARGET) > figure(BALLOON_LEAST);
}
static bool target_is_low(void)
{
    return figure(BALLOON_TARGET) == figure(BALLOON_LEAST);
}

static void report_pages(void)
{
    expect("taken-zero", 0, not_zero);
    expect("taken-kept", 0, not_kept);
}

static int share(unsigned rounds)
{
    word_t moved = 0, refused = 0;
    unsigned before = events;
    tap_plan(6);
    start_events();
    for (unsigned i = 0; i < rounds; i++) {
        refused += ask(BALLOON_WANT, most, 0) != 0 || !wait_for(target_is_high);
        word_t end = take_from(least);
        moved += end - least;
        give_all(least, end);
        refused += ask(BALLOON_WANT, least, 0) != 0 || !wait_for(target_is_low);
    }
    expect("refused", 0, (sword_t)refused);
    check(moved > rounds * 16, "took", "expected more than %u pages\ngot %lu", rounds * 16,
          (unsigned long)moved);
    check(events - before >= 2 * (rounds - 1), "events", "expected at least %u\ngot %u", 2 * (rounds - 1),
          events);
    report_pages();
    return tap_end();
}

static int grow(void)
{
    tap_plan(5);
    start_events();
    check(wait_for(target_is_high), "has-target", "expected more than what is promised\ngot %lu pages",
          (unsigned long)least);
    sword_t first = figure(BALLOON_TARGET);
    word_t end = least;
    for (uint64_t limit = rdtsc() + PATIENCE_MS * ticks_a_ms;
         rdtsc() < limit && figure(BALLOON_HELD) <= first; yield())
        end = take_from(end);
    check(figure(BALLOON_HELD) > first, "grew", "expected more than %ld pages\ngot %ld", (long)first,
          (long)figure(BALLOON_HELD));
    for (word_t page = least; page < end; page++)
        verify(page);
    report_pages();
    return tap_end();
}

// ---- What is refused ----

static volatile struct barrier gate;
static volatile word_t given[2];
static uint8_t stack[CPU_STACK_BYTES] __attribute__((aligned(16)));

static void give_one_by_one(unsigned id)
{
    barrier_wait(&gate, 2);
    for (word_t page = least; page < least + RACE_PAGES; page++)
        given[id] += ask(BALLOON_GIVE, page, 1) == 1;
    barrier_wait(&gate, 2);
}

static void race(void)
{
    word_t end = least;
    for (sword_t n; end < least + RACE_PAGES; end += n) {
        n = ask(BALLOON_TAKE, end, least + RACE_PAGES - end);
        if (n <= 0)
            break;
    }
    expect("race-took", RACE_PAGES, (sword_t)(end - least));
    check(cpu_start(1, give_one_by_one, stack + sizeof stack), "second-cpu",
          "expected it to start\ngot nothing");
    give_one_by_one(0);
    expect("race-each-once", RACE_PAGES, (sword_t)(given[0] + given[1]));
    check(figure(BALLOON_HELD) < (sword_t)(least + 4), "race-held", "expected %lu and a table\ngot %ld",
          (unsigned long)least, (long)figure(BALLOON_HELD));
}

static int errors(void)
{
    word_t far = ~(word_t)0;
    tap_plan(25);
    start_events();
    expect("held", (sword_t)least, figure(BALLOON_HELD));
    expect("most", (sword_t)most, figure(BALLOON_MOST));
    expect("no-figure", -E_INVALID, figure((enum balloon_figure)77));
    expect("below-least", -E_DENIED, ask(BALLOON_GIVE, least - 1, 1));
    expect("give-hole", -E_NOT_FOUND, ask(BALLOON_GIVE, least, 1));
    expect("give-beyond", -E_BAD_ADDRESS, ask(BALLOON_GIVE, most, 1));
    expect("give-across", -E_BAD_ADDRESS, ask(BALLOON_GIVE, least - 1, 2));
    expect("give-wild", -E_BAD_ADDRESS, ask(BALLOON_GIVE, far, far));
    check(wait_for(target_is_high), "has-target", "expected more than what is promised\ngot %lu pages",
          (unsigned long)least);
    expect("take-there", -E_EXISTS, ask(BALLOON_TAKE, 0, 1));
    expect("take-beyond", -E_BAD_ADDRESS, ask(BALLOON_TAKE, most - 1, 2));
    expect("take", 2, ask(BALLOON_TAKE, least, 2));
    expect("take-twice", -E_EXISTS, ask(BALLOON_TAKE, least + 1, 1));
    expect("give-own", 1, ask(BALLOON_GIVE, least - 1, 1));
    expect("give-twice", -E_NOT_FOUND, ask(BALLOON_GIVE, least - 1, 1));
    expect("hole-to-hypercall", -E_BAD_ADDRESS, hypercall2(HC_CONSOLE_WRITE, (least - 1) * PAGE_BYTES, 8));
    expect("give-to-the-least", 1, ask(BALLOON_GIVE, least, 2)); // of two
    expect("take-own", 1, ask(BALLOON_TAKE, least - 1, 1));
    expect("give-last", 1, ask(BALLOON_GIVE, least + 1, 1));
    expect("want-too-much", -E_INVALID, ask(BALLOON_WANT, most + 1, 0));
    race();
    return tap_end();
}

// ---- Pages that go while another vCPU runs with interrupts off ----

static volatile bool stop;
static volatile uint64_t spun;
static volatile unsigned beside; // how often that ran on while a page was given

static void spin(unsigned id)
{
    (void)id;
    while (!stop)
        for (word_t page = 0; page < least; page++) {
            (void)*words_of(page);
            spun++;
        }
}

static void revoke_all(unsigned id)
{
    (void)id;
    unsigned failed = 0;
    for (unsigned i = 0; i < REVOKES; i++) {
        word_t end = least;
        uint64_t limit = rdtsc() + PATIENCE_MS * ticks_a_ms;
        while (end < least + 16 && rdtsc() < limit) {
            sword_t n = ask(BALLOON_TAKE, end, least + 16 - end);
            for (; n > 0; n--)
                fill(end++);
        }
        failed += end != least + 16;
        verify(least);
        uint64_t before = spun;
        failed += ask(BALLOON_GIVE, least, 1) != 1;
        beside += spun != before;
        give_all(least + 1, end);
    }
    expect("failed", 0, failed);
    stop = true;
}

static int revoke(unsigned giver, bool looks)
{
    tap_plan(looks ? 7 : 6);
    start_events();
    interrupts_off();
    check(wait_for(target_is_high), "has-target", "expected more than what is promised\ngot %lu pages",
          (unsigned long)least);
    check(cpu_start(1, giver == 1 ? revoke_all : spin, stack + sizeof stack), "second-cpu",
          "expected it to start\ngot nothing");
    if (giver == 0)
        revoke_all(0);
    else
        spin(0);
    while (!stop)
        ;
    if (looks)
        check(beside > REVOKES / 2, "beside", "expected more than %u of %u\ngot %u", REVOKES / 2, REVOKES,
              beside);
    report_pages();
    return tap_end();
}

int main(const struct start_info *start)
{
    const char *line = command_line(start);
    ticks_a_ms = divide(start->tsc_hz, 1000);
    least = start->mem_bytes / PAGE_BYTES;
    most = (word_t)figure(BALLOON_MOST);
    salt = start->vm_id * 0x123456789;
    if (word_present(line, "errors"))
        return errors();
    if (word_present(line, "grow"))
        return grow();
    if (word_present(line, "revoke"))
        return revoke((unsigned)word_number(line, "giver", 0), word_present(line, "beside"));
    if (!word_present(line, "hole"))
        return share((unsigned)word_number(line, "rounds", 1));
    if (!wait_for(target_is_high) || ask(BALLOON_TAKE, least, 1) != 1 || ask(BALLOON_GIVE, least, 1) != 1)
        return 1; // which is not the end that is expected
    return (int)*words_of(least);
}
