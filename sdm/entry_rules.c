#include "sdm/entry_rules.h"
#include "sdm/qualification.h"
#include "sdm/vm_error.h"

#define UNPACK(...) __VA_ARGS__
#define RULE_TO_INFO(name, kind, number, section, fields, broken, sentence) \
    {sentence,                                                              \
     KIND_##kind,                                                           \
     number,                                                                \
     SECTION_##section,                                                     \
     sizeof((uint16_t[]){UNPACK fields}) / sizeof(uint16_t),                \
     {UNPACK fields}},
// clang-format off
const struct entry_rule_info entry_rules[RULE_COUNT] = {ENTRY_RULES(RULE_TO_INFO)};
// clang-format on

#define RULE_TO_NAME(name, kind, number, section, fields, broken, sentence) #name "\0"
static const char rule_names[] = ENTRY_RULES(RULE_TO_NAME);

void entry_rule_id(struct text *t, enum entry_rule rule)
{
    for (const char *c = text_nth(rule_names, rule); *c; c++)
        text_char(t, *c == '_' ? '-' : *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c);
}

#define SECTION_TO_TITLE(name, title) title "\0"
const char *entry_section_title(enum entry_section section)
{
    return text_nth(ENTRY_SECTIONS(SECTION_TO_TITLE), section);
}

#define KIND_TO_WORDS(name, words, stage) words "\0"
const char *rule_kind_words(enum rule_kind kind)
{
    return text_nth(RULE_KINDS(KIND_TO_WORDS), kind);
}

#define OPEN_TO_WORDS(name, stage, arises, words) words "\0"
const char *open_question_words(enum open_question question)
{
    return text_nth(OPEN_QUESTIONS(OPEN_TO_WORDS), question);
}

// "guest-rflags-must-be-1: bit 1 is 1; GUEST_RFLAGS=0h (exit reason 33; SDM, "Checks on ...")"
void entry_explain(struct text *t, enum entry_rule rule, const struct vmcs_image *im)
{
    const struct entry_rule_info *r = &entry_rules[rule];
    entry_rule_id(t, rule);
    text_add(t, ": %s;", r->sentence);
    for (unsigned i = 0; i < r->fields; i++)
        text_add(t, " %s=%lxh", image_name(r->field[i]), image_get(im, r->field[i]));
    text_add(t, " (%s; SDM, \"%s\")", rule_kind_words((enum rule_kind)r->kind),
             entry_section_title((enum entry_section)r->section));
}
