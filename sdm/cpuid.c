#include "sdm/cpuid.h"

#define CPUID_TO_ROW(leaf, subleaf, reg, bit, name) \
    [FEATURE_##name] = {leaf, subleaf, CPUID_##reg, bit, #name},
const struct cpuid_feature_row cpuid_features[FEATURE_COUNT] = {CPUID_FEATURES(CPUID_TO_ROW)};
