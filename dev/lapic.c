// Registers, priorities and modes of the local APIC.
#include "dev/lapic.h"
#include "dev/lapic_impl.h"
#include "sdm/bits.h"

static void put(struct lapic *l, unsigned reg, uint32_t value)
{
    *lapic_reg(l, reg) = value;
}

// One bit of a 256-bit register, and the summary of which of its words are not empty.
static inline void set_vector(struct lapic *l, enum lapic_register first, uint8_t *words, uint8_t vector)
{
    *lapic_reg(l, first + vector / 32) |= 1u << vector % 32;
    *words |= (uint8_t)(1u << vector / 32);
}

static inline void clear_vector(struct lapic *l, enum lapic_register first, uint8_t *words, uint8_t vector)
{
    uint32_t *word = lapic_reg(l, first + vector / 32);
    *word &= ~(1u << vector % 32);
    if (!*word)
        *words &= (uint8_t) ~(1u << vector / 32);
}

// SDM, "Task and Processor Priorities"; where TPR and ISR are of one class, TPR it is, as in "PPR
// Virtualization".
static inline void renew_ppr(struct lapic *l)
{
    uint32_t isr = l->isr_words ? lapic_top(l->regs, LAPIC_ISR, l->isr_words) & 0xf0 : 0;
    uint32_t tpr = lapic_get(l, LAPIC_TPR);
    put(l, LAPIC_PPR, tpr >= isr ? tpr : isr);
}

// What is accepted was above the processor priority, hence above TPR too.
void lapic_accept(struct lapic *l, uint8_t vector)
{
    clear_vector(l, LAPIC_IRR, &l->irr_words, vector);
    set_vector(l, LAPIC_ISR, &l->isr_words, vector);
    put(l, LAPIC_PPR, vector & 0xf0);
}

void lapic_resync(struct lapic *l)
{
    l->irr_words = l->isr_words = 0;
    for (unsigned w = 0; w < LAPIC_WORDS; w++) {
        l->irr_words |= (uint8_t)((lapic_get(l, LAPIC_IRR + w) != 0) << w);
        l->isr_words |= (uint8_t)((lapic_get(l, LAPIC_ISR + w) != 0) << w);
    }
    renew_ppr(l);
}

// One error interrupt until software writes ESR. SDM, "Error Handling".
noinline_cold void lapic_error(struct lapic *l, uint8_t esr_bit)
{
    l->errors |= esr_bit;
    uint32_t lvt = lapic_get(l, LAPIC_LVT_ERROR);
    if (l->error_told || (lvt & LVT_MASKED))
        return;
    l->error_told = true;
    lapic_request(l, (uint8_t)lvt);
}

// A software-disabled APIC keeps what it has and accepts nothing new.
static inline void request(struct lapic *l, uint8_t vector)
{
    enum { TO_TMR = (LAPIC_TMR - LAPIC_IRR) * 4 };
    if (unlikely(vector < LAPIC_FIRST_VECTOR))
        return lapic_error(l, ESR_RECEIVE_ILLEGAL);
    if (unlikely(!(lapic_get(l, LAPIC_SVR) & SVR_ENABLE)))
        return;
    unsigned w = vector / 32;
    uint32_t *irr = lapic_reg(l, LAPIC_IRR + w), bit = 1u << vector % 32;
    irr[TO_TMR] &= ~bit;
    *irr |= bit;
    l->irr_words |= (uint8_t)(1u << w);
}

void lapic_request(struct lapic *l, uint8_t vector)
{
    request(l, vector);
}

bool lapic_is_enabled(const struct lapic *l)
{
    return l->mode != LAPIC_OFF && lapic_get(l, LAPIC_SVR) & SVR_ENABLE;
}

