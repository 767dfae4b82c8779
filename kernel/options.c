#include "kernel/options.h"
#include "arch/reason.h"
#include "arch/string.h"
#include "kernel/words.h"

struct options options = {.tap = true}; // for who ends before the line is read

// Each parser stores a value, or returns false and leaves the option as it was.

struct choice {
    const char *word;
    uint32_t value;
};

static const struct choice *choice_find(const struct choice *choices, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (text_is(word, choices[i].word))
            return &choices[i];
    return NULL;
}

// Words with commas between, each the name of a bit.
static bool bits_parse(const struct choice *choices, size_t count, const char *value, uint32_t *out)
{
    uint32_t bits = 0;
    char word[12];

    for (bool more = true; more; value++) {
        size_t length = 0;
        while (value[length] && value[length] != ',')
            length++;
        if (length >= sizeof(word))
            return false;
        memcpy(word, value, length);
        word[length] = '\0';
        const struct choice *c = choice_find(choices, count, word);
        if (!c)
            return false;
        bits |= c->value;
        value += length;
        more = *value == ',';
    }
    *out = bits;
    return true;
}

static bool console_parse(const char *value, struct options *o)
{
    static const struct choice choices[] = {
        {"com1", CONSOLE_COM1  },
        {"com2", CONSOLE_COM2  },
        {"vga",  CONSOLE_SCREEN},
        {"none", CONSOLE_NONE  }
    };
    return bits_parse(choices, array_size(choices), value, &o->console);
}

static bool report_parse(const char *value, struct options *o)
{
    static const struct choice choices[] = {
        {"stats",  REPORT_STATS },
        {"memory", REPORT_MEMORY},
        {"bench",  REPORT_BENCH }
    };
    return bits_parse(choices, array_size(choices), value, &o->report);
}

static bool loglevel_parse(const char *value, struct options *o)
{
    static const struct choice choices[] = {
        {"error", LOG_ERROR},
        {"warn",  LOG_WARN },
        {"info",  LOG_INFO },
        {"debug", LOG_DEBUG}
    };
    const struct choice *c = choice_find(choices, array_size(choices), value);
    if (c)
        o->loglevel = (enum log_level)c->value;
    return c;
}

static bool exit_parse(const char *value, struct options *o)
{
    static const struct choice choices[] = {
        {"auto",   POWER_DEFAULT},
        {"bochs",  POWER_BOCHS  },
        {"qemu",   POWER_QEMU   },
        {"acpi",   POWER_ACPI   },
        {"reboot", POWER_REBOOT },
        {"halt",   POWER_HALT   }
    };
    const struct choice *c = choice_find(choices, array_size(choices), value);
    if (c)
        o->exit = (enum power_way)c->value;
    return c;
}

static bool cpus_parse(const char *value, struct options *o)
{
    uint64_t cpus;
    if (!number_parse(value, &cpus) || cpus == 0 || cpus > UINT32_MAX)
        return false;
    o->cpus = (uint32_t)cpus;
    return true;
}

static bool slice_parse(const char *value, struct options *o)
{
    uint64_t us;
    if (!time_parse(value, &us) || us < SLICE_US_MIN || us > SLICE_US_MAX)
        return false;
    o->slice_us = us;
    return true;
}

// Test hooks: something happens so long after the start.
static bool hook_parse(const char *value, uint64_t *out)
{
    uint64_t us;
    if (!time_parse(value, &us) || us == 0)
        return false;
    *out = us;
    return true;
}

