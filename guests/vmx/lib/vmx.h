// VMX in the hands of a test: a library over the probe (abi/probe.h, docs/probe.md). A bucket of tests is one file,
// guests/vmx/NAME.c, and becomes the guest vmx-NAME.elf:
//
//     BUCKET("what the machine is about")
//     {
//         section = "HLT";                                  // of the SDM, for the points that follow
//         vm_reset();                                       // a valid 64-bit guest; VMCALL at RIP; timer 0
//         vm_run(code_hlt);                                 // the entered code: bytes, then VMCALL; timer long
//         expect_exit("hlt-exits", REASON_HLT, 0);          // enters, and makes one point of what came
//         vm_clear_bits(PRIMARY_CONTROLS, PRIMARY_HLT_EXITING);
//         ...
//     }
//
// There is one VMCS to be entered and one state that describes it: vm_*() change the description, vm_enter() makes an
// attempt with all of it, vm_again() one that goes on where the last exit left off. What the entered code leaves in
// CR2, debug registers, XCR0 and FPU is the test's own. Memory is shared: addresses mean the same here and there,
// unless the test gives the entered code page tables or EPT of its own.
#pragma once
#include "abi/probe.h"
#include "guests/lib/guest.h"
#include "sdm/controls.h"
#include "sdm/entry_cases.h"
#include "sdm/exit_reason.h"
#include "sdm/qualification.h"
#include "sdm/vm_error.h"
#include "sdm/vmcs_image.h"

// ---- The bucket ----

extern const char *section; // title of the SDM's section that the next points are about
extern const struct start_info *start;
void bucket(void);
// The function that makes a bucket's points; nobody counts them in advance.
#define BUCKET(words)                  \
    extern const char bucket_words[];  \
    const char bucket_words[] = words; \
    void bucket(void)

int points_end(void); // announces how many points there were; what main() returns

// ---- The processor ----

extern struct entry_env processor;
static inline bool can(enum vmcs_control_word word, uint64_t bit)
{
    return processor.control[word].may_be_1 & bit;
}
static inline bool must(enum vmcs_control_word word, uint64_t bit)
{
    return processor.control[word].must_be_1 & bit;
}
bool field_exists(uint32_t field);
// RDMSR on the box; false: #GP.
bool box_msr(uint32_t index, uint64_t *value);
struct cpuid_regs box_cpuid(uint32_t leaf, uint32_t subleaf);

// ---- Memory ----

// `n` zeroed pages that follow one another, also physically; they are never given back. NULL: no more.
void *pages_take(unsigned n);
static inline void *page_take(void)
{
    return pages_take(1);
}
uint64_t physical(const volatile void *at); // address on the box
// One page, zeroed by vm_reset(), that control fields with addresses point to unless a test changes them.
extern uint8_t scratch_page[4096];

// ---- The description of the VMCS ----

extern struct vmcs_image vm; // read and change it through these; facts (sdm/vmcs_image.h) have no effect
extern const struct vmcs_image vm_template;
extern uint64_t vm_gpr[16]; // general registers at the entry; behind an exit, those at the exit
void vm_reset(void);
void vm_set(uint32_t field, uint64_t value);
uint64_t vm_get(uint32_t field);
static inline void vm_set_bits(uint32_t field, uint64_t bits)
{
    vm_set(field, vm_get(field) | bits);
}
static inline void vm_clear_bits(uint32_t field, uint64_t bits)
{
    vm_set(field, vm_get(field) & ~bits);
}
void vm_xor(uint32_t field, uint64_t bits);
// The same for a control bit, in whatever word it is; secondary controls are activated with it.
void vm_control(enum vmcs_control_word word, uint64_t bit, bool on);
// Another mode than the template's 64-bit one: registers, segments, and page tables (subject_pages) that map all memory
// at its own addresses for every CPL. Control fields stay. To be said right behind vm_reset(). NULL, or why not.
const char *vm_mode(enum entry_mode mode);
// CPL 3, in the mode that the description has; needs page tables of vm_mode().
void vm_user(void);
// IRET by the machine itself: ends blocking of NMIs that its own exits have saved.
void vm_unblock_nmis(void);
// Page number `page` behind SUBJECT_WINDOW, beyond the machine's memory: its entry in the page tables. Long and PAE
// mode.
void vm_window(unsigned page, uint64_t entry);
enum { SUBJECT_WINDOW = 0x400000 };
// The modes that instructions and events are tested in, and how to get there behind vm_reset(): NULL, or why not.
enum {
    SUBJECT_CPL3, // 64-bit mode
    SUBJECT_COMPATIBILITY,
    SUBJECT_PROTECTED, // without paging
    SUBJECT_REAL,
    SUBJECT_V86,
    SUBJECT_PAE,
    SUBJECT_PAGED, // 32-bit, tables of 4-byte entries
    SUBJECT_LONG,  // 64-bit mode at CPL 0
    SUBJECT_MODES
};
extern const struct subject_mode {
    const char *name;
    const char *(*enter)(void);
} subject_modes[SUBJECT_MODES];
// Enter at `code`, with a preemption timer that leaves it time for RUN_TICKS: it ends by an exit of its own. In real
// and virtual-8086 mode CS is made to begin at `code`.
void vm_run(const void *code);
enum { RUN_TICKS = 400000 };
// Value of a field after the next attempt: up to 16 of them, asked for anew after vm_reset().
void vm_watch(uint32_t field);
uint64_t vm_saw(uint32_t field);

