// A VM exit as a sentence, for the log: "EPT violation: write to gpa 1234000h, where nothing is mapped".
// Pure over a callback, so it is tested on the host.
#pragma once
#include "arch/types.h"

// Reads a field of the current VMCS; false where the field does not exist.
typedef bool (*vmcs_read_fn)(void *context, uint32_t encoding, uint64_t *value);

// The exit-information fields at one exit, and the guest's RCX, by which RDMSR and WRMSR name the MSR.
struct exit_info {
    uint32_t reason, interruption, interruption_error, idt_vectoring, idt_error, length, instruction;
    uint64_t qualification, linear, rip, rcx;
    gpa_t physical;
};

// Fills in all but `rcx`, which no field holds. What does not exist reads as 0. After a failed VM entry only
// reason and qualification mean something, and exit_words() uses nothing else then.
void exit_info_read(struct exit_info *info, vmcs_read_fn read, void *context);

// Writes the sentence into buf[size], always terminated. Returns its whole length, like snprintf.
size_t exit_words(char *buf, size_t size, const struct exit_info *info);
