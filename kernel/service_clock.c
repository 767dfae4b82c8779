// The clock by message: abi/services.h.
#include "arch/cpu.h"
#include "arch/pcpu.h"
#include "arch/tsc.h"
#include "kernel/dev_host.h"
#include "kernel/services.h"
#include "kernel/vm.h"

static uint64_t ns_since_boot(void)
{
    const uint64_t ns_a_second = 1000000000, ticks = rdtsc().v - tsc_boot.v;
    return ticks / tsc_hz * ns_a_second + ticks % tsc_hz * ns_a_second / tsc_hz;
}

int64_t serve_CLOCK_NOW(const struct service_request *r)
{
    put_value(r->values, ns_since_boot());
    return 0;
}

int64_t serve_CLOCK_RATE(const struct service_request *r)
{
    put_value(r->values, tsc_hz);
    return 0;
}

int64_t serve_CLOCK_DATE(const struct service_request *r)
{
    if (!dev_host_has_date())
        return -E_UNSUPPORTED;
    put_value(r->values, dev_host.wall_us(NULL));
    return 0;
}

// ---- Alarms ----

// The vCPU runs here, so its home is here, and the alarm does not go off meanwhile.
int64_t serve_CLOCK_ALARM(const struct service_request *r)
{
    struct services *s = r->services;
    uint32_t cpu = r->v->index;
    uint64_t us = r->of[1];
    if (us > WAIT_FOREVER)
        return -E_INVALID;
    timeout_set(this_pcpu()->timeouts, &s->alarm[cpu].timeout, tsc(rdtsc().v + tsc_from_us(us).v));
    events_expect(&s->answers, EVENT_ALARM + cpu, r->of[0], true);
    vcpu_attention(r->v);
    return 0;
}

int64_t serve_CLOCK_CANCEL(const struct service_request *r)
{
    struct services *s = r->services;
    timeout_cancel(this_pcpu()->timeouts, &s->alarm[r->v->index].timeout);
    return events_expect_no_more(&s->answers, EVENT_ALARM + r->v->index) ? 0 : -E_NOT_FOUND;
}

void services_alarm(struct timeout *t)
{
    struct alarm *a = container_of(t, struct alarm, timeout);
    events_note(&a->of->answers, EVENT_ALARM + (unsigned)(a - a->of->alarm));
}

bool tell_alarm(struct services *s, unsigned event, uint64_t words[3], bool *more)
{
    (void)s, (void)more;
    words[0] = event - EVENT_ALARM;
    put_value(&words[1], ns_since_boot());
    return true;
}
