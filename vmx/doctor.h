// The entry doctor in the hypervisor's own words: what sdm/entry_rules.h says of a VMCS that the processor refused.
// Pure.
#pragma once
#include "sdm/entry_rules.h"
#include "sdm/lines.h"

// One sentence: the first broken rule with what it demands, field names, values and section of the SDM; or that no rule
// of the table is broken.
void doctor_sentence(struct text *t, const struct vmcs_image *im, const struct entry_env *env);

// A line for each broken rule and each question that the table leaves open, or one that says that there is nothing of
// either. True: a rule is broken, so that the failure is explained.
bool doctor_tell(const struct vmcs_image *im, const struct entry_env *env, line_fn line, void *context);
