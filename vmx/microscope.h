// The exit microscope (kernel option report=stats): per vCPU and exit reason how often, how long from exit to
// entry as a log2 histogram of TSC ticks, how many VMREADs and VMWRITEs (in a build that counts them); and the
// last exits, in words. Off, it costs nothing: HOST_RIP selects the stub that calls it.
#pragma once
#include "arch/cpu.h"
#include "vmx/vmcs.h"

enum { MICROSCOPE_LAST = 64, MICROSCOPE_BUCKETS = 32 }; // a bucket for each power of two of ticks

// What exit_words() needs to say what an exit was; `rip` is where the guest went on. A ring of them by `next`.
struct exit_record {
    struct exit_record *next;
    uint64_t reason, rip;
    uint64_t qualification, extra; // where the reason has them: microscope_note_more()
    uint32_t entry, took;          // low half of the TSC at the entry; ticks since the exit
};

struct microscope {
    struct exit_record *oldest;
    uint32_t longest;
    uint32_t histogram[EXIT_REASONS_COUNTED][MICROSCOPE_BUCKETS];
    struct exit_record last[MICROSCOPE_LAST];
};

// ---- For vmx/exit.c ----

extern const uint16_t microscope_fields[EXIT_REASONS_COUNTED]; // 0: reason and RIP say all
noinline_cold struct vcpu *microscope_note_more(struct vcpu *v, struct exit_record *r);

// Just before the entry of a vCPU that was not left, the exit information of whose VMCS still tells of this exit; or
// of one that was handed over to, whose VMCS tells of its own VMCALL instead of the other's. Returns `v`, so that
// what is rare can be a tail call.
static inline struct vcpu *microscope_note(struct vcpu *v)
{
    struct microscope *m = v->microscope;
    struct exit_record *r = m->oldest;
    m->oldest = r->next;
    uint64_t reason = r->reason = vmread_raw(EXIT_REASON);
    r->rip = vmread_nat(GUEST_RIP);
    uint32_t now = r->entry = rdtsc_low();
    uint32_t took = r->took = now - (uint32_t)v->gpr[RSP]; // stamped by the stub
    if (unlikely(took > m->longest))
        m->longest = took;
    if (unlikely(microscope_fields[reason]))
        return microscope_note_more(v, r);
    m->histogram[reason][log2_floor(took)]++;
    return v;
}

// ---- For everybody ----

void microscope_init(bool on); // boot processor, once
enum error microscope_create(struct vcpu *v, uint16_t owner);
void microscope_destroy(struct vcpu *v, uint16_t owner);
uint64_t microscope_bytes(void);

// What was seen, a line at a time: a table of exits for report=stats, the last exits for an abnormal end.
void microscope_table(const struct vcpu *v, void (*line)(void *context, const char *text), void *context);
void microscope_last(const struct vcpu *v, void (*line)(void *context, const char *text), void *context);

// The longest exit of `v` since the last call, TSC ticks; -E_UNSUPPORTED: nobody looked.
int64_t microscope_longest(struct vcpu *v);
// VMREADs and VMWRITEs on this processor so far; -E_UNSUPPORTED but in a build with CHECKING.
int64_t microscope_vmcs(bool writes);
