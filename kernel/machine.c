#include "kernel/machine.h"
#include "abi/micronova.h"
#include "arch/string.h"
#include "kernel/options.h"
#include "kernel/regex.h"
#include "kernel/words.h"
#include "sched/sched.h"

// A key of the module line. The parser gets the value and `field`, the address of what the table names in
// struct machine; it returns an error with its sentence in `why`, which names key and value.
struct key;
typedef enum error key_parser(const struct key *key, const char *value, struct machine *m,
                              struct reason *why);

struct key {
    const char *name;
    key_parser *parse;
    size_t offset; // of the field in struct machine
    size_t size;   // of the field, for texts
};

static void *field_of(const struct key *key, struct machine *m)
{
    return (char *)m + key->offset;
}

// "mem=12Q: ..." in one place, so that every refusal reads alike.
static enum error bad_value(const struct key *key, const char *value, const char *expected,
                            struct reason *why)
{
    return reason_set(why, E_MALFORMED, "%s=%.*s: expected %s", key->name, 48, value, expected);
}

static enum error mem_parse(const struct key *key, const char *value, struct machine *m, struct reason *why)
{
    uint64_t bytes;
    if (!bytes_parse(value, &bytes))
        return bad_value(key, value, "a size such as 4M (K, M, G)", why);
    if (bytes == 0 || bytes % PAGE_SIZE)
        return bad_value(key, value, "a multiple of 4K, not 0", why);
    if (bytes > MACHINE_MEM_MAX)
        return bad_value(key, value, "at most 64G", why);
    *(uint64_t *)field_of(key, m) = bytes;
    return E_OK;
}

static enum error backing_parse(const struct key *key, const char *value, struct machine *m,
                                struct reason *why)
{
    m->eager = text_is(value, "eager");
    return m->eager || text_is(value, "lazy") ? E_OK : bad_value(key, value, "lazy or eager", why);
}

static enum error window_parse(const struct key *key, const char *value, struct machine *m,
                               struct reason *why)
{
    uint64_t bytes;
    if (!bytes_parse(value, &bytes) || !bytes || bytes % PAGE_SIZE || bytes > MACHINE_WINDOW_MAX)
        return bad_value(key, value, "a multiple of 4K, not 0, up to 1G, such as 16M", why);
    m->window = bytes;
    return E_OK;
}

static enum error vcpus_parse(const struct key *key, const char *value, struct machine *m, struct reason *why)
{
    uint64_t count;
    if (!number_parse(value, &count) || count == 0 || count > MACHINE_VCPUS_MAX)
        return bad_value(key, value, "a number from 1 to 16", why);
    m->vcpus = (uint32_t)count;
    return E_OK;
}

static enum error cpu_parse(const struct key *key, const char *value, struct machine *m, struct reason *why)
{
    if (text_is(value, "any"))
        return E_OK;
    if (!cpu_list_parse(value, &m->cpus))
        return bad_value(key, value, "any, or processors such as 0,2-3 (below 64)", why);
    return E_OK;
}

static enum error slice_parse(const struct key *key, const char *value, struct machine *m, struct reason *why)
{
    uint64_t us;
    if (!time_parse(value, &us) || us < SLICE_US_MIN || us > SLICE_US_MAX)
        return bad_value(key, value, "a time from 100us to 10s, such as 10ms", why);
    m->slice_us = us;
    return E_OK;
}

static enum error weight_parse(const struct key *key, const char *value, struct machine *m,
                               struct reason *why)
{
    uint64_t weight;
    if (!number_parse(value, &weight) || weight == 0 || weight > SCHED_WEIGHT_MAX)
        return bad_value(key, value, "a number from 1 to 100", why);
    m->weight = (uint32_t)weight;
    return E_OK;
}

static enum error timeout_parse(const struct key *key, const char *value, struct machine *m,
                                struct reason *why)
{
    uint64_t us;
    if (text_is(value, "none"))
        return E_OK;
    if (!time_parse(value, &us) || us < 1000 || us > 1000000ull * 86400)
        return bad_value(key, value, "none, or a time with its unit from 1ms to 86400s, such as 500ms", why);
    m->timeout_ms = us / 1000;
    return E_OK;
}

