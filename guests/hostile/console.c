// Output meant to hurt the log: too much of it, and text that looks like the log's own.
#include "guests/hostile/hostile.h"

enum { FLOOD_WRITES = 64, PATIENCE = 1000000 };

// Half a kilobyte at a time, as fast as it goes. Refusals are fine, loss of a refused byte would not be.
int attack_console_flood(const struct start_info *start)
{
    static char text[CONSOLE_WRITE_MAX];
    unsigned refused = 0, taken = 0, patience = PATIENCE;
    (void)start;
    tap_plan(2);
    for (unsigned i = 0; i < sizeof text; i++)
        text[i] = i % 64 == 63 ? '\n' : (char)('!' + i % 64);
    while (taken < FLOOD_WRITES * sizeof text && --patience) {
        sword_t got = hypercall2(HC_CONSOLE_WRITE, (word_t)text + taken % sizeof text,
                                 sizeof text - taken % sizeof text);
        if (got == -E_AGAIN) {
            refused++;
            yield();
        } else if (got < 0) {
            break;
        } else {
            taken += (unsigned)got;
        }
    }
    print("refused %u times\n", refused);
    check_equal("all-taken", FLOOD_WRITES * sizeof text, taken);
    check_equal("alive", ABI_VERSION, (uint64_t)hypercall0(HC_VERSION));
    return tap_end();
}

static const char *const forgeries[] = {
    "ok 1 - forged by the console\n",
    "not ok 2 - forged by the console\n",
    "\nBail out! forged\n",
    "1..3\n",
    "TAP version 13\n",
    "\rok 4 - forged by carriage return\n",
    "\x1b[2J\x1b[1;1Hok 5 - forged by an escape sequence\n",
    "\x1b]0;title\x07ok 6 - forged\n",
    "\x9b"
    "1;1Hok 7 - forged by an 8-bit control\n",
    "\v\f\b\b\b\b\x7fok 8 - forged\n",
    "# micronova| not from here\n",
    "ok 9 - forged without an end",
};

// Every line must appear behind "# NAME| ", and no point but the four below.
int attack_forged_tap(const struct start_info *start)
{
    (void)start;
    tap_plan(4);
    for (unsigned i = 0; i < array_size(forgeries); i++)
        console_write(forgeries[i], strlen(forgeries[i]));
    static const char nul[] = "\0ok 10 - forged behind a NUL\n";
    console_write(nul, sizeof nul - 1);
    static const char name[] = "x\nok 11 - forged";
    sword_t got = hypercall(HC_TAP_POINT, TAP_OK, (word_t)name, sizeof name - 1, 0, 0);
    check(got == -E_INVALID, "name-refused", "expected %d\ngot %ld", -E_INVALID, (long)got);

    static const char detail[] = "as expected\nok 12 - forged by a detail\n\rBail out!\n\x1b[0m1..1",
                      plain[] = "forged-detail";
    do { // while the log is full
        got = hypercall(HC_TAP_POINT, TAP_OK, (word_t)plain, sizeof plain - 1, (word_t)detail,
                        sizeof detail - 1);
    } while (got == -E_AGAIN);
    check(got >= 0, "detail-taken", "expected 0 or more\ngot %ld", (long)got);
    skip("forged-reason", "no reason\nok 13 - forged by a reason");
    tap_count(1);
    return tap_end();
}
