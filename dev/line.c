#include "dev/line.h"
#include "dev/ioapic.h"
#include "dev/pic.h"

void router_init(struct router *r, struct pic *pic, struct ioapic *ioapic)
{
    *r = (struct router){.pic = pic, .ioapic = ioapic};
}

void router_set(struct router *r, uint8_t irq, bool asserted)
{
    uint8_t before = r->asserted[irq];
    r->asserted[irq] = (uint8_t)(asserted ? before + 1 : before - 1);
    if ((before != 0) == (r->asserted[irq] != 0))
        return;
    if (irq < ISA_IRQS)
        pic_set(r->pic, irq, asserted);
    ioapic_set(r->ioapic, irq == PIT_IRQ ? PIT_GSI : irq, asserted);
}
