#include "guests/lib/tap.h"
#include "guests/lib/print.h"
#include "guests/lib/string.h"

static unsigned planned, delivered, failed;

void tap_plan(unsigned points)
{
    planned = points;
    sword_t got = hypercall1(HC_TAP_PLAN, points);
    if (got < 0)
        print("plan refused: %s\n", error_text((enum error) - got));
}

static void deliver(enum tap_flag flag, const char *name, const char *detail)
{
    sword_t got;
    delivered++;
    do {
        got = hypercall(HC_TAP_POINT, flag, (word_t)name, strlen(name), (word_t)detail, strlen(detail));
        if (got == -E_AGAIN)
            yield();
    } while (got == -E_AGAIN);
    if (got < 0) {
        failed++;
        print("point %s refused: %s\n", name, error_text((enum error) - got));
    }
}

bool check(bool ok, const char *name, const char *format, ...)
{
    char detail[TAP_DETAIL_MAX] = "";
    if (!ok) {
        va_list args;
        va_start(args, format);
        format_text_v(detail, sizeof detail, format, args);
        va_end(args);
        failed++;
    }
    deliver(ok ? TAP_OK : TAP_NOT_OK, name, detail);
    return ok;
}

bool check_equal(const char *name, uint64_t expected, uint64_t got)
{
    return check(expected == got, name, "expected %#llx\ngot %#llx", (unsigned long long)expected,
                 (unsigned long long)got);
}

bool check_bits(const char *name, uint64_t mask, uint64_t expected, uint64_t got)
{
    return check((got & mask) == expected, name, "expected %#llx in bits %#llx\ngot %#llx",
                 (unsigned long long)expected, (unsigned long long)mask, (unsigned long long)got);
}

bool check_fault(const char *name, struct fault expected, struct fault got)
{
    bool ok = expected.vector == got.vector && expected.error_code == got.error_code;
    return check(ok, name, "expected %s, error code %#lx\ngot %s, error code %#lx, at %#lx",
                 fault_name(expected.vector), (unsigned long)expected.error_code, fault_name(got.vector),
                 (unsigned long)got.error_code, (unsigned long)got.ip);
}

void skip(const char *name, const char *reason)
{
    deliver(TAP_SKIP, name, reason);
}

void tap_count(unsigned points)
{
    delivered += points;
}

int tap_end(void)
{
    if (delivered != planned)
        print("expected %u points\ngot %u\n", planned, delivered);
    return failed || delivered != planned;
}
