// Posted interrupts: what an interrupt with the notification vector does with the descriptor and the virtual-APIC page.
#include "guests/vmx/lib/vmx.h"

CODE(code_spin, "1: pause; jmp 1b");

enum { IRR = 0x200, ISR = 0x100, PAGE = 4096, NOBODY = 0 };

static uint32_t *page; // virtual-APIC page

// SDM, "Format of Posted-Interrupt Descriptor".
static struct {
    uint64_t requests[4];
    uint64_t notification; // bit 0: outstanding; the rest is software's
    uint64_t software[3];
} descriptor __attribute__((aligned(64)));
#define OUTSTANDING 1ull
#define SOFTWARE    0xfedcba9876543210ull // bit 0 is clear

static uint32_t *reg(unsigned base, unsigned vector)
{
    return &page[(base + vector / 32 * 16) / 4];
}
static bool vector_set(unsigned base, unsigned vector)
{
    return *reg(base, vector) >> vector % 32 & 1;
}

static const struct row {
    const char *name;
    uint8_t posted[2]; // vectors; 0: none
    uint8_t rvi;       // requested already
    bool on;           // RFLAGS.IF
    uint8_t activity;
    uint8_t delivered; // NOBODY: the code goes on until the timer ends it
    uint8_t left;      // RVI behind it
} rows[] = {
    {"posted-41",        {0x41, 0},    0,    true,  ACTIVITY_ACTIVE, 0x41,   0   },
    {"posted-ff",        {0xff, 0},    0,    true,  ACTIVITY_ACTIVE, 0xff,   0   },
    {"posted-two",       {0x41, 0x51}, 0,    true,  ACTIVITY_ACTIVE, 0x51,   0x41},
    {"posted-nothing",   {0, 0},       0,    true,  ACTIVITY_ACTIVE, NOBODY, 0   },
    {"posted-if-0",      {0x41, 0},    0,    false, ACTIVITY_ACTIVE, NOBODY, 0x41},
    {"posted-below-rvi", {0x41, 0},    0x61, false, ACTIVITY_ACTIVE, NOBODY, 0x61},
    {"posted-above-rvi", {0x71, 0},    0x61, false, ACTIVITY_ACTIVE, NOBODY, 0x71},
    {"posted-wakes-hlt", {0x41, 0},    0,    true,  ACTIVITY_HLT,    0x41,   0   },
};

static void describe(const struct row *r, uint8_t notification)
{
    memset(page, 0, PAGE);
    memset(&descriptor, 0, sizeof descriptor);
    vm_reset();
    vm_tables();
    vm_run(code_spin);
    vm_control(WORD_PRIMARY, PRIMARY_TPR_SHADOW, true);
    vm_control(WORD_PRIMARY, PRIMARY_CR8_LOAD_EXITING | PRIMARY_CR8_STORE_EXITING, false);
    vm_control(WORD_SECONDARY, SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, true);
    vm_control(WORD_PIN, PIN_POSTED_INTERRUPTS, true);
    vm_set(VIRTUAL_APIC_ADDRESS, physical(page));
    vm_set(POSTED_INTERRUPT_DESCRIPTOR, physical(&descriptor));
    vm_set(POSTED_INTERRUPT_VECTOR, notification);
    for (unsigned n = 0; n < array_size(r->posted); n++)
        if (r->posted[n])
            descriptor.requests[r->posted[n] / 64] |= 1ull << r->posted[n] % 64;
    descriptor.notification = SOFTWARE | OUTSTANDING;
    if (r->rvi)
        *reg(IRR, r->rvi) |= 1u << r->rvi % 32;
    vm_set(GUEST_INTERRUPT_STATUS, r->rvi);
    vm_set(GUEST_ACTIVITY_STATE, r->activity);
    vm_set_bits(GUEST_RFLAGS, r->on ? RFLAGS_IF : 0);
    vm_watch(GUEST_INTERRUPT_STATUS);
    vm_flags = PROBE_INTERRUPT;
}

static uint64_t requests(void)
{
    return descriptor.requests[0] | descriptor.requests[1] | descriptor.requests[2] | descriptor.requests[3];
}

static void processed(const struct row *r)
{
    describe(r, PROBE_VECTOR);
    if (r->delivered)
        expect_delivered(r->name, r->delivered);
    else
        expect_reason(r->name, REASON_PREEMPTION_TIMER);
    expect_equal(name_of("%s-requests", r->name), "requests in the descriptor", 0, requests());
    expect_equal(name_of("%s-notification", r->name), "bit 0 cleared, the others kept", SOFTWARE,
                 descriptor.notification);
    expect_equal(name_of("%s-status", r->name), "SVI and RVI", (uint64_t)r->delivered << 8 | r->left,
                 vm_saw(GUEST_INTERRUPT_STATUS));
    for (unsigned n = 0; n < array_size(r->posted); n++) {
        uint8_t vector = r->posted[n];
        if (vector)
            expect_true(name_of("%s-vector-%02x", r->name, vector),
                        vector_set(IRR, vector) == (vector != r->delivered) &&
                            vector_set(ISR, vector) == (vector == r->delivered),
                        "expected its bit in VISR if it was delivered, else in VIRR\ngot VIRR %u, VISR %u",
                        vector_set(IRR, vector), vector_set(ISR, vector));
    }
}

// Another vector exits as any interrupt does, and nothing is processed.
static void other_vector(void)
{
    describe(&rows[0], PROBE_VECTOR - 1);
    expect_exit("other-vector-exits", REASON_EXTERNAL_INTERRUPT, 0);
    expect_equal("other-vector-information", "interruption information",
                 event_info(EVENT_EXTERNAL_INTERRUPT, PROBE_VECTOR, false), result.interruption);
    expect_equal("other-vector-requests", "request for 41H", 1ull << 1, requests());
    expect_equal("other-vector-notification", "bit 0 and the others", SOFTWARE | OUTSTANDING,
                 descriptor.notification);
}

BUCKET("posted interrupts")
{
    section = "Posted-Interrupt Processing";
    page = page_take();
    if (!can(WORD_PIN, PIN_POSTED_INTERRUPTS)) {
        describe(&rows[0], PROBE_VECTOR);
        vm_set(GUEST_ACTIVITY_STATE, ACTIVITY_WAIT_FOR_SIPI + 1);
        expect_fail_valid("control-refused", VM_ERROR_ENTRY_CONTROLS);
        skipped("posted", "the processor has no posted interrupts");
        return;
    }
    for (unsigned n = 0; n < array_size(rows); n++)
        if (rows[n].activity == ACTIVITY_HLT && !(processor.caps.misc & VMX_MISC_ACTIVITY_HLT))
            skipped(rows[n].name, "the processor does not have the activity state");
        else
            processed(&rows[n]);
    other_vector();
}