// Tells senders how to find this APIC.
static void publish(struct lapic *l)
{
    uint64_t enabled = lapic_is_enabled(l);
    uint64_t address = lapic_get(l, LAPIC_LDR) | (uint64_t)l->mode << ADDRESS_MODE_SHIFT |
                       (uint64_t)(lapic_get(l, LAPIC_DFR) >> 28) << ADDRESS_MODEL_SHIFT |
                       enabled << ADDRESS_ENABLED_SHIFT;
    __atomic_store_n(&l->address, address, __ATOMIC_RELEASE);
}

// What a write to each register does; `value` has no bits but those that are kept.
static void write_nothing(struct lapic *l, uint64_t value)
{
    (void)l, (void)value;
}

static void write_tpr(struct lapic *l, uint64_t value)
{
    put(l, LAPIC_TPR, (uint32_t)value);
    renew_ppr(l);
}

static noinline_cold void broadcast_eoi(struct lapic *l, uint8_t vector)
{
    if (!(lapic_get(l, LAPIC_SVR) & SVR_NO_BROADCAST))
        l->bus->ops->eoi(l, vector);
}

// Spelled out because it is hot: the word, the bit in it and TMR's bit are found once.
static void write_eoi(struct lapic *l, uint64_t value)
{
    enum { TO_TMR = (LAPIC_TMR - LAPIC_ISR) * 4 };
    (void)value;
    if (unlikely(!l->isr_words))
        return;
    unsigned w = lapic_bsr(l->isr_words);
    uint32_t *isr = lapic_reg(l, LAPIC_ISR + w);
    unsigned n = lapic_bsr(*isr);
    uint32_t bit = 1u << n;
    *isr ^= bit;
    if (!*isr)
        l->isr_words ^= (uint8_t)(1u << w);
    renew_ppr(l);
    if (unlikely(isr[TO_TMR] & bit))
        broadcast_eoi(l, (uint8_t)(w * 32 + n));
}

static void write_ldr(struct lapic *l, uint64_t value)
{
    put(l, LAPIC_LDR, (uint32_t)value);
    publish(l);
}

static void write_dfr(struct lapic *l, uint64_t value)
{
    put(l, LAPIC_DFR, (uint32_t)value | 0x0fffffff);
    publish(l);
}

static const uint8_t lvts[] = {LAPIC_LVT_TIMER, LAPIC_LVT_THERMAL, LAPIC_LVT_PMC,
                               LAPIC_LVT_LINT0, LAPIC_LVT_LINT1,   LAPIC_LVT_ERROR};

static void mask_lvts(struct lapic *l)
{
    for (unsigned i = 0; i < array_size(lvts); i++)
        *lapic_reg(l, lvts[i]) |= LVT_MASKED;
    l->timer_lvt |= LVT_MASKED;
}

// SDM, "Local APIC State After It Has Been Software Disabled".
static void write_svr(struct lapic *l, uint64_t value)
{
    put(l, LAPIC_SVR, (uint32_t)value);
    if (!(value & SVR_ENABLE)) {
        mask_lvts(l);
        lapic_timer_update(l);
    }
    publish(l);
}

static void write_esr(struct lapic *l, uint64_t value)
{
    (void)value;
    put(l, LAPIC_ESR, l->errors);
    l->errors = 0;
    l->error_told = false;
}

// In x2APIC mode the ICR is one register of 64 bits, also in the page.
static void write_icr(struct lapic *l, uint64_t value)
{
    uint32_t destination = (uint32_t)(value >> 32);
    if (l->mode == LAPIC_XAPIC)
        destination = lapic_get(l, LAPIC_ICR_HIGH) >> 24;
    else
        lapic_reg(l, LAPIC_ICR)[1] = destination;
    put(l, LAPIC_ICR, (uint32_t)value);
    lapic_send_ipi(l, (uint32_t)value, destination);
}

static void write_icr_high(struct lapic *l, uint64_t value)
{
    put(l, LAPIC_ICR_HIGH, (uint32_t)value);
}