static enum error console_parse(const struct key *key, const char *value, struct machine *m,
                                struct reason *why)
{
    if (!text_is(value, "log") && !text_is(value, "none"))
        return bad_value(key, value, "log or none", why);
    m->console = text_is(value, "log");
    return E_OK;
}

static enum error input_parse(const struct key *key, const char *value, struct machine *m, struct reason *why)
{
    m->input = text_is(value, "serial");
    return m->input || text_is(value, "none") ? E_OK : bad_value(key, value, "serial or none", why);
}

static enum error screen_parse(const struct key *key, const char *value, struct machine *m,
                               struct reason *why)
{
    if (!text_is(value, "dump"))
        return bad_value(key, value, "dump", why);
    m->dump_screen = true;
    return E_OK;
}

static enum error caps_parse(const struct key *key, const char *value, struct machine *m, struct reason *why)
{
    static const struct {
        const char *word;
        enum right right;
    } caps[] = {
        {"probe",   RIGHT_PROBE  },
        {"control", RIGHT_CONTROL},
        {"log",     RIGHT_LOG    }
    };
    const char *rest = value;

    while (*rest) {
        size_t i = 0;
        const char *end = rest;
        while (i < array_size(caps) && !(text_starts(rest, caps[i].word, &end) && (!*end || *end == ',')))
            i++;
        if (i == array_size(caps))
            return bad_value(key, value, "a list of probe, control, log", why);
        m->rights |= caps[i].right;
        if (*end == ',' && !end[1])
            return bad_value(key, value, "a list of probe, control, log", why);
        rest = *end ? end + 1 : end;
    }
    return E_OK;
}

// A text that is kept as it is.
static enum error text_parse(const struct key *key, const char *value, struct machine *m, struct reason *why)
{
    size_t length = strlen(value);
    if (length >= key->size)
        return reason_set(why, E_TOO_BIG, "%s=%.*s...: longer than %zu bytes", key->name, 32, value,
                          key->size - 1);
    memcpy(field_of(key, m), value, length + 1);
    return E_OK;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '+' || c == '-';
}

static bool is_name(const char *text)
{
    size_t length = 0;
    while (is_name_char(text[length]))
        length++;
    return length && !text[length];
}

static enum error module_name_parse(const struct key *key, const char *value, struct machine *m,
                                    struct reason *why)
{
    if (!is_name(value))
        return bad_value(key, value, "the name of a module", why);
    return text_parse(key, value, m, why);
}

gfn_t machine_window(const struct machine *m)
{
    enum { ALIGN = 2 << 20 };
    const uint64_t devices = 0xfe000000, devices_end = 1ull << 32;
    uint64_t base = align_up(max_u64(m->mem, m->balloon), ALIGN);
    return gpa_to_gfn(gpa(base < devices_end && base + m->window > devices ? devices_end : base));
}

bool machine_peer(const struct machine *m, unsigned n, char name[MACHINE_NAME_MAX + 1])
{
    const char *at = m->ipc, *comma;
    for (; n > 0 && (comma = strchr(at, ',')); n--)
        at = comma + 1;
    if (n > 0 || !*at)
        return false;
    size_t length = 0;
    for (; at[length] && at[length] != ','; length++)
        name[length] = at[length];
    name[length] = '\0';
    return true;
}

// Names with one comma between them, none too long, none twice.
static bool is_name_list(const char *list)
{
    size_t length = 0;
    for (; is_name_char(list[length]) || list[length] == ','; length++)
        ;
    if (list[length])
        return false;
    for (const char *at = list, *end;; at = end + 1) {
        end = strchr(at, ',');
        length = end ? (size_t)(end - at) : strlen(at);
        if (!length || length > MACHINE_NAME_MAX)
            return false;
        for (const char *other = list; other < at; other = strchr(other, ',') + 1)
            if (!strncmp(other, at, length) && other[length] == ',')
                return false;
        if (!end)
            return true;
    }
}

