#include "kernel/options.h"
#include "arch/string.h"
#include "kernel/keys.h"

struct options options = {.tap = true}; // for who ends before the line is read

// clang-format off
static const struct choice dirty_methods[] = {
#define X(name, word) {word, DIRTY_##name},
    DIRTY_METHODS(X)
#undef X
    {NULL, 0},
};
// clang-format on

// N, NAME:N, NAME:rising
static enum error fail_alloc_parse(const struct key *key, const char *value, void *to, struct reason *why)
{
    struct fail_alloc f = {.n = 1};
    const char *colon = strchr(value, ':'), *number = colon ? colon + 1 : value;
    size_t length = colon ? (size_t)(colon - value) : 0;
    if (length >= sizeof f.machine || colon == value)
        return key_refuse(key, value, why);
    memcpy(f.machine, value, length);
    f.rising = colon && text_is(number, "rising");
    if (!f.rising && (!number_parse(number, &f.n) || f.n == 0))
        return key_refuse(key, value, why);
    *(struct fail_alloc *)key_field(key, to) = f;
    return E_OK;
}

#define FIELD(member) KEY_FIELD(struct options, member)
#define A_HOOK        "a time such as 100ms (a test hook)"
// clang-format off
static const struct key keys[] = {
    {"apicv", "auto, on or off", key_choice, FIELD(apicv),
     .choices = WORDS({"auto", APICV_AUTO}, {"on", APICV_ON}, {"off", APICV_OFF})},
    {"console", "com1, com2, vga (several with commas) or none", key_choices, FIELD(console),
     .choices = WORDS({"com1", CONSOLE_COM1}, {"com2", CONSOLE_COM2}, {"vga", CONSOLE_SCREEN}, {"none", CONSOLE_NONE})},
    {"cpus", "a number from 1", key_number, FIELD(cpus), .read = number_parse, .least = 1, .most = UINT32_MAX},
    {"dirty", "pml, bits or protect", key_choice, FIELD(dirty), .choices = dirty_methods},
    {"exit", "auto, bochs, qemu, acpi, reboot or halt", key_choice, FIELD(exit),
     .choices = WORDS({"auto", POWER_DEFAULT}, {"bochs", POWER_BOCHS}, {"qemu", POWER_QEMU}, {"acpi", POWER_ACPI},
                      {"reboot", POWER_REBOOT}, {"halt", POWER_HALT})},
    {"fail-alloc", "a number from 1, NAME:NUMBER or NAME:rising (a test hook)", fail_alloc_parse, FIELD(fail_alloc)},
    {"hang", A_HOOK, key_number, FIELD(hang_us), .read = time_parse, .least = 1},
    {"loglevel", "error, warn, info or debug", key_choice, FIELD(loglevel),
     .choices = WORDS({"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG})},
    {"machine-check", A_HOOK, key_number, FIELD(machine_check_us), .read = time_parse, .least = 1},
    {"panic", A_HOOK, key_number, FIELD(panic_us), .read = time_parse, .least = 1},
    {"report", "stats, memory, bench (several with commas)", key_choices, FIELD(report),
     .choices = WORDS({"stats", REPORT_STATS}, {"memory", REPORT_MEMORY}, {"bench", REPORT_BENCH})},
    {"slice", "a time from 100us to 10s, such as 10ms", key_number, FIELD(slice_us),
     .read = time_parse, .least = SLICE_US_MIN, .most = SLICE_US_MAX},
    {"stray", A_HOOK, key_number, FIELD(stray_us), .read = time_parse, .least = 1},
    {"tap", "on or off", key_choice, FIELD(tap), .choices = WORDS({"on", true}, {"off", false})},
};
// clang-format on

void options_parse(const char *line, struct options *out, void (*complain)(const char *sentence))
{
    char word[128];
    struct reason why, sentence;
    enum word_result result;

    *out = (struct options){.console = CONSOLE_COM1 | CONSOLE_SCREEN,
                            .loglevel = LOG_INFO,
                            .dirty = DIRTY_METHOD_COUNT,
                            .slice_us = SLICE_US_DEFAULT,
                            .tap = true};
    while ((result = word_next(&line, word, sizeof(word))) != WORD_NONE) {
        if (!keys_parse(keys, array_size(keys), result, word, out, NULL, &why))
            continue;
        reason_set(&sentence, E_MALFORMED, "option ignored: %s", why.text);
        complain(sentence.text);
    }
}
