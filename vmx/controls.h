// Which VMX controls Micronova needs, wants and avoids, and why: data (vmx/controls.c), resolved against the
// capability MSRs by one formula (sdm/control_resolve.h).
#pragma once
#include "arch/reason.h"
#include "sdm/vmx_caps.h"
#include "vmx/apic_help.h"

struct controls {
    uint32_t pin, primary, secondary, exit, entry;
    bool apicv; // it can help, and is to: APIC_HELP_NONE is all there is otherwise
    struct {
        uint32_t primary;   // in place of the above
        uint32_t secondary; // beside the above
    } apic[APIC_HELP_COUNT];
};

// E_UNSUPPORTED with the sentence in `why` when the processor lacks something required or forces something
// that has to be avoided. Pure.
enum error controls_negotiate(const struct vmx_caps *caps, struct controls *out, struct reason *why);
// After that, and only where it is wanted: adds APIC virtualization to `out`. E_UNSUPPORTED with what lacks in `why`;
// then `out` is as it was. Pure.
enum error controls_negotiate_apicv(const struct vmx_caps *caps, struct controls *out, struct reason *why);
