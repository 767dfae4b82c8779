// Processors and a VMCS for the tests of the VM-entry rules.
#pragma once
#include "sdm/entry_cases.h"

void entry_westmere(struct entry_env *env); // the first with unrestricted guest; VMX structures below 4 GB
void entry_haswell(struct entry_env *env);  // as Bochs shows it, without MTF, posted interrupts and newer
void entry_newest(struct entry_env *env);   // everything that the lists of sdm/ name, and 57-bit addresses
// Host state, EPT pointer and the facts of a valid entry from 64-bit mode, and guest state of `mode`.
bool entry_valid_image(struct vmcs_image *im, const struct entry_env *env, enum entry_mode mode);
#define ENTRY_PAGES 0x200000 // where the scratch pages of the cases lie
