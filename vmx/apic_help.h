// How the processor helps with a vCPU's local APIC (SDM, "APIC Virtualization and Virtual Interrupts"); what it does
// not do is done at exits.
#pragma once

enum apic_help {
    APIC_HELP_NONE,
    APIC_HELP_PAGE_EXITS, // the xAPIC page is known to it: each access exits as such
    APIC_HELP_PAGE,       // xAPIC mode: registers, priorities and delivery
    APIC_HELP_MSRS,       // x2APIC mode: the same
    APIC_HELP_COUNT
};
