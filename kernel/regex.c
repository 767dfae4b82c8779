#include "kernel/regex.h"
#include "arch/string.h"

enum { ASCII = 128, OTHER_BYTES = ASCII };

struct compiler {
    struct regex *re;
    const char *pattern, *at; // all of it, and what comes next
    struct reason *why;
    unsigned states; // used so far
};

static enum error refuse(const struct compiler *c, enum error e, const char *what)
{
    return reason_set(c->why, e, "regular expression \"%.64s\": %s at column %u", c->pattern, what,
                      (unsigned)(c->at - c->pattern) + 1);
}

// The item `bit` accepts these bytes, too.
static void include(struct compiler *c, uint64_t bit, unsigned first, unsigned last)
{
    for (unsigned b = first; b <= last; b++)
        c->re->accepts[b] |= bit;
}

// It accepts what it did not, and the reverse.
static void invert(struct compiler *c, uint64_t bit)
{
    for (unsigned b = 0; b < REGEX_BYTES; b++)
        c->re->accepts[b] ^= bit;
}

static enum error new_state(struct compiler *c, uint64_t *bit)
{
    if (c->states == REGEX_STATES)
        return refuse(c, E_TOO_BIG, "more than 64 items");
    *bit = 1ull << c->states++;
    return E_OK;
}

static bool is_word(char b)
{
    return (b >= '0' && b <= '9') || ((b | 32) >= 'a' && (b | 32) <= 'z');
}

// One character that stands for itself, perhaps behind a backslash. \d and its like mean something elsewhere
// and are refused rather than taken for a "d".
static enum error parse_character(struct compiler *c, unsigned *byte)
{
    if (*c->at == '\\') {
        c->at++;
        if (is_word(*c->at))
            return refuse(c, E_UNSUPPORTED, "unknown escape");
    }
    if (*c->at == '\0')
        return refuse(c, E_MALFORMED, "unexpected end");
    if ((unsigned char)*c->at >= ASCII)
        return refuse(c, E_UNSUPPORTED, "byte outside ASCII");
    *byte = (unsigned char)*c->at++;
    return E_OK;
}

static enum error parse_range(struct compiler *c, uint64_t bit)
{
    unsigned first = 0, last;
    enum error e = parse_character(c, &first);
    if (e)
        return e;
    last = first;
    if (c->at[0] == '-' && c->at[1] != ']') {
        c->at++;
        if ((e = parse_character(c, &last)))
            return e;
    }
    if (first > last)
        return refuse(c, E_MALFORMED, "range that runs backwards");
    include(c, bit, first, last);
    return E_OK;
}

// Behind the opening bracket. A closing one that comes first stands for itself.
static enum error parse_class(struct compiler *c, uint64_t bit)
{
    bool inverted = *c->at == '^';
    c->at += inverted;
    do {
        enum error e = parse_range(c, bit);
        if (e)
            return e;
    } while (*c->at != ']');
    c->at++;
    if (inverted)
        invert(c, bit);
    return E_OK;
}

static enum error parse_bytes(struct compiler *c, uint64_t bit)
{
    if (*c->at == '.') {
        c->at++;
        invert(c, bit);
        return E_OK;
    }
    if (*c->at == '[') {
        c->at++;
        return parse_class(c, bit);
    }
    if (strchr("*+?", *c->at))
        return refuse(c, E_MALFORMED, "nothing to repeat");
    if (strchr("(){}", *c->at))
        return refuse(c, E_UNSUPPORTED, "groups and counts are not supported; put \\ before the character");
    if (strchr("^$", *c->at))
        return refuse(c, E_MALFORMED, "anchor in the middle; put \\ before the character");
    unsigned byte = 0;
    enum error e = parse_character(c, &byte);
    include(c, bit, byte, byte);
    return e;
}

static enum error parse_item(struct compiler *c)
{
    uint64_t bit = 0;
    enum error e = new_state(c, &bit);
    if (e || (e = parse_bytes(c, bit)))
        return e;
    bool optional = *c->at == '*' || *c->at == '?', repeats = *c->at == '*' || *c->at == '+';
    c->re->skip |= optional ? bit : 0;
    c->re->loop |= repeats ? bit : 0;
    c->at += optional || repeats;
    return E_OK;
}

static bool at_end(const char *s)
{
    return *s == '\0' || *s == '|';
}

static enum error parse_alternative(struct compiler *c)
{
    struct regex *re = c->re;
    uint64_t *start = &re->start, *end = &re->end, bit = 0;
    if (*c->at == '^') {
        c->at++;
        start = &re->start_text;
    }
    unsigned first = c->states;
    enum error e = E_OK;
    while (!e && !at_end(c->at) && !(c->at[0] == '$' && at_end(c->at + 1)))
        e = parse_item(c);
    if (e || (e = new_state(c, &bit)))
        return e;
    if (*c->at == '$') {
        c->at++;
        end = &re->end_text;
    }
    *start |= 1ull << first;
    *end |= bit;
    return E_OK;
}

// Adds the states that are reached without a byte, by leaving items out: fills runs of `skip` upwards,
// doubling the distance with each step, so that the work does not depend on the pattern.
static uint64_t close_set(const struct regex *re, uint64_t set)
{
    if (!(set & re->skip))
        return set;
    uint64_t through = re->skip << 1;
    for (unsigned distance = 1; distance < REGEX_STATES; distance *= 2) {
        set |= through & set << distance;
        through &= through << distance;
    }
    return set;
}

enum error regex_compile(struct regex *re, const char *pattern, struct reason *why)
{
    struct compiler c = {.re = re, .pattern = pattern, .at = pattern, .why = why};
    *re = (struct regex){0};
    if (*pattern == '\0')
        return refuse(&c, E_MALFORMED, "nothing to look for");
    enum error e = parse_alternative(&c);
    while (!e && *c.at == '|') {
        c.at++;
        e = parse_alternative(&c);
    }
    re->start = close_set(re, re->start);
    re->start_text = close_set(re, re->start_text);
    return e;
}

bool regex_search(const struct regex *re, const char *text, size_t len)
{
    uint64_t set = re->start | re->start_text;
    for (size_t i = 0; i < len && !(set & re->end); i++) {
        unsigned byte = (unsigned char)text[i];
        uint64_t taken = set & re->accepts[byte < ASCII ? byte : OTHER_BYTES];
        set = close_set(re, taken << 1 | (taken & re->loop)) | re->start;
    }
    return set & (re->end | re->end_text); // left early only with a state of `end`
}
