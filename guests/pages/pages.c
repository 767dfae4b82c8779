// Rights of single pages, and the leaves that map them: a region of 2 MiB whose pages differ is mapped by small leaves,
// one whose pages are alike by a large one, if it ever was (`backing=eager`; the command line says so: `eager`). Rights
// count for instructions that the hypervisor stands in for, too.
#include "guests/lib/apic.h"
#include "guests/lib/guest.h"

enum { PAGE_BYTES = 4096, REGION = 512, HERE = 2 * REGION, PAGE = HERE + 7, POINTS = 38 };
enum { ALL = MEMORY_READ | MEMORY_WRITE | MEMORY_EXEC };

enum { PORT_NOBODY = 0xf0f0 };
enum { READS_DEVICE = 16 }; // in the page: MOV EAX, the I/O APIC's; MOV EAX, [RAX]; RET
static const uint8_t reads_device[] = {0xb8, 0x00, 0x00, 0xc0, 0xfe, 0x8b, 0x00, 0xc3};

static bool eager;

static volatile uint8_t *bytes_of(word_t page)
{
    return (volatile uint8_t *)(page * PAGE_BYTES);
}

static sword_t leaf(word_t page)
{
    return hypercall2(HC_MEMORY, MEMORY_LEAF, page);
}

// All of it, however many calls it takes; the first error, or 0.
static sword_t set(word_t page, word_t pages, word_t rights)
{
    sword_t n = 0;
    for (; pages && n >= 0; page += n, pages -= n) {
        n = hypercall(HC_MEMORY, MEMORY_RIGHTS, page, pages, rights, 0);
        if (n <= 0 || (word_t)n > pages)
            return n < 0 ? n : -E_INVALID;
    }
    return 0;
}

static void expect(const char *name, sword_t expected, sword_t got)
{
    check_equal(name, (uint64_t)expected, (uint64_t)got);
}

static void read_byte(void *at)
{
    (void)*(volatile uint8_t *)at;
}
static void write_byte(void *at)
{
    *(volatile uint8_t *)at = 0x55;
}
static void call(void *at)
{
    ((void (*)(void))at)();
}

static void expect_fault(const char *name, bool faults, void (*fn)(void *), word_t page)
{
    check_fault(name, faults ? FAULT_GP : FAULT_NONE, catch_exception(fn, (void *)bytes_of(page)));
}

static void leaves(void)
{
    expect("leaf-before-touch", eager ? REGION : 0, leaf(PAGE));
    *bytes_of(PAGE) = 0xc3; // RET
    *bytes_of(PAGE + 1) = 0xc3;
    for (unsigned i = 0; i < sizeof reads_device; i++)
        bytes_of(PAGE)[READS_DEVICE + i] = reads_device[i];
    expect("leaf-touched", eager ? REGION : 1, leaf(PAGE));
    expect("leaf-outside", 0, leaf(~(word_t)0 >> 12 >> 5));
}

static void read_only(void)
{
    expect("set-read-only", 0, set(PAGE, 1, MEMORY_READ | MEMORY_EXEC));
    expect_fault("read-only-read", false, read_byte, PAGE);
    expect_fault("read-only-write", true, write_byte, PAGE);
    check_equal("read-only-kept", 0xc3, *bytes_of(PAGE));
    expect_fault("neighbour-write", false, write_byte, PAGE - 1);
    expect("leaf-split", 1, leaf(PAGE));
    expect("leaf-beside", eager ? REGION : 0, leaf(PAGE + REGION));
}

static void call_to_device(void *at)
{
    call((uint8_t *)at + READS_DEVICE);
}
static void outs(void *at)
{
    __asm__ volatile("outsb" : "+S"(at) : "d"(PORT_NOBODY) : "memory");
}

