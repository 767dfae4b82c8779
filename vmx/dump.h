// The current VMCS for the log, in titled blocks, with the bits of what has bits in words. Every field of
// sdm/vmcs_fields.h that exists is in it: a new one there appears here. Pure over callbacks.
#pragma once
#include "sdm/lines.h"
#include "vmx/exit_words.h"

// Calls `line` for some 60 lines: guest registers, guest segments, controls, host state, exit information.
// No allocation, no lock; about 1 KB of stack.
// The same block by block, for who has to stop in between.
enum { VMCS_DUMP_PARTS = 5 };
void vmcs_dump_part(unsigned part, vmcs_read_fn read, void *read_context, line_fn line, void *line_context);
void vmcs_dump(vmcs_read_fn read, void *read_context, line_fn line, void *line_context);
