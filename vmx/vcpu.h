// struct vcpu, as rooms other than vmx/ may use it: no exit reason, VMCS field or qualification shows here.
// A vCPU has no kernel stack; exit handlers run to completion on the processor's stack.
//
// All functions are for the processor on which the vCPU is current, unless they say otherwise.
#pragma once
#include "abi/ending.h"
#include "abi/micronova.h"
#include "arch/types.h"
#include "dev/io.h"
#include "mm/guest_view.h"
#include "sched/sched.h"
#include "vmx/apic_help.h"
#include "vmx/start.h"
#ifdef CHECKING
#include "vmx/tags.h"
#endif

struct vm;
struct fpu_area;
struct microscope;
struct probe;

enum { EXIT_REASONS_COUNTED = 80, FUEL = 64, GUEST_MSRS_KEPT = 6 };

// A VMCS region and the processor on which it is active.
struct vmcs {
    hpa_t region;
    struct pcpu *active_on; // NULL: clear
    struct list link;       // in struct vmx_cpu's list while active
};

// What a guest can change outside its VMCS and the processor keeps while other vCPUs run (vmx/state.c).
struct guest_state {
    uint64_t cr2, kernel_gs_base;
    uint64_t xcr0_ever; // all bits that were ever set in XCR0
    uint64_t rare;      // enum rare_state: what switching has to look at
    struct fpu_area *fpu;
    uint64_t xcr0, dr[4], dr6;
    uint64_t msr[GUEST_MSRS_KEPT];
};

struct vcpu {
    uint64_t gpr[GPR_COUNT]; // stored and loaded by vmx/entry.asm; [RSP] stands in the VMCS
    // Exits until the next turn check. Every exit takes one; below zero vmx_exit() looks whether timeouts are
    // due, the turn is over or somebody kicked. A handler that wants that look right away sets it to zero.
    int32_t fuel;
    uint16_t vpid; // from 1: the vm id and one
    struct vm *vm;
    struct space *space;
    struct io_map *io;
    struct vmcs *vmcs;      // the VMCS it runs on
    uint32_t vm_id, rights; // what CPUID 40000001H tells
    uint32_t index, count;  // among the machine's vCPUs, and its APIC id; how many there are
    uint32_t windows;       // bits of the primary controls that are set: interrupt window, NMI window
    uint8_t apic_help;      // enum apic_help
    uint32_t *apic_page;    // NULL: the processor does not help with local APICs
    uint64_t eoi_exits[4];  // vectors whose EOI exits, as the VMCS has them
    uint64_t misc_enable, apic_base; // MSRs that are only kept; the local APIC writes the latter
    struct guest_view view;          // of `space`, for instructions that are emulated
    struct guest_state state;
    struct sched_node sched;
    struct vmcs own_vmcs;
    struct microscope *microscope; // NULL: nobody looks
    struct probe *probe;           // NULL: not opened
    pfn_t write_notes;             // vmx/pml.h; PFN_NONE: the processor makes none
    uint32_t exits[EXIT_REASONS_COUNTED];
#ifdef CHECKING
    struct tag_stay tag_stay;
#endif
};

enum { DETAIL_MAX = 400 }; // of the sentence about an end, with its NUL

// What vmx/ asks of the rooms above, one constant table (kernel/cpu.c).
struct vcpu_upcalls {
    void (*hypercalls[HC_COUNT])(
        struct vcpu *v); // VMCALL at CPL 0, already retired, by number: the result goes to RAX
    void (*halt)(struct vcpu *v, bool interrupts_on);                 // HLT, already retired
    void (*end)(struct vcpu *v, enum ending how, const char *detail); // this vCPU cannot go on
    bool (*events)(
        struct vcpu *v); // before entry, VMCS current: inject what waits, or ask for a window; false:
                         // it does not run now (it was parked)
    void (*offer)(
        struct vcpu *v); // the local APIC was written and the instruction retired: inject what waits
    bool (*msr_read)(struct vcpu *v, uint32_t msr, uint64_t *value); // local APIC's; false: #GP(0)
    // and, of the TSC, its new offset to the host's
    bool (*msr_write)(struct vcpu *v, uint32_t msr, uint64_t value);
    // x2APIC's EOI and SELF IPI were written, as is legal, and the instruction retired: both include `offer`.
    void (*eoi)(struct vcpu *v);
    void (*self_ipi)(struct vcpu *v, uint8_t vector, bool interrupts_on);
    // With the processor's help (enum apic_help): it wrote to the APIC page at `offset` what the guest wrote; it ended
    // the interrupt `vector`, whose EOI was to exit. The instruction has retired; both include `offer`.
    void (*apic_written)(struct vcpu *v, uint32_t offset);
    void (*apic_ended)(struct vcpu *v, uint8_t vector);
    uint64_t (*cr8_read)(struct vcpu *v);
    void (*cr8_write)(struct vcpu *v, uint64_t value);              // 0 to 15
    bool (*mmio_covers)(struct vcpu *v, gpa_t at);                  // a device answers there
    uint64_t (*mmio_read)(struct vcpu *v, gpa_t at, unsigned size); // 1, 2, 4 or 8 bytes
    void (*mmio_write)(struct vcpu *v, gpa_t at, unsigned size, uint64_t value);
    struct vcpu *(*turn)(
        void); // timeouts, scheduling, idling: the vCPU to run next; the last one may be gone
};
extern const struct vcpu_upcalls vcpu_upcalls;

