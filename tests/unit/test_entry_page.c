// docs/entry-rules.md is what the table of VM-entry rules says. With a file's name, writes the page there instead:
//     build/unit/test_entry_page docs/entry-rules.md
#include "sdm/entry_rules.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "sdm/vmcs_image.h"

#define PAGE "docs/entry-rules.md"

static char page[1 << 17], found[1 << 17];

static void add_rule(struct text *t, enum entry_rule rule)
{
    const struct entry_rule_info *r = &entry_rules[rule];
    text_add(t, "| `");
    entry_rule_id(t, rule);
    text_add(t, "` | %s |", r->sentence);
    for (unsigned i = 0; i < r->fields; i++)
        text_add(t, "%s %s", i ? "," : "", image_name(r->field[i]));
    text_add(t, " | %s", rule_kind_words((enum rule_kind)r->kind));
    if (r->number)
        text_add(t, "%s %u", r->kind == KIND_GUEST ? ", qualification" : ": error", r->number);
    text_add(t, " |\n");
}

static void add_section(struct text *t, enum entry_section section)
{
    text_add(t, "\n## %s\n\n| rule | what it demands | reads | shows as |\n|---|---|---|---|\n",
             entry_section_title(section));
    for (unsigned rule = 0; rule < RULE_COUNT; rule++)
        if (entry_rules[rule].section == section)
            add_rule(t, (enum entry_rule)rule);
}

static void add_questions(struct text *t)
{
    text_add(t, "\n## Open questions\n\nWhat is asked for here is not judged, and why:\n\n");
    for (unsigned q = 0; q < OPEN_COUNT; q++)
        text_add(t, "- %s\n", open_question_words((enum open_question)q));
}

static size_t make_page(void)
{
    struct text t = text_in(page, sizeof(page));
    text_add(
        &t,
        "# The rules of VM entry, by section of the SDM\n\n"
        "Made from the table in sdm/entry_rules_*.h, by the section of the SDM's chapter \"VM Entries\"\n"
        "(volume 3C) that has the rule: `build/unit/test_entry_page docs/entry-rules.md`. What the\n"
        "[doctor](doctor.md) does with them, and how the tests break each, is there.\n\n"
        "The first two of \"Basic VM-Entry Checks\" are no rows, for they are about no VMCS: #UD in\n"
        "virtual-8086 and compatibility mode, #GP at a CPL above 0. The bucket `vmx-instructions` has them.\n"
        "Controls that the table has no name for are an open question as soon as they are set: those of\n"
        "SEAM, `load IA32_SPEC_CTRL`, APIC-timer virtualization and PEBS by guest-physical addresses are.\n");
    for (unsigned s = 0; s < SECTION_COUNT; s++)
        add_section(&t, (enum entry_section)s);
    add_questions(&t);
    return t.len;
}

static void page_is_what_the_table_says(void **state)
{
    (void)state;
    size_t length = make_page();
    assert_true(length < sizeof(page));
    FILE *f = fopen(PAGE, "r");
    assert_non_null(f);
    size_t n = fread(found, 1, sizeof(found) - 1, f);
    fclose(f);
    found[n] = 0;
    if (strcmp(page, found))
        fail_msg("%s is stale: build/unit/test_entry_page %s writes it", PAGE, PAGE);
}

static void each_rule_has_a_section(void **state)
{
    (void)state;
    bool has_rules[SECTION_COUNT] = {0};
    for (unsigned rule = 0; rule < RULE_COUNT; rule++) {
        assert_true(entry_rules[rule].section < SECTION_COUNT);
        has_rules[entry_rules[rule].section] = true;
    }
    for (unsigned s = 0; s < SECTION_COUNT; s++)
        assert_true(has_rules[s]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_is_what_the_table_says),
        cmocka_unit_test(each_rule_has_a_section),
    };
    if (argc == 2) {
        size_t length = make_page();
        FILE *f = fopen(argv[1], "w");
        return !f || fwrite(page, 1, length, f) != length || fclose(f);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
