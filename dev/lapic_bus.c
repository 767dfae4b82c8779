// Messages between local APICs, and what arrives from other processors.
#include "dev/lapic.h"
#include "dev/lapic_impl.h"

enum { ICR_LEVEL = 0x4000, ICR_TRIGGER = 0x8000, ICR_LOGICAL = 0x800 };
enum shorthand { NO_SHORTHAND, SELF, ALL, OTHERS };
enum { MODEL_CLUSTER = 0, MODEL_FLAT = 15 }; // DFR 31:28

// Sets `bits` in the map's summary and kicks when it was empty; else somebody kicked already and the owner
// has yet to look. A sender that finds its bits set has nothing to do: the owner takes the summary before the
// words, so it will see what the sender has put there.
static void post(struct lapic *l, uint32_t bits)
{
    uint32_t old = __atomic_load_n(&l->posted, __ATOMIC_SEQ_CST);
    if ((old & bits) == bits)
        return;
    if (!__atomic_fetch_or(&l->posted, bits, __ATOMIC_SEQ_CST))
        l->bus->ops->kick(l);
}

static uint64_t address_of(const struct lapic *l)
{
    return __atomic_load_n(&l->address, __ATOMIC_ACQUIRE);
}

static enum lapic_mode mode_of(uint64_t address)
{
    return (enum lapic_mode)(address >> ADDRESS_MODE_SHIFT & 3);
}

bool lapic_post(struct lapic *l, uint8_t vector, bool level)
{
    if (!(address_of(l) >> ADDRESS_ENABLED_SHIFT & 1))
        return false;
    if (unlikely(vector < LAPIC_FIRST_VECTOR)) {
        post(l, POSTED_ILLEGAL);
        return false;
    }
    unsigned w = vector / 32;
    uint32_t bit = 1u << vector % 32;
    if (unlikely(level))
        __atomic_or_fetch(&l->request_level[w], bit, __ATOMIC_SEQ_CST);
    else if (unlikely(__atomic_load_n(&l->request_level[w], __ATOMIC_RELAXED) & bit))
        __atomic_and_fetch(&l->request_level[w], ~bit, __ATOMIC_SEQ_CST);
    __atomic_or_fetch(&l->request[w], bit, __ATOMIC_SEQ_CST);
    post(l, 1u << w);
    return true;
}