static void execution(void)
{
    expect_fault("executes", false, call, PAGE);
    expect("set-no-exec", 0, set(PAGE, 1, MEMORY_READ | MEMORY_WRITE));
    expect_fault("no-exec-executes", true, call, PAGE);
    expect_fault("no-exec-read", false, read_byte, PAGE);
    sword_t got = set(PAGE, 1, MEMORY_EXEC);
    if (got == -E_UNSUPPORTED) {
        static const char *const names[] = {"set-exec-only",  "exec-only-executes",
                                            "exec-only-read", "exec-only-by-hypercall",
                                            "exec-only-outs", "exec-only-to-device"};
        for (unsigned i = 0; i < array_size(names); i++)
            skip(names[i], "this processor has no execute-only pages");
        return;
    }
    expect("set-exec-only", 0, got);
    expect_fault("exec-only-executes", false, call, PAGE);
    expect_fault("exec-only-read", true, read_byte, PAGE);
    expect("exec-only-by-hypercall", -E_DENIED, hypercall2(HC_CONSOLE_WRITE, PAGE * PAGE_BYTES, 8));
    expect_fault("exec-only-outs", true, outs, PAGE);
    expect_fault("exec-only-to-device", true, call_to_device, PAGE);
}

// ---- Accesses that are made in the guest's place ----

enum { PIT_CHANNEL2 = 0x42, PIT_COMMAND = 0x43, PIT_SPEAKER = 0x61 };

static void ins(void *at)
{
    __asm__ volatile("insb" : "+D"(at) : "d"(PIT_CHANNEL2) : "memory");
}
static void move_from_device(void *to)
{
    word_t from = IOAPIC_PAGE, count = 1;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

// A counter that stands at 1234H, latched: two reads, low byte first.
static void latch_counter(void)
{
    outb(PIT_SPEAKER, 0);
    outb(PIT_COMMAND, 0xb0);
    outb(PIT_CHANNEL2, 0x34);
    outb(PIT_CHANNEL2, 0x12);
    outb(PIT_COMMAND, 0x80);
}

// A region of HERE's memory, far away, by a directory whose entry for it was not used yet.
static uint64_t directory[512] __attribute__((aligned(PAGE_BYTES)));

static void *fresh_region(void)
{
    enum { INDEX = 200, RIGHTS = 3, LARGE = 0x80 };
    uint64_t *pml4 = (uint64_t *)(read_cr3() & ~0xfffull), *pdpt = (uint64_t *)(pml4[0] & ~0xfffull);
    directory[0] = HERE * PAGE_BYTES | RIGHTS | LARGE;
    pdpt[INDEX] = (uint64_t)directory | RIGHTS;
    return (void *)((uint64_t)INDEX << 30);
}

// Who walks through the directory sets flags in it.
static void tables(void)
{
    void *far = fresh_region();
    expect("set-table-read-only", 0, set((word_t)directory / PAGE_BYTES, 1, MEMORY_READ));
    check_fault("read-only-table", FAULT_GP, catch_exception(move_from_device, far));
    expect("set-table-back", 0, set((word_t)directory / PAGE_BYTES, 1, ALL));
    check_fault("writable-table", FAULT_NONE, catch_exception(move_from_device, far));
}

static void devices(void)
{
    expect("set-for-ins", 0, set(PAGE, 1, MEMORY_READ));
    latch_counter();
    expect_fault("read-only-ins", true, ins, PAGE);
    check_equal("read-only-ins-took-nothing", 0x34, inb(PIT_CHANNEL2));
    tables();
}

static void merging(void)
{
    expect("set-all", 0, set(HERE, REGION, ALL));
    expect("leaf-merged", eager ? REGION : 1, leaf(PAGE));
    check_equal("merged-kept", 0xc3, *bytes_of(PAGE));
    expect("set-region-read-only", 0, set(HERE, REGION, MEMORY_READ));
    expect("leaf-still", eager ? REGION : 1, leaf(PAGE));
    expect_fault("region-write", true, write_byte, PAGE + 200);
    expect("set-back", 0, set(HERE, REGION, ALL));
    expect_fault("region-writes", false, write_byte, PAGE + 200);
}

static void refusals(const struct start_info *start)
{
    word_t end = start->mem_bytes / PAGE_BYTES;
    expect("no-rights", -E_INVALID, set(PAGE, 1, 0));
    expect("write-alone", -E_INVALID, set(PAGE, 1, MEMORY_WRITE));
    expect("beyond-memory", -E_BAD_ADDRESS, hypercall(HC_MEMORY, MEMORY_RIGHTS, end - 1, 2, ALL, 0));
}

int main(const struct start_info *start)
{
    eager = word_present(command_line(start), "eager");
    tap_plan(POINTS);
    apic_map();
    leaves();
    read_only();
    execution();
    devices();
    merging();
    refusals(start);
    return tap_end();
}
