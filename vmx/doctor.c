#include "vmx/doctor.h"

void doctor_sentence(struct text *t, const struct vmcs_image *im, const struct entry_env *env)
{
    struct entry_verdict v;
    entry_judge(&v, im, env);
    enum entry_rule first = entry_next_broken(&v, 0);
    if (first < RULE_COUNT)
        entry_explain(t, first, im);
    else
        text_add(t, "no rule that is known is broken");
}

bool doctor_tell(const struct vmcs_image *im, const struct entry_env *env, line_fn line, void *context)
{
    struct entry_verdict v;
    char buf[400];
    entry_judge(&v, im, env);
    enum entry_rule first = entry_next_broken(&v, 0);
    for (enum entry_rule r = first; r < RULE_COUNT; r = entry_next_broken(&v, r + 1)) {
        struct text t = text_in(buf, sizeof(buf));
        text_add(&t, "breaks ");
        entry_explain(&t, r, im);
        line(context, buf);
    }
    for (uint32_t left = v.open; left; left &= left - 1) {
        format(buf, sizeof(buf), "not judged: %s",
               open_question_words((enum open_question)__builtin_ctz(left)));
        line(context, buf);
    }
    if (first == RULE_COUNT) {
        format(buf, sizeof(buf),
               "of the %u rules of VM entry that are known none is broken; what the VMCS holds:", RULE_COUNT);
        line(context, buf);
    }
    return first < RULE_COUNT;
}
