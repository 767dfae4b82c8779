// Which VMX controls Micronova needs, wants and avoids, and why: data (vmx/controls.c), resolved against the
// capability MSRs by one formula (sdm/control_resolve.h).
#pragma once
#include "arch/reason.h"
#include "sdm/vmx_caps.h"

struct controls {
    uint32_t pin, primary, secondary, exit, entry;
};

// E_UNSUPPORTED with the sentence in `why` when the processor lacks something required or forces something
// that has to be avoided. Pure.
enum error controls_negotiate(const struct vmx_caps *caps, struct controls *out, struct reason *why);
