// Instructions that reach devices in strange ways: two devices at once, code across pages, code that such an
// instruction writes. What makes no sense ends the machine, in words.
#include "guests/hostile/hostile.h"
#include "guests/lib/apic.h"

enum { IOREGSEL = 0, IOWIN = 0x10, IOAPIC_VERSION = 1, IOAPIC_SELECT_MASK = 0xff };
enum { RET = 0xc3, SPLITS = 6, ELEMENTS = 8 };

static volatile uint32_t *ioapic(unsigned offset)
{
    return (volatile uint32_t *)((word_t)(uint32_t)IOAPIC_PAGE + offset);
}

static void moves(volatile void *to, const volatile void *from, word_t count)
{
    __asm__ volatile("cld; rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

// MOVS, PUSH and POP have two memory operands, and either may be a device's.
static void two_devices(void)
{
    uint32_t version = apic_read(APIC_VERSION);
    moves(ioapic(IOREGSEL), apic_at(APIC_VERSION), 1);
    check_equal("apic-to-ioapic", version & IOAPIC_SELECT_MASK, *ioapic(IOREGSEL) & IOAPIC_SELECT_MASK);
    *ioapic(IOREGSEL) = IOAPIC_VERSION;
    uint32_t wanted = *ioapic(IOWIN);
    moves(apic_at(APIC_TPR), ioapic(IOWIN), 1);
    check_equal("ioapic-to-apic", wanted & 0xff, apic_read(APIC_TPR));
    apic_write(APIC_TPR, 0x35);
    moves(apic_at(APIC_DIVIDE), apic_at(APIC_TPR), 1);
    check_equal("within-apic", 1, apic_read(APIC_DIVIDE));
    __asm__ volatile("pushq (%0)\n\tpopq (%1)" : : "r"(apic_at(APIC_SVR)), "r"(apic_at(APIC_TPR)) : "memory");
    apic_write(APIC_TPR, 0);
}

// A string that walks over registers and the gaps between them.
static void walk(void)
{
    uint32_t got[ELEMENTS] = {0};
    moves(got, apic_at(APIC_SVR), ELEMENTS);
    check(got[0] == apic_read(APIC_SVR) && got[4] == apic_read(APIC_ISR), "walked",
          "expected %#x and %#x\ngot %#x and %#x", apic_read(APIC_SVR), apic_read(APIC_ISR), got[0], got[4]);
}

static uint64_t call_with(const void *code, volatile void *at)
{
    uint64_t ax = 0, cx = ELEMENTS;
    __asm__ volatile("cld; call *%[code]"
                     : "+a"(ax), "+S"(at), "+c"(cx)
                     : [code] "r"(code), "D"(code)
                     : "rbx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
    return ax | cx << 32;
}

// Its bytes lie in two pages, split at each place.
static void across_pages(const struct start_info *start)
{
    static const uint8_t load[] = {0x8b, 0x86, 0x30, 0x00, 0x00, 0x00, RET}; // mov eax, [rsi + 30h]
    uint32_t version = apic_read(APIC_VERSION);
    unsigned wrong = 0;
    for (unsigned before = 0; before <= SPLITS; before++) {
        uint8_t *code = (uint8_t *)(start->mem_bytes / 2 + (2 * before + 1) * PAGE_BYTES - before);
        memcpy(code, load, sizeof load);
        wrong += (uint32_t)call_with(code, apic_at((enum apic_register)0)) != version;
    }
    check_equal("across-pages", 0, wrong);
}

// What the device holds is written over the very instruction: it is done, what follows it goes on, and the next time
// something else stands there.
static void over_itself(void)
{
    static uint8_t once[] = {0xa4, 0xb0, 0x01, RET};        // movsb; mov al, 1; ret
    static uint8_t again[] = {0xf3, 0xa4, 0xb0, 0x01, RET}; // rep movsb ...
    apic_write(APIC_TPR, RET);
    check_equal("over-itself", 1, call_with(once, apic_at(APIC_TPR)) & 0xff);
    check_equal("over-itself-then", 0, call_with(once, apic_at(APIC_TPR)) & 0xff);
    // Elements that were done count; whether the rest comes first, the SDM leaves open ("Self-Modifying Code").
    uint64_t left = call_with(again, apic_at(APIC_TPR)) >> 32;
    check(left == 0 || left == ELEMENTS - 1, "over-its-prefix", "expected 0 or %u left\ngot %u", ELEMENTS - 1,
          (unsigned)left);
    apic_write(APIC_TPR, 0);
}

int attack_mmio(const struct start_info *start)
{
    tap_plan(9);
    apic_map();
    apic_enable(false);
    two_devices();
    walk();
    across_pages(start);
    over_itself();
    check_equal("alive", ABI_VERSION, (uint64_t)hypercall0(HC_VERSION));
    return tap_end();
}

// ---- These end the machine ----

static volatile uint8_t *apic_page(void)
{
    apic_map();
    return (volatile uint8_t *)apic_at((enum apic_register)0);
}

// The last bytes of the page, and what is behind it, where nothing is.
int attack_mmio_page_end(const struct start_info *start)
{
    (void)start;
    *(volatile uint32_t *)(apic_page() + PAGE_BYTES - 2) = 0;
    return 1;
}

int attack_mmio_vector(const struct start_info *start)
{
    (void)start;
    write_cr4(read_cr4() | CR4_OSFXSR);
    __asm__ volatile("movups (%0), %%xmm0" : : "r"(apic_page()) : "memory");
    return 1;
}

int attack_mmio_exec(const struct start_info *start)
{
    (void)start;
    ((void (*)(void))(word_t)apic_page())();
    return 1;
}

int attack_mmio_stack(const struct start_info *start)
{
    (void)start;
    __asm__ volatile("lea 256(%0), %%rsp; int3" : : "r"(apic_page()) : "memory");
    return 1;
}

int attack_mmio_page_tables(const struct start_info *start)
{
    (void)start;
    apic_map();
    write_cr3((uint32_t)APIC_PAGE);
    return 1;
}
