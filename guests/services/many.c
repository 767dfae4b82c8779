#ifdef __x86_64__
// Two processors of a machine that ask at once.
#include "guests/lib/smp.h"
#include "guests/services/services.h"

enum { CALLS = 300, SENDS = 300, ROUNDS = 40, ALARM_US = 300, PATIENCE_US = 1000000 };

static volatile struct barrier gate;
static volatile unsigned wrong;
static uint8_t answers[2][SENDS];
static uint8_t stack[CPU_STACK_BYTES] __attribute__((aligned(16)));

static void count_wrong(bool is_wrong)
{
    __atomic_fetch_add(&wrong, is_wrong, __ATOMIC_RELAXED);
}

// Each gets the answers to its own calls.
static void calls(unsigned id)
{
    for (word_t i = 0; i < CALLS; i++) {
        struct words m = {{service_word(ASK_CLOCK_NOW, i << 1 | id)}};
        count_wrong(service_ask(&hv, &m) || m.w[0] != service_word(ASK_CLOCK_NOW, i << 1 | id));
    }
}

static bool take_answer(void)
{
    struct words m;
    if (ipc_receive(hv.in, 0, &m) < 0)
        return false;
    word_t tag = m.w[0] >> SERVICE_TAG_SHIFT, number = tag >> 1;
    if (number < SENDS)
        __atomic_fetch_add(&answers[tag & 1][number], 1, __ATOMIC_RELAXED);
    count_wrong(number >= SENDS || m.w[1]);
    return true;
}

// Whoever takes an answer, each comes once.
static void sends(unsigned id)
{
    for (word_t i = 0; i < SENDS; i++)
        while (ipc_send(hv.out, &(struct words){{service_word(ASK_CLOCK_NOW, i << 1 | id)}}) == -E_AGAIN)
            take_answer();
    barrier_wait(&gate, 2);
    while (take_answer())
        ;
}

// The first takes both events, whoever asked for them; the other one goes on asking meanwhile.
static void alarms(unsigned id)
{
    struct words m;
    for (word_t round = 0; round < ROUNDS; round++) {
        m = (struct words){
            {service_word(ASK_CLOCK_ALARM, round << 1 | id), ALARM_US}
        };
        count_wrong(service_ask(&hv, &m) != 0);
        barrier_wait(&gate, 2);
        bool came[2] = {false};
        for (unsigned i = 0; id == 0 && i < 2; i++)
            if (ipc_receive(hv.in, PATIENCE_US, &m) == (sword_t)hv.in && m.w[1] < 2)
                came[m.w[1]] = m.w[0] == (service_word(ASK_CLOCK_ALARM, round << 1 | m.w[1]) | SERVICE_EVENT);
        count_wrong(id == 0 && !(came[0] && came[1]));
        for (unsigned i = 0; id == 1 && i < ROUNDS; i++)
            count_wrong(service_do(&hv, ASK_CLOCK_RATE, 0) != 0);
        barrier_wait(&gate, 2);
    }
}

static void all(unsigned id)
{
    barrier_wait(&gate, 2);
    calls(id);
    barrier_wait(&gate, 2);
    sends(id);
    barrier_wait(&gate, 2);
    alarms(id);
    barrier_wait(&gate, 2);
}

void many(void)
{
    unsigned once = 0;
    apic_map();
    apic_enable(true);
    check(cpu_start(1, all, stack + sizeof stack), "second-cpu", "expected it to start\ngot nothing");
    all(0);
    for (unsigned i = 0; i < SENDS; i++)
        once += (answers[0][i] == 1) + (answers[1][i] == 1);
    check_equal("each-answer-once", 2 * SENDS, once);
    check_equal("none-wrong", 0, wrong);
    result("nothing-left", -E_AGAIN, ipc_receive(PORT_ANY, 0, &(struct words){{0}}));
}
#endif
