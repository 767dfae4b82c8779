// All VM-entry rules in one list, in the order of the manual.
#pragma once
#include "sdm/entry_rules_control.h"
#include "sdm/entry_rules_guest.h"
#include "sdm/entry_rules_host.h"
#include "sdm/entry_rules_segment.h"

#define ENTRY_RULES(X)             \
    ENTRY_RULES_BASIC(X)           \
    ENTRY_RULES_EXECUTION(X)       \
    ENTRY_RULES_EXIT(X)            \
    ENTRY_RULES_ENTRY(X)           \
    ENTRY_RULES_HOST_REGISTERS(X)  \
    ENTRY_RULES_HOST_FRED(X)       \
    ENTRY_RULES_HOST_SEGMENTS(X)   \
    ENTRY_RULES_ADDRESS_SPACE(X)   \
    ENTRY_RULES_GUEST_REGISTERS(X) \
    ENTRY_RULES_GUEST_FRED(X)      \
    ENTRY_RULES_SEGMENTS(X)        \
    ENTRY_RULES_RIP(X)             \
    ENTRY_RULES_NON_REGISTER(X)    \
    ENTRY_RULES_PDPTES(X)          \
    ENTRY_RULES_MSRS(X)