// The mask bits of a software-disabled APIC cannot be cleared.
static uint32_t lvt_value(const struct lapic *l, uint64_t value)
{
    return (uint32_t)value | (lapic_get(l, LAPIC_SVR) & SVR_ENABLE ? 0 : LVT_MASKED);
}

static void write_lvt_timer(struct lapic *l, uint64_t value)
{
    lapic_timer_lvt(l, lvt_value(l, value));
}

#define LVT(name, reg)                                            \
    static void write_lvt_##name(struct lapic *l, uint64_t value) \
    {                                                             \
        put(l, reg, lvt_value(l, value));                         \
    }
LVT(thermal, LAPIC_LVT_THERMAL)
LVT(pmc, LAPIC_LVT_PMC)
LVT(lint0, LAPIC_LVT_LINT0)
LVT(lint1, LAPIC_LVT_LINT1)
LVT(error, LAPIC_LVT_ERROR)

static void write_initial_count(struct lapic *l, uint64_t value)
{
    lapic_timer_start(l, (uint32_t)value);
}

static void write_divide(struct lapic *l, uint64_t value)
{
    lapic_timer_divide(l, (uint32_t)value);
}

// SDM, "SELF IPI Register": as the ICR with shorthand "self", fixed, edge.
static void write_self_ipi(struct lapic *l, uint64_t value)
{
    if (unlikely(value < LAPIC_FIRST_VECTOR))
        lapic_error(l, ESR_SEND_ILLEGAL);
    request(l, (uint8_t)value);
}

void lapic_end_of_interrupt(struct lapic *l)
{
    write_eoi(l, 0);
}

void lapic_self_ipi(struct lapic *l, uint8_t vector)
{
    write_self_ipi(l, vector);
}

bool lapic_accept_self(struct lapic *l, uint8_t vector)
{
    enum { TO_TMR = (LAPIC_TMR - LAPIC_ISR) * 4 };
    if (unlikely(vector <= (lapic_get(l, LAPIC_PPR) | 15) || !(lapic_get(l, LAPIC_SVR) & SVR_ENABLE)))
        return false;
    uint32_t w = vector / 32, bit = 1u << vector % 32;
    uint32_t *isr = lapic_reg(l, LAPIC_ISR + w);
    *isr |= bit;
    isr[TO_TMR] &= ~bit;
    l->isr_words |= (uint8_t)(1u << w);
    put(l, LAPIC_PPR, vector & 0xf0);
    return true;
}

enum access { NO, X1, X2, BOTH };

// The columns of LAPIC_REGISTERS as sets of register numbers, bit n for number n.
// clang-format off
#define NUMBERS(first, last) ((2ull << (last)) - (1ull << (first)))
#define X1_READ(first, last, name, read, ...)         | ((read) & X1 ? NUMBERS(first, last) : 0)
#define X2_READ(first, last, name, read, ...)         | ((read) & X2 ? NUMBERS(first, last) : 0)
#define X1_WRITE(first, last, name, read, write, ...) | ((write) & X1 ? NUMBERS(first, last) : 0)
#define X2_WRITE(first, last, name, read, write, ...) | ((write) & X2 ? NUMBERS(first, last) : 0)
static const uint64_t xapic_readable = 0 LAPIC_REGISTERS(X1_READ), xapic_writable = 0 LAPIC_REGISTERS(X1_WRITE);
static const uint64_t x2apic_writable = 0 LAPIC_REGISTERS(X2_WRITE);
const uint64_t lapic_x2apic_readable = 0 LAPIC_REGISTERS(X2_READ);