// ---- What the entered code stands on: its stack is its own after vm_reset(); these are, when a test asks ----

// An IDT of the mode, in which each vector leads to a VMCALL of its own, a GDT with what is below, and a TSS with a
// stack for CPL 0.
void vm_tables(void);
enum {
    SUBJECT_CODE = 0x10,
    SUBJECT_DATA = 0x18,
    SUBJECT_CODE32 = 0x20,
    SUBJECT_CODE16 = 0x28,
    SUBJECT_DATA16 = 0x30,
    SUBJECT_NOT_PRESENT = 0x38, // a data segment
    SUBJECT_TSS = 0x40,         // 32- or 64-bit; 16 bytes
    SUBJECT_USER_CODE = 0x53,
    SUBJECT_USER_DATA = 0x5b,
    SUBJECT_USER_CODE32 = 0x63,
    SUBJECT_FREE = 0x68, // three more descriptors for the test
};
extern uint64_t subject_idt[512], subject_gdt[16];
extern uint32_t subject_tss[32];
extern uint8_t subject_stack[8192];
extern uint64_t subject_pages[4][512];          // long mode: PML4, PDPT, PD; PAE mode: [1] PDPT, [2] PD
void vm_gate(uint8_t vector, const void *code); // another handler, behind vm_tables()
// Which vector's VMCALL the last attempt ended at; -1: none.
int vector_reached(void);
const void *vector_stub(uint8_t vector); // where it leads
int vector_at(uint64_t address);         // whose VMCALL stands there; -1: none
// Delivered through the IDT of vm_tables(), to its VMCALL.
bool expect_delivered(const char *name, uint8_t vector);

// ---- EPT of the test's own ----

// Bits of its entries, and of the pointer to it (SDM, "EPT Translation Mechanism"; "Extended-Page-Table Pointer").
enum { EPT_READ = 1, EPT_WRITE = 2, EPT_EXECUTE = 4, EPT_RWX = 7, EPT_LARGE = 1 << 7, EPT_ACCESSED = 1 << 8 };
enum { EPT_TYPE = 3, EPT_WB = 6 << EPT_TYPE, EPT_DIRTY = 1 << 9 };
#define EPT_SUPPRESS_VE (1ull << 63)
enum { EPTP_WB = 6, EPTP_WALK_4 = 3 << 3, EPTP_ACCESSED_DIRTY = 1 << 6 };
// Makes tables that map all memory of the machine at its own addresses, once: what EPT_POINTER may be.
uint64_t ept_build(void);
// Besides, there is a window, 2 MBytes of guest-physical memory from ept_window_gpa on with entries of their own:
// ept_window[1] is the PTE of its first page, [2] the PDE, [3] the PDPTE; [4], the PML4E, is NULL where addresses are
// too narrow for it. ept_window_map() maps the first page to `page`, read, write and execute.
extern uint64_t ept_window_gpa;
extern uint64_t *ept_window[5];
void ept_window_map(const void *page);
// Behind vm_reset() and vm_mode(MODE_LONG): uses it, and maps the window at the linear address EPT_WINDOW.
enum { EPT_WINDOW = 4 << 20 };
void ept_use(uint64_t pointer);

