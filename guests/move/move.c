// Moves between processors, seen from inside. A pusher (cmdline=push=K, on processor K by its cpu=) never halts for a
// while, then sleeps for a while, in turns with the other pusher: whose turn is shorter there than elsewhere is moved
// to the processor that idles. Who is moved (cmdline=moves=N) asks where it is, time after time, and looks that
// nothing is lost on the way: vector registers, MSRs, debug registers, its local APIC's timer, the PIT's interrupts.
#include "guests/lib/apic.h"
#include "guests/lib/guest.h"

enum {
    PHASES = 50,
    PHASES_A_SECOND = 80,
    TIMER_VECTOR = 0x40,
    PIT_VECTOR = 0x50,
    PIT_HZ = 1193182,
    PIT_COUNT = 2400
};
enum { MSR_STAR = 0xc0000081, MSR_KERNEL_GS_BASE = 0xc0000102, NAP_US = 375, LATE_US = 50000 };
enum { PIC1 = 0x20, PIC1_DATA = 0x21, PIC_EOI = 0x20, PIT_0 = 0x40, PIT_MODE = 0x43 };
#define PATTERN 0x000043961e0f7884ull // canonical, with a little added

static uint64_t tsc_hz;
static volatile unsigned timer_came, pit_came;

static uint64_t ticks_of(uint64_t us)
{
    return divide(us * tsc_hz, 1000000);
}

static bool on_timer(struct frame *f)
{
    (void)f;
    timer_came++;
    apic_eoi();
    return true;
}

static bool on_pit(struct frame *f)
{
    (void)f;
    pit_came++;
    outb(PIC1, PIC_EOI);
    return true;
}

static void start_timer(void)
{
    apic_enable(true);
    exception_handle(TIMER_VECTOR, on_timer);
    apic_write(APIC_LVT_TIMER, TIMER_DEADLINE | TIMER_VECTOR);
}

static void sleep_until(uint64_t when)
{
    unsigned before = timer_came;
    wrmsr(MSR_TSC_DEADLINE, when);
    while (timer_came == before)
        halt_once();
}

// ---- The pusher ----

static void push(unsigned k)
{
    uint64_t phase = divide(tsc_hz, PHASES_A_SECOND), last = divide(rdtsc(), (uint32_t)phase) + PHASES;
    start_timer();
    for (uint64_t now; (now = divide(rdtsc(), (uint32_t)phase)) < last;)
        if ((now & 1) == (k & 1))
            while (divide(rdtsc(), (uint32_t)phase) == now)
                ;
        else
            sleep_until((now + 1) * phase);
}

// ---- Who is moved ----

// 1.19 MHz / PIT_COUNT: 500 times a second, by the PIC and LINT0, which passes it on.
static void start_pit(void)
{
    static const uint8_t words[][2] = {
        {PIC1,      0x11      },
        {PIC1_DATA, PIT_VECTOR},
        {PIC1_DATA, 4         },
        {PIC1_DATA, 1         },
        {PIC1_DATA, 0xfe      }
    };
    exception_handle(PIT_VECTOR, on_pit);
    for (unsigned i = 0; i < array_size(words); i++)
        outb(words[i][0], words[i][1]);
    apic_write(APIC_LVT_LINT0, 7 << 8); // ExtINT
    outb(PIT_MODE, 0x34);
    outb(PIT_0, PIT_COUNT & 0xff);
    outb(PIT_0, PIT_COUNT >> 8);
}

struct kept {
    uint64_t xmm[2], star, kernel_gs, dr0;
};

static void fill(const struct kept *k)
{
    __asm__ volatile("movdqu %0, %%xmm7" ::"m"(k->xmm));
    wrmsr(MSR_STAR, k->star);
    wrmsr(MSR_KERNEL_GS_BASE, k->kernel_gs);
    write_dr0(k->dr0);
}

static bool is_kept(const struct kept *k)
{
    uint64_t xmm[2];
    __asm__ volatile("movdqu %%xmm7, %0" : "=m"(xmm));
    return xmm[0] == k->xmm[0] && xmm[1] == k->xmm[1] && rdmsr(MSR_STAR) == k->star &&
           rdmsr(MSR_KERNEL_GS_BASE) == k->kernel_gs && read_dr0() == k->dr0;
}

static struct seen {
    unsigned naps, moves, lost, late;
    uint64_t processor, processors; // the last one, all
} seen;

// Sleeps now and then, spins now and then, so that it is moved as one who wakes and as one who waits for a turn.
static void look(unsigned i)
{
    struct kept k = {
        {PATTERN + i, ~PATTERN - i},
        PATTERN ^ i, PATTERN + 2 * i, PATTERN * 3 + i
    };
    uint64_t due = rdtsc() + ticks_of(NAP_US);
    unsigned came = timer_came;
    fill(&k);
    if (i % 2) {
        sleep_until(due);
    } else {
        wrmsr(MSR_TSC_DEADLINE, due);
        interrupts_on();
        while (rdtsc() < due + ticks_of(LATE_US) && timer_came == came)
            ;
        interrupts_off();
    }
    seen.late += rdtsc() > due + ticks_of(LATE_US) || timer_came != came + 1;
    seen.lost += !is_kept(&k);
    uint64_t here = (uint64_t)hypercall1(HC_QUERY, QUERY_PROCESSOR);
    seen.moves += seen.naps++ && here != seen.processor;
    seen.processor = here;
    seen.processors |= 1ull << here;
}

static void be_moved(unsigned moves, unsigned allowed)
{
    start_timer();
    write_cr4(read_cr4() | CR4_OSFXSR);
    start_pit();
    uint64_t begin = rdtsc(), end = begin + divide(tsc_hz, PHASES_A_SECOND) * (PHASES - 10);
    for (unsigned i = 0; rdtsc() < end; i++)
        look(i);
    uint64_t pit_due = divide(divide((rdtsc() - begin) * 1000, (uint32_t)tsc_hz) * PIT_HZ, PIT_COUNT * 1000);
    print("%u moves in %u looks, processors %llx, %u interrupts of the PIT in time for %llu\n", seen.moves,
          seen.naps, (unsigned long long)seen.processors, pit_came, (unsigned long long)pit_due);
    check(seen.moves >= moves, "moved", "expected %u moves or more\ngot %u", moves, seen.moves);
    check(!(seen.processors & ~(uint64_t)allowed), "stays-where-it-may",
          "expected processors of the set %x\ngot %llx", allowed, (unsigned long long)seen.processors);
    check_equal("state-kept", 0, seen.lost);
    check_equal("timer-on-time", 0, seen.late);
    check(pit_came >= pit_due / 2 && pit_came <= pit_due + 2, "pit",
          "expected %llu interrupts, or not much fewer\ngot %u", (unsigned long long)pit_due, pit_came);
}

int main(const struct start_info *start)
{
    const char *line = command_line(start);
    tsc_hz = start->tsc_hz;
    if (word_number(line, "push", ~0u) != ~0u) {
        push((unsigned)word_number(line, "push", 0));
        return 0;
    }
    tap_plan(5);
    be_moved((unsigned)word_number(line, "moves", 1), (unsigned)word_number(line, "allowed", ~0u));
    return tap_end();
}
