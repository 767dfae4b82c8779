#include "dev/pit.h"
#include "dev/scale.h"

enum control {
    CONTROL_BCD = 1,
    CONTROL_LOW = 0x10,
    CONTROL_HIGH = 0x20,
    CONTROL_BOTH = 0x30,
    CONTROL_ALL = 0x3f
};
enum read_back { READ_BACK_NO_STATUS = 0x10, READ_BACK_NO_COUNT = 0x20 };
enum status { STATUS_NULL_COUNT = 0x40, STATUS_OUT = 0x80 };
enum port_b { PORT_B_GATE = 1, PORT_B_WRITABLE = 15, PORT_B_REFRESH = 0x10, PORT_B_OUT = 0x20 };
enum {
    REFRESH_TICKS = 18,    // a refresh request every 15 us toggles port 61h bit 4
    LONG_AGO = 1ull << 40, // more ticks than any count
    BINARY_RANGE = 65536,  // what a count wraps at
    DECIMAL_RANGE = 10000,
    READ_BACK = 3, // as channel number in a control word
};

// What the gate does (8254 data sheet, "Gate Pin Operations Summary").
enum gate_use { GATE_PAUSES, GATE_TRIGGERS, GATE_RESTARTS };

// Rising edges of OUT, counted from the start of the count: every `n` ticks, once, or never.
enum edges { EDGE_NEVER, EDGE_ONCE, EDGE_PERIODIC };

// The six modes: what the gate does, and what OUT and the counter show `t` ticks after a start with count
// `n`.
static bool out_when_reached(uint64_t t, uint32_t n)
{
    return t >= n;
}

static bool out_pulse_at_one(uint64_t t, uint32_t n)
{
    return n - t % n != 1;
}

static bool out_square(uint64_t t, uint32_t n)
{
    return t % n < (n + 1) / 2;
}

static bool out_strobe(uint64_t t, uint32_t n)
{
    return t != n;
}

static uint64_t value_once(uint64_t t, uint32_t n, uint32_t range)
{
    return n + range - t % range;
}

static uint64_t value_periodic(uint64_t t, uint32_t n, uint32_t range)
{
    (void)range;
    return n - t % n;
}

// Mode 3 counts by twos, once for each half of the wave; an odd count makes the high half one tick longer.
static uint64_t value_square(uint64_t t, uint32_t n, uint32_t range)
{
    (void)range;
    uint64_t phase = t % n, half = (n + 1) / 2;
    return (n & ~1u) - 2 * (phase < half ? phase : phase - half);
}

// clang-format off
static const struct mode {
    enum gate_use gate;
    enum edges edges;
    bool (*out)(uint64_t t, uint32_t n);
    uint64_t (*value)(uint64_t t, uint32_t n, uint32_t range);
} modes[6] = {
    {GATE_PAUSES,   EDGE_ONCE,     out_when_reached, value_once},     // 0: interrupt on terminal count
    {GATE_TRIGGERS, EDGE_NEVER,    out_when_reached, value_once},     // 1: retriggerable one-shot
    {GATE_RESTARTS, EDGE_PERIODIC, out_pulse_at_one, value_periodic}, // 2: rate generator
    {GATE_RESTARTS, EDGE_PERIODIC, out_square,       value_square},   // 3: square wave
    {GATE_PAUSES,   EDGE_ONCE,     out_strobe,       value_once},     // 4: software-triggered strobe
    {GATE_TRIGGERS, EDGE_NEVER,    out_strobe,       value_once},     // 5: hardware-triggered strobe
};
// clang-format on

// 6 is 2, 7 is 3: bit 2 does not matter there.
static unsigned mode_number(const struct pit_channel *c)
{
    unsigned number = c->control >> 1 & 7;
    return number & 2 ? number & 3 : number;
}

static const struct mode *mode_of(const struct pit_channel *c)
{
    return &modes[mode_number(c)];
}

static uint64_t ticks(const struct pit *p)
{
    return scale(p->host->now(p->owner).v, PIT_HZ, p->host->tsc_hz);
}