static enum error ipc_parse(const struct key *key, const char *value, struct machine *m, struct reason *why)
{
    if (!is_name_list(value))
        return bad_value(key, value, "names of machines, commas between, each once", why);
    return text_parse(key, value, m, why);
}

// The expression is compiled once more when the machine is built; here it is judged, so that the line is
// told.
static enum error regex_parse(const struct key *key, const char *regex, struct machine *m, struct reason *why)
{
    struct regex compiled;
    if (!*regex)
        return bad_value(key, "screen:", "a regular expression behind screen:", why);
    enum error e = regex_compile(&compiled, regex, why);
    return e == E_OK ? text_parse(key, regex, m, why) : e;
}

static const struct {
    const char *word, *text;
} endings[END_COUNT] = {
#define X(name, word, sentence) [END_##name] = {word, sentence},
    ENDINGS(X)
#undef X
};

static enum error expect_parse(const struct key *key, const char *value, struct machine *m,
                               struct reason *why)
{
    const char *rest;
    if (text_starts(value, "screen:", &rest)) {
        m->expect = END_SCREEN;
        return regex_parse(key, rest, m, why);
    }
    if (text_starts(value, "exit:", &rest)) {
        m->expect = END_EXIT;
        return number_parse(rest, &m->expect_code) ? E_OK : bad_value(key, value, "exit:NUMBER", why);
    }
    for (enum ending e = 0; e < END_COUNT; e++)
        if (e != END_SCREEN && text_is(value, endings[e].word)) {
            m->expect = e;
            return E_OK;
        }
    return bad_value(key, value, "an ending such as triple-fault, exit:CODE or screen:REGEX", why);
}

static enum error fail_parse(const struct key *key, const char *value, struct machine *m, struct reason *why)
{
    const char *regex;
    if (!text_starts(value, "screen:", &regex))
        return bad_value(key, value, "screen:REGEX", why);
    return regex_parse(key, regex, m, why);
}

static enum error flip_parse(const struct key *key, const char *value, struct machine *m, struct reason *why)
{
    if (!number_parse(value, &m->flip) || m->flip == 0)
        return bad_value(key, value, "an address, not 0, such as 0x200000", why);
    return E_OK;
}

// Which fields there are is vmx/'s to say, when the machine is built.
static enum error break_parse(const struct key *key, const char *value, struct machine *m, struct reason *why)
{
    const char *comma = strchr(value, ',');
    size_t length = comma ? (size_t)(comma - value) : 0;
    if (!length || length >= sizeof(m->break_field) || !number_parse(comma + 1, &m->break_xor))
        return bad_value(key, value, "a VMCS field and a number, such as GUEST_RFLAGS,2", why);
    memcpy(m->break_field, value, length);
    return E_OK;
}

#define FIELD(member) offsetof(struct machine, member), sizeof(((struct machine *)0)->member)
// clang-format off
static const struct key keys[] = {
    {"backing", backing_parse,     FIELD(eager)},
    {"balloon", mem_parse,         FIELD(balloon)},
    {"break",   break_parse,       FIELD(break_field)},
    {"caps",    caps_parse,        FIELD(rights)},
    {"cmdline", text_parse,        FIELD(cmdline)},
    {"console", console_parse,     FIELD(console)},
    {"cpu",     cpu_parse,         FIELD(cpus)},
    {"expect",  expect_parse,      FIELD(expect_screen)},
    {"fail",    fail_parse,        FIELD(fail_screen)},
    {"flip",    flip_parse,        FIELD(flip)},
    {"initrd",  module_name_parse, FIELD(initrd)},
    {"input",   input_parse,       FIELD(input)},
    {"ipc",     ipc_parse,         FIELD(ipc)},
    {"mem",     mem_parse,         FIELD(mem)},
    {"screen",  screen_parse,      FIELD(dump_screen)},
    {"slice",   slice_parse,       FIELD(slice_us)},
    {"timeout", timeout_parse,     FIELD(timeout_ms)},
    {"vcpus",   vcpus_parse,       FIELD(vcpus)},
    {"window",  window_parse,      FIELD(window)},
    {"weight",  weight_parse,      FIELD(weight)},
};
// clang-format on

