// What a switch costs when many take turns: each of N machines yields in the shortest loop there is, so that a yield of
// one comes back after N switches. One of them measures (cmdline=machines=N).
#include "guests/lib/guest.h"

enum { YIELDS = 240, WARM_UP = 40, SAMPLES = 64, PEER_LOOP = 4, INSTRUCTION = 1 };

static uint64_t samples[SAMPLES];

static void yield_on(void)
{
    uint32_t left = YIELDS;
    __asm__ volatile("1: mov %[yield], %%eax\n\t"
                     "vmcall\n\t"
                     "dec %[left]\n\t"
                     "jnz 1b"
                     : [left] "+r"(left)
                     : [yield] "i"(HC_YIELD)
                     : "rax", "memory", "cc");
}

static void sort(void)
{
    for (unsigned i = 1; i < SAMPLES; i++)
        for (unsigned k = i; k > 0 && samples[k - 1] > samples[k]; k--) {
            uint64_t t = samples[k];
            samples[k] = samples[k - 1];
            samples[k - 1] = t;
        }
}

static uint64_t round_trip(void)
{
    uint64_t begin = rdtsc();
    yield();
    return rdtsc() - begin;
}

static void bench(const char *name, uint64_t value)
{
    hypercall(HC_BENCH, (word_t)value, (word_t)name, strlen(name), (word_t) "ticks", 5);
}

int main(const struct start_info *start)
{
    uint32_t machines = (uint32_t)word_number(command_line(start), "machines", 0);
    if (!machines) {
        yield_on();
        return 0;
    }
    tap_plan(1);
    for (unsigned i = 0; i < WARM_UP; i++)
        yield();
    for (unsigned i = 0; i < SAMPLES; i++)
        samples[i] = round_trip();
    sort();
    uint64_t each = divide(samples[SAMPLES / 2] - (uint64_t)PEER_LOOP * (machines - 1), machines);
    bench("vcpu-switch-among", each);
    check(each > 0 && samples[0] > machines, "measured", "expected more than a tick a switch\ngot %llu",
          (unsigned long long)each);
    return tap_end();
}
