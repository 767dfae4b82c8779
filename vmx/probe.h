// The probe (abi/probe.h, docs/probe.md): VM entries on a second VMCS of a vCPU, and VMX instructions in root
// operation, for machines with caps=probe. Runs as a hypercall of the vCPU, on its processor, with its own VMCS
// current before and after.
#pragma once
#include "abi/probe.h"
#include "sdm/vmcs_image.h"
#include "vmx/vmcs.h"

enum { PROBE_KNOWN = 16, PROBE_LISTS = 2 };

struct probe {
    uint64_t gpr[GPR_COUNT]; // first: HOST_RSP points here
    uint64_t rsp;            // of probe_enter() while the entered code runs
    uint64_t efer, pat;      // behind the exit, where the way back was the long one
    struct vmcs vmcs;
    struct vmcs unblocker; // probe_unblock_nmis()
    struct room *room;     // vmx/probe_room.c
    uint16_t owner;
    struct space *space; // the vCPU's: what the machine may name is RAM there
    bool changed_host;   // since the VMCS was filled, fields that the exit loads the host from
    bool filled;         // the VMCS has been filled, and may be kept
    uint16_t fields;     // how many can be written
    struct {
        uint16_t encoding, at; // the latter in vmcs_fields[]; both here, for each attempt writes them all
    } field[VMCS_FIELD_COUNT];
    bool exists[VMCS_FIELD_COUNT];
    struct { // frames that are the machine's RAM, as of a generation of its space (probe_owns)
        uint64_t generation;
        uint32_t frame[PROBE_KNOWN];
    } known;
    uint64_t template_good; // generation as of which all addresses of the template were; 0: not yet
    // Copies of the lists of MSRs to be loaded on entry and on exit: another vCPU may change the originals.
    struct {
        hpa_t at;
        bool used; // by the attempt
    } list[PROBE_LISTS];
    uint64_t opened[VMCS_FIELD_COUNT];           // the template as PROBE_OPEN made it
    uint64_t initial[VMCS_FIELD_COUNT];          // the template
    uint64_t now[VMCS_FIELD_COUNT];              // what was written last
    struct probe_field buffer[PROBE_FIELDS_MAX]; // for who copies fields in and out of the guest
};

// At start: PROBE_VECTOR is nobody's stray.
void probe_init(void);
// As abi/probe.h says. `owner`: whom the memory is charged to.
enum error probe_open(struct vcpu *v, uint16_t owner, uint64_t landing, gpa_t scratch);
void probe_destroy(struct vcpu *v);
// The vCPU leaves this processor: its second VMCS too.
void probe_release(struct vcpu *v);
enum error probe_template(const struct vcpu *v, struct probe_field *f);
// The fields become the template's, fenced as an attempt is.
enum error probe_base(struct probe *p, const struct probe_field *fields, uint32_t count);
enum error probe_attempt(struct vcpu *v, struct probe_attempt *a, struct probe_field *fields);
enum error probe_run(struct vcpu *v, struct probe_step *steps, uint32_t count);

// One instruction of PROBE_RUN: what it finds and what came of it.
enum { PROBE_OPERAND_AT = 0x11000, PROBE_ROOM_ORDER = 3 };
struct probe_execution {
    uint64_t rax, rcx, rdx;
    uint64_t memory;   // address of its memory operand
    uint64_t words[2]; // what is at PROBE_OPERAND_AT
    uint64_t rflags;   // behind the instruction, or at its exception
    bool caught;       // it raised an exception
    uint8_t vector;
    uint32_t error;
};
// Makes a room, which is a block of PROBE_ROOM_ORDER, for this processor.
void probe_room_build(struct room *r);
// Executes the instruction of `s` where its flags say, all status flags set before.
void probe_execute(struct room *r, const struct probe_step *s, struct probe_execution *x);

// Whether an attempt with the values of `p->now` and these flags stays inside the machine whatever the processor
// makes of it. Copies the lists of MSRs.
enum error probe_fence(struct probe *p, uint32_t flags);
// Bits of an address that lead to memory name a page of the machine's RAM. What another vCPU unmaps meanwhile stays the
// machine's until this processor enters a guest again (space_has_frame).
bool probe_owns(struct probe *p, uint64_t address);
// Makes the current VMCS load MSRs from the copies.
void probe_write_lists(const struct probe *p);
// Of one copy, bytes: SDM volume 3, appendix "Miscellaneous Data".
static inline uint32_t probe_list_bytes(void)
{
    return 16 * vmx_misc_msr_list_max(vmx_caps.misc);
}
// Ends blocking of NMIs, virtual or not, that an attempt left in the processor: VM entry has to load it (SDM,
// "Interruptibility State"), but where it only adds to what is there (docs/deviations.md), every vCPU that runs here
// next inherits it. The current VMCS is another one afterwards.
void probe_unblock_nmis(struct probe *p);
// The other way: an exit leaves them blocked. The current VMCS is another one afterwards.
void probe_block_nmis(struct probe *p);
// An INIT that was sent to this processor for an attempt and did not end it is pending: it is taken in non-root
// operation here, where it does nothing but end that, lest it meet another vCPU, or a processor outside VMX operation,
// which it resets (SDM, "INIT Signals" of "Other Causes of VM Exits"). The current VMCS is another one afterwards.
void probe_drain_init(struct probe *p);
// vmx/probe_signal.c. Once, on the boot processor. `survived`: whether the box's processors survive INIT and SIPI in
// non-root operation. Those of Bochs 2.7 do not: an INIT stays pending behind its exit and ends every later VM entry at
// once; waiting for a SIPI blocks SMIs and NMIs for ever, and every later exit saves that.
void probe_signal_init(bool survived);
extern bool probe_signals_survived;
// Another processor is ready to send `signal` (PROBE_SEND_*), and will do so soon: the VM entry has to follow at once.
// `until_left`: again and again, for a SIPI that comes before the subject waits for it is lost, and nothing else ends
// its waiting. E_UNSUPPORTED: there is no other processor; E_AGAIN: it did not answer within 20 ms.
enum error probe_signal_ask(enum probe_flag signal, bool until_left);
// Sends what other processors ask this one for, without waiting for their interrupt.
void probe_signal_help(void);
// Behind probe_signal_ask(), when the run has ended: nothing is sent any more when it returns. Whether something was.
bool probe_signal_left(void);
// A VM entry of the current VMCS; the first argument of vmx/probe_entry.asm. RFLAGS behind a failed instruction, 0
// after an exit.
uint64_t probe_enter(struct probe *p, uint64_t way);
void probe_exit(void);

// Fills the template from the vCPU's own VMCS, which is current.
void probe_fill_template(struct probe *p, const struct vcpu *v, uint64_t landing, uint64_t scratch);