// Prepares a zeroed vCPU, whose vm, space, io, vm_id and rights are set, for first entry in state `start`. Any
// processor in VMX operation; its VMCS is clear afterwards. E_NO_MEMORY.
enum error vcpu_create(struct vcpu *v, uint16_t owner, const struct guest_start *start);
// Puts the current vCPU into state `start`; what INIT leaves alone stays (SDM, "Processor State After Reset").
void vcpu_restart(struct vcpu *v, const struct guest_start *start);
// Another processor may enter it from now on: its VMCS is clear, its state is in memory. On its home.
void vcpu_unload(struct vcpu *v);
// Its VMCS is active nowhere any more and its state in no processor. On its home; not the current one.
void vcpu_retire(struct vcpu *v);
// Gives its memory back. After vcpu_retire(), or before it ever ran.
void vcpu_destroy(struct vcpu *v, uint16_t owner);
// Hypervisor memory that one vCPU costs beside struct vcpu itself.
uint64_t vcpu_bytes(void);

// Test hook: flips bits of a field of a new vCPU's VMCS, named as in sdm/vmcs_fields.h. False: there is none such.
noinline_cold bool vcpu_break_entry(struct vcpu *v, const char *field, uint64_t xor);

// Makes `to` the vCPU of this processor: VMCS, state outside it, address space; ends its turn on the hardware at
// `deadline` at the latest; gives it fuel. Returns it.
struct vcpu *vcpu_enter(struct vcpu *to, tsc_t now, tsc_t deadline);
// For a hypercall of `from` that has let `to` run on the rest of its turn (sched_handoff()), as its last act: makes
// `to` the vCPU of this processor at once where that can be done without a turn check, else has one made.
void vcpu_hand_over(struct vcpu *from, struct vcpu *to, tsc_t now);
tsc_t vcpu_longest_turn(void); // how far behind `now` the deadline may be
// This processor has no vCPU: it idles, or its vCPU is about to be destroyed.
void vcpu_leave(void);
// Runs `v` and whatever vmx_exit() returns after it, for ever.
_Noreturn void vcpu_run(struct vcpu *v);
unsigned vcpu_cpl(const struct vcpu *v);
bool vcpu_in_64bit_mode(const struct vcpu *v);
// The same from CS alone: who sets its L bit outside IA-32e mode, where it is reserved, is taken at its word.
bool vcpu_has_64bit_code(const struct vcpu *v);
// A fault of the present instruction: delivered at the next entry instead of retiring it.
void vcpu_inject_fault(struct vcpu *v, unsigned vector, uint32_t error_code);
bool vcpu_interrupts_on(const struct vcpu *v); // RFLAGS.IF
// Whether an external interrupt or NMI can be injected at the next entry, and that.
bool vcpu_takes_interrupt(const struct vcpu *v);
void vcpu_inject_interrupt(struct vcpu *v, uint8_t vector);
bool vcpu_takes_nmi(const struct vcpu *v);
void vcpu_inject_nmi(struct vcpu *v);
// The upcall `events` comes again as soon as the guest can take one.
void vcpu_want_windows(struct vcpu *v, bool interrupt, bool nmi);
// Where the processor helps with local APICs (v->apic_page, which is then the registers' page): changes how. With
// delivery by the processor IRR, ISR and PPR of the page are its own while the guest runs, and these are what it goes
// by: the highest vector requested and in service (0: none), and the vectors whose EOI is to exit.
void vcpu_help_apic(struct vcpu *v, enum apic_help help);
void vcpu_set_apic_status(struct vcpu *v, uint8_t requested, uint8_t in_service);
uint8_t vcpu_apic_requested(const struct vcpu *v);
void vcpu_request_apic(struct vcpu *v, uint8_t vector); // in service stays
void vcpu_set_eoi_exits(struct vcpu *v, const uint64_t vectors[static 4]);
// Whether the xAPIC page at its usual place is the processor's business in space `s`: only while every vCPU has its
// APIC there, for to others it would be memory. Elsewhere, and when the space has pages of its own thereabouts,
// accesses make EPT violations. Then as for space_link().
enum error vcpu_show_apic_page(struct space *s, bool shown);
// The upcall `events` comes before the next entry. Any processor; from another one, kick it too.
void vcpu_request_events(struct vcpu *v);
// Its writes are logged (mm/dirty.h): what the processor notes of them is handed over before it counts as passed. Any
// processor.
void vcpu_log_writes(struct vcpu *v);
// Have the turn check run before the next entry.
static inline void vcpu_attention(struct vcpu *v)
{
    v->fuel = 0;
}

// The last exit in words, registers and segments, a line at a time, in parts from 0 on, each a handler's work.
// False: there is no such part. The vCPU may be one that waits: its VMCS is made current for the while.
bool vcpu_describe(struct vcpu *v, unsigned part, void (*line)(void *context, const char *text),
                   void *context);
