// Four local APICs driven at random through both register interfaces, messages, modes and time. Whatever a
// guest writes, the summaries agree with the page and the processor priority with its rule.
#include "dev/lapic.h"
#include <stdlib.h>
#include "tests/host/apics.h"

struct step {
    uint8_t what, cpu;
    uint16_t where;
    uint64_t value;
};

static void check(struct lapic *l)
{
    uint8_t irr = l->irr_words, isr = l->isr_words;
    uint32_t ppr = l->regs[LAPIC_PPR * 4];
    int highest = lapic_highest(l);
    lapic_resync(l);
    if (irr != l->irr_words || isr != l->isr_words || ppr != l->regs[LAPIC_PPR * 4])
        abort();
    if ((l->regs[LAPIC_IRR * 4] | l->regs[LAPIC_ISR * 4]) & 0xffff)
        abort();
    if (highest != LAPIC_NONE && (highest < 16 || highest >> 4 <= (int)(ppr >> 4)))
        abort();
    if (l->counting && l->deadline < l->start && l->regs[LAPIC_LVT_TIMER * 4] >> 17 < 2)
        abort();
}

static void access_register(struct apics *a, struct lapic *l, const struct step *s)
{
    uint64_t v;
    unsigned width = 1u << s->what / 16 % 3;
    if (l->mode == LAPIC_X2APIC) {
        lapic_wrmsr(l, 0x800u + s->where % 0x48, s->what & 0x80 ? s->value : s->value & 0xff0007ffff);
        lapic_rdmsr(l, 0x800u + s->where % 0x100, &v);
    } else if (l->mode == LAPIC_XAPIC) {
        lapic_mmio_write(l, s->where % 0x480 & (s->what & 0x80 ? ~0u : ~15u), s->what & 0x40 ? width : 4,
                         (uint32_t)s->value);
        lapic_mmio_read(l, s->where % 0x1000, width);
    }
    if (lapic_tsc_deadline(l) && l->regs[LAPIC_LVT_TIMER * 4] >> 17 != 2)
        abort();
    (void)a;
}

static void step(struct apics *a, const struct step *s)
{
    struct lapic *l = &a->lapic[s->cpu % APICS];
    struct apic_message m = {(uint32_t)s->value, s->value >> 40 & 1, s->value >> 41 & 1,
                             s->value >> 42 & 1, s->value >> 44 & 7, (uint8_t)s->where};
    switch (s->what % 12) {
    case 0:
        lapic_set_base(l, s->value & 0xff000ffffull);
        break;
    case 1:
        lapic_set_base(l, LAPIC_PAGE | (s->value & 0xc00));
        break;
    case 2:
        if (lapic_bus_send(&a->bus, &m) > APICS)
            abort();
        break;
    case 3:
        if (lapic_merge(l) & LAPIC_EVENT_INIT)
            lapic_init_signal(l);
        if (lapic_posted(l))
            abort();
        break;
    case 4:
        a->now += s->where;
        lapic_timer(l);
        break;
    case 5:
        lapic_set_tsc_deadline(l, s->value);
        break;
    case 6:
        lapic_set_tsc_offset(l, s->value);
        break;
    case 7:
        lapic_set_cr8(l, s->value);
        break;
    case 8:
        if (lapic_highest(l) != LAPIC_NONE)
            lapic_accept(l, (uint8_t)lapic_highest(l));
        break;
    default:
        access_register(a, l, s);
    }
    check(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct apics a;
    struct step s;
    apics_create(&a, APICS);
    a.now = 1ull << 40;
    for (unsigned i = 0; i < APICS; i++)
        lapic_virtual_wire(&a.lapic[i]);
    for (; size >= sizeof(s); data += sizeof(s), size -= sizeof(s)) {
        memcpy(&s, data, sizeof(s));
        step(&a, &s);
    }
    return 0;
}
