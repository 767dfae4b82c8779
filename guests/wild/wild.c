// Hypercalls at random, most of them senseless, by both vCPUs at once (vcpus=2), with a peer that does the same (of=NAME):
// pages that do not exist or are given, lent, logged and protected at the same moment, ports and grants of any number,
// requests to the hypervisor. Every answer must be one that there is; the machine itself must live, for it gives away
// nothing below PLAY. seed= count=
#include "guests/lib/apic.h"
#include "guests/lib/guest.h"
#include "guests/lib/ipc.h"
#include "guests/lib/smp.h"
#include "abi/services.h"

enum { VCPUS = 2, PAGE_BYTES = 4096, PLAY = 160, PEERS = 3, A_MOMENT = 50, LARGE = 512, DEEPEST = 300 };

// What an argument is: a number of its kind, now and then a senseless one.
enum kind { NOTHING, ANY, OP, PAGE, LOGGED, COUNT, RIGHTS, ADDRESS, PORT, GRANT, WINDOW, VECTOR, US, ME };

static const struct row {
    const char *name;
    word_t number, op; // op: the first argument, where the number has several calls
    enum kind kind[4];
} rows[] = {
    {"unknown",    HC_COUNT,   HC_COUNT,       {ANY, ANY, ANY, ANY}        },
    {"control",    HC_CONTROL, 0,              {ME, ADDRESS, COUNT}        },
    {"probe",      HC_PROBE,   0,              {ADDRESS, ADDRESS}          },
    {"memory",     HC_MEMORY,  99,             {PAGE, COUNT, ANY, ANY}     },
    {"port-out",   HC_PORT,    PORT_OUT,       {ADDRESS, COUNT}            },
    {"time",       HC_TIME,    TIME_TSC_HZ,    {ANY, ANY}                  },
    {"query",      HC_QUERY,   QUERY_VM_BYTES, {ANY}                       },
    {"leaf",       HC_MEMORY,  MEMORY_LEAF,    {PAGE}                      },
    {"rights",     HC_MEMORY,  MEMORY_RIGHTS,  {PAGE, COUNT, RIGHTS}       },
    {"log-start",  HC_MEMORY,  LOG_START,      {ME}                        },
    {"log-stop",   HC_MEMORY,  LOG_STOP,       {ME}                        },
    {"log-sync",   HC_MEMORY,  LOG_SYNC,       {ME}                        },
    {"log-read",   HC_MEMORY,  LOG_READ,       {ME, LOGGED, COUNT, ADDRESS}},
    {"log-passed", HC_MEMORY,  LOG_PASSED,     {ME}                        },
    {"give",       HC_MEMORY,  BALLOON_GIVE,   {PAGE, COUNT}               },
    {"take",       HC_MEMORY,  BALLOON_TAKE,   {PAGE, COUNT}               },
    {"take-again", HC_MEMORY,  BALLOON_TAKE,   {PAGE, COUNT}               },
    {"figure",     HC_MEMORY,  BALLOON_FIGURE, {ANY}                       },
    {"want",       HC_MEMORY,  BALLOON_WANT,   {PAGE}                      },
    {"vector",     HC_MEMORY,  BALLOON_EVENT,  {VECTOR}                    },
    {"port-event", HC_PORT,    PORT_EVENT,     {PORT, VECTOR}              },
    {"window",     HC_GRANT,   GRANT_WINDOW,   {ANY}                       },
    {"grant",      HC_GRANT,   GRANT_GIVE,     {PORT, PAGE, COUNT, RIGHTS} },
    {"revoke",     HC_GRANT,   GRANT_REVOKE,   {PORT, GRANT}               },
    {"map",        HC_GRANT,   GRANT_MAP,      {PORT, GRANT, WINDOW}       },
    {"map-again",  HC_GRANT,   GRANT_MAP,      {PORT, GRANT, WINDOW}       },
    {"unmap",      HC_GRANT,   GRANT_UNMAP,    {PORT, GRANT}               },
};
enum { REFUSED = 5 }; // the first so many always are
// Calls that have their arguments in other ways.
enum { SEND = array_size(rows), RECEIVE, ASK, TOUCH, CALLS };

static word_t pages, window, me, hypervisor_out, hypervisor_in, count;
static volatile unsigned good[VCPUS][CALLS], odd[VCPUS];
static uint32_t state[VCPUS];
static volatile struct barrier gate;
static uint8_t stack[CPU_STACK_BYTES] __attribute__((aligned(16)));

static word_t below(unsigned cpu, word_t n)
{
    uint32_t s = state[cpu];
    s ^= s << 13;
    s ^= s >> 17;
    state[cpu] = s ^= s << 5;
    return s % n;
}

static word_t senseless(unsigned cpu)
{
    word_t bit = (word_t)1 << below(cpu, 64);
    switch (below(cpu, 5)) {
    case 0:
        return ~(word_t)0;
    case 1:
        return bit;
    case 2:
        return -bit;
    case 3:
        return pages * PAGE_BYTES - below(cpu, 2);
    default:
        return bit - 1;
    }
}

// Never a page below PLAY; now and then that where a large leaf begins, if memory goes that far.
static word_t page(unsigned cpu)
{
    word_t any = below(cpu, 16) ? PLAY + below(cpu, 2 * (pages - PLAY)) : senseless(cpu);
    any = below(cpu, 8) ? any : LARGE;
    return any < PLAY ? pages : any;
}

