#include "dev/pic.h"
#include "dev/line.h"

enum icw1 { ICW1_IC4 = 1, ICW1_SINGLE = 2, ICW1 = 0x10 };
enum icw4 { ICW4_AUTO_EOI = 2, ICW4_FULLY_NESTED = 0x10 };
enum ocw2 { OCW2_EOI = 0x20, OCW2_SPECIFIC = 0x40, OCW2_ROTATE = 0x80 };
enum ocw3 {
    OCW3 = 8,
    OCW3_ISR = 1,
    OCW3_READ = 2,
    OCW3_POLL = 4,
    OCW3_SPECIAL_MASK = 0x20,
    OCW3_SET_MASK = 0x40
};
enum { MASTER, SLAVE, SPURIOUS = 7, NONE = -1, POLL_FOUND = 0x80, CASCADE = 1 << PIC_CASCADE_IRQ };

// Inputs that may be level-triggered: not the timer, keyboard, cascade, clock and coprocessor.
static const uint8_t may_be_level[2] = {0xf8, 0xde};

// The input of highest priority among `set`, and how many inputs stand before it.
static int rank(const struct pic_chip *c, uint8_t set)
{
    unsigned first = (c->lowest + 1) & 7;
    unsigned turned = (unsigned)(set >> first | set << (8 - first)) & 0xff;
    return turned ? __builtin_ctz(turned) : 8;
}

static int input_of(const struct pic_chip *c, int r)
{
    return (c->lowest + 1 + r) & 7;
}

// What holds requests back: everything in service, but not what special mask mode passes over, nor the slave
// as a whole in special fully nested mode.
static uint8_t blocking(const struct pic *p, const struct pic_chip *c)
{
    uint8_t set = c->special_mask ? c->isr & (uint8_t)~c->imr : c->isr;
    return c->fully_nested && c == &p->chip[MASTER] ? set & (uint8_t)~CASCADE : set;
}

// The input that asks for service, or NONE.
static int asking(const struct pic *p, const struct pic_chip *c)
{
    int request = rank(c, c->irr & (uint8_t)~c->imr);
    return request < rank(c, blocking(p, c)) ? input_of(c, request) : NONE;
}

static void set_input(struct pic_chip *c, uint8_t bit, bool level)
{
    if (((c->lines & bit) != 0) == level)
        return;
    c->lines ^= bit;
    c->irr = level ? c->irr | bit : c->irr & (uint8_t)~bit;
}

// The slave's output is input 2 of the master; the master's is INTR.
static void propagate(struct pic *p)
{
    set_input(&p->chip[MASTER], CASCADE, asking(p, &p->chip[SLAVE]) != NONE);
    bool intr = asking(p, &p->chip[MASTER]) != NONE;
    if (intr == p->intr)
        return;
    p->intr = intr;
    if (p->output)
        p->output(p->owner, intr);
}

void pic_set(struct pic *p, unsigned irq, bool level)
{
    if (irq == PIC_CASCADE_IRQ)
        return;
    set_input(&p->chip[irq >> 3], (uint8_t)(1u << (irq & 7)), level);
    propagate(p);
}

// The acknowledge of one chip, by INTA or poll. An edge is used up; the slave lets go of its output for a
// moment, which makes the next request an edge for the master.
static int acknowledge(struct pic *p, struct pic_chip *c)
{
    int input = asking(p, c);
    if (input == NONE)
        return NONE;
    uint8_t bit = (uint8_t)(1u << input);
    if (!(c->level & bit))
        c->irr &= (uint8_t)~bit;
    if (!c->auto_eoi)
        c->isr |= bit;
    else if (c->auto_rotate)
        c->lowest = (uint8_t)input;
    if (c == &p->chip[SLAVE])
        set_input(&p->chip[MASTER], CASCADE, false);
    return input;
}

uint8_t pic_acknowledge(struct pic *p)
{
    struct pic_chip *c = &p->chip[MASTER];
    int input = acknowledge(p, c);
    if (input == PIC_CASCADE_IRQ) {
        c = &p->chip[SLAVE];
        input = acknowledge(p, c);
    }
    propagate(p);
    return c->vector + (uint8_t)(input == NONE ? SPURIOUS : input);
}

// 8259A data sheet, "Initialization Command Words". Edges are forgotten, levels are not.
static void start_initialisation(struct pic_chip *c, uint8_t icw1)
{
    *c = (struct pic_chip){.lines = c->lines, .level = c->level, .vector = c->vector};
    c->irr = c->lines & c->level;
    c->lowest = 7;
    c->icw1 = icw1;
    c->expect = 2;
}