// ---- Attempts ----

extern struct probe_attempt result; // of the last one; flags and gpr of the next are the library's
extern uint32_t vm_flags;           // enum probe_flag for the next attempts; 0 after vm_reset()
// Makes `vm` the state that vm_reset() comes back to, until vm_open(): attempts that change little of it cost less.
// Host state and VM-exit controls have to be the probe's. NULL, or why not.
const char *vm_base(void);
// The probe's own template again.
void vm_open(void);
// An attempt of which it is known what differs from that state.
const char *vm_enter_changed(const uint32_t *changed, unsigned n);
// NULL, or why the hypervisor did not try (as a sentence): the row is to be skipped.
const char *vm_enter(void);
const char *vm_again(void); // PROBE_KEEP: only fields that were set since the last attempt are written
// The same for code that goes on behind its last exit: by VMRESUME, or by VMLAUNCH where the vCPU has moved since and
// its VMCS was cleared; and past interrupts of the box.
const char *vm_continue(void);
// What was printed and delivered has left over the serial port when it returns.
void log_flush(void);
// "exit reason 12 (HLT), qualification 0x0"; valid until the next call.
const char *result_words(void);

// ---- Points: enter, compare, deliver. Each shows section, expected and got when it fails. False: not ok. ----

bool expect_entered(const char *name); // any exit with bit 31 clear
bool expect_exit(const char *name, uint32_t reason, uint64_t qualification);
bool expect_reason(const char *name, uint32_t reason); // whatever the qualification
bool expect_passed(const char *name);                  // reaches the VMCALL behind the code
bool expect_exception(const char *name, uint8_t vector,
                      int64_t error_code);                // as an exit; -1: without error code
bool expect_fail_valid(const char *name, uint32_t error); // VMfailValid
bool expect_fail_invalid(const char *name);
bool expect_failed_entry(const char *name, uint32_t reason, uint64_t qualification);
// About the last attempt: further points, or parts of one.
bool expect_equal(const char *name, const char *what, uint64_t expected, uint64_t got);
bool expect_true(const char *name, bool ok, const char *format, ...) __attribute__((format(printf, 3, 4)));
void skipped(const char *name, const char *why);
// Whether the module line has skip=NAME (the machine below does not survive that point): it is then delivered as
// skipped. The functions that enter ask it themselves.
bool stepped_over(const char *name);
void info(const char *format, ...)
    __attribute__((format(printf, 1, 2))); // what a correct machine may do either way
// "io-%s" into a buffer that lives until the fifteenth call after it.
const char *name_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

// ---- VMX instructions in root operation ----

// A sequence: steps are appended, then run at once. Each returns its step, whose results are there after steps_run().
void steps_begin(void);
struct probe_step *step(enum probe_instruction i, uint64_t operand);
struct probe_step *step_with(enum probe_instruction i, uint64_t operand, uint64_t value, uint64_t value2,
                             uint16_t flags);
const char *steps_run(void); // NULL, or why the hypervisor did not
// The same for the point `name`. False: it did not run, and the point is delivered as skipped.
bool steps_ran(const char *name);
// One point about a step: what came of it.
bool step_succeeds(const char *name, const struct probe_step *s);
bool step_fails_invalid(const char *name, const struct probe_step *s);
bool step_fails_valid(const char *name, const struct probe_step *s, uint32_t error);
bool step_faults(const char *name, const struct probe_step *s, uint8_t vector, uint32_t error_code);

// ---- Code ----

// CODE(name, "instructions"): machine code that ends in VMCALL, for vm_run(). vm_run() enters in the mode described by
// the VMCS, so 16-bit code says .code16 first.
#define CODE(name, text)                                                                            \
    extern const char name[];                                                                       \
    extern const char name##_end[];                                                                 \
    __asm__(".pushsection .text\n.balign 16\n.globl " #name "\n" #name ":\n" text "\n.globl " #name \
            "_end\n" #name "_end:\nvmcall\n.code64\nhlt\n.popsection")