static word_t argument(unsigned cpu, enum kind kind)
{
    bool sense = below(cpu, 16);
    switch (kind) {
    case PAGE:
        return page(cpu);
    case LOGGED:
        return page(cpu) & ~(word_t)63;
    case ADDRESS:
        return sense ? page(cpu) * PAGE_BYTES - below(cpu, 2) * 8 : ~(word_t)0 - below(cpu, 9);
    case COUNT:
        return sense ? below(cpu, 8) ? below(cpu, 40) : LARGE : senseless(cpu);
    case RIGHTS:
        return sense ? MEMORY_READ | below(cpu, 8) : senseless(cpu);
    case PORT:
        return sense ? FIRST_PEER + below(cpu, PEERS) : senseless(cpu);
    case GRANT:
        return sense ? below(cpu, 17) : senseless(cpu);
    case WINDOW:
        return sense ? window + below(cpu, 4) * below(cpu, 20) : senseless(cpu);
    case VECTOR:
        return sense ? 32 + below(cpu, 200) : senseless(cpu);
    case ME:
        return sense ? me : senseless(cpu);
    case US:
        return below(cpu, A_MOMENT);
    case OP:
        return below(cpu, SERVICE_OPS);
    case ANY:
        return below(cpu, 2) ? below(cpu, 12) : senseless(cpu);
    default:
        return 0;
    }
}

// Requests to the hypervisor but those that end up in the log.
static sword_t ask(unsigned cpu)
{
    struct words m = {
        {(SERVICE_CLOCK + below(cpu, SERVICE_COUNT)) << SERVICE_SHIFT | argument(cpu, OP), page(cpu),
         argument(cpu, COUNT), argument(cpu, ANY)}
    };
    if (below(cpu, 2))
        return ipc_send(hypervisor_out, &m);
    sword_t got = ipc_call(hypervisor_out, hypervisor_in, &m);
    return got == (sword_t)hypervisor_in ? (sword_t)m.w[1] : got;
}

static void touch_byte(void *at)
{
    ++*(volatile uint8_t *)at;
}

// What of the window is mapped changes at any moment, and so do rights: #GP(0) or nothing. By the first vCPU: exceptions
// are caught for one at a time.
static sword_t touch(unsigned cpu)
{
    if (cpu)
        return 0;
    word_t at = (window + below(cpu, 64)) * PAGE_BYTES;
    struct fault f = catch_exception(touch_byte, (void *)at);
    return f.vector == VECTOR_NONE ? 0 : f.vector == VECTOR_GP ? -E_DENIED : -DEEPEST;
}

static sword_t call(unsigned cpu, unsigned what)
{
    struct words m = {
        {argument(cpu, ANY), argument(cpu, ANY), argument(cpu, ANY), argument(cpu, ANY)}
    };
    switch (what) {
    case SEND:
        return ipc_send(FIRST_PEER + below(cpu, PEERS), &m);
    case RECEIVE:
        return ipc_receive(below(cpu, 4) ? PORT_ANY : argument(cpu, PORT), argument(cpu, US), &m);
    case ASK:
        return ask(cpu);
    case TOUCH:
        return touch(cpu);
    }
    const struct row *r = &rows[what];
    word_t a[4];
    for (unsigned i = 0; i < array_size(a); i++)
        a[i] = argument(cpu, r->kind[i]);
    return hypercall(r->number, below(cpu, 32) ? r->op : senseless(cpu) | 64, a[0], a[1], a[2], a[3]);
}

static void be_wild(unsigned id)
{
    barrier_wait(&gate, VCPUS);
    for (word_t i = 0; i < count; i++) {
        unsigned what = (unsigned)below(id, CALLS);
        sword_t got = call(id, what);
        good[id][what] += got >= 0;
        odd[id] += got < -(sword_t)E_INTERRUPTED;
    }
    barrier_wait(&gate, VCPUS);
}

int main(const struct start_info *start)
{
    const char *line = command_line(start), *peer = "";
    uint32_t seed = (uint32_t)word_number(line, "seed", 1);
    count = (word_t)word_number(line, "count", 1000);
    pages = start->mem_bytes / PAGE_BYTES;
    me = start->vm_id;
    window = (word_t)hypercall1(HC_GRANT, GRANT_WINDOW);
    hypervisor_out = (word_t)port_out(HYPERVISOR_PEER);
    hypervisor_in = (word_t)port_in(HYPERVISOR_PEER);
    for (unsigned id = 0; id < VCPUS; id++)
        state[id] = seed * 2654435761u + id + 1;
    tap_plan(5);
    word_list(line, "of", &peer, 1);
    check(port_out(peer) > 0, "ports", "expected a port to \"%s\"\ngot none", peer);
    apic_map();
    apic_enable(true);
    check(cpu_start(1, be_wild, stack + sizeof stack), "two", "expected a second vCPU\ngot none");
    be_wild(0);
    check_equal("odd-answers", 0, odd[0] + odd[1]);
    unsigned never = 0;
    for (unsigned i = REFUSED; i < CALLS; i++) {
        if (good[0][i] + good[1][i])
            continue;
        never++;
        print("never well: %u %s\n", i, i < array_size(rows) ? rows[i].name : "");
    }
    check_equal("each-went-well", 0, never);
    check_equal("alive", ABI_VERSION, (uint64_t)hypercall0(HC_VERSION));
    return tap_end();
}
