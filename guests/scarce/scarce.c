// Memory that runs out (the hypervisor's fail-alloc=). The machine `victim` asks for everything that takes memory
// while it runs: a log of writes, pages of its balloon, pages that the machine `driver` grants, a probe. It does
// without what it does not get, tries again, and tells the driver how often it was refused. The driver resets it, so
// that something else fails in its next life, until it was refused nothing; then it destroys it. Their names on the
// command line: `of=` the other's.
#include "guests/lib/guest.h"
#include "guests/lib/ipc.h"
#include "abi/probe.h"

enum {
    PAGE_BYTES = 4096,
    TAKEN = 40,
    A_CALL = 8,
    GRANTED = 3,
    LIVES_MAX = 400,
    PATIENCE_MS = 20000,
    IDS = 256
};
enum { READ_ONLY = 1, LARGE_LEAF = 512, FILL = 0x5ca2ce };

static word_t to, from; // ports
static word_t refused, wrong;
static uint64_t ticks_a_ms;

// ---- The victim ----

static uint64_t *at_page(word_t page)
{
    return (uint64_t *)(page * PAGE_BYTES);
}

// The second time it must go well: one allocation fails a life.
static sword_t twice(sword_t (*call)(word_t a, word_t b), word_t a, word_t b)
{
    sword_t got = call(a, b);
    if (got != -E_NO_MEMORY)
        return got;
    refused++;
    return call(a, b);
}

static void expect(sword_t want, sword_t got, const char *what)
{
    if (got == want)
        return;
    wrong++;
    print("%s: expected %ld, got %ld\n", what, (long)want, (long)got);
}

static sword_t start_log(word_t id, word_t unused)
{
    (void)unused;
    return hypercall2(HC_MEMORY, LOG_START, id);
}

static void use_log(word_t id)
{
    expect(0, twice(start_log, id, 0), "start of the log");
    expect(0, hypercall2(HC_MEMORY, LOG_STOP, id), "end of the log");
}

static sword_t take(word_t first, word_t pages)
{
    return hypercall(HC_MEMORY, BALLOON_TAKE, first, pages, 0, 0);
}

// Fewer than asked for come where one could not be had.
static void use_balloon(word_t least, word_t most)
{
    word_t end = least, give = 0;
    uint64_t limit = rdtsc() + PATIENCE_MS * ticks_a_ms;
    while (end < least + TAKEN && rdtsc() < limit) {
        sword_t n = twice(take, end, A_CALL);
        refused += n > 0 && n < A_CALL;
        if (n == -E_AGAIN)
            yield(); // no target yet
        for (; n > 0 && end < most; n--, end++) {
            wrong += *at_page(end) != 0;
            *at_page(end) = FILL;
        }
    }
    expect(true, end >= least + TAKEN, "pages taken");
    while (give < end - least) {
        sword_t n = hypercall(HC_MEMORY, BALLOON_GIVE, least + give, end - least - give, 0, 0);
        if (n <= 0)
            break;
        give += (word_t)n;
    }
    expect((sword_t)(end - least), (sword_t)give, "pages given");
}

static word_t window;

static sword_t map(word_t number, word_t unused)
{
    (void)unused;
    return hypercall(HC_GRANT, GRANT_MAP, from, number, window, 0);
}

// Tables of the window are made anew for each machine.
static void use_grant(word_t number)
{
    sword_t got = twice(map, number, 0);
    expect(GRANTED, got, "pages mapped");
    for (word_t i = 0; got == GRANTED && i < GRANTED; i++)
        wrong += *at_page(window + i) != FILL + i;
    expect(0, hypercall(HC_GRANT, GRANT_UNMAP, from, number, 0, 0), "unmapped");
}

extern const char landing[];
__asm__(".pushsection .text\nlanding: vmcall\n.popsection");
static uint8_t scratch[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));

static sword_t open_probe(word_t at, word_t page)
{
    return hypercall(HC_PROBE, PROBE_OPEN, at, page, 0, 0);
}

