#include "kernel/services.h"
#include "arch/pcpu.h"
#include "kernel/vm.h"

static struct services *behind(const struct port *p)
{
    return container_of(p->to, struct services, end);
}

struct services *services_start(const struct end *machine)
{
    unsigned out = FIRST_PEER;
    while (out < PORTS && machine->out[out] && !(end_look(machine->out[out]->to) & LOOK_SERVES))
        out++;
    if (out == PORTS || !machine->out[out])
        return NULL;
    struct services *s = behind(machine->out[out]);
    for (unsigned i = 0; i < MACHINE_VCPUS_MAX; i++) {
        timeout_init(&s->alarm[i].timeout, services_alarm);
        s->alarm[i].of = s;
    }
    return s;
}

// ---- Requests ----

static int64_t (*const handlers[SERVICE_COUNT][SERVICE_OPS])(const struct service_request *r) = {
#define X(service, name, number) [SERVICE_##service][number] = serve_##service##_##name,
    SERVICE_OPERATIONS(X)
#undef X
};

static int64_t serve(const struct service_request *r)
{
    unsigned op = r->of[0] & ((1 << SERVICE_SHIFT) - 1);
    unsigned service = (r->of[0] & ((1 << SERVICE_TAG_SHIFT) - 1)) >> SERVICE_SHIFT; // with bit 15: none
    if (service >= SERVICE_COUNT || op >= SERVICE_OPS || !handlers[service][op])
        return -E_UNKNOWN_CALL;
    return handlers[service][op](r);
}

// `m`: the request, then its answer.
void services_call(struct vcpu *v, struct port *p, struct message *m)
{
    struct message answer = {{m->word[0]}};
    struct service_request r = {v, behind(p), vcpu_has_64bit_code(v), m->word, &answer.word[2]};
    answer.word[1] = (uint64_t)serve(&r);
    *m = answer;
}

enum error services_serve(struct port *p, const struct message *m)
{
    struct port *answers = &behind(p)->answers;
    struct message answer = *m;
    if (!port_begin_answer(answers))
        return E_AGAIN;
    services_call(this_pcpu()->current, p, &answer);
    port_end_answer(answers, &answer);
    return E_OK;
}

// ---- Events ----

int64_t services_watch(const struct service_request *r, enum service_event event)
{
    struct port *p = &r->services->answers;
    switch (r->of[1]) {
    case 0:
        events_expect_no_more(p, event);
        return 0;
    case 1:
        events_expect(p, event, r->of[0], false);
        return 0;
    }
    return -E_INVALID;
}

static bool tell_input(struct services *s, unsigned event, uint64_t words[3], bool *more)
{
    (void)s, (void)event, (void)words, (void)more;
    return true;
}

static bool (*const tells[EVENT_COUNT])(struct services *s, unsigned event, uint64_t words[3], bool *more) = {
    [EVENT_ALARM... EVENT_ENDED - 1] = tell_alarm,
    [EVENT_ENDED] = tell_ended,
    [EVENT_TARGET] = tell_target,
    [EVENT_PRESSURE] = tell_pressure,
    [EVENT_INPUT] = tell_input,
};

bool services_tell(struct port *p, unsigned event, struct message *m, bool *more)
{
    m->word[0] |= SERVICE_EVENT;
    return tells[event](container_of(p, struct services, answers), event, &m->word[1], more);
}