static const struct {
    uint64_t accepted, kept;
    void (*write)(struct lapic *l, uint64_t value);
} rows[LAPIC_MSRS] = {
#define X(first, last, name, read, write, accepted, kept, action) \
    [(first) ... (last)] = {accepted, kept, write_##action},
    LAPIC_REGISTERS(X)
#undef X
};
// clang-format on

bool lapic_wrmsr(struct lapic *l, uint32_t msr, uint64_t value)
{
    uint32_t reg = msr - LAPIC_MSR_FIRST;
    if (unlikely(reg >= LAPIC_MSRS || !(l->msr_writable >> reg & 1) || (value & ~rows[reg].accepted)))
        return false;
    rows[reg].write(l, value & rows[reg].kept);
    return true;
}

// All registers but ICR have an upper half of zero in the page.
bool lapic_rdmsr(struct lapic *l, uint32_t msr, uint64_t *value)
{
    uint32_t reg = msr - LAPIC_MSR_FIRST;
    if (unlikely(reg >= LAPIC_MSRS || !(l->msr_readable >> reg & 1)))
        return false;
    if (reg == LAPIC_CURRENT_COUNT)
        *value = lapic_timer_count(l);
    else
        *value = lapic_get(l, reg) | (uint64_t)lapic_reg(l, reg)[1] << 32;
    return true;
}

uint32_t lapic_mmio_read(struct lapic *l, uint32_t offset, unsigned width)
{
    uint32_t reg = offset >> 4, byte = offset & 15;
    if (unlikely(reg >= LAPIC_MSRS || !(xapic_readable >> reg & 1))) {
        lapic_error(l, ESR_ILLEGAL_REGISTER);
        return 0;
    }
    if (unlikely(byte + width > 4))
        return 0;
    uint32_t value = reg == LAPIC_CURRENT_COUNT ? lapic_timer_count(l) : lapic_get(l, reg);
    return (uint32_t)(value >> 8 * byte & (~0ull >> (64 - 8 * width)));
}

// Writes to registers that exist and are read-only do nothing.
void lapic_mmio_write(struct lapic *l, uint32_t offset, unsigned width, uint32_t value)
{
    uint32_t reg = offset >> 4;
    if (unlikely(reg >= LAPIC_MSRS || !((xapic_readable | xapic_writable) >> reg & 1)))
        return lapic_error(l, ESR_ILLEGAL_REGISTER);
    if (likely((xapic_writable >> reg & 1) && width == 4 && !(offset & 15)))
        rows[reg].write(l, value & rows[reg].kept);
}

static void put_id(struct lapic *l)
{
    put(l, LAPIC_ID, l->mode == LAPIC_X2APIC ? l->id : l->id << 24);
}

// Of what is not to be written the processor lets through the ID alone.
void lapic_written(struct lapic *l, uint32_t offset)
{
    uint32_t reg = offset >> 4 & (LAPIC_MSRS - 1);
    uint64_t writable = l->mode == LAPIC_X2APIC ? x2apic_writable : xapic_writable;
    if (likely(writable >> reg & 1))
        rows[reg].write(l, lapic_get(l, reg) & rows[reg].kept);
    put_id(l);
}

void lapic_ended(struct lapic *l, uint8_t vector)
{
    if (lapic_get(l, LAPIC_TMR + vector / 32) >> vector % 32 & 1)
        broadcast_eoi(l, vector);
}

uint64_t lapic_levels(const struct lapic *l, unsigned quarter)
{
    return lapic_get(l, LAPIC_TMR + 2 * quarter) | (uint64_t)lapic_get(l, LAPIC_TMR + 2 * quarter + 1) << 32;
}

void lapic_add_requests(struct lapic *l, uint8_t highest)
{
    uint32_t words = l->irr_words;
    if (highest)
        words |= 1u << highest / 32;
    while (words && !lapic_get(l, LAPIC_IRR + lapic_bsr(words)))
        words ^= 1u << lapic_bsr(words);
    l->irr_words = (uint8_t)words;
}

void lapic_set_cr8(struct lapic *l, uint64_t value)
{
    write_tpr(l, value << 4 & 0xf0);
}

bool lapic_takes_extint(const struct lapic *l)
{
    return l->mode == LAPIC_OFF || (lapic_get(l, LAPIC_LVT_LINT0) & (LVT_MASKED | 0x700)) == DELIVER_EXTINT
                                                                                                 << 8;
}

// What depends on the mode: the ID's format, the logical ID (fixed in x2APIC mode), what MSRs do.
static void enter_mode(struct lapic *l, enum lapic_mode mode)
{
    bool x2apic = mode == LAPIC_X2APIC;
    l->mode = (uint8_t)mode;
    l->msr_readable = x2apic ? lapic_x2apic_readable : 0;
    l->msr_writable = x2apic ? x2apic_writable : 0;
    put_id(l);
    if (x2apic) {
        put(l, LAPIC_LDR, l->id >> 4 << 16 | 1u << (l->id & 15)); // SDM, "Deriving Logical x2APIC ID"
        lapic_reg(l, LAPIC_ICR)[1] = 0;
        put(l, LAPIC_ICR_HIGH, 0);
    }
    publish(l);
}

// SDM, "Local APIC State After Power-Up or Reset". Version 14H with six LVT entries and EOI-broadcast
// suppression.
static void power_up(struct lapic *l)
{
    for (unsigned reg = 0; reg < LAPIC_MSRS; reg++)
        lapic_reg(l, reg)[0] = lapic_reg(l, reg)[1] = 0;
    put(l, LAPIC_VERSION, 0x01050014);
    put(l, LAPIC_DFR, ~0u);
    put(l, LAPIC_SVR, 0xff);
    l->timer_lvt = 0;
    mask_lvts(l);
    l->irr_words = l->isr_words = 0;
    l->errors = 0;
    l->error_told = false;
    lapic_timer_reset(l);
}

void lapic_init_signal(struct lapic *l)
{
    power_up(l);
    enter_mode(l, l->mode);
}

void lapic_create(struct lapic *l, uint32_t *regs, uint32_t id, struct lapic_bus *bus)
{
    *l = (struct lapic){.regs = regs, .id = id, .bus = bus};
    l->base = LAPIC_PAGE | APIC_BASE_ENABLE | (id == 0 ? APIC_BASE_BSP : 0);
    power_up(l);
    enter_mode(l, LAPIC_XAPIC);
}

void lapic_virtual_wire(struct lapic *l)
{
    put(l, LAPIC_SVR, SVR_ENABLE | 0xff);
    put(l, LAPIC_LVT_LINT0, DELIVER_EXTINT << 8);
    put(l, LAPIC_LVT_LINT1, DELIVER_NMI << 8);
    publish(l);
}

// SDM, "x2APIC State Transitions": x2APIC is reached from xAPIC only and left by being disabled only; a
// disabled APIC forgets everything. The BSP flag is not the guest's.
bool lapic_set_base(struct lapic *l, uint64_t value)
{
    enum { INVALID = LAPIC_X2APIC + 1 };
    static const uint8_t mode_of[] = {LAPIC_OFF, INVALID, LAPIC_XAPIC, LAPIC_X2APIC}; // by EN and EXTD
    static const uint8_t legal[] = {
        [LAPIC_OFF] = 1 << LAPIC_OFF | 1 << LAPIC_XAPIC,
        [LAPIC_XAPIC] = 1 << LAPIC_OFF | 1 << LAPIC_XAPIC | 1 << LAPIC_X2APIC,
        [LAPIC_X2APIC] = 1 << LAPIC_OFF | 1 << LAPIC_X2APIC,
    };
    uint64_t flags = APIC_BASE_BSP | APIC_BASE_X2APIC | APIC_BASE_ENABLE;
    uint8_t mode = mode_of[value >> 10 & 3];
    if ((value & ~(flags | (l->bus->physical_mask & -(uint64_t)PAGE_SIZE))) || !(legal[l->mode] >> mode & 1))
        return false;
    l->base = (value & ~(uint64_t)APIC_BASE_BSP) | (l->base & APIC_BASE_BSP);
    if (mode == LAPIC_OFF)
        power_up(l);
    if (mode != l->mode)
        enter_mode(l, mode);
    return true;
}