static void write_icw(struct pic_chip *c, uint8_t v)
{
    switch (c->expect) {
    case 2:
        c->vector = v & 0xf8;
        break;
    case 4:
        c->auto_eoi = v & ICW4_AUTO_EOI;
        c->fully_nested = v & ICW4_FULLY_NESTED;
        break;
    }
    bool no_icw3 = c->icw1 & ICW1_SINGLE, no_icw4 = !(c->icw1 & ICW1_IC4);
    c->expect++;
    if (c->expect == 3 && no_icw3)
        c->expect++;
    if (c->expect > 4 || (c->expect == 4 && no_icw4))
        c->expect = 0;
}

// End of interrupt and rotation. Non-specific: the highest in service that special mask mode does not hide.
static void write_ocw2(struct pic_chip *c, uint8_t v)
{
    int input = v & 7;
    if (!(v & OCW2_EOI)) {
        if (v & OCW2_SPECIFIC)
            c->lowest = v & OCW2_ROTATE ? (uint8_t)input : c->lowest;
        else
            c->auto_rotate = v & OCW2_ROTATE;
        return;
    }
    if (!(v & OCW2_SPECIFIC)) {
        int r = rank(c, c->special_mask ? c->isr & (uint8_t)~c->imr : c->isr);
        if (r == 8)
            return;
        input = input_of(c, r);
    }
    c->isr &= (uint8_t) ~(1u << input);
    if (v & OCW2_ROTATE)
        c->lowest = (uint8_t)input;
}

static void write_ocw3(struct pic_chip *c, uint8_t v)
{
    if (v & OCW3_SET_MASK)
        c->special_mask = v & OCW3_SPECIAL_MASK;
    if (v & OCW3_READ)
        c->read_isr = v & OCW3_ISR;
    c->poll = v & OCW3_POLL;
}

static void write_command(struct pic_chip *c, uint8_t v)
{
    if (v & ICW1)
        start_initialisation(c, v);
    else if (v & OCW3)
        write_ocw3(c, v);
    else
        write_ocw2(c, v);
}

static void write_data(struct pic_chip *c, uint8_t v)
{
    if (c->expect)
        write_icw(c, v);
    else
        c->imr = v;
}

static void write_elcr(struct pic *p, unsigned i, uint8_t v)
{
    struct pic_chip *c = &p->chip[i];
    c->level = v & may_be_level[i];
    c->irr = (c->irr & (uint8_t)~c->level) | (c->lines & c->level);
}

static uint8_t poll(struct pic *p, struct pic_chip *c)
{
    c->poll = false;
    int input = acknowledge(p, c);
    propagate(p);
    return input == NONE ? 0 : (uint8_t)(POLL_FOUND | input);
}

static struct pic_chip *chip_at(struct pic *p, uint16_t port)
{
    if ((port | 1) == (PIC_MASTER | 1))
        return &p->chip[MASTER];
    return (port | 1) == (PIC_SLAVE | 1) ? &p->chip[SLAVE] : NULL;
}

static uint8_t in8(struct device *d, uint16_t port)
{
    struct pic *p = container_of(d, struct pic, device);
    struct pic_chip *c = chip_at(p, port);
    if (unlikely(!c))
        return (port | 1) == (PIC_ELCR | 1) ? p->chip[port & 1].level : 0xff;
    if (unlikely(c->poll))
        return poll(p, c);
    return port & 1 ? c->imr : c->read_isr ? c->isr : c->irr;
}

static void out8(struct device *d, uint16_t port, uint8_t v)
{
    struct pic *p = container_of(d, struct pic, device);
    struct pic_chip *c = chip_at(p, port);
    if (unlikely(!c && (port | 1) != (PIC_ELCR | 1)))
        return;
    if (!c)
        write_elcr(p, port & 1, v);
    else if (port & 1)
        write_data(c, v);
    else
        write_command(c, v);
    propagate(p);
}

void pic_init(struct pic *p, void (*output)(void *owner, bool asserted), void *owner)
{
    static const struct device_ops ops = {.in = in8, .out = out8};
    *p = (struct pic){.device = {&ops}, .output = output, .owner = owner};
    p->chip[MASTER] = (struct pic_chip){.vector = 0x08, .imr = 0xff, .lowest = 7};
    p->chip[SLAVE] = (struct pic_chip){.vector = 0x70, .imr = 0xff, .lowest = 7};
}
