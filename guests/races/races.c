// Two vCPUs of one machine in the same hypercall at once, and pages that are granted or given in ways that do not go
// together. By the first word of the command line; of= names the other machine:
//   reader of=OWNER     maps what it is asked to map; then both its vCPUs map and unmap at random, until the owner is done
//   owner of=READER     grants overlapping pages, holes of its balloon, pages that it gives back while they are lent; then
//                       both its vCPUs grant and revoke at random
//   sender of=RECEIVER count=N, receiver of=SENDER count=N   N messages by each vCPU of one, taken by both of the other
//   balloon             both its vCPUs take the same pages and give the same back
#include "guests/lib/apic.h"
#include "guests/lib/guest.h"
#include "guests/lib/ipc.h"
#include "guests/lib/smp.h"

enum { PAGE_BYTES = 4096, READ_ONLY = 1, GRANTS = 16, PATIENCE_MS = 30000, VCPUS = 2 };
enum {
    FIRST = 64,
    POOL = 32,
    LONGEST = 6,
    SPREAD = 48,
    ROUNDS = 1500,
    RACE_PAGES = 48,
    RACES = 12,
    COUNT_MAX = 4096
};
enum request { MAP, UNMAP, RACE, LOOK };

static word_t to, from, window, least; // ports; pages
static uint64_t ticks_a_ms;
static volatile struct barrier gate;
static uint8_t stack[CPU_STACK_BYTES] __attribute__((aligned(16)));

static sword_t grant(enum grant_op op, word_t port, word_t a, word_t b, word_t c)
{
    return hypercall(HC_GRANT, op, port, a, b, c);
}

static sword_t balloon(enum memory_op op, word_t page, word_t pages)
{
    return hypercall(HC_MEMORY, op, page, pages, 0, 0);
}

static void expect(const char *name, sword_t want, sword_t got)
{
    check_equal(name, (uint64_t)want, (uint64_t)got);
}

// Of each vCPU its own.
static uint32_t random_number(unsigned cpu)
{
    static uint32_t state[VCPUS] = {0x1234567, 0x7654321};
    uint32_t s = state[cpu];
    s ^= s << 13;
    s ^= s >> 17;
    return state[cpu] = s ^ s << 5;
}

static volatile uint64_t *word_of(word_t page)
{
    return (volatile uint64_t *)(page * PAGE_BYTES);
}

// `work` on both vCPUs at once; the first one's id is 0.
static bool on_both(void (*work)(unsigned id))
{
    apic_map();
    apic_enable(true);
    bool started = cpu_start(1, work, stack + sizeof stack);
    if (started)
        work(0);
    return started;
}

// ---- The reader ----

static volatile bool over;
static volatile unsigned odd[VCPUS], mapped[VCPUS]; // answers that nobody should get; pages that were mapped

static bool is_one_of(sword_t got, const sword_t *list, unsigned n)
{
    while (n > 0 && list[n - 1] != got)
        n--;
    return n > 0;
}

static void map_and_unmap(unsigned id)
{
    static const sword_t errors[] = {-E_NOT_FOUND, -E_EXISTS};
    barrier_wait(&gate, VCPUS);
    for (struct words m; !over; yield()) {
        word_t number = random_number(id) % GRANTS;
        sword_t got = random_number(id) % 3
                          ? grant(GRANT_MAP, from, number, window + random_number(id) % SPREAD, 0)
                          : grant(GRANT_UNMAP, from, number, 0, 0);
        odd[id] += got < 0 ? !is_one_of(got, errors, array_size(errors)) : got > LONGEST;
        mapped[id] += got > 0;
        if (id == 0 && ipc_receive(from, 0, &m) == (sword_t)from)
            over = true;
    }
    barrier_wait(&gate, VCPUS);
}

static void read_word(void *at)
{
    (void)*(volatile uint64_t *)at;
}

