// Asks the hypervisor by message for everything that it serves, rightly and wrongly. The first word of cmdline= is
// the role.
#include "guests/services/services.h"

struct services hv;
const struct start_info *start_info;
volatile unsigned interrupts;

void result(const char *name, sword_t expected, sword_t got)
{
    check_equal(name, (uint64_t)expected, (uint64_t)got);
}

sword_t ask(enum service_operation op, word_t argument, struct words *m)
{
    struct words own, *to = m ? m : &own;
    *to = (struct words){
        {service_word(op, TAG), argument}
    };
    sword_t got = service_ask(&hv, to);
    return to->w[0] == service_word(op, TAG) ? got : -E_MALFORMED;
}

uint64_t value_of(enum service_operation op)
{
    struct words m;
    return ask(op, 0, &m) == 0 ? service_value(&m) : 0;
}

uint64_t ticks_of_us(uint64_t us)
{
    return divide(divide(start_info->tsc_hz, 1000) * us, 1000) + 1;
}

void spin_us(uint64_t us)
{
    for (uint64_t end = rdtsc() + ticks_of_us(us); rdtsc() < end;)
        ;
}

static bool on_event(struct frame *f)
{
    (void)f;
    interrupts++;
    apic_eoi();
    return true;
}

void start_events(void)
{
    apic_map();
    apic_enable(true);
    exception_handle(VECTOR, on_event);
    port_event(hv.in, VECTOR);
}

bool take_event(enum service_operation op, word_t tag, word_t us, struct words *m)
{
    return ipc_receive(hv.in, us, m) == (sword_t)hv.in && m->w[0] == (service_word(op, tag) | SERVICE_EVENT);
}

static const struct {
    const char *word;
    void (*play)(void);
    unsigned points;
} roles[] = {
    {"clock",    clock,    19},
    {"hostile",  hostile,  13},
    {"control",  control,  18},
    {"meek",     meek,     10},
    {"balloon",  balloon,  12},
    {"pressure", pressure, 5 },
    {"console",  console,  4 },
    {"input",    input,    3 },
#ifdef __x86_64__
    {"many",     many,     4 },
#endif
};

int main(const struct start_info *start)
{
    const char *line = command_line(start);
    start_info = start;
    bool found = services_find(&hv);
    if (word_present(line, "stuck"))
        return stuck();
    if (word_present(line, "stuck-late"))
        return stuck_late();
    if (word_present(line, "outlives"))
        return outlives();
    if (word_present(line, "reborn"))
        return reborn();
    if (word_present(line, "exits"))
        return 42;
    while (word_present(line, "runs"))
        ;
    for (unsigned i = 0; i < array_size(roles); i++)
        if (word_present(line, roles[i].word)) {
            tap_plan(roles[i].points + 1);
            check(found, "ports", "expected ports to and from the hypervisor\ngot none");
            roles[i].play();
            return tap_end();
        }
    print("unknown role: %s\n", line);
    return 2;
}
