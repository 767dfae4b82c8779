#include "arch/tsc.h"
#include "arch/cpu.h"
#include "arch/features.h"
#include "sdm/msr.h"

uint64_t tsc_hz;
const char *tsc_source = "nothing";
tsc_t tsc_boot;

enum { SAMPLE_US = 5000 };

// A counter of known frequency, read until it has advanced by `ticks` or stands still. Starts and ends on a
// change of the counter, so that its grain costs no precision. 0: it does not count.
static uint64_t measure(uint32_t (*read)(uint16_t), uint16_t port, uint32_t mask, uint64_t hz)
{
    const uint64_t ticks = hz * SAMPLE_US / 1000000;
    enum { STILL = 100000 };
    uint32_t last = read(port) & mask, now = last, still = 0;
    while (now == last && ++still < STILL)
        now = read(port) & mask;
    tsc_t start = rdtsc(), end = start;
    uint64_t passed = 0;
    for (last = now; passed < ticks && still < STILL; still++) {
        now = read(port) & mask;
        if (now == last)
            continue;
        end = rdtsc();
        passed += (now - last) & mask;
        last = now;
        still = 0;
    }
    if (passed < ticks || passed > ticks * 4) // jumped: not a clock
        return 0;
    return (end.v - start.v) * hz / passed;
}

static uint64_t measure_pm_timer(uint16_t port)
{
    enum { PM_TIMER_HZ = 3579545 }; // ACPI specification, "Power Management Timer"; at least 24 bits
    return port ? measure(in32, port, 0xffffff, PM_TIMER_HZ) : 0;
}

// Channel 2, latched, low byte first, as a counter that goes up.
static uint32_t read_pit(uint16_t port)
{
    out8(port + 1, 0x80);
    uint32_t low = in8(port), high = in8(port);
    return -(high << 8 | low);
}

static uint64_t measure_pit(void)
{
    enum { PIT_HZ = 1193182, CHANNEL_2 = 0x42, COMMAND = 0x43, GATE = 0x61 };
    uint8_t gate = in8(GATE);
    out8(GATE, (gate & ~2) | 1); // gate open, speaker off
    out8(COMMAND, 0xb0);         // channel 2, both bytes, mode 0
    out8(CHANNEL_2, 0xff);
    out8(CHANNEL_2, 0xff);
    uint64_t hz = measure(read_pit, CHANNEL_2, 0xffff, PIT_HZ);
    out8(GATE, gate);
    return hz;
}

// SDM, "Time Stamp Counter and Nominal Core Crystal Clock Information Leaf".
static uint64_t from_cpuid_15(void)
{
    if (features.max_leaf < 0x15)
        return 0;
    struct cpuid c = cpuid(0x15, 0);
    return c.eax ? (uint64_t)c.ecx * c.ebx / c.eax : 0;
}

// SDM, "Processor Frequency Information Leaf": the base frequency is the TSC's on processors with leaf 15H.
static uint64_t from_cpuid_16(void)
{
    return features.max_leaf < 0x16 ? 0 : (cpuid(0x16, 0).eax & 0xffff) * 1000000ull;
}

// The maximum non-turbo ratio, in units of 100 MHz from Sandy Bridge on and of 133 MHz before.
static uint64_t from_platform_info(void)
{
    enum { SANDY_BRIDGE = 0x2a };
    uint64_t info;
    if (!features.intel || features.family != 6 || !rdmsr_safe(MSR_PLATFORM_INFO, &info))
        return 0;
    return (info >> 8 & 0xff) * (features.model >= SANDY_BRIDGE ? 100000000 : 133333333);
}

static bool agrees(uint64_t claim, uint64_t measured)
{
    uint64_t difference = claim > measured ? claim - measured : measured - claim;
    return claim && (!measured || difference < measured / 64); // nothing to measure with: believe it
}

void tsc_init(uint16_t pm_timer)
{
    static const struct {
        uint64_t (*read)(void);
        const char *name;
    } claims[] = {
        {from_cpuid_15,      "CPUID 15H"        },
        {from_cpuid_16,      "CPUID 16H"        },
        {from_platform_info, "MSR_PLATFORM_INFO"},
    };
    uint64_t measured = measure_pm_timer(pm_timer);
    tsc_source = "PM timer";
    if (!measured)
        measured = measure_pit(), tsc_source = "PIT";
    for (unsigned i = 0; i < array_size(claims); i++) {
        uint64_t claim = claims[i].read();
        if (agrees(claim, measured)) {
            tsc_hz = claim;
            tsc_source = claims[i].name;
            return;
        }
    }
    tsc_hz = measured;
    if (!measured) { // no clock at all: slow is safer than fast for every time limit
        tsc_hz = 4000000000;
        tsc_source = "a guess";
    }
}

void tsc_wait_us(uint64_t us)
{
    const uint64_t end = rdtsc().v + tsc_from_us(us).v;
    while ((int64_t)(end - rdtsc().v) > 0)
        cpu_pause();
}
