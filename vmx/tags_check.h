// Every VM entry against the model of what may be cached (vmx/tags.h), in the build that does so, `make checking`;
// nothing at all in the others.
#pragma once
#include "vmx/vcpu.h"

#ifdef CHECKING
void tags_check_exit(struct vcpu *v);             // just came out of its guest
struct vcpu *tags_check_entry(struct vcpu *v);    // is entered next; returns it
void tags_check_invvpid(uint16_t vpid, bool all); // was executed here
void tags_check_invept_all(void);
// All processors stand still. False with a sentence when an entry was wrong, or none was looked at.
bool tags_check_verdict(char *text, size_t size);
#else
static inline void tags_check_exit(struct vcpu *v)
{
    (void)v;
}
static inline struct vcpu *tags_check_entry(struct vcpu *v)
{
    return v;
}
static inline void tags_check_invvpid(uint16_t vpid, bool all)
{
    (void)vpid, (void)all;
}
static inline void tags_check_invept_all(void)
{
}
#endif
