#include "kernel/keys.h"
#include "arch/string.h"

enum error key_refuse(const struct key *key, const char *value, struct reason *why)
{
    return reason_set(why, E_MALFORMED, "%s=%.*s: expected %s", key->name, 48, value, key->expected);
}

enum error key_number(const struct key *key, const char *value, void *to, struct reason *why)
{
    uint64_t n;
    if (!key->read(value, &n) || n < key->least || (key->most && n > key->most) ||
        (key->multiple_of && n % key->multiple_of))
        return key_refuse(key, value, why);
    memcpy(key_field(key, to), &n, key->size);
    return E_OK;
}

static enum error choose(const struct key *key, const char *value, bool several, void *to, struct reason *why)
{
    uint64_t bits = 0;
    const char *at = value, *rest = value;
    do {
        const struct choice *c = key->choices;
        while (c->word && !(text_starts(at, c->word, &rest) && (!*rest || (several && *rest == ','))))
            c++;
        if (!c->word)
            return key_refuse(key, value, why);
        bits |= c->value;
        at = rest + 1;
    } while (*rest);
    memcpy(key_field(key, to), &bits, key->size);
    return E_OK;
}

enum error key_choice(const struct key *key, const char *value, void *to, struct reason *why)
{
    return choose(key, value, false, to, why);
}

enum error key_choices(const struct key *key, const char *value, void *to, struct reason *why)
{
    return choose(key, value, true, to, why);
}

enum error key_text(const struct key *key, const char *value, void *to, struct reason *why)
{
    size_t length = strlen(value);
    if (length >= key->size)
        return reason_set(why, E_TOO_BIG, "%s=%.*s...: longer than %zu bytes", key->name, 32, value,
                          key->size - 1);
    memcpy(key_field(key, to), value, length + 1);
    return E_OK;
}

static const struct key *find(const struct key *keys, size_t count, const char *name, size_t length)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(keys[i].name) == length && strncmp(keys[i].name, name, length) == 0)
            return &keys[i];
    return NULL;
}

enum error keys_parse(const struct key *keys, size_t count, enum word_result result, const char *word,
                      void *to, uint32_t *seen, struct reason *why)
{
    if (result == WORD_UNBALANCED)
        return reason_set(why, E_MALFORMED, "the quotes in \"%.*s\" are not closed", 64, word);
    if (result == WORD_TOO_LONG)
        return reason_set(why, E_TOO_BIG, "\"%.*s...\" is too long", 40, word);
    const char *equals = strchr(word, '=');
    if (!equals)
        return reason_set(why, E_MALFORMED, "\"%.*s\" is not of the form key=value", 64, word);
    const size_t length = (size_t)(equals - word);
    const struct key *key = find(keys, count, word, length);
    if (!key)
        return reason_set(why, E_MALFORMED, "unknown key \"%.*s\"", (int)min_u64(length, 48), word);
    const uint32_t bit = 1u << (key - keys);
    if (seen && *seen & bit)
        return reason_set(why, E_MALFORMED, "%s= is given twice", key->name);
    if (seen)
        *seen |= bit;
    if (key->none && text_is(equals + 1, key->none))
        return E_OK;
    return key->parse(key, equals + 1, to, why);
}
