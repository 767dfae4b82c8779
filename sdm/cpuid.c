#include "sdm/cpuid.h"
#include "sdm/text.h"

#define CPUID_TO_ROW(leaf, subleaf, reg, bit, name) {leaf, subleaf, CPUID_##reg, bit},
const struct cpuid_feature_row cpuid_features[FEATURE_COUNT] = {CPUID_FEATURES(CPUID_TO_ROW)};

#define CPUID_TO_NAME(leaf, subleaf, reg, bit, name) #name "\0"
static const char names[] = CPUID_FEATURES(CPUID_TO_NAME);

const char *cpuid_feature_name(enum cpuid_feature f)
{
    return text_nth(names, f);
}