static const struct key *key_find(const char *name, size_t length)
{
    for (size_t i = 0; i < array_size(keys); i++)
        if (strlen(keys[i].name) == length && strncmp(keys[i].name, name, length) == 0)
            return &keys[i];
    return NULL;
}

// `seen` has a bit for each key of the table that the line has given already.
static enum error key_value_parse(const char *word, struct machine *m, uint32_t *seen, struct reason *why)
{
    const char *equals = strchr(word, '=');
    if (!equals)
        return reason_set(why, E_MALFORMED, "\"%.*s\" is not of the form key=value", 64, word);
    const struct key *key = key_find(word, (size_t)(equals - word));
    if (!key)
        return reason_set(why, E_MALFORMED, "unknown key \"%.*s\"",
                          (int)min_u64((uint64_t)(equals - word), 48), word);
    uint32_t bit = 1u << (key - keys);
    if (*seen & bit)
        return reason_set(why, E_MALFORMED, "%s= is given twice", key->name);
    *seen |= bit;
    return key->parse(key, equals + 1, m, why);
}

static enum error name_parse(const char *word, struct machine *m, struct reason *why)
{
    size_t length = 0;
    for (; length < MACHINE_NAME_MAX && is_name_char(word[length]); length++)
        m->name[length] = word[length];
    m->name[length] = '\0';
    if (strchr(word, '=')) {
        m->name[0] = '\0';
        return reason_set(why, E_MALFORMED, "the line has no name before \"%.*s\"", 64, word);
    }
    if (is_name_char(word[length]))
        return reason_set(why, E_TOO_BIG, "the name \"%s...\" has more than %d characters", m->name,
                          MACHINE_NAME_MAX);
    if (word[length] || !length)
        return reason_set(why, E_MALFORMED,
                          "the name \"%.*s\" has a character other than A-Z a-z 0-9 . _ + -", 40, word);
    return E_OK;
}

static enum error word_error(enum word_result result, const char *word, struct reason *why)
{
    if (result == WORD_UNBALANCED)
        return reason_set(why, E_MALFORMED, "the quotes in \"%.*s\" are not closed", 64, word);
    return reason_set(why, E_TOO_BIG, "\"%.*s...\" is longer than %d bytes", 40, word, MACHINE_TEXT_MAX);
}

enum error machine_parse(struct machine *m, const char *line, struct reason *why)
{
    char word[MACHINE_TEXT_MAX + sizeof("cmdline=")];
    uint32_t seen = 0;
    enum error first = E_OK; // the first error is the one that is told
    struct reason other = {""};

    memset(m, 0, sizeof(*m));
    m->mem = MACHINE_MEM_DEFAULT;
    m->vcpus = 1;
    m->weight = 1;
    m->console = true;
    m->expect = END_EXIT;

    enum word_result result = word_next(&line, word, sizeof(word));
    if (result == WORD_NONE)
        return reason_set(why, E_MALFORMED, "the module line is empty: it needs a name");
    first = name_parse(word, m, why);
    if (first == E_OK && result != WORD_OK)
        first = word_error(result, word, why);
    while ((result = word_next(&line, word, sizeof(word))) != WORD_NONE) {
        struct reason *to = first == E_OK ? why : &other;
        enum error e = result == WORD_OK ? key_value_parse(word, m, &seen, to) : word_error(result, word, to);
        first = first == E_OK ? e : first;
    }
    if (first == E_OK && m->balloon && m->balloon <= m->mem)
        first = reason_set(why, E_INVALID, "balloon=%luK is not more than mem=%luK", m->balloon >> 10,
                           m->mem >> 10);
    if (first == E_OK && m->flip >= m->mem)
        first = reason_set(why, E_INVALID, "flip=0x%lx is not in its memory, see mem=", m->flip);
    return first;
}

const char *ending_word(enum ending e)
{
    return (unsigned)e < END_COUNT ? endings[e].word : "?";
}

const char *ending_text(enum ending e)
{
    return (unsigned)e < END_COUNT ? endings[e].text : "unknown ending";
}
