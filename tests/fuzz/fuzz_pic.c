// The PIC pair's ports, inputs and acknowledges at random.
#include "dev/pic.h"
#include <stdlib.h>
#include <string.h>

static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x22, 0x4d2};

struct step {
    uint8_t what, where, value;
};

static void output(void *owner, bool asserted)
{
    bool *intr = owner;
    if (*intr == asserted)
        abort();
    *intr = asserted;
}

static void check(const struct pic *p, bool intr)
{
    if (intr != pic_pending(p))
        abort();
    for (unsigned i = 0; i < 2; i++) {
        const struct pic_chip *c = &p->chip[i];
        if (c->lowest > 7 || c->expect > 4 || (c->vector & 7) || (c->irr & ~c->lines))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pic p;
    bool intr = false;
    struct step s;
    pic_init(&p, output, &intr);
    for (; size >= sizeof(s); data += sizeof(s), size -= sizeof(s)) {
        memcpy(&s, data, sizeof(s));
        uint16_t port = ports[s.where % array_size(ports)];
        unsigned width = s.where & 0x80 ? 1u << s.where / 16 % 3 : 1;
        if (s.what % 4 == 0)
            device_out(&p.device, port, width, s.value * 0x01010101u);
        else if (s.what % 4 == 1)
            device_in(&p.device, port, width);
        else if (s.what % 4 == 2)
            pic_set(&p, s.where % 16, s.value & 1);
        else if (pic_pending(&p) && pic_acknowledge(&p) == 255 && !p.chip[0].vector && !p.chip[1].vector)
            abort();
        check(&p, intr);
    }
    return 0;
}
