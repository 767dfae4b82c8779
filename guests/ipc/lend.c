// Roles that share memory: a client grants pages, a server maps them, adds up what is in them and answers.
#include "guests/ipc/ipc.h"

enum { PAGE = 4096, PAGE_BITS = 12, READ_ONLY = 1, READ_WRITE = 3, LARGE = 0x200000 };
enum request { ADD_UP, ADD_ONE, READ_ON };

static uint64_t *at_page(word_t page)
{
    return (uint64_t *)(page << PAGE_BITS);
}

static sword_t grant(enum grant_op op, word_t port, word_t a, word_t b, word_t c)
{
    return hypercall(HC_GRANT, op, port, a, b, c);
}

// Calls until as much is mapped as `until`, or an error.
static sword_t grant_all(enum grant_op op, word_t port, word_t number, word_t page, sword_t until)
{
    sword_t got;
    do
        got = grant(op, port, number, page, 0);
    while (got >= 0 && got != until);
    return got;
}

static uint64_t sum_of(const uint64_t *from, word_t pages)
{
    uint64_t sum = 0;
    for (word_t i = 0; i < pages * (PAGE / 8); i++)
        sum = (sum << 1 | sum >> 63) ^ from[i];
    return sum;
}

// ---- The server ----

static void write_one(void *at)
{
    ++*(volatile uint64_t *)at;
}

// Reads until it must not any more.
static void read_on(void *at)
{
    volatile uint64_t *word = at;
    for (;; yield())
        (void)*word;
}

// count= requests: {what, grant, pages}, answered with {result, ...}.
int lend_server(const struct role *r)
{
    struct words m;
    word_t window = (word_t)hypercall1(HC_GRANT, GRANT_WINDOW), wrong = 0, served = 0;
    sword_t in = ipc_receive(PORT_ANY, WAIT_FOREVER, &m);
    for (; in >= 0; served++) {
        word_t what = m.w[0], number = m.w[1], pages = m.w[2];
        uint64_t began = rdtsc();
        sword_t got = grant_all(GRANT_MAP, (word_t)in, number, window, (sword_t)pages);
        uint64_t ticks = rdtsc() - began;
        wrong += got != (sword_t)pages;
        uint64_t *at = at_page(window);
        struct fault f = FAULT_NONE;
        if (what == READ_ON) {
            m = (struct words){{0}};
            ipc_send(r->out[0], &m); // it may revoke now
            f = catch_exception(read_on, at);
            wrong += f.vector != VECTOR_GP;
        } else if (got == (sword_t)pages) {
            f = catch_exception(write_one, at); // refused where only reading was granted
            m.w[0] = (word_t)sum_of(at, pages);
        }
        m.w[1] = f.vector;
        m.w[2] = (word_t)divide(ticks, (uint32_t)pages);
        if (what != READ_ON)
            wrong += grant_all(GRANT_UNMAP, (word_t)in, number, 0, 0) != 0;
        f = catch_exception(write_one, at);
        wrong += f.vector != VECTOR_GP;
        in = ipc_call(r->out[0], PORT_ANY, &m);
    }
    check(!wrong && in == -E_GONE && served == r->count, "served",
          "expected %lu, 0 wrong\ngot %lu, %lu wrong, then %ld", (unsigned long)r->count,
          (unsigned long)served, (unsigned long)wrong, (long)in);
    return 0;
}

// ---- The client ----

static sword_t ask(const struct role *r, enum request what, sword_t number, word_t pages, struct words *m)
{
    *m = (struct words){
        {what, (word_t)number, pages}
    };
    return ipc_call(r->out[0], r->in[0], m);
}

// 16 MiB behind a 2-MiB boundary, filled, granted for reading, then a few pages for writing, then taken away while
// they are read.
int lend_client(const struct role *r)
{
    struct words m;
    word_t pages = (word_t)word_number(r->line, "pages", 4096), first = LARGE >> PAGE_BITS;
    uint64_t *at = at_page(first);
    for (word_t i = 0; i < pages * (PAGE / 8); i++)
        at[i] = i * 0x9e3779b97f4a7c15ull;
    uint64_t expected = sum_of(at, pages);
    sword_t number = grant(GRANT_GIVE, r->out[0], first, pages, READ_ONLY);
    check(number >= 0, "give", "expected a number\ngot %ld", (long)number);
    sword_t in = ask(r, ADD_UP, number, pages, &m);
    check(in == (sword_t)r->in[0] && m.w[0] == expected, "checksum", "expected %lx\ngot %lx from %ld",
          (unsigned long)expected, (unsigned long)m.w[0], (long)in);
    print("%lu pages mapped, %lu ticks each\n", (unsigned long)pages, (unsigned long)m.w[2]);
    check_equal("read-only", VECTOR_GP, m.w[1]);
    check_equal("revoke", 0, (uint64_t)grant_all(GRANT_REVOKE, r->out[0], (word_t)number, 0, 0));
    check_equal("is-gone", (uint64_t)-E_NOT_FOUND,
                (uint64_t)grant(GRANT_REVOKE, r->out[0], (word_t)number, 0, 0));

    number = grant(GRANT_GIVE, r->out[0], first, 3, READ_WRITE);
    uint64_t before = at[0];
    ask(r, ADD_ONE, number, 3, &m);
    check_equal("written", before + 1, at[0]);
    check_equal("read-write", VECTOR_NONE, m.w[1]);

    ask(r, READ_ON, number, 3, &m); // answered as soon as it reads
    sword_t left = grant_all(GRANT_REVOKE, r->out[0], (word_t)number, 0, 0);
    in = ipc_receive(r->in[0], WAIT_FOREVER, &m);
    check(!left && in == (sword_t)r->in[0] && m.w[1] == VECTOR_GP, "revoked-in-use",
          "expected 0 pages left, then #GP there\ngot %ld, then vector %lu", (long)left,
          (unsigned long)m.w[1]);
    return 0;
}