// Of the whole window nothing can be reached.
static bool is_empty(void)
{
    unsigned reached = 0;
    for (word_t page = window; page < window + SPREAD + LONGEST; page++)
        reached += catch_exception(read_word, (void *)word_of(page)).vector != VECTOR_GP;
    for (word_t number = 0; number < GRANTS; number++)
        reached += grant(GRANT_MAP, from, number, window, 0) != -E_NOT_FOUND;
    return !reached;
}

static sword_t serve(const struct words *m)
{
    switch (m->w[0]) {
    case MAP:
        return grant(GRANT_MAP, from, m->w[1], window + m->w[2], 0);
    case UNMAP:
        return grant(GRANT_UNMAP, from, m->w[1], 0, 0);
    case LOOK:
        return *word_of(window + m->w[1]) == FIRST + m->w[2];
    default:
        return -E_INVALID;
    }
}

static int be_reader(void)
{
    struct words m;
    tap_plan(4);
    window = (word_t)hypercall1(HC_GRANT, GRANT_WINDOW);
    while (ipc_receive(from, WAIT_FOREVER, &m) == (sword_t)from && m.w[0] != RACE) {
        m.w[0] = (word_t)serve(&m);
        ipc_send(to, &m);
    }
    check(on_both(map_and_unmap), "two-race", "expected a second vCPU\ngot none");
    expect("odd-answers", 0, odd[0] + odd[1]);
    check(mapped[0] > 0 && mapped[1] > 0, "both-mapped", "expected both\ngot %u and %u", mapped[0],
          mapped[1]);
    check(is_empty(), "nothing-left", "expected no page within reach\ngot some");
    m = (struct words){{0}};
    ipc_send(to, &m);
    return tap_end();
}

// ---- The owner ----

static sword_t ask(enum request what, sword_t a, word_t b)
{
    struct words m = {
        {what, (word_t)a, b}
    };
    sword_t in = ipc_call(to, from, &m);
    return in == (sword_t)from ? (sword_t)m.w[0] : -E_GONE;
}

// Pages that came back may still be reached for a moment.
static sword_t ask_patiently(enum request what, sword_t a, word_t b)
{
    sword_t got = -E_EXISTS;
    for (uint64_t end = rdtsc() + PATIENCE_MS * ticks_a_ms; got == -E_EXISTS && rdtsc() < end; yield())
        got = ask(what, a, b);
    return got;
}

static sword_t give_back_patiently(word_t page)
{
    sword_t got = -E_EXISTS;
    for (uint64_t end = rdtsc() + PATIENCE_MS * ticks_a_ms; got == -E_EXISTS && rdtsc() < end; yield())
        got = balloon(BALLOON_GIVE, page, 1);
    return got;
}

static sword_t take_patiently(word_t page, word_t pages)
{
    sword_t got = -E_AGAIN;
    for (uint64_t end = rdtsc() + PATIENCE_MS * ticks_a_ms; got == -E_AGAIN && rdtsc() < end; yield())
        got = balloon(BALLOON_TAKE, page, pages);
    return got;
}

static sword_t give(word_t page, word_t pages)
{
    return grant(GRANT_GIVE, to, page, pages, READ_ONLY);
}

static sword_t revoke(sword_t number)
{
    sword_t got;
    do
        got = grant(GRANT_REVOKE, to, (word_t)number, 0, 0);
    while (got > 0);
    return got;
}

static void overlapping(void)
{
    sword_t a = give(FIRST, 4), b = give(FIRST + 2, 4), c = give(FIRST, 4);
    check(a >= 0 && b >= 0 && c >= 0, "grants", "expected three\ngot %ld, %ld, %ld", (long)a, (long)b,
          (long)c);
    expect("map-first", 4, ask(MAP, a, 0));
    expect("overlaps", -E_EXISTS, ask(MAP, b, 8));
    expect("the-same-again", -E_EXISTS, ask(MAP, c, 8));
    expect("mapped-elsewhere", -E_EXISTS, ask(MAP, a, 8));
    expect("unmap-first", 0, ask(UNMAP, a, 0));
    expect("map-second", 4, ask_patiently(MAP, b, 0));
    expect("second-is-right", 1, ask(LOOK, 0, 2));
    expect("half-of-it", 2, ask_patiently(MAP, c, 8)); // up to the page that is mapped
    expect("not-the-rest", -E_EXISTS, ask(MAP, c, 8));
    expect("no-room", -E_EXISTS, ask(MAP, a, 2));
    expect("revoke", 0, revoke(a) | revoke(b) | revoke(c));
}

