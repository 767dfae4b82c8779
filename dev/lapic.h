// The virtual local APIC of one vCPU (SDM vol. 3, "Advanced Programmable Interrupt Controller (APIC)").
//
// Its registers live in a page laid out as the SDM lays out the APIC page, so that the same page can be the
// virtual-APIC page of APIC-register virtualization. Beside the page stand summaries that make the hot
// operations short: which 32-bit words of IRR and ISR are not empty. Where the processor changes IRR or ISR
// in the page by itself, lapic_resync() renews them.
//
// Who may touch it: everything belongs to the processor that runs the vCPU, its owner, with one exception:
// lapic_post(), lapic_bus_send() and lapic_post_event() work from anywhere. They set bits in an atomic
// request map, and the `kick` callback says so to the owner, who takes them over by lapic_merge(). Nobody
// waits.
#pragma once
#include "arch/types.h"

enum {
    LAPIC_PAGE = 0xfee00000,
    LAPIC_NONE = -1,
    LAPIC_WORDS = 8,
    LAPIC_MSR_FIRST = 0x800,
    LAPIC_MSRS = 0x40,
    LAPIC_FIRST_VECTOR = 16 // below it are the processor's own
};

// Registers by bits 11:4 of their offset in the page, which is also the low byte of their x2APIC MSR.
// Columns: first and last number; name; readable and writable: NO, X1 (xAPIC only), X2 (x2APIC only), BOTH;
// bits that x2APIC lets through (#GP for others); bits that are kept; what a write does.
// What only older processors had (arbitration priority, remote read) is reserved, as the CMCI LVT is, which
// the version register does not count. SDM, "Local APIC Register Address Map", "x2APIC Register Address
// Space". Delivery status and remote IRR are read-only: they may be written back. Reserved encodings of a
// field (delivery modes 3 and 7) are no reserved bits: nothing is sent.
// clang-format off
#define LAPIC_REGISTERS(X) \
    X(0x02, 0x02, ID,            BOTH, NO,   0,                  0,                  nothing)       \
    X(0x03, 0x03, VERSION,       BOTH, NO,   0,                  0,                  nothing)       \
    X(0x08, 0x08, TPR,           BOTH, BOTH, 0xff,               0xff,               tpr)           \
    X(0x0a, 0x0a, PPR,           BOTH, NO,   0,                  0,                  nothing)       \
    X(0x0b, 0x0b, EOI,           X1,   BOTH, 0,                  0,                  eoi)           \
    X(0x0d, 0x0d, LDR,           BOTH, X1,   0,                  0xff000000,         ldr)           \
    X(0x0e, 0x0e, DFR,           X1,   X1,   0,                  0xf0000000,         dfr)           \
    X(0x0f, 0x0f, SVR,           BOTH, BOTH, 0x11ff,             0x11ff,             svr)           \
    X(0x10, 0x17, ISR,           BOTH, NO,   0,                  0,                  nothing)       \
    X(0x18, 0x1f, TMR,           BOTH, NO,   0,                  0,                  nothing)       \
    X(0x20, 0x27, IRR,           BOTH, NO,   0,                  0,                  nothing)       \
    X(0x28, 0x28, ESR,           BOTH, BOTH, 0,                  0,                  esr)           \
    X(0x30, 0x30, ICR,           BOTH, BOTH, 0xffffffff000cdfff, 0xffffffff000ccfff, icr)           \
    X(0x31, 0x31, ICR_HIGH,      X1,   X1,   0,                  0xff000000,         icr_high)      \
    X(0x32, 0x32, LVT_TIMER,     BOTH, BOTH, 0x710ff,            0x700ff,            lvt_timer)     \
    X(0x33, 0x33, LVT_THERMAL,   BOTH, BOTH, 0x117ff,            0x107ff,            lvt_thermal)   \
    X(0x34, 0x34, LVT_PMC,       BOTH, BOTH, 0x117ff,            0x107ff,            lvt_pmc)       \
    X(0x35, 0x35, LVT_LINT0,     BOTH, BOTH, 0x1f7ff,            0x1a7ff,            lvt_lint0)     \
    X(0x36, 0x36, LVT_LINT1,     BOTH, BOTH, 0x1f7ff,            0x1a7ff,            lvt_lint1)     \
    X(0x37, 0x37, LVT_ERROR,     BOTH, BOTH, 0x110ff,            0x100ff,            lvt_error)     \
    X(0x38, 0x38, INITIAL_COUNT, BOTH, BOTH, 0xffffffff,         0xffffffff,         initial_count) \
    X(0x39, 0x39, CURRENT_COUNT, BOTH, NO,   0,                  0,                  nothing)       \
    X(0x3e, 0x3e, DIVIDE,        BOTH, BOTH, 0x0b,               0x0b,               divide)        \
    X(0x3f, 0x3f, SELF_IPI,      NO,   X2,   0xff,               0xff,               self_ipi)
// clang-format on

enum lapic_register {
#define X(first, last, name, ...) LAPIC_##name = (first),
    LAPIC_REGISTERS(X)
#undef X
};

