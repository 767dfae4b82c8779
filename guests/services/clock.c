// The clock: present, date, alarms by message and by interrupt.
#include "guests/services/services.h"

enum { SHORT_US = 2000, LONG_US = 60000000 };

static void between(const char *name, uint64_t least, uint64_t most, uint64_t got)
{
    check(got >= least && got <= most, name, "expected %lx to %lx\ngot %lx", (unsigned long)least,
          (unsigned long)most, (unsigned long)got);
}

static uint32_t khz(void)
{
    return (uint32_t)divide(start_info->tsc_hz, 1000);
}

// Nanoseconds of a while, measured by the clock, against the TSC around and inside of it.
static void runs_like_the_tsc(void)
{
    uint64_t a = rdtsc(), begun = value_of(ASK_CLOCK_NOW), b = rdtsc();
    spin_us(SHORT_US);
    uint64_t c = rdtsc(), ended = value_of(ASK_CLOCK_NOW), d = rdtsc();
    between("now", divide((c - b) * 1000000, khz() + 1), divide((d - a) * 1000000, khz()) + 1000,
            ended - begun);
}

static void reads(void)
{
    check_equal("rate", start_info->tsc_hz, value_of(ASK_CLOCK_RATE));
    runs_like_the_tsc();
    uint64_t since = rdtsc() - (uint64_t)hypercall1(HC_TIME, TIME_TSC_BOOT), now = value_of(ASK_CLOCK_NOW);
#ifdef __x86_64__
    between("since-boot", since / (khz() + 1) * 1000000, ~0ull, now);
#else
    (void)since; // its low half alone
    between("since-boot", 1000, ~0ull, now);
#endif
    uint64_t date = value_of(ASK_CLOCK_DATE);
    spin_us(SHORT_US);
    uint64_t later = value_of(ASK_CLOCK_DATE);
    between("date", 1000000000000000, 5000000000000000, date); // 2001 to 2128
    between("date-goes-on", date + SHORT_US, date + LONG_US, later);
}

static void alarms(void)
{
    struct words m;
    uint64_t begun = value_of(ASK_CLOCK_NOW);
    result("alarm", 0, ask(ASK_CLOCK_ALARM, SHORT_US, NULL));
    bool came = take_event(ASK_CLOCK_ALARM, TAG, WAIT_FOREVER, &m);
    check(came, "alarm-comes", "expected its event\ngot %lx", (unsigned long)m.w[0]);
    check_equal("alarm-cpu", 0, m.w[1]);
    between("alarm-time", begun + SHORT_US * 1000, value_of(ASK_CLOCK_NOW), service_value(&m));
    result("alarm-once", -E_AGAIN, ipc_receive(hv.in, SHORT_US, &m));
    result("cancel-none", -E_NOT_FOUND, ask(ASK_CLOCK_CANCEL, 0, NULL));
    ask(ASK_CLOCK_ALARM, SHORT_US, NULL);
    result("cancel", 0, ask(ASK_CLOCK_CANCEL, 0, NULL));
    result("cancelled", -E_AGAIN, ipc_receive(hv.in, 2 * SHORT_US, &m));
    ask(ASK_CLOCK_ALARM, 0, NULL);
    spin_us(SHORT_US);
    result("cancel-late", 0, ask(ASK_CLOCK_CANCEL, 0, NULL));
    result("cancelled-late", -E_AGAIN, ipc_receive(hv.in, 0, &m));
    ask(ASK_CLOCK_ALARM, LONG_US, NULL);
    service_ask(&hv, &(struct words){
                         {service_word(ASK_CLOCK_ALARM, 7), SHORT_US}
    });
    came = take_event(ASK_CLOCK_ALARM, 7, WAIT_FOREVER, &m);
    check(came, "alarm-anew", "expected the event of the second\ngot %lx", (unsigned long)m.w[0]);
    result("alarm-not-twice", -E_AGAIN, ipc_receive(hv.in, 0, &m));
}

// The port's vector ends a halt.
static void interrupts_at_alarm(void)
{
    struct words m;
    start_events();
    ask(ASK_CLOCK_ALARM, SHORT_US, NULL);
    while (!interrupts)
        __asm__ volatile("sti; hlt; cli");
    bool came = take_event(ASK_CLOCK_ALARM, TAG, 0, &m);
    check(came, "alarm-interrupts", "expected its event\ngot %lx", (unsigned long)m.w[0]);
    check_equal("interrupts", 1, interrupts);
}

void clock(void)
{
    reads();
    alarms();
    interrupts_at_alarm();
}

// Nothing was asked for that could still interrupt.
int stuck(void)
{
    start_events();
    ask(ASK_CLOCK_ALARM, LONG_US, NULL);
    ask(ASK_CLOCK_CANCEL, 0, NULL);
    __asm__ volatile("sti; hlt");
    return 1;
}

// The alarm has interrupted once, and nobody took its message.
int stuck_late(void)
{
    start_events();
    ask(ASK_CLOCK_ALARM, SHORT_US, NULL);
    while (!interrupts)
        __asm__ volatile("sti; hlt; cli");
    __asm__ volatile("sti; hlt");
    return 1;
}
