#include "tests/host/device_host.h"

static tsc_t now(void *owner)
{
    return tsc(((struct fake_machine *)owner)->tsc);
}

static uint64_t wall_us(void *owner)
{
    struct fake_machine *m = owner;
    return m->wall_us += m->us_a_look;
}

static void console(void *owner, const char *bytes, size_t len)
{
    struct fake_machine *m = owner;
    for (size_t i = 0; i < len; i++, m->console_len++)
        if (m->console_len < sizeof(m->console))
            m->console[m->console_len] = bytes[i];
}

static bool console_ready(void *owner)
{
    return !((struct fake_machine *)owner)->busy;
}

static void end(void *owner, uint32_t code)
{
    struct fake_machine *m = owner;
    m->ends++;
    m->end_code = code;
}

static void reset(void *owner)
{
    ((struct fake_machine *)owner)->resets++;
}

static void room(void *owner)
{
    ((struct fake_machine *)owner)->rooms++;
}

static void arm(void *owner, enum device_timer which, tsc_t deadline)
{
    ((struct fake_machine *)owner)->armed[which] = deadline.v;
}

struct dev_host fake_host = {
    .now = now,
    .tsc_hz = 20000000,
    .wall_us = wall_us,
    .console = console,
    .console_ready = console_ready,
    .end = end,
    .reset = reset,
    .room = room,
    .arm = arm,
};