enum lapic_mode { LAPIC_OFF, LAPIC_XAPIC, LAPIC_X2APIC };

// Delivery modes as in ICR, LVT and I/O APIC entries.
enum lapic_delivery {
    DELIVER_FIXED,
    DELIVER_LOWEST,
    DELIVER_SMI,
    DELIVER_NMI = 4,
    DELIVER_INIT,
    DELIVER_SIPI,
    DELIVER_EXTINT,
};

// What lapic_merge() hands to the owner. SIPI comes with its vector: event >> LAPIC_EVENT_SIPI_SHIFT. INIT is
// to be acted on before SIPI; lapic_init_signal() is up to the owner, and so is ignoring a SIPI that finds
// the vCPU not waiting for it. EXTINT: an I/O APIC pin in ExtINT mode fired, ask the PIC. TIMER: lapic_timer() is
// due, put off by the owner itself.
enum lapic_event {
    LAPIC_EVENT_NMI = 0x100,
    LAPIC_EVENT_INIT = 0x200,
    LAPIC_EVENT_SIPI = 0x400,
    LAPIC_EVENT_EXTINT = 0x800,
    LAPIC_EVENT_TIMER = 0x8000,
    LAPIC_EVENTS = 0xff8f00,
    LAPIC_EVENT_SIPI_SHIFT = 16,
};

struct lapic;

struct lapic_ops {
    tsc_t (*now)(struct lapic *l);                // the host's TSC
    void (*arm)(struct lapic *l, tsc_t deadline); // call lapic_timer() then; replaces the last one; ~0: never
    void (*kick)(struct lapic *l);                // any processor: have the owner merge
    void (*eoi)(struct lapic *l, uint8_t vector); // EOI of a level-triggered interrupt, for the I/O APIC
};

// All local APICs of a machine, by APIC ID.
struct lapic_bus {
    const struct lapic_ops *ops;
    struct lapic **lapic;
    uint32_t count;
    uint64_t physical_mask; // bits of a physical address, such as (1 << 36) - 1
    tsc_t least_period;     // a periodic timer interrupts no more often
};

struct lapic {
    uint32_t *regs;               // the page; register n is regs[n * 4]
    uint8_t irr_words, isr_words; // bit w: word w of IRR or ISR is not empty
    uint8_t mode;                 // enum lapic_mode
    uint8_t errors;               // ESR bits since it was written last
    bool error_told;              // the error interrupt was raised since then
    bool new_levels;              // TMR may have got bits since this was cleared
    bool counting;                // the timer runs, in whichever mode
    uint8_t shift;                // the timer counts once in 1 << shift TSC ticks
    uint32_t id;
    uint64_t msr_readable, msr_writable; // bit n: MSR 800h + n; all zero unless in x2APIC mode
    struct lapic_bus *bus;
    uint64_t base;      // IA32_APIC_BASE
    uint32_t timer_lvt; // LVT_TIMER and INITIAL_COUNT, as the timer goes by them
    uint32_t initial_count;
    uint64_t start;        // counting down: host TSC when the present period began
    uint64_t deadline;     // counting: host TSC of the next expiry
    uint64_t tsc_deadline; // IA32_TSC_DEADLINE as written
    uint64_t tsc_offset;   // the guest's TSC less the host's

    // Written by anybody, on a cache line of their own: what was posted (dev/lapic_bus.c) and what senders
    // match.
    uint32_t posted __attribute__((aligned(64)));
    uint64_t address;
    uint32_t request[LAPIC_WORDS], request_level[LAPIC_WORDS];
};

struct apic_message {
    uint32_t destination;
    bool broadcast, logical, level;
    uint8_t delivery; // enum lapic_delivery
    uint8_t vector;
};

// Power-up state: xAPIC mode at LAPIC_PAGE, software-disabled. `regs` is a zeroed page, `id` its place on the
// bus; ID 0 is the bootstrap processor.
void lapic_create(struct lapic *l, uint32_t *regs, uint32_t id, struct lapic_bus *bus);
// INIT: registers as after power-up; mode, base and ID stay (SDM, "Local APIC State After It Receives an
// INIT").
void lapic_init_signal(struct lapic *l);
// As firmware hands it to a system that knows only the PIC: enabled, LINT0 ExtINT, LINT1 NMI ("virtual
// wire").
void lapic_virtual_wire(struct lapic *l);

