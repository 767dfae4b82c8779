// Balloon and memory by message; the console.
#include "guests/services/services.h"

enum { PAGE_BITS = 12, PATIENCE_US = 5000000, LINES = 60 };

static sword_t ask2(enum service_operation op, word_t a, word_t b)
{
    struct words m = {
        {op, a, b}
    };
    return service_ask(&hv, &m);
}

static void positive(const char *name, sword_t got)
{
    check(got > 0, name, "expected more than 0\ngot %ld", (long)got);
}

static word_t figure(enum balloon_figure which)
{
    return (word_t)ask(ASK_BALLOON_FIGURE, which, NULL);
}

// Nothing but what one's own line allows.
void meek(void)
{
    struct words m;
    result("control-denied", -E_DENIED, ask(ASK_CONTROL_TICKS, start_info->vm_id, NULL));
    result("watch-denied", -E_DENIED, ask(ASK_CONTROL_WATCH, 1, NULL));
    result("pressure-denied", -E_DENIED, ask(ASK_MEMORY_WATCH, 1, NULL));
    result("input-denied", -E_DENIED, ask(ASK_CONSOLE_LISTEN, 1, NULL));
    result("read-denied", -E_DENIED, ask(ASK_CONSOLE_READ, 1, NULL));
    check_equal("held", start_info->mem_bytes >> PAGE_BITS, figure(BALLOON_HELD));
    result("no-balloon", -E_AGAIN, ask2(ASK_BALLOON_TAKE, figure(BALLOON_HELD), 1));
    result("usage", 0, ask(ASK_MEMORY_USAGE, 0, &m));
    check(m.w[2] > 8 && m.w[3] == figure(BALLOON_HELD), "usage-figures",
          "expected some and %lu\ngot %lu and %lu", (unsigned long)figure(BALLOON_HELD),
          (unsigned long)m.w[2], (unsigned long)m.w[3]);
    result("balloon-watch-oddly", -E_INVALID, ask(ASK_BALLOON_WATCH, ~(word_t)0, NULL));
}

// ---- With a balloon ----

// The event tells of the target as it is when it is taken.
static bool target_becomes(bool least)
{
    struct words m = {{0}};
    uint64_t end = rdtsc() + ticks_of_us(PATIENCE_US);
    bool is = false;
    while (!is && rdtsc() < end)
        if (take_event(ASK_BALLOON_WATCH, TAG, 100000, &m))
            is = (m.w[1] == figure(BALLOON_LEAST)) == least && m.w[2] == figure(BALLOON_HELD);
    return is;
}

void balloon(void)
{
    word_t least = figure(BALLOON_LEAST), most = figure(BALLOON_MOST);
    result("want-little", 0, ask(ASK_BALLOON_WANT, least, NULL));
    spin_us(20000);
    result("watch", 0, ask(ASK_BALLOON_WATCH, 1, NULL));
    result("want-much", 0, ask(ASK_BALLOON_WANT, most, NULL));
    check(target_becomes(false), "target-grows", "expected an event with more than mem=\ngot none");
    positive("take", ask2(ASK_BALLOON_TAKE, least, 1));
    result("take-twice", -E_EXISTS, ask2(ASK_BALLOON_TAKE, least, 1));
    positive("give", ask2(ASK_BALLOON_GIVE, least, 1));
    result("want-little-again", 0, ask(ASK_BALLOON_WANT, least, NULL));
    check(target_becomes(true), "target-shrinks", "expected an event with mem=\ngot none");
    result("want-too-much", -E_INVALID, ask(ASK_BALLOON_WANT, most + 1, NULL));
    result("watch-no-more", 0, ask(ASK_BALLOON_WATCH, 0, NULL));
    ask(ASK_BALLOON_WANT, most, NULL);
    result("no-event", -E_AGAIN, ipc_receive(hv.in, 50000, &(struct words){{0}}));
}

// ---- In a box that has nobody else: memory becomes short when it has its target, and no more when it gives ----

static bool pressure_becomes(word_t is_short)
{
    struct words m = {{0}};
    uint64_t end = rdtsc() + ticks_of_us(PATIENCE_US);
    while (rdtsc() < end)
        if (take_event(ASK_MEMORY_WATCH, TAG, 100000, &m) && m.w[1] == is_short && m.w[2])
            return true;
    return false;
}

void pressure(void)
{
    word_t least = figure(BALLOON_LEAST), at = least;
    uint64_t limit = rdtsc() + ticks_of_us(PATIENCE_US);
    while (figure(BALLOON_TARGET) == least && rdtsc() < limit)
        yield();
    result("watch", 0, ask(ASK_MEMORY_WATCH, 1, NULL));
    for (sword_t n = 1; n > 0; at += n > 0 ? (word_t)n : 0)
        n = ask2(ASK_BALLOON_TAKE, at, figure(BALLOON_TARGET));
    check(pressure_becomes(1), "short", "expected an event: short\ngot none, %lu pages", (unsigned long)at);
    result("watch-short", 1, ask(ASK_MEMORY_WATCH, 1, NULL));
    for (sword_t n = 1; n > 0 && least<at; least += n> 0 ? (word_t)n : 0)
        n = ask2(ASK_BALLOON_GIVE, least, at - least);
    check(pressure_becomes(0), "enough", "expected an event: enough\ngot none");
    result("watch-enough", 0, ask(ASK_MEMORY_WATCH, 1, NULL));
}

// ---- Console ----

static sword_t write_piece(const char *text, word_t n)
{
    struct words m = {
        {ASK_CONSOLE_WRITE, n}
    };
    memcpy(&m.w[2], text, n < 2 * sizeof(word_t) ? n : 2 * sizeof(word_t));
    return service_ask(&hv, &m);
}

static void write_all(const char *text)
{
    size_t left = strlen(text);
    while (left) {
        sword_t n = write_piece(text, left < 2 * sizeof(word_t) ? left : 2 * sizeof(word_t));
        if (n == -E_AGAIN)
            yield();
        else if (n <= 0)
            return;
        text += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
}

void console(void)
{
    char line[80];
    for (unsigned i = 0; i < LINES; i++) {
        format_text(line, sizeof line, "by message, line %u of %u, two words a piece\n", i + 1, LINES);
        write_all(line);
    }
    result("write-nothing", 0, write_piece("", 0));
    result("write-too-much", -E_TOO_BIG, write_piece("", 2 * sizeof(word_t) + 1));
    result("write-all-ones", -E_TOO_BIG, write_piece("", ~(word_t)0));
    result("write-controls", 3, write_piece("\x1b[m", 3));
}

// What is typed at the box, sent back as a line; the serial port must not see it.
void input(void)
{
    char line[80];
    size_t length = 0;
    struct words m;
    result("listen", 0, ask(ASK_CONSOLE_LISTEN, 1, NULL));
    print("waits for input\n");
    while (!length || line[length - 1] != '\n') {
        if (!take_event(ASK_CONSOLE_LISTEN, TAG, WAIT_FOREVER, &m))
            break;
        for (sword_t n; (n = ask(ASK_CONSOLE_READ, 0, &m)) > 0; length += (size_t)n)
            if (length + (size_t)n < sizeof line)
                memcpy(line + length, &m.w[2], (size_t)n);
    }
    line[length] = '\0';
    print("%s", line);
    result("listen-no-more", 0, ask(ASK_CONSOLE_LISTEN, 0, NULL));
    result("read-no-more", -E_DENIED, ask(ASK_CONSOLE_READ, 0, NULL));
}
