// Points about attempts and steps: expected beside got, in words.
#include "guests/vmx/lib/vmx.h"

const char *section = "";
static unsigned points;

// A point that fails is a finding about the machine below, and no reason for the bucket's own end to count as bad.
int points_end(void)
{
    tap_plan(points);
    tap_end();
    return 0;
}

// ---- Words ----

static struct buffer {
    char text[160];
} buffers[4];

static char *next_buffer(void)
{
    static unsigned n;
    return buffers[n++ % array_size(buffers)].text;
}

static const char *words(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *words(const char *format, ...)
{
    char *text = next_buffer();
    va_list args;
    va_start(args, format);
    format_text_v(text, sizeof buffers->text, format, args);
    va_end(args);
    return text;
}

const char *name_of(const char *format, ...)
{
    static char names[16][TAP_NAME_MAX + 1];
    static unsigned n;
    char *text = names[n++ % array_size(names)];
    va_list args;
    va_start(args, format);
    format_text_v(text, TAP_NAME_MAX + 1, format, args);
    va_end(args);
    return text;
}

static const char *exit_words(uint64_t reason, uint64_t qualification)
{
    return words("exit reason %u (%s), qualification %#llx", (unsigned)(reason & REASON_BASIC),
                 exit_reason_words((uint32_t)reason), (unsigned long long)qualification);
}

const char *result_words(void)
{
    switch ((enum probe_outcome)result.outcome) {
    case PROBE_NOTHING:
        return "an instruction that changed no flag";
    case PROBE_FAIL_INVALID:
        return "VMfailInvalid";
    case PROBE_FAIL_VALID:
        return words("VM-instruction error %u, %s", (unsigned)result.error,
                     vm_error_words((uint32_t)result.error));
    case PROBE_FAILED_ENTRY:
        return words("failed entry: %s", exit_words(result.reason, result.qualification));
    case PROBE_ENTERED:
        if (result.reason == REASON_EXCEPTION_OR_NMI)
            return words("an exit by %s, information %#llx, error code %#llx, qualification %#llx",
                         fault_name((uint8_t)result.interruption), (unsigned long long)result.interruption,
                         (unsigned long long)result.interruption_error,
                         (unsigned long long)result.qualification);
        return exit_words(result.reason, result.qualification);
    }
    return "an unknown outcome";
}

// ---- Delivering ----

static bool deliver(bool ok, const char *name, const char *expected, const char *got)
{
    points++;
    return check(ok, name, "SDM volume 3, \"%s\"\nexpected %s\ngot %s", section, expected, got);
}

void skipped(const char *name, const char *why)
{
    points++;
    skip(name, why);
}

bool stepped_over(const char *name)
{
    bool over = word_present(command_line(start), words("skip=%s", name));
    if (over)
        skipped(name, "skip= on the module line");
    return over;
}

static void not_tried(const char *name, const char *why)
{
    skipped(name, words("the probe does not try this: %s", why));
}

void info(const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    format_text_v(text, sizeof text, format, args);
    va_end(args);
    print("info %s\n", text);
}

bool expect_true(const char *name, bool ok, const char *format, ...)
{
    char text[200] = "";
    va_list args;
    va_start(args, format);
    format_text_v(text, sizeof text, format, args);
    va_end(args);
    points++;
    return check(ok, name, "SDM volume 3, \"%s\"\n%s", section, text);
}

bool expect_equal(const char *name, const char *what, uint64_t expected, uint64_t got)
{
    return deliver(expected == got, name, words("%s %#llx", what, (unsigned long long)expected),
                   words("%#llx", (unsigned long long)got));
}

// ---- Attempts ----

// False: the hypervisor did not try, and the point is delivered.
static bool entered_or_skipped(const char *name)
{
    if (stepped_over(name))
        return false;
    const char *why = vm_enter();
    if (why)
        not_tried(name, why);
    return !why;
}

static bool is_exit(uint32_t reason)
{
    return result.outcome == PROBE_ENTERED && result.reason == reason;
}

bool expect_entered(const char *name)
{
    if (!entered_or_skipped(name))
        return true;
    return deliver(result.outcome == PROBE_ENTERED, name, "an entry", result_words());
}

bool expect_exit(const char *name, uint32_t reason, uint64_t qualification)
{
    if (!entered_or_skipped(name))
        return true;
    bool ok = is_exit(reason) && result.qualification == qualification;
    return deliver(ok, name, exit_words(reason, qualification), result_words());
}

bool expect_reason(const char *name, uint32_t reason)
{
    if (!entered_or_skipped(name))
        return true;
    return deliver(is_exit(reason), name, words("exit reason %u (%s)", reason, exit_reason_words(reason)),
                   result_words());
}

bool expect_passed(const char *name)
{
    return expect_reason(name, REASON_VMCALL);
}

bool expect_delivered(const char *name, uint8_t vector)
{
    if (!entered_or_skipped(name))
        return true;
    return deliver(vector_reached() == vector, name,
                   words("delivery of %s through the IDT", fault_name(vector)),
                   vector_reached() < 0 ? result_words() : words("delivery of vector %d", vector_reached()));
}

bool expect_exception(const char *name, uint8_t vector, int64_t error_code)
{
    if (!entered_or_skipped(name))
        return true;
    struct event e = decode_event((uint32_t)result.interruption);
    bool ok = is_exit(REASON_EXCEPTION_OR_NMI) && e.valid && e.vector == vector &&
              e.error_code == (error_code >= 0) &&
              (error_code < 0 || result.interruption_error == (uint64_t)error_code);
    const char *expected = error_code < 0 ? words("an exit by %s", fault_name(vector))
                                          : words("an exit by %s, error code %#llx", fault_name(vector),
                                                  (unsigned long long)error_code);
    return deliver(ok, name, expected, result_words());
}

bool expect_fail_valid(const char *name, uint32_t error)
{
    if (!entered_or_skipped(name))
        return true;
    bool ok = result.outcome == PROBE_FAIL_VALID && result.error == error;
    return deliver(ok, name, words("VM-instruction error %u, %s", error, vm_error_words(error)),
                   result_words());
}

bool expect_fail_invalid(const char *name)
{
    if (!entered_or_skipped(name))
        return true;
    return deliver(result.outcome == PROBE_FAIL_INVALID, name, "VMfailInvalid", result_words());
}

bool expect_failed_entry(const char *name, uint32_t reason, uint64_t qualification)
{
    if (!entered_or_skipped(name))
        return true;
    bool ok = result.outcome == PROBE_FAILED_ENTRY && result.reason == (reason | REASON_ENTRY_FAILURE) &&
              result.qualification == qualification;
    return deliver(ok, name, words("failed entry: %s", exit_words(reason, qualification)), result_words());
}

// ---- Steps ----

bool steps_ran(const char *name)
{
    if (stepped_over(name))
        return false;
    const char *why = steps_run();
    if (why)
        not_tried(name, why);
    return !why;
}

enum { STATUS = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF };

static const char *step_words(const struct probe_step *s)
{
    uint32_t status = s->rflags & STATUS;
    if (s->vector != PROBE_NO_FAULT)
        return words("%s, error code %#x", fault_name((uint8_t)s->vector), s->error_code);
    if (status == 0)
        return "VMsucceed";
    if (status == RFLAGS_CF)
        return "VMfailInvalid";
    if (status == RFLAGS_ZF)
        return words("VM-instruction error %u, %s", s->error, vm_error_words(s->error));
    return words("status flags %#x", status);
}

static bool step_is(const struct probe_step *s, uint32_t status)
{
    return s->vector == PROBE_NO_FAULT && (s->rflags & STATUS) == status;
}

bool step_succeeds(const char *name, const struct probe_step *s)
{
    return deliver(step_is(s, 0), name, "VMsucceed: all status flags 0", step_words(s));
}

bool step_fails_invalid(const char *name, const struct probe_step *s)
{
    return deliver(step_is(s, RFLAGS_CF), name, "VMfailInvalid: CF alone", step_words(s));
}

bool step_fails_valid(const char *name, const struct probe_step *s, uint32_t error)
{
    return deliver(step_is(s, RFLAGS_ZF) && s->error == error, name,
                   words("VM-instruction error %u, %s, and ZF alone", error, vm_error_words(error)),
                   step_words(s));
}

bool step_faults(const char *name, const struct probe_step *s, uint8_t vector, uint32_t error_code)
{
    return deliver(s->vector == vector && s->error_code == error_code, name,
                   words("%s, error code %#x", fault_name(vector), error_code), step_words(s));
}