// RDMSR and WRMSR of 800H-8FFH; false: #GP(0). Here and below: owner.
bool lapic_rdmsr(struct lapic *l, uint32_t msr, uint64_t *value);
bool lapic_wrmsr(struct lapic *l, uint32_t msr, uint64_t value);
// IA32_APIC_BASE; false: #GP(0) for a reserved bit or a transition that SDM "x2APIC State Transitions"
// forbids.
bool lapic_set_base(struct lapic *l, uint64_t value);
// IA32_TSC_DEADLINE (6E0H): reads 0 and ignores writes in other timer modes.
uint64_t lapic_tsc_deadline(struct lapic *l);
void lapic_set_tsc_deadline(struct lapic *l, uint64_t deadline);
// The xAPIC page at `offset` (0-4095), mode LAPIC_XAPIC. Reads of 1, 2 or 4 bytes inside a register; writes
// of whole registers; what else the SDM leaves undefined reads as zero and is not written.
uint32_t lapic_mmio_read(struct lapic *l, uint32_t offset, unsigned width);
void lapic_mmio_write(struct lapic *l, uint32_t offset, unsigned width, uint32_t value);
// CR8 is TPR's upper half.
void lapic_set_cr8(struct lapic *l, uint64_t value);
static inline uint64_t lapic_cr8(const struct lapic *l)
{
    return l->regs[LAPIC_TPR * 4] >> 4;
}

// An interrupt from inside this APIC, or one taken over: by edge, of LAPIC_FIRST_VECTOR or more, else it is an error
// that the APIC records.
void lapic_request(struct lapic *l, uint8_t vector);

// The timer callback, at or after the deadline; early and needless calls do no harm.
void lapic_timer(struct lapic *l);
// The guest's TSC is the host's and `offset` from now on: a TSC deadline is looked at anew, counts go on.
void lapic_set_tsc_offset(struct lapic *l, uint64_t offset);

// From anywhere. Asks for `vector`, edge or level; false when this APIC does not accept it: disabled, or an
// illegal vector (which it records as an error).
bool lapic_post(struct lapic *l, uint8_t vector, bool level);
// enum lapic_event; a SIPI with its vector. A second SIPI before the first was merged is lost, INIT takes
// away a SIPI that came before it.
void lapic_post_event(struct lapic *l, uint32_t event);
// Delivers a message; returns how many APICs accepted it. Lowest priority goes to one that may be any.
unsigned lapic_bus_send(struct lapic_bus *bus, const struct apic_message *m);

// On, and enabled by software (SVR).
bool lapic_is_enabled(const struct lapic *l);
// Would an ExtINT from the PIC reach this vCPU now?
bool lapic_takes_extint(const struct lapic *l);

// Has somebody posted something? One load, for the way back into the guest.
static inline bool lapic_posted(const struct lapic *l)
{
    return __atomic_load_n(&l->posted, __ATOMIC_RELAXED) != 0;
}
// Takes over what was posted; returns the events among it (enum lapic_event). Owner.
uint32_t lapic_merge(struct lapic *l);

// The place of the highest bit set; spelled so that it becomes one BSR.
static inline unsigned lapic_bsr(uint32_t v)
{
    return (unsigned)__builtin_clz(v) ^ 31;
}

static inline unsigned lapic_top(const uint32_t *regs, enum lapic_register first, unsigned words)
{
    unsigned w = lapic_bsr(words);
    return w * 32 + lapic_bsr(regs[(first + w) * 4]);
}

// The highest request, whatever its priority; LAPIC_NONE.
static inline int lapic_top_request(const struct lapic *l)
{
    return l->irr_words ? (int)lapic_top(l->regs, LAPIC_IRR, l->irr_words) : LAPIC_NONE;
}

// The vector to deliver now: the highest request, if its class is above the processor priority; else
// LAPIC_NONE. Nothing is changed. SDM, "Task and Processor Priorities".
static inline int lapic_highest(const struct lapic *l)
{
    if (!l->irr_words)
        return LAPIC_NONE;
    unsigned vector = lapic_top(l->regs, LAPIC_IRR, l->irr_words);
    return vector >> 4 > l->regs[LAPIC_PPR * 4] >> 4 ? (int)vector : LAPIC_NONE;
}
// Delivers what lapic_highest() named: from IRR to ISR.
void lapic_accept(struct lapic *l, uint8_t vector);
// Writes of EOI and, in x2APIC mode, of SELF IPI.
void lapic_end_of_interrupt(struct lapic *l);
void lapic_self_ipi(struct lapic *l, uint8_t vector);
// The latter and lapic_accept() in one, when no other request waits. False: nothing has happened, because that vector
// is not to be delivered now.
bool lapic_accept_self(struct lapic *l, uint8_t vector);

// ---- For processors that virtualize APICs, on the same page ----

// Bit n: x2APIC mode has register n to be read.
extern const uint64_t lapic_x2apic_readable;
// The processor has written to the page at `offset` what the guest wrote, whatever that was: what comes of it.
void lapic_written(struct lapic *l, uint32_t offset);
// The processor has carried out the EOI of `vector`: tells the I/O APIC if it came by level, unless SVR forbids.
void lapic_ended(struct lapic *l, uint8_t vector);
// Vectors that came by level, 64 * `quarter` on.
uint64_t lapic_levels(const struct lapic *l, unsigned quarter);
// The processor has `highest` requested (0: nothing) and maybe lower ones: the summary of IRR has its word, and then no
// empty word above all that are not.
void lapic_add_requests(struct lapic *l, uint8_t highest);
// The page changed behind our back: summaries anew.
void lapic_resync(struct lapic *l);