// On a processor whose TSC is behind that of the last one the difference may be huge, which reads as "expired": nobody
// waits for ever.
static uint64_t elapsed(const struct pit_channel *c, uint64_t now)
{
    return c->running ? now - c->start : c->elapsed;
}

static bool out(const struct pit_channel *c, uint64_t now)
{
    return mode_of(c)->out(elapsed(c, now), c->count);
}

static uint16_t value(const struct pit_channel *c, uint64_t now)
{
    bool decimal = c->control & CONTROL_BCD;
    uint32_t range = decimal ? DECIMAL_RANGE : BINARY_RANGE;
    uint32_t v = (uint32_t)(mode_of(c)->value(elapsed(c, now), c->count, range) % range);
    return (uint16_t)(decimal ? to_bcd(v) : v);
}

// A new count takes effect at once; the part may finish the running period first in modes 2 and 3.
static void load(struct pit_channel *c, uint16_t v, uint64_t now)
{
    bool decimal = c->control & CONTROL_BCD;
    uint32_t range = decimal ? DECIMAL_RANGE : BINARY_RANGE;
    c->count = v == 0 ? range : decimal ? from_bcd(v) : v;
    c->null_count = false;
    if (mode_of(c)->gate == GATE_TRIGGERS)
        return;
    c->start = now;
    c->elapsed = 0;
    c->running = c->gate;
}

static void write_count(struct pit_channel *c, uint8_t byte, uint64_t now)
{
    switch (c->control & CONTROL_BOTH) {
    case CONTROL_LOW:
        return load(c, byte, now);
    case CONTROL_HIGH:
        return load(c, (uint16_t)(byte << 8), now);
    }
    if (c->write_high)
        load(c, (uint16_t)(byte << 8 | c->low), now);
    else
        c->low = byte;
    c->write_high = !c->write_high;
}

static uint8_t read_count(struct pit_channel *c, uint64_t now)
{
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    uint16_t v = c->count_latched ? c->latch : value(c, now);
    uint8_t access = c->control & CONTROL_BOTH;
    bool high = access == CONTROL_BOTH ? c->read_high : access == CONTROL_HIGH;
    if (access == CONTROL_BOTH)
        c->read_high = !c->read_high;
    if (access != CONTROL_BOTH || high)
        c->count_latched = false;
    return (uint8_t)(high ? v >> 8 : v);
}

// A second latch command before the first was read is ignored.
static void latch_count(struct pit_channel *c, uint64_t now)
{
    if (!c->count_latched)
        c->latch = value(c, now);
    c->count_latched = true;
}

static void latch_status(struct pit_channel *c, uint64_t now)
{
    if (!c->status_latched)
        c->status = c->control | (c->null_count ? STATUS_NULL_COUNT : 0) | (out(c, now) ? STATUS_OUT : 0);
    c->status_latched = true;
}

static void read_back(struct pit *p, uint8_t command, uint64_t now)
{
    for (unsigned i = 0; i < PIT_CHANNELS; i++) {
        if (!(command & 2u << i))
            continue;
        if (!(command & READ_BACK_NO_COUNT))
            latch_count(&p->channel[i], now);
        if (!(command & READ_BACK_NO_STATUS))
            latch_status(&p->channel[i], now);
    }
}

// After a control word OUT is low in mode 0 and high in the others, until a count (and a trigger) comes.
static void program(struct pit_channel *c, uint8_t control)
{
    c->control = control & CONTROL_ALL;
    c->running = c->write_high = c->read_high = c->count_latched = c->status_latched = false;
    c->null_count = true;
    c->elapsed = mode_of(c)->gate == GATE_TRIGGERS ? LONG_AGO : 0;
}

static void write_control(struct pit *p, uint8_t control, uint64_t now)
{
    unsigned channel = control >> 6;
    if (channel == READ_BACK)
        read_back(p, control, now);
    else if (control & CONTROL_BOTH)
        program(&p->channel[channel], control);
    else
        latch_count(&p->channel[channel], now);
}