void lapic_post_event(struct lapic *l, uint32_t event)
{
    const uint32_t sipi = LAPIC_EVENT_SIPI | 0xffu << LAPIC_EVENT_SIPI_SHIFT;
    uint32_t old = __atomic_load_n(&l->posted, __ATOMIC_RELAXED), next;
    do {
        next = event & LAPIC_EVENT_INIT ? old & ~sipi : old;
        if (!(event & next & LAPIC_EVENT_SIPI))
            next |= event;
    } while (!__atomic_compare_exchange_n(&l->posted, &old, next, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    if (!old)
        l->bus->ops->kick(l);
}

// One APIC gets the message. NMI, INIT and SIPI reach a software-disabled one too.
static bool receive(struct lapic *l, const struct apic_message *m)
{
    static const uint32_t events[8] = {
        [DELIVER_NMI] = LAPIC_EVENT_NMI,
        [DELIVER_INIT] = LAPIC_EVENT_INIT,
        [DELIVER_SIPI] = LAPIC_EVENT_SIPI,
        [DELIVER_EXTINT] = LAPIC_EVENT_EXTINT,
    };
    if (likely(m->delivery <= DELIVER_LOWEST))
        return lapic_post(l, m->vector, m->level);
    uint32_t event = events[m->delivery & 7];
    if (!event || mode_of(address_of(l)) == LAPIC_OFF)
        return false;
    if (event == LAPIC_EVENT_SIPI)
        event |= (uint32_t)m->vector << LAPIC_EVENT_SIPI_SHIFT;
    lapic_post_event(l, event);
    return true;
}

// SDM, "Determining IPI Destination" and "Logical Destination Mode in x2APIC Mode".
static bool matches_logically(const struct lapic *l, uint32_t destination)
{
    uint64_t address = address_of(l);
    uint32_t ldr = (uint32_t)address, id = ldr >> 24;
    if (mode_of(address) == LAPIC_X2APIC)
        return ldr >> 16 == destination >> 16 && (ldr & destination & 0xffff);
    if (destination > 0xff)
        return false;
    switch (address >> ADDRESS_MODEL_SHIFT & 15) {
    case MODEL_FLAT:
        return id & destination;
    case MODEL_CLUSTER:
        return (destination >> 4 == 15 || destination >> 4 == id >> 4) && (id & destination & 15);
    }
    return false;
}

static bool matches(const struct lapic *l, const struct apic_message *m)
{
    if (m->broadcast)
        return true;
    return m->logical ? matches_logically(l, m->destination) : l->id == m->destination;
}

// The search for lowest priority begins at another APIC for each vector and ends with the first that accepts.
static noinline_cold unsigned send_to_many(struct lapic_bus *bus, const struct apic_message *m,
                                           const struct lapic *except)
{
    unsigned accepted = 0, first = m->delivery == DELIVER_LOWEST ? m->vector : 0;
    for (unsigned i = 0; i < bus->count; i++) {
        struct lapic *l = bus->lapic[(first + i) % bus->count];
        if (l == except || !matches(l, m))
            continue;
        accepted += receive(l, m);
        if (accepted && m->delivery == DELIVER_LOWEST)
            break;
    }
    return accepted;
}

unsigned lapic_bus_send(struct lapic_bus *bus, const struct apic_message *m)
{
    if (m->logical || m->broadcast)
        return send_to_many(bus, m, NULL);
    return m->destination < bus->count && receive(bus->lapic[m->destination], m);
}

// SDM, "Valid Combinations for the Pentium 4 Processor's Local xAPIC ICR": what is not listed there, and the
// de-assertion of INIT, sends nothing. Trigger mode and level mean nothing else. An illegal vector is an
// error of the sender and of whoever receives it.
void lapic_send_ipi(struct lapic *l, uint32_t icr, uint32_t destination)
{
    uint8_t vector = (uint8_t)icr, delivery = icr >> 8 & 7, shorthand = icr >> 18 & 3;
    if (delivery == DELIVER_EXTINT || (delivery == DELIVER_INIT && (icr & ICR_TRIGGER) && !(icr & ICR_LEVEL)))
        return;
    if ((shorthand == SELF || shorthand == ALL) && delivery != DELIVER_FIXED)
        return;
    if (unlikely(delivery <= DELIVER_LOWEST && vector < LAPIC_FIRST_VECTOR))
        lapic_error(l, ESR_SEND_ILLEGAL);
    if (shorthand == SELF)
        return lapic_request(l, vector);
    struct apic_message m = {
        .destination = destination,
        .broadcast = shorthand || destination == (l->mode == LAPIC_XAPIC ? 0xff : ~0u),
        .logical = icr & ICR_LOGICAL,
        .delivery = delivery,
        .vector = vector,
    };
    if (shorthand == OTHERS)
        send_to_many(l->bus, &m, l);
    else
        lapic_bus_send(l->bus, &m);
}

static void merge_word(struct lapic *l, unsigned w)
{
    uint32_t taken = __atomic_exchange_n(&l->request[w], 0, __ATOMIC_SEQ_CST);
    uint32_t level = __atomic_load_n(&l->request_level[w], __ATOMIC_RELAXED) & taken;
    if (!taken || l->mode == LAPIC_OFF)
        return;
    uint32_t *tmr = lapic_reg(l, LAPIC_TMR + w);
    if (unlikely(level))
        l->new_levels = true;
    *tmr = (*tmr & ~taken) | level;
    *lapic_reg(l, LAPIC_IRR + w) |= taken;
    l->irr_words |= (uint8_t)(1u << w);
}

uint32_t lapic_merge(struct lapic *l)
{
    uint32_t posted = __atomic_exchange_n(&l->posted, 0, __ATOMIC_SEQ_CST);
    for (uint32_t words = posted & POSTED_WORDS; words; words &= words - 1)
        merge_word(l, (unsigned)__builtin_ctz(words));
    if (unlikely(posted & POSTED_ILLEGAL) && l->mode != LAPIC_OFF)
        lapic_error(l, ESR_RECEIVE_ILLEGAL);
    return posted & LAPIC_EVENTS;
}
