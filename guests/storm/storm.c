// Interrupts as fast as they can be asked for, on all its processors; cmdline=KIND. Who is interrupted all the time
// must still get on between interrupts, and so must every other machine.
//     timer    each APIC timer has a period of 1
//     devices  timer, clock and serial port interrupt all processors in turn, as often as they can be programmed to
//     ipis     each processor sends to all others, and NMIs to the next one
#include "guests/lib/guest.h"
#include "guests/lib/smp.h"

enum { VECTOR = 0x61, ENOUGH = 1500, PATIENCE_TICKS = 400000000 };
enum {
    PIT = 0x40,
    PIT_RATE = 0x34,
    RTC = 0x70,
    RTC_A = 0x0a,
    RTC_B = 0x0b,
    RTC_C = 0x0c,
    RTC_8192_HZ = 0x23
};
enum { RTC_PERIODIC = 0x42, UART = 0x3f8, UART_IER = UART + 1, UART_IIR = UART + 2, UART_MCR = UART + 4 };
enum {
    UART_THRE = 2,
    UART_OUT2 = 8,
    IOAPIC_ENTRIES = 0x10,
    IOAPIC_WINDOW = 4,
    PIT_PIN = 2,
    UART_PIN = 4,
    RTC_PIN = 8
};

static unsigned cpus;
static char stacks[CPUS_MAX][CPU_STACK_BYTES] __attribute__((aligned(16)));
static struct {
    volatile unsigned interrupts, beats; // taken; rounds of the loop that they interrupt
} of[CPUS_MAX];
static volatile bool over;
static volatile struct barrier all_there; // an NMI finds handlers from here on
static void (*each_beat)(unsigned id);

static void ioapic_write(uint32_t index, uint32_t v)
{
    volatile uint32_t *page = (volatile uint32_t *)(word_t)(uint32_t)IOAPIC_PAGE;
    page[0] = index;
    page[IOAPIC_WINDOW] = v;
}

static bool on_interrupt(struct frame *f)
{
    of[this_cpu()].interrupts++;
    if (f->vector != VECTOR_NMI)
        apic_eoi();
    return true;
}

// ---- Kinds ----

static void nothing(unsigned id)
{
    (void)id;
}

static void timer_begin(unsigned id)
{
    (void)id;
    apic_write(APIC_DIVIDE, DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, TIMER_PERIODIC | VECTOR);
    apic_write(APIC_INITIAL_COUNT, 1);
}

static void devices_begin(unsigned id)
{
    static const uint8_t pins[] = {PIT_PIN, UART_PIN, RTC_PIN};
    if (id)
        return;
    for (unsigned i = 0; i < array_size(pins); i++) {
        ioapic_write(IOAPIC_ENTRIES + 2u * pins[i] + 1, (i % cpus) << 24);
        ioapic_write(IOAPIC_ENTRIES + 2u * pins[i], VECTOR + i);
    }
    outb(PIT + 3, PIT_RATE);
    outb(PIT, 2);
    outb(PIT, 0);
    outb(RTC, RTC_A);
    outb(RTC + 1, RTC_8192_HZ);
    outb(RTC, RTC_B);
    outb(RTC + 1, RTC_PERIODIC);
    outb(UART_MCR, UART_OUT2);
}

// What it takes that the lines rise again.
static void devices_beat(unsigned id)
{
    if (id)
        return;
    outb(RTC, RTC_C);
    (void)inb(RTC + 1);
    outb(UART_IER, 0);
    outb(UART_IER, UART_THRE);
}

static void ipis_beat(unsigned id)
{
    apic_send(0, ICR_OTHERS | (VECTOR + (of[id].beats & 15)));
    apic_send((id + 1) % cpus, ICR_NMI);
}

static const struct kind {
    const char *name;
    void (*begin)(unsigned id), (*beat)(unsigned id);
} kinds[] = {
    {"timer",   timer_begin,   nothing     },
    {"devices", devices_begin, devices_beat},
    {"ipis",    nothing,       ipis_beat   },
};
static const struct kind *kind;

// ---- Running ----

static unsigned interrupts(void)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < cpus; i++)
        sum += of[i].interrupts;
    return sum;
}

// How many of the processors got on.
static unsigned went_on(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < cpus; i++)
        count += of[i].beats >= ENOUGH;
    return count;
}

static bool enough(void)
{
    return interrupts() >= cpus * ENOUGH && went_on() == cpus;
}

static void storm(unsigned id)
{
    barrier_wait(&all_there, cpus);
    uint64_t end = rdtsc() + PATIENCE_TICKS;
    kind->begin(id);
    interrupts_on();
    while (!over) {
        each_beat(id);
        of[id].beats++;
        if (id == 0 && (enough() || rdtsc() > end))
            over = true;
    }
    interrupts_off();
}

static const struct kind *find(const char *name)
{
    for (unsigned i = 0; i < array_size(kinds); i++)
        if (!strcmp(kinds[i].name, name))
            return &kinds[i];
    return NULL;
}

static void start_all(void)
{
    for (unsigned i = 1; i < cpus; i++)
        cpu_start(i, storm, stacks[i] + CPU_STACK_BYTES);
}

int main(const struct start_info *start)
{
    kind = find(command_line(start));
    tap_plan(2);
    if (!kind) {
        print("expected timer, devices or ipis in cmdline=\ngot \"%s\"\n", command_line(start));
        return 2;
    }
    each_beat = kind->beat;
    apic_map();
    apic_enable(true);
    cpus = cpu_count();
    for (unsigned vector = 32; vector < 255; vector++)
        exception_handle(vector, on_interrupt);
    exception_handle(VECTOR_NMI, on_interrupt);
    start_all();
    storm(0);
    check(interrupts() >= cpus * ENOUGH, "interrupted", "expected %u interrupts or more\ngot %u",
          cpus * ENOUGH, interrupts());
    check_equal("goes-on", cpus, went_on());
    return tap_end();
}
