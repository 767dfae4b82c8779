// A machine with caps=control pauses, resumes, resets and destroys the machines that its command line names behind
// `steers=`, commas between them; with `churns=` it resets each `times=` times and then destroys them. The same file
// is the victim: `busy` never exits of its own accord, `talks` makes hypercalls, `halts` sleeps for ever. `meek` has
// no right and is told so.
#include "guests/lib/guest.h"

enum {
    IDS = 256,
    NAME_MAX = 31,
    VICTIMS_MAX = 8,
    POINTS_A_VICTIM = 10,
    POINTS_ALONE = 9,
    POINTS_A_CHURN = 4,
    RESETS = 5
};
enum { SETTLE_MS = 40, WATCH_MS = 40, LIFE_MS = 60, PATIENCE_MS = 20000, TRIES = 4 }; // slices are 10 ms

static uint64_t ticks_a_ms;

static sword_t ask(enum control_op op, word_t id)
{
    return hypercall2(HC_CONTROL, op, id);
}

static void pass(unsigned ms)
{
    for (uint64_t end = rdtsc() + ms * ticks_a_ms; rdtsc() < end;)
        yield();
}

// ---- Finding ----

static word_t find(const char *name)
{
    char text[NAME_MAX + 1];
    for (word_t id = 0; id < IDS; id++) {
        sword_t length = hypercall(HC_CONTROL, CONTROL_NAME, id, (word_t)text, NAME_MAX, 0);
        if (length < 0)
            continue;
        text[length] = '\0';
        if (!strcmp(text, name))
            return id;
    }
    return IDS;
}

// Machines are built one after the other.
static word_t wait_for(const char *name)
{
    word_t id = IDS;
    for (uint64_t end = rdtsc() + PATIENCE_MS * ticks_a_ms; id == IDS && rdtsc() < end; yield())
        id = find(name);
    return id;
}

// ---- Watching ----

// True as soon as it has run for longer than `than`.
static bool runs_on(word_t id, sword_t than)
{
    for (uint64_t end = rdtsc() + PATIENCE_MS * ticks_a_ms; rdtsc() < end; yield())
        if (ask(CONTROL_TICKS, id) > than)
            return true;
    return false;
}

static bool answers_in_time(word_t id, enum control_op op, sword_t expected)
{
    sword_t got = 0;
    for (uint64_t end = rdtsc() + PATIENCE_MS * ticks_a_ms; got != expected && rdtsc() < end; yield())
        got = ask(op, id);
    return got == expected;
}

// From the request on it answers "try again", until it has been built. Then it has not run for long.
static bool starts_again(word_t id, bool halts)
{
    bool lived = halts || runs_on(id, (sword_t)(LIFE_MS * ticks_a_ms));
    if (!lived || ask(CONTROL_PAUSE, id) != 0 || ask(CONTROL_RESET, id) != 0)
        return false;
    sword_t got = -E_AGAIN;
    for (uint64_t end = rdtsc() + PATIENCE_MS * ticks_a_ms; got == -E_AGAIN && rdtsc() < end; yield())
        got = ask(CONTROL_TICKS, id);
    return got >= 0 && got < (sword_t)(LIFE_MS * ticks_a_ms) && runs_on(id, 0);
}

// ---- One victim ----

static const char *victim;

static const char *named(const char *what)
{
    static char name[TAP_NAME_MAX];
    format_text(name, sizeof name, "%s-%s", victim, what);
    return name;
}

static void yes(bool ok, const char *what)
{
    check(ok, named(what), "expected yes\ngot no");
}

static void zero(const char *what, sword_t got)
{
    check_equal(named(what), 0, (uint64_t)got);
}

// A request is served a moment later, so the first periods may still see it run.
static void stands_still(word_t id)
{
    sword_t before = 0, after = -1;
    for (unsigned tries = 0; before != after && tries < TRIES; tries++) {
        pass(SETTLE_MS);
        before = ask(CONTROL_TICKS, id);
        pass(WATCH_MS);
        after = ask(CONTROL_TICKS, id);
    }
    check(before > 0 && after == before, named("stands-still"), "expected no more than %ld ticks\ngot %ld",
          (long)before, (long)after);
}

static bool starts_often(word_t id, bool halts)
{
    bool ok = true;
    for (unsigned i = 0; ok && i < RESETS; i++)
        ok = starts_again(id, halts);
    return ok;
}