#define HOOK(name)                                                 \
    static bool name##_parse(const char *value, struct options *o) \
    {                                                              \
        return hook_parse(value, &o->name##_us);                   \
    }
HOOK(hang)
HOOK(machine_check)
HOOK(panic)
HOOK(stray)
#undef HOOK

// N, NAME:N, NAME:rising
static bool fail_alloc_parse(const char *value, struct options *o)
{
    struct fail_alloc f = {.n = 1};
    const char *colon = strchr(value, ':');
    size_t length = colon ? (size_t)(colon - value) : 0;
    if (length >= sizeof f.machine || colon == value)
        return false;
    memcpy(f.machine, value, length);
    value = colon ? colon + 1 : value;
    f.rising = colon && text_is(value, "rising");
    if (!f.rising && (!number_parse(value, &f.n) || f.n == 0))
        return false;
    o->fail_alloc = f;
    return true;
}

static bool dirty_parse(const char *value, struct options *o)
{
    static const struct choice choices[] = {
#define X(name, word) {word, DIRTY_##name},
        DIRTY_METHODS(X)
#undef X
    };
    const struct choice *c = choice_find(choices, array_size(choices), value);
    if (c)
        o->dirty = (enum dirty_method)c->value;
    return c;
}

static bool tap_parse(const char *value, struct options *o)
{
    static const struct choice choices[] = {
        {"on",  true },
        {"off", false}
    };
    const struct choice *c = choice_find(choices, array_size(choices), value);
    if (c)
        o->tap = c->value;
    return c;
}

static bool apicv_parse(const char *value, struct options *o)
{
    static const struct choice choices[] = {
        {"auto", APICV_AUTO},
        {"on",   APICV_ON  },
        {"off",  APICV_OFF }
    };
    const struct choice *c = choice_find(choices, array_size(choices), value);
    if (c)
        o->apicv = (enum apicv_option)c->value;
    return c;
}

struct option {
    const char *key; // with the equals sign
    bool (*parse)(const char *value, struct options *o);
    const char *usage;
};

// clang-format off
static const struct option table[] = {
    {"apicv=",    apicv_parse,    "auto, on or off"},
    {"console=",  console_parse,  "com1, com2, vga (several with commas) or none"},
    {"cpus=",     cpus_parse,     "a number from 1"},
    {"dirty=",    dirty_parse,    "pml, bits or protect"},
    {"exit=",     exit_parse,     "auto, bochs, qemu, acpi, reboot or halt"},
    {"fail-alloc=", fail_alloc_parse, "a number from 1, NAME:NUMBER or NAME:rising (a test hook)"},
    {"hang=",     hang_parse,     "a time such as 100ms (a test hook)"},
    {"loglevel=", loglevel_parse, "error, warn, info or debug"},
    {"machine-check=", machine_check_parse, "a time such as 100ms (a test hook)"},
    {"panic=",    panic_parse,    "a time such as 100ms (a test hook)"},
    {"report=",   report_parse,   "stats, memory, bench (several with commas)"},
    {"slice=",    slice_parse,    "a time from 100us to 10s, such as 10ms"},
    {"stray=",    stray_parse,    "a time such as 100ms (a test hook)"},
    {"tap=",      tap_parse,      "on or off"},
};
// clang-format on

static const struct option *option_find(const char *word, const char **value)
{
    for (size_t i = 0; i < array_size(table); i++)
        if (text_starts(word, table[i].key, value))
            return &table[i];
    return NULL;
}

static void word_parse(const char *word, struct options *out, void (*complain)(const char *sentence))
{
    struct reason why;
    const char *value;
    const struct option *option = option_find(word, &value);

    if (!option)
        reason_set(&why, E_NOT_FOUND, "unknown option \"%.*s\" ignored", 80, word);
    else if (!option->parse(value, out))
        reason_set(&why, E_MALFORMED, "option \"%.*s\" ignored: %s%s", 40, word, option->key, option->usage);
    else
        return;
    complain(why.text);
}

void options_parse(const char *line, struct options *out, void (*complain)(const char *sentence))
{
    char word[128];
    struct reason why;

    *out = (struct options){.console = CONSOLE_COM1 | CONSOLE_SCREEN,
                            .loglevel = LOG_INFO,
                            .dirty = DIRTY_METHOD_COUNT,
                            .slice_us = SLICE_US_DEFAULT,
                            .tap = true};
    for (;;) {
        switch (word_next(&line, word, sizeof(word))) {
        case WORD_NONE:
            return;
        case WORD_OK:
            word_parse(word, out, complain);
            break;
        case WORD_UNBALANCED:
            reason_set(&why, E_MALFORMED, "option \"%.*s\" ignored: its quotes are not closed", 80, word);
            complain(why.text);
            break;
        case WORD_TOO_LONG:
            reason_set(&why, E_TOO_BIG, "option \"%.*s...\" ignored: it is too long", 40, word);
            complain(why.text);
            break;
        }
    }
}
