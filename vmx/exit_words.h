// A VM exit as a sentence, for the log: "EPT violation: write to gpa 1234000h, where nothing is mapped".
// Pure over a callback, so it is tested on the host.
#pragma once
#include "arch/types.h"
#include "sdm/text.h"

// Reads a field of the current VMCS; false where the field does not exist.
typedef bool (*vmcs_read_fn)(void *context, uint32_t encoding, uint64_t *value);

// What words are made of: member, field.
#define EXIT_INFO(X)                                       \
    X(reason, EXIT_REASON)                                 \
    X(interruption, VM_EXIT_INTERRUPTION_INFO)             \
    X(interruption_error, VM_EXIT_INTERRUPTION_ERROR_CODE) \
    X(idt_vectoring, IDT_VECTORING_INFO)                   \
    X(idt_error, IDT_VECTORING_ERROR_CODE)                 \
    X(qualification, EXIT_QUALIFICATION)                   \
    X(linear, GUEST_LINEAR_ADDRESS)                        \
    X(physical, GUEST_PHYSICAL_ADDRESS)

struct exit_info {
#define X(member, field) uint64_t member;
    EXIT_INFO(X)
#undef X
    uint64_t rcx; // the guest's, by which RDMSR and WRMSR name the MSR
};

// Fills in all but `rcx`, which no field holds. What does not exist reads as 0. After a failed VM entry only
// reason and qualification mean something, and exit_words() uses nothing else then.
void exit_info_read(struct exit_info *info, vmcs_read_fn read, void *context);

// Adds the sentence.
void exit_words(struct text *t, const struct exit_info *info);