static void set_gate(struct pit_channel *c, bool gate, uint64_t now)
{
    if (gate == c->gate)
        return;
    c->gate = gate;
    enum gate_use use = mode_of(c)->gate;
    if (gate && !c->null_count) {
        c->start = use == GATE_PAUSES ? now - c->elapsed : now;
        c->running = true;
    } else if (!gate && use != GATE_TRIGGERS) {
        c->elapsed = use == GATE_PAUSES ? elapsed(c, now) : 0;
        c->running = false;
    }
}

static uint8_t read_port_b(const struct pit *p, uint64_t now)
{
    return p->port_b | (now / REFRESH_TICKS & 1 ? PORT_B_REFRESH : 0) |
           (out(&p->channel[2], now) ? PORT_B_OUT : 0);
}

// How many edges channel 0 had in the `t` ticks since its start, and in how many more the next comes (~0:
// never). Nothing closes its gate.
static uint64_t count_edges(const struct pit_channel *c, uint64_t t, uint64_t *left)
{
    enum edges edges = mode_of(c)->edges;
    uint64_t first = mode_number(c) == 4 ? c->count + 1u : c->count; // mode 4 is low for the tick at zero
    *left = ~0ull;
    if (!c->running || edges == EDGE_NEVER)
        return 0;
    if (edges == EDGE_PERIODIC) {
        *left = first - t % first;
        return t / first;
    }
    if (t < first)
        *left = first - t;
    return t >= first;
}

void pit_expire(struct pit *p)
{
    const struct pit_channel *c = &p->channel[0];
    uint64_t now = p->host->now(p->owner).v, left, edges = count_edges(c, elapsed(c, ticks(p)), &left);
    if (edges != p->edges)
        line_edge(&p->line);
    p->edges = edges;
    if (left != ~0ull)
        left = now + max_u64(scale(left, p->host->tsc_hz, PIT_HZ) + 1, device_least_wait(p->host));
    p->host->arm(p->owner, DEVICE_TIMER_PIT, tsc(left));
}

// Channel 0 got a control word or a count: it begins anew. Waiting for its count, OUT is low in mode 0 alone.
static void restart_line(struct pit *p, uint64_t now)
{
    const struct pit_channel *c = &p->channel[0];
    if (c->write_high)
        return;
    p->edges = 0;
    line_set(&p->line, c->running ? out(c, now) : mode_number(c));
    pit_expire(p);
}

static uint8_t in8(struct device *d, uint16_t port)
{
    struct pit *p = container_of(d, struct pit, device);
    if (port == PIT_PORT_B)
        return read_port_b(p, ticks(p));
    unsigned channel = port - PIT_BASE;
    return channel < PIT_CHANNELS ? read_count(&p->channel[channel], ticks(p)) : 0xff;
}

static void out8(struct device *d, uint16_t port, uint8_t v)
{
    struct pit *p = container_of(d, struct pit, device);
    uint64_t now = ticks(p);
    unsigned channel = port - PIT_BASE;
    if (port == PIT_PORT_B) {
        p->port_b = v & PORT_B_WRITABLE;
        set_gate(&p->channel[2], v & PORT_B_GATE, now);
    } else if (port == PIT_CONTROL) {
        write_control(p, v, now);
    } else if (channel < PIT_CHANNELS) {
        write_count(&p->channel[channel], v, now);
    }
    if (port == PIT_BASE || (port == PIT_CONTROL && !(v >> 6) && (v & CONTROL_BOTH)))
        restart_line(p, now);
}

// As firmware leaves it: 18.2 Hz on channel 0, refresh on channel 1, a silent speaker on channel 2.
void pit_init(struct pit *p, const struct dev_host *host, void *owner)
{
    static const struct device_ops ops = {.in = in8, .out = out8};
    *p = (struct pit){.device = {&ops}, .host = host, .owner = owner};
    p->channel[0] =
        (struct pit_channel){.count = BINARY_RANGE, .control = 0x36, .gate = true, .running = true};
    p->channel[1] =
        (struct pit_channel){.count = REFRESH_TICKS, .control = 0x14, .gate = true, .running = true};
    p->channel[2] = (struct pit_channel){.count = BINARY_RANGE, .control = 0x36};
}
