// Spins and watches its turns through the time-stamp counter: a jump is somebody else's turn. Two spinning
// machines on one processor each get exactly one slice a round, so they get equal shares, whoever else is
// there. `slice-us=` is the slice, `share=` (percent, optional) what this machine should get.
#include "guests/lib/guest.h"

enum {
    TURNS_SEEN = 20,  // that are judged
    TURNS_EXTRA = 10, // spun on for, so that a twin that started later has company to its end
    TURNS_MAX = TURNS_SEEN + TURNS_EXTRA + 2,
    ALONE = 100,         // slices without company after which to give up
    ALONE_AT_END = 4,    // the same, once enough turns were seen
    SHARE_TOLERANCE = 5, // percent points
    POINTS = 5,
};

struct turn {
    uint64_t start, end;
};

static struct turn turns[TURNS_MAX];

// A gap of less than three quarters of a slice is an exit of ours with the chores that were done on the way back: a machine
// taken down or built again. It belongs to the turn, in which it is booked too; the twin's turn is longer.
// Spins until TURNS_MAX turns have begun or nobody else runs; returns how many were interrupted.
static unsigned spin(uint64_t slice)
{
    unsigned n = 0;
    uint64_t begin = rdtsc(), last = begin;
    turns[0].start = begin;
    while (n < TURNS_MAX - 1 && last - turns[n].start < slice * (n > 1 + TURNS_SEEN ? ALONE_AT_END : ALONE)) {
        uint64_t now = rdtsc();
        if (now - last > slice / 4 * 3) {
            turns[n++].end = last;
            turns[n].start = now;
        }
        last = now;
    }
    turns[n].end = last;
    return n;
}

static unsigned percent(uint64_t part, uint64_t whole)
{
    while (whole >> 32)
        part >>= 1, whole >>= 1;
    return whole ? (unsigned)divide(part * 100, (uint32_t)whole) : 0;
}

// The run time in turns [1, 1 + TURNS_SEEN) and the extremes of their lengths.
struct summary {
    uint64_t ran, elapsed, shortest, longest;
};

static struct summary judge(void)
{
    struct summary s = {.shortest = ~0ull};
    for (unsigned i = 1; i < 1 + TURNS_SEEN; i++) {
        uint64_t length = turns[i].end - turns[i].start;
        s.ran += length;
        s.shortest = length < s.shortest ? length : s.shortest;
        s.longest = length > s.longest ? length : s.longest;
    }
    s.elapsed = turns[1 + TURNS_SEEN].start - turns[1].start;
    return s;
}

static void check_share(const char *line, const struct summary *s)
{
    unsigned wanted = (unsigned)word_number(line, "share", 0), got = percent(s->ran, s->elapsed);
    print("turns of %llu to %llu ticks, share %u%%\n", (unsigned long long)s->shortest,
          (unsigned long long)s->longest, got);
    if (!wanted) {
        skip("share", "no share= on the command line");
        return;
    }
    check(got + SHARE_TOLERANCE >= wanted && got <= wanted + SHARE_TOLERANCE, "share",
          "expected %u +- %u percent\ngot %u", wanted, SHARE_TOLERANCE, got);
}

// What the hypervisor books as run time must be what was seen here, all turns so far.
static void check_books(uint64_t booked, uint64_t elapsed, uint64_t away)
{
    uint64_t seen = elapsed - away;
    if ((int64_t)booked < 0) {
        skip("books", "QUERY_RUN_TICKS is not supported");
        return;
    }
    unsigned ratio = percent(booked, seen);
    check(ratio >= 90 && ratio <= 110, "books", "expected about %llu ticks\ngot %llu",
          (unsigned long long)seen, (unsigned long long)booked);
}

int main(const struct start_info *start)
{
    const char *line = command_line(start);
    uint64_t slice = divide(word_number(line, "slice-us", 10000) * start->tsc_hz, 1000000);
    tap_plan(POINTS);
    int64_t before = hypercall1(HC_QUERY, QUERY_RUN_TICKS);
    unsigned n = spin(slice);
    int64_t after = hypercall1(HC_QUERY, QUERY_RUN_TICKS);
    if (!check(n > 1 + TURNS_SEEN, "somebody-else-runs", "expected more than %u turns\ngot %u",
               1 + TURNS_SEEN, n)) {
        skip("turn-no-longer", "too few turns");
        skip("turn-no-shorter", "too few turns");
        skip("share", "too few turns");
        skip("books", "too few turns");
        return tap_end();
    }
    struct summary s = judge();
    check(s.longest <= slice + slice / 4, "turn-no-longer", "expected at most %llu ticks\ngot %llu",
          (unsigned long long)(slice + slice / 4), (unsigned long long)s.longest);
    check(s.shortest >= slice / 2, "turn-no-shorter", "expected at least %llu ticks\ngot %llu",
          (unsigned long long)(slice / 2), (unsigned long long)s.shortest);
    check_share(line, &s);
    uint64_t away = 0;
    for (unsigned i = 0; i < n; i++)
        away += turns[i + 1].start - turns[i].end;
    check_books(before < 0 || after < 0 ? (uint64_t)-1 : (uint64_t)(after - before),
                turns[n].end - turns[0].start, away);
    return tap_end();
}
