// All of the machine's memory is there, was zero at the start, and every byte of it is its own.
#include "guests/lib/guest.h"

enum {
    PAGE_BYTES = 4096,
    WORDS = PAGE_BYTES / sizeof(word_t),
    SMALLEST = 1 << 20,
    MAPPED = 1 << 30,
    POINTS = 4
};

// Tells what went wrong first, and how often.
struct finding {
    unsigned count;
    word_t at, expected, got;
};

static void compare(struct finding *f, const word_t *at, word_t expected)
{
    word_t got = *(const volatile word_t *)at;
    if (got == expected)
        return;
    if (f->count++ == 0)
        *f = (struct finding){1, (word_t)at, expected, got};
}

static bool report(const char *name, const struct finding *f)
{
    return check(f->count == 0, name, "expected %#lx at %#lx\ngot %#lx; %u words are wrong",
                 (unsigned long)f->expected, (unsigned long)f->at, (unsigned long)f->got, f->count);
}

// A value that no other address has, and that differs in every byte from the neighbour's.
static word_t pattern(word_t at)
{
    return at * (word_t)0x9e3779b97f4a7c15 + 1;
}

static void fill(word_t *page)
{
    for (unsigned i = 0; i < WORDS; i++)
        page[i] = pattern((word_t)&page[i]);
}

static void expect_pattern(struct finding *f, const word_t *page)
{
    for (unsigned i = 0; i < WORDS; i++)
        compare(f, &page[i], pattern((word_t)&page[i]));
}

static void expect_zero(struct finding *f, const word_t *page)
{
    for (unsigned i = 0; i < WORDS; i++)
        compare(f, &page[i], 0);
}

int main(const struct start_info *start)
{
    struct finding zero = {0}, kept = {0};
    word_t end = start->mem_bytes < MAPPED ? (word_t)start->mem_bytes : MAPPED, pages = 0;

    tap_plan(POINTS);
    check(start->mem_bytes >= SMALLEST && start->mem_bytes % PAGE_BYTES == 0, "size",
          "expected whole pages, at least %#x bytes\ngot %#llx", SMALLEST,
          (unsigned long long)start->mem_bytes);
    for (word_t at = 0; at < end; at += PAGE_BYTES) {
        if (loader_owns(start, at, PAGE_BYTES))
            continue;
        expect_zero(&zero, (const word_t *)at);
        fill((word_t *)at);
        pages++;
    }
    for (word_t at = 0; at < end; at += PAGE_BYTES) {
        if (!loader_owns(start, at, PAGE_BYTES))
            expect_pattern(&kept, (const word_t *)at);
    }
    report("zeroed", &zero);
    report("distinct", &kept);
    check(pages >= end / PAGE_BYTES * 3 / 4, "mostly-free", "expected at least %lu pages\ngot %lu",
          (unsigned long)(end / PAGE_BYTES * 3 / 4), (unsigned long)pages);
    return tap_end();
}