static void holes(void)
{
    sword_t a = give(least, 1), b = give(least - 1, 2);
    expect("hole", -E_BAD_ADDRESS, ask(MAP, a, 0));
    expect("up-to-the-hole", 1, ask(MAP, b, 4));
    expect("not-the-hole", -E_BAD_ADDRESS, ask(MAP, b, 4));
    expect("take", 1, take_patiently(least, 1));
    expect("no-hole-now", 1, ask(MAP, a, 0));
    expect("give-lent", -E_EXISTS, balloon(BALLOON_GIVE, least, 1));
    expect("unmap", 0, ask(UNMAP, a, 0));
    expect("give", 1, give_back_patiently(least));
    expect("give-again", -E_NOT_FOUND, balloon(BALLOON_GIVE, least, 1));
    expect("hole-again", -E_BAD_ADDRESS, ask(MAP, a, 0));
    expect("revoke-holes", 0, revoke(a) | revoke(b));
}

static volatile unsigned given[VCPUS];

static void give_and_revoke(unsigned id)
{
    static const sword_t errors[] = {-E_NOT_FOUND, -E_TOO_BIG};
    barrier_wait(&gate, VCPUS);
    for (unsigned i = 0; i < ROUNDS; i++) {
        sword_t got = random_number(id) % 2
                          ? give(FIRST + random_number(id) % POOL, 1 + random_number(id) % LONGEST)
                          : grant(GRANT_REVOKE, to, random_number(id) % GRANTS, 0, 0);
        odd[id] += got < 0 ? !is_one_of(got, errors, array_size(errors)) : got >= GRANTS;
        given[id] += got >= 0;
        if (i % 8 == 0)
            yield();
    }
    barrier_wait(&gate, VCPUS);
}

static void race_grants(void)
{
    struct words m = {{RACE}};
    expect("race", 0, ipc_send(to, &m));
    check(on_both(give_and_revoke), "two-race", "expected a second vCPU\ngot none");
    expect("odd-answers", 0, odd[0] + odd[1]);
    check(given[0] > 0 && given[1] > 0, "both-gave", "expected both\ngot %u and %u", given[0], given[1]);
    for (sword_t number = 0; number < GRANTS; number++)
        revoke(number);
    ipc_call(to, from, &m); // it looks at its window then
    unsigned free = 0;
    while (free <= GRANTS && give(FIRST, 1) >= 0)
        free++;
    expect("all-are-free", GRANTS, free);
    unsigned wrong = 0;
    for (word_t page = FIRST; page < FIRST + POOL + LONGEST; page++)
        wrong += *word_of(page) != page;
    expect("memory-kept", 0, wrong);
}

static int be_owner(void)
{
    tap_plan(29);
    for (word_t page = FIRST; page < FIRST + POOL + LONGEST; page++)
        *word_of(page) = page;
    overlapping();
    holes();
    race_grants();
    return tap_end();
}

// ---- Messages ----

static word_t count;
static volatile unsigned failed[VCPUS], taken[VCPUS];
static volatile uint8_t seen[VCPUS][COUNT_MAX];

static void send_all(unsigned id)
{
    barrier_wait(&gate, VCPUS);
    for (word_t n = 0; n < count; n++) {
        struct words m = {
            {id, n, ~n, id ^ n}
        };
        sword_t got;
        while ((got = ipc_send(to, &m)) == -E_AGAIN)
            yield();
        failed[id] += got != 0;
    }
    barrier_wait(&gate, VCPUS);
}

