// The smallest guest worth having: prints, asks the hypervisor for version and time, delivers its points.
#include "guests/lib/guest.h"

enum { POINTS = 5 };

static void signature(char text[13])
{
    struct cpuid c = cpuid(CPUID_HYPERVISOR, 0);
    memcpy(text, &c.ebx, 4);
    memcpy(text + 4, &c.ecx, 4);
    memcpy(text + 8, &c.edx, 4);
    text[12] = '\0';
}

int main(const struct start_info *start)
{
    char name[13];
    signature(name);
    tap_plan(POINTS);
    print("Hello from %s, %u-bit, on %s, ABI %ld\n", start->name, (unsigned)sizeof(word_t) * 8, name,
          (long)hypercall0(HC_VERSION));
    print("%llu KiB of memory, command line \"%s\", TSC %llu kHz\n",
          (unsigned long long)start->mem_bytes >> 10, command_line(start),
          (unsigned long long)divide(start->tsc_hz, 1000));

    check_equal("magic", START_MAGIC, start->magic);
    check(!strcmp(name, MICRONOVA_SIGNATURE), "signature", "expected %s\ngot %s", MICRONOVA_SIGNATURE, name);
    check_equal("version", ABI_VERSION, (uint64_t)hypercall0(HC_VERSION));
    check_equal("tsc-hz", (word_t)start->tsc_hz, (word_t)hypercall1(HC_TIME, TIME_TSC_HZ));
    uint64_t before = rdtsc();
    yield();
    uint64_t after = rdtsc();
    check(after > before, "time-passes", "expected more than %llu\ngot %llu", (unsigned long long)before,
          (unsigned long long)after);
    return tap_end();
}
