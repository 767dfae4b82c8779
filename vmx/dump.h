// The current VMCS for the log, in titled blocks, with the bits of what has bits in words. Every field of
// sdm/vmcs_fields.h that exists is in it: a new one there appears here. Pure over callbacks.
#pragma once
#include "sdm/lines.h"
#include "vmx/exit_words.h"

// Calls `line` for some 10 to 20 lines of each part: guest registers, controls, host state, exit information, guest
// segments. No allocation, no lock; about 1 KB of stack.
enum { VMCS_DUMP_PARTS = 5 };
void vmcs_dump(unsigned part, vmcs_read_fn read, void *read_context, line_fn line, void *line_context);
