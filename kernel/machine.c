#include "kernel/machine.h"
#include "abi/micronova.h"
#include "arch/string.h"
#include "kernel/keys.h"
#include "kernel/options.h"
#include "kernel/regex.h"
#include "sched/sched.h"

bool is_name_char(char c)
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

static enum error module_name_parse(const struct key *key, const char *value, void *to, struct reason *why)
{
    return is_name(value) ? key_text(key, value, to, why) : key_refuse(key, value, why);
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

static enum error ipc_parse(const struct key *key, const char *value, void *to, struct reason *why)
{
    return is_name_list(value) ? key_text(key, value, to, why) : key_refuse(key, value, why);
}

// Behind screen:. The expression is compiled once more when the machine is built; here it is judged, so that the line
// is told.
static enum error regex_parse(const struct key *key, const char *value, void *to, struct reason *why)
{
    struct regex compiled;
    const char *regex;
    if (!text_starts(value, "screen:", &regex) || !*regex)
        return key_refuse(key, value, why);
    enum error e = regex_compile(&compiled, regex, why);
    return e == E_OK ? key_text(key, regex, to, why) : e;
}

static const struct {
    const char *word, *text;
} endings[END_COUNT] = {
#define X(name, word, sentence) [END_##name] = {word, sentence},
    ENDINGS(X)
#undef X
};

static enum error expect_parse(const struct key *key, const char *value, void *to, struct reason *why)
{
    struct machine *m = to;
    const char *code;
    if (text_starts(value, "exit:", &code)) {
        m->expect = END_EXIT;
        return number_parse(code, &m->expect_code) ? E_OK : key_refuse(key, value, why);
    }
    for (enum ending e = 0; e < END_COUNT; e++)
        if (e != END_SCREEN && text_is(value, endings[e].word)) {
            m->expect = e;
            return E_OK;
        }
    m->expect = END_SCREEN;
    return regex_parse(key, value, to, why);
}

// Which fields there are is vmx/'s to say, when the machine is built.
static enum error break_parse(const struct key *key, const char *value, void *to, struct reason *why)
{
    struct machine *m = to;
    const char *comma = strchr(value, ',');
    size_t length = comma ? (size_t)(comma - value) : 0;
    if (!length || length >= sizeof(m->break_field) || !number_parse(comma + 1, &m->break_xor))
        return key_refuse(key, value, why);
    memcpy(m->break_field, value, length);
    return E_OK;
}

#define FIELD(member) KEY_FIELD(struct machine, member)
// clang-format off
static const struct key keys[] = {
    {"backing", "lazy or eager", key_choice, FIELD(eager), .choices = WORDS({"lazy", false}, {"eager", true})},
    {"balloon", "a multiple of 4K, not 0, up to 64G, such as 4M", key_number, FIELD(balloon),
     .read = bytes_parse, .least = PAGE_SIZE, .most = MACHINE_MEM_MAX, .multiple_of = PAGE_SIZE},
    {"break", "a VMCS field and a number, such as GUEST_RFLAGS,2", break_parse, FIELD(break_field)},
    {"caps", "a list of probe, control, log", key_choices, FIELD(rights), .none = "",
     .choices = WORDS({"probe", RIGHT_PROBE}, {"control", RIGHT_CONTROL}, {"log", RIGHT_LOG})},
    {"cmdline", "a text", key_text, FIELD(cmdline)},
    {"console", "log or none", key_choice, FIELD(console), .choices = WORDS({"log", true}, {"none", false})},
    {"cpu", "any, or processors such as 0,2-3 (below 64)", key_number, FIELD(cpus),
     .none = "any", .read = cpu_list_parse},
    {"expect", "an ending such as triple-fault, exit:CODE or screen:REGEX", expect_parse, FIELD(expect_screen)},
    {"fail", "screen:REGEX", regex_parse, FIELD(fail_screen)},
    {"flip", "an address, not 0, such as 0x200000", key_number, FIELD(flip), .read = number_parse, .least = 1},
    {"initrd", "the name of a module", module_name_parse, FIELD(initrd)},
    {"input", "serial or none", key_choice, FIELD(input), .choices = WORDS({"serial", true}, {"none", false})},
    {"ipc", "names of machines, commas between, each once", ipc_parse, FIELD(ipc)},
    {"mem", "a multiple of 4K, not 0, up to 64G, such as 4M", key_number, FIELD(mem),
     .read = bytes_parse, .least = PAGE_SIZE, .most = MACHINE_MEM_MAX, .multiple_of = PAGE_SIZE},
    {"screen", "dump", key_choice, FIELD(dump_screen), .choices = WORDS({"dump", true})},
    {"slice", "a time from 100us to 10s, such as 10ms", key_number, FIELD(slice_us),
     .read = time_parse, .least = SLICE_US_MIN, .most = SLICE_US_MAX},
    {"timeout", "none, or a time with its unit from 1ms to 86400s, such as 500ms", key_number, FIELD(timeout_us),
     .none = "none", .read = time_parse, .least = 1000, .most = 86400 * 1000000ull},
    {"vcpus", "a number from 1 to 16", key_number, FIELD(vcpus),
     .read = number_parse, .least = 1, .most = MACHINE_VCPUS_MAX},
    {"weight", "a number from 1 to 100", key_number, FIELD(weight),
     .read = number_parse, .least = 1, .most = SCHED_WEIGHT_MAX},
    {"window", "a multiple of 4K, not 0, up to 1G, such as 16M", key_number, FIELD(window),
     .read = bytes_parse, .least = PAGE_SIZE, .most = MACHINE_WINDOW_MAX, .multiple_of = PAGE_SIZE},
};
// clang-format on

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

enum error machine_parse(struct machine *m, const char *line, struct reason *why)
{
    char word[MACHINE_TEXT_MAX + sizeof("cmdline=")];
    uint32_t seen = 0;
    struct reason other; // the first error is the one that is told

    memset(m, 0, sizeof(*m));
    m->mem = MACHINE_MEM_DEFAULT;
    m->vcpus = 1;
    m->weight = 1;
    m->console = true;
    m->expect = END_EXIT;

    enum word_result result = word_next(&line, word, sizeof(word));
    if (result == WORD_NONE)
        return reason_set(why, E_MALFORMED, "the module line is empty: it needs a name");
    enum error first = name_parse(word, m, why);
    if (first == E_OK && result != WORD_OK)
        first = keys_parse(keys, 0, result, word, m, &seen, why);
    while ((result = word_next(&line, word, sizeof(word))) != WORD_NONE) {
        enum error e = keys_parse(keys, array_size(keys), result, word, m, &seen, first ? &other : why);
        first = first ? first : e;
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
