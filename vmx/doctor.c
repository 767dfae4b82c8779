#include "vmx/doctor.h"

size_t doctor_sentence(char *buf, size_t size, const struct vmcs_image *im, const struct entry_env *env)
{
    struct entry_verdict v;
    entry_judge(&v, im, env);
    enum entry_rule first = entry_next_broken(&v, 0);
    if (first < RULE_COUNT)
        return entry_explain(buf, size, first, im);
    struct text t = text_in(buf, size);
    text_add(&t, "no rule that is known is broken");
    return t.len;
}

static void tell_open(const struct entry_verdict *v, line_fn line, void *context)
{
    char buf[200];
    for (uint32_t left = v->open; left; left &= left - 1) {
        struct text t = text_in(buf, sizeof(buf));
        text_add(&t, "not judged: ");
        text_add(&t, open_question_words((enum open_question)__builtin_ctz(left)));
        line(context, buf);
    }
}

static void tell_innocence(line_fn line, void *context)
{
    char buf[100];
    struct text t = text_in(buf, sizeof(buf));
    text_add(&t, "of the ");
    text_dec(&t, RULE_COUNT);
    text_add(&t, " rules of VM entry that are known none is broken; what the VMCS holds:");
    line(context, buf);
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
        entry_explain(buf + t.len, sizeof(buf) - t.len, r, im);
        line(context, buf);
    }
    tell_open(&v, line, context);
    if (first == RULE_COUNT)
        tell_innocence(line, context);
    return first < RULE_COUNT;
}
