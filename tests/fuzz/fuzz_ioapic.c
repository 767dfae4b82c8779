// An I/O APIC's registers, inputs and EOIs at random.
#include "dev/ioapic.h"
#include <stdlib.h>
#include "tests/host/apics.h"

struct step {
    uint8_t what, where;
    uint16_t more;
    uint32_t value;
};

// Remote IRR stands for a level message under way, nothing else.
static void check(const struct ioapic *io)
{
    for (unsigned pin = 0; pin < GSIS; pin++) {
        uint64_t e = io->entry[pin];
        if ((e & 0x4000) && (!(e & 0x8000) || (e >> 8 & 7) > DELIVER_LOWEST))
            abort();
        if (e & 0x00fffffffffe1000ull)
            abort();
    }
}

static void step(struct ioapic *io, struct apics *a, const struct step *s)
{
    struct lapic *l = &a->lapic[s->where % APICS];
    switch (s->what % 6) {
    case 0:
        ioapic_write(io, IOAPIC_SELECT, 4, s->where % 0x50);
        ioapic_write(io, IOAPIC_WINDOW, 4, s->value);
        break;
    case 1:
        ioapic_write(io, s->more, 1u << s->where % 3, s->value);
        ioapic_read(io, s->more, 1u << s->where % 3);
        break;
    case 2:
        ioapic_set(io, s->where % GSIS, s->more & 1);
        break;
    case 3:
        ioapic_eoi(io, (uint8_t)s->value);
        break;
    case 4:
        lapic_merge(l);
        if (lapic_highest(l) != LAPIC_NONE)
            lapic_accept(l, (uint8_t)lapic_highest(l));
        break;
    case 5:
        lapic_mmio_write(l, 0xb0, 4, 0);
        if (a->eois)
            ioapic_eoi(io, a->eoi_vector);
        a->eois = 0;
    }
    check(io);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct apics a;
    struct ioapic io;
    struct step s;
    apics_create(&a, APICS);
    for (unsigned i = 0; i < APICS; i++)
        lapic_virtual_wire(&a.lapic[i]);
    ioapic_init(&io, &a.bus, 1);
    for (; size >= sizeof(s); data += sizeof(s), size -= sizeof(s)) {
        memcpy(&s, data, sizeof(s));
        step(&io, &a, &s);
    }
    return 0;
}