static int be_victim(const struct start_info *start)
{
    word_t least = start->mem_bytes / PAGE_BYTES;
    window = (word_t)hypercall1(HC_GRANT, GRANT_WINDOW);
    struct words m;
    for (word_t page = 0; page < least; page += LARGE_LEAF) // or small ones took its place
        refused += hypercall2(HC_MEMORY, MEMORY_LEAF, page) != LARGE_LEAF;
    use_log(start->vm_id);
    use_balloon(least, (word_t)hypercall(HC_MEMORY, BALLOON_FIGURE, BALLOON_MOST, 0, 0, 0));
    expect(0, twice(open_probe, (word_t)landing, (word_t)scratch), "probe");
    if (ipc_receive(from, WAIT_FOREVER, &m) != (sword_t)from)
        return 1;
    use_grant(m.w[0]);
    m = (struct words){
        {refused, wrong}
    };
    ipc_send(to, &m);
    for (;;)
        ipc_receive(from, WAIT_FOREVER, &m);
}

// ---- The driver ----

static word_t find(const char *name)
{
    char text[32];
    for (word_t id = 0; id < IDS; id++) {
        sword_t length = hypercall(HC_CONTROL, CONTROL_NAME, id, (word_t)text, sizeof text - 1, 0);
        text[length < 0 ? 0 : length] = '\0';
        if (!strcmp(text, name))
            return id;
    }
    return IDS;
}

// As long as the other is on its way.
static sword_t patiently(sword_t (*call)(word_t a, word_t b), word_t a, word_t b)
{
    sword_t got = -E_AGAIN;
    for (uint64_t end = rdtsc() + PATIENCE_MS * ticks_a_ms; rdtsc() < end; yield()) {
        got = call(a, b);
        if (got != -E_AGAIN && got != -E_GONE)
            break;
    }
    return got;
}

static sword_t control(word_t op, word_t id)
{
    return hypercall2(HC_CONTROL, op, id);
}

static sword_t send_number(word_t number, word_t unused)
{
    struct words m = {{number}};
    (void)unused;
    return ipc_send(to, &m);
}

// What the victim tells of one life; false: it told nothing.
static bool one_life(struct words *told)
{
    static uint64_t pages[GRANTED][PAGE_BYTES / 8] __attribute__((aligned(PAGE_BYTES)));
    for (word_t i = 0; i < GRANTED; i++)
        pages[i][0] = FILL + i;
    sword_t number = hypercall(HC_GRANT, GRANT_GIVE, to, (word_t)pages / PAGE_BYTES, GRANTED, READ_ONLY);
    if (number < 0 || patiently(send_number, (word_t)number, 0) != 0)
        return false;
    sword_t in = ipc_receive(from, PATIENCE_MS * 1000, told);
    return hypercall(HC_GRANT, GRANT_REVOKE, to, (word_t)number, 0, 0) == 0 && in == (sword_t)from;
}

static int drive(const char *name)
{
    struct words told = {{1}};
    word_t lives = 0, faults = 0, id = IDS;
    bool ok = true;
    tap_plan(4);
    for (uint64_t end = rdtsc() + PATIENCE_MS * ticks_a_ms; id == IDS && rdtsc() < end; yield())
        id = find(name);
    while (ok && told.w[0] && lives < LIVES_MAX) {
        ok = (!lives || control(CONTROL_RESET, id) == 0) && patiently(control, CONTROL_TICKS, id) >= 0 &&
             one_life(&told);
        lives += ok;
        faults += ok ? told.w[1] : 0;
    }
    check(ok && !told.w[0], "all-in-turn", "expected a life without a refusal\ngot %lu lives, then %s",
          (unsigned long)lives, ok ? "patience ended" : "no answer");
    check(lives > TAKEN, "lives", "expected more than %u\ngot %lu", TAKEN, (unsigned long)lives);
    check_equal("wrong", 0, faults);
    check_equal("destroy", 0, (uint64_t)control(CONTROL_DESTROY, id));
    return tap_end();
}

int main(const struct start_info *start)
{
    const char *line = command_line(start), *names[1];
    ticks_a_ms = divide(start->tsc_hz, 1000);
    if (word_list(line, "of", names, 1) != 1)
        return 2;
    to = (word_t)port_out(names[0]);
    from = (word_t)port_in(names[0]);
    return word_present(line, "victim") ? be_victim(start) : drive(names[0]);
}