static int be_sender(void)
{
    tap_plan(2);
    check(on_both(send_all), "two-send", "expected a second vCPU\ngot none");
    expect("failed", 0, failed[0] + failed[1]);
    return tap_end();
}

// Each message is one vCPU's alone.
static void receive_all(unsigned id)
{
    struct words m;
    sword_t in;
    barrier_wait(&gate, VCPUS);
    while ((in = ipc_receive(from, WAIT_FOREVER, &m)) == (sword_t)from || in == -E_INTERRUPTED) {
        bool right = m.w[0] < VCPUS && m.w[1] < count && (m.w[2] ^ m.w[1]) == ~(word_t)0 &&
                     m.w[3] == (m.w[0] ^ m.w[1]);
        if (right)
            __atomic_add_fetch(&seen[m.w[0]][m.w[1]], 1, __ATOMIC_RELAXED);
        failed[id] += !right;
        taken[id]++;
    }
    failed[id] += in != -E_GONE;
    barrier_wait(&gate, VCPUS);
}

static int be_receiver(void)
{
    unsigned wrong = 0;
    tap_plan(4);
    check(on_both(receive_all), "two-receive", "expected a second vCPU\ngot none");
    expect("failed", 0, failed[0] + failed[1]);
    expect("all", (sword_t)(VCPUS * count), taken[0] + taken[1]);
    for (unsigned id = 0; id < VCPUS; id++)
        for (word_t n = 0; n < count; n++)
            wrong += seen[id][n] != 1;
    expect("each-once", 0, wrong);
    return tap_end();
}

// ---- The balloon ----

static volatile unsigned took[VCPUS], gave[VCPUS];

// Both go through the same pages; a target that is not there yet is waited for.
static void take_and_give(unsigned id)
{
    static const sword_t take_errors[] = {-E_EXISTS, -E_AGAIN}, give_errors[] = {-E_NOT_FOUND, -E_DENIED};
    barrier_wait(&gate, VCPUS);
    for (unsigned race = 0; race < RACES; race++) {
        for (word_t page = least; page < least + RACE_PAGES; page++) {
            sword_t got = take_patiently(page, 1);
            took[id] += got == 1;
            odd[id] += got != 1 && !is_one_of(got, take_errors, array_size(take_errors));
            *word_of(page) = page; // whoever took it, it is there
        }
        barrier_wait(&gate, VCPUS);
        for (word_t page = least; page < least + RACE_PAGES; page++) {
            sword_t got = balloon(BALLOON_GIVE, page, 1);
            gave[id] += got == 1;
            odd[id] += got != 1 && !is_one_of(got, give_errors, array_size(give_errors));
        }
        barrier_wait(&gate, VCPUS);
    }
}

static int race_balloon(void)
{
    tap_plan(5);
    check(on_both(take_and_give), "two-race", "expected a second vCPU\ngot none");
    expect("odd-answers", 0, odd[0] + odd[1]);
    expect("each-taken-once", RACES * RACE_PAGES, took[0] + took[1]);
    expect("each-given-once", RACES * RACE_PAGES, gave[0] + gave[1]);
    sword_t held = balloon(BALLOON_FIGURE, BALLOON_HELD, 0);
    check(held >= (sword_t)least && held < (sword_t)least + 4, "held", "expected %lu and a table\ngot %ld",
          (unsigned long)least, (long)held);
    return tap_end();
}

int main(const struct start_info *start)
{
    const char *line = command_line(start), *names[1];
    ticks_a_ms = divide(start->tsc_hz, 1000);
    least = start->mem_bytes / PAGE_BYTES;
    count = (word_t)word_number(line, "count", 1000);
    if (word_present(line, "balloon"))
        return race_balloon();
    if (count > COUNT_MAX || word_list(line, "of", names, 1) != 1)
        return 2;
    to = (word_t)port_out(names[0]);
    from = (word_t)port_in(names[0]);
    return word_present(line, "reader")   ? be_reader()
           : word_present(line, "owner")  ? be_owner()
           : word_present(line, "sender") ? be_sender()
                                          : be_receiver();
}