static void steer(const char *name, bool halts)
{
    victim = name;
    word_t id = wait_for(name);
    check(id < IDS, named("found"), "expected an id below %u\ngot none", IDS);
    yes(runs_on(id, 0), "runs");
    zero("pause", ask(CONTROL_PAUSE, id));
    zero("pause-again", ask(CONTROL_PAUSE, id));
    stands_still(id);
    sword_t before = ask(CONTROL_TICKS, id);
    zero("resume", ask(CONTROL_RESUME, id));
    yes(runs_on(id, before), "runs-on"); // also one that halts: it looks whether it still has to
    yes(starts_often(id, halts), "resets");
    zero("destroy", ask(CONTROL_DESTROY, id));
    yes(answers_in_time(id, CONTROL_TICKS, -E_NOT_FOUND), "is-gone");
}

// ---- Many lives ----

// Built anew and run for a moment.
static bool lives_again(word_t id)
{
    sword_t got = ask(CONTROL_RESET, id) ? -E_INVALID : -E_AGAIN;
    for (uint64_t end = rdtsc() + PATIENCE_MS * ticks_a_ms; got == -E_AGAIN && rdtsc() < end; yield())
        got = ask(CONTROL_TICKS, id);
    return got >= 0 && runs_on(id, 0);
}

static void churn(const char *name, uint64_t times)
{
    uint64_t lives = 0;
    victim = name;
    word_t id = wait_for(name);
    yes(id < IDS && runs_on(id, 0), "runs");
    while (lives < times && lives_again(id))
        lives++;
    check_equal(named("lives"), times, lives);
    zero("destroy", ask(CONTROL_DESTROY, id));
    yes(answers_in_time(id, CONTROL_TICKS, -E_NOT_FOUND), "is-gone");
}

static int churner(const char *line, const char *names[], unsigned count)
{
    tap_plan(count * POINTS_A_CHURN);
    for (unsigned i = 0; i < count; i++)
        churn(names[i], word_number(line, "times", 1));
    return tap_end();
}

// ---- What is refused ----

static void refusals(const struct start_info *start)
{
    char name[NAME_MAX];
    word_t me = start->vm_id;
    check_equal("own-name", strlen(start->name),
                (uint64_t)hypercall(HC_CONTROL, CONTROL_NAME, me, (word_t)name, sizeof name, 0));
    check(ask(CONTROL_TICKS, me) > 0, "own-ticks", "expected more than 0\ngot 0 or less");
    check_equal("pause-oneself", (uint64_t)-E_INVALID, (uint64_t)ask(CONTROL_PAUSE, me));
    check_equal("destroy-oneself", (uint64_t)-E_INVALID, (uint64_t)ask(CONTROL_DESTROY, me));
    check_equal("unknown-op", (uint64_t)-E_INVALID, (uint64_t)ask((enum control_op)77, me));
    check_equal("unknown-id", (uint64_t)-E_NOT_FOUND, (uint64_t)ask(CONTROL_PAUSE, IDS - 1));
    check_equal("wild-id", (uint64_t)-E_NOT_FOUND, (uint64_t)ask(CONTROL_RESET, ~(word_t)0));
    check_equal("name-too-short", (uint64_t)-E_TOO_BIG,
                (uint64_t)hypercall(HC_CONTROL, CONTROL_NAME, me, (word_t)name, 0, 0));
    check_equal("name-nowhere", (uint64_t)-E_BAD_ADDRESS,
                (uint64_t)hypercall(HC_CONTROL, CONTROL_NAME, me, start->mem_bytes, NAME_MAX, 0));
}

static int meek(void)
{
    tap_plan(2);
    check_equal("pause-denied", (uint64_t)-E_DENIED, (uint64_t)ask(CONTROL_PAUSE, 0));
    check_equal("name-denied", (uint64_t)-E_DENIED, (uint64_t)ask(CONTROL_NAME, 0));
    return tap_end();
}

// ---- Roles ----

static void be_victim(const char *line)
{
    while (word_present(line, "busy"))
        ;
    while (word_present(line, "talks"))
        hypercall0(HC_VERSION);
    while (word_present(line, "halts"))
        __asm__ volatile("sti; hlt");
}

int main(const struct start_info *start)
{
    const char *line = command_line(start);
    const char *names[VICTIMS_MAX];
    ticks_a_ms = divide(start->tsc_hz, 1000);
    be_victim(line);
    if (word_present(line, "meek"))
        return meek();
    unsigned count = word_list(line, "churns", names, VICTIMS_MAX);
    if (count)
        return churner(line, names, count);
    count = word_list(line, "steers", names, VICTIMS_MAX);
    tap_plan(count * POINTS_A_VICTIM + POINTS_ALONE);
    refusals(start);
    for (unsigned i = 0; i < count; i++)
        steer(names[i], !strcmp(names[i], "sleeper"));
    return tap_end();
}
