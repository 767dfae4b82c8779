// MSR bitmaps: which RDMSR and WRMSR exit.
#include "guests/vmx/lib/vmx.h"

CODE(code_rdmsr, "rdmsr");
CODE(code_wrmsr, "wrmsr");

enum { RANGE = 0x2000, HIGH = 0xc0000000, X2APIC = 0x800 };

// The four bitmaps in their page (SDM, "MSR-Bitmap Address").
static uint8_t *bitmap;
static unsigned bit_of_msr(uint32_t msr, bool write)
{
    return (write ? 2048u * 8 : 0) + (msr >= HIGH ? 1024u * 8 : 0) + msr % RANGE;
}

static void fill(uint8_t byte)
{
    memset(bitmap, byte, 4096);
}

static void describe(uint32_t msr, bool write, bool use)
{
    vm_reset();
    vm_run(write ? code_wrmsr : code_rdmsr);
    vm_gpr[1] = msr; // RCX
    vm_control(WORD_PRIMARY, PRIMARY_MSR_BITMAPS, use);
    vm_set(MSR_BITMAP, physical(bitmap));
    vm_set(EXCEPTION_BITMAP, 1u << VECTOR_GP);
}

static uint32_t reason_of(bool write)
{
    return write ? REASON_WRMSR : REASON_RDMSR;
}

static const char *verb(bool write)
{
    return write ? "wrmsr" : "rdmsr";
}

static void set_bit(uint32_t msr, bool write, bool value)
{
    unsigned bit = bit_of_msr(msr, write);
    bitmap[bit / 8] = (uint8_t)((bitmap[bit / 8] & ~(1u << bit % 8)) | (unsigned)value << bit % 8);
}

static void traps(const char *name, uint32_t msr, bool write)
{
    fill(0);
    set_bit(msr, write, true);
    describe(msr, write, true);
    expect_exit(name_of("%s-%s-trapped", verb(write), name), reason_of(write), 0);
}

// The MSR need not exist: then the processor raises #GP, which is as good as having done it.
static void passes(const char *name, uint32_t msr, bool write)
{
    fill(0xff);
    set_bit(msr, write, false);
    describe(msr, write, true);
    const char *why = vm_enter();
    bool fault = result.outcome == PROBE_ENTERED && result.reason == REASON_EXCEPTION_OR_NMI;
    expect_true(name_of("%s-%s-passed", verb(write), name),
                !why && result.outcome == PROBE_ENTERED && (fault || result.reason == REASON_VMCALL),
                "expected no exit by the instruction\ngot %s", result_words());
}

static const struct place {
    const char *name;
    uint32_t msr;
    bool writable; // writing 0 hurts nobody
} places[] = {
    {"low-first",     0x0,           true },
    {"low-second",    0x1,           true },
    {"low-byte-edge", 0x8,           false},
    {"low-tsc",       0x10,          false},
    {"low-sysenter",  0x174,         true },
    {"low-pat",       0x277,         false},
    {"low-last",      RANGE - 1,     false},
    {"x2apic-first",  X2APIC,        false},
    {"x2apic-id",     X2APIC + 2,    false},
    {"x2apic-last",   X2APIC + 0xff, false},
    {"high-first",    HIGH,          false},
    {"high-star",     HIGH + 0x81,   true },
    {"high-lstar",    HIGH + 0x82,   true },
    {"high-gs",       HIGH + 0x102,  true },
    {"high-last",     HIGH + 0x1fff, false},
};

static const struct place outside[] = {
    {"below-first-gap", RANGE,         false},
    {"in-the-gap",      0x40000000,    false},
    {"below-high",      HIGH - 1,      false},
    {"above-high",      HIGH + 0x2000, false},
    {"at-the-top",      0xffffffff,    false},
};

static void inside_ranges(void)
{
    section = "MSR-Bitmap Address";
    for (unsigned write = 0; write < 2; write++)
        for (unsigned i = 0; i < array_size(places); i++) {
            traps(places[i].name, places[i].msr, write);
            if (!write || places[i].writable)
                passes(places[i].name, places[i].msr, write);
        }
}

// A read's bit says nothing of writes, nor one range of the other.
static void only_its_own(void)
{
    static const uint32_t msrs[] = {0x174, HIGH + 0x81};
    section = "MSR-Bitmap Address";
    for (unsigned write = 0; write < 2; write++)
        for (unsigned i = 0; i < array_size(msrs); i++) {
            fill(0);
            set_bit(msrs[i], !write, true);
            set_bit(msrs[i] ^ HIGH, write, true);
            set_bit(msrs[i] ^ HIGH, !write, true);
            describe(msrs[i], write, true);
            expect_passed(name_of("%s-%x-other-bits-set", verb(write), msrs[i]));
        }
}

static void outside_ranges(void)
{
    section = "Instructions That Cause VM Exits Conditionally";
    for (unsigned write = 0; write < 2; write++)
        for (unsigned i = 0; i < array_size(outside); i++) {
            fill(0);
            describe(outside[i].msr, write, true);
            expect_exit(name_of("%s-%s-exits", verb(write), outside[i].name), reason_of(write), 0);
        }
}

static void without_bitmaps(void)
{
    section = "Instructions That Cause VM Exits Conditionally";
    for (unsigned write = 0; write < 2; write++)
        for (unsigned i = 0; i < array_size(places); i++) {
            fill(0);
            describe(places[i].msr, write, false);
            expect_exit(name_of("%s-%s-no-bitmaps", verb(write), places[i].name), reason_of(write), 0);
        }
}

// RCX above bit 31 is not looked at; and what was read arrives.
static void values(void)
{
    section = "MSR-Bitmap Address";
    for (unsigned write = 0; write < 2; write++) {
        fill(0);
        set_bit(0x174, write, true);
        describe(0x174, write, true);
        vm_gpr[1] |= 1ull << 40;
        expect_exit(name_of("%s-upper-rcx-ignored", verb(write)), reason_of(write), 0);
        expect_equal(name_of("%s-length", verb(write)), "instruction length", 2, result.length);
    }
    fill(0);
    describe(0x174, false, true);
    vm_set(GUEST_SYSENTER_CS, 0x1234);
    expect_passed("rdmsr-sysenter-cs-passed");
    expect_equal("rdmsr-sysenter-cs-value", "EAX", 0x1234, vm_gpr[0]);
    describe(0x174, true, true);
    vm_gpr[0] = 0x4321;
    vm_watch(GUEST_SYSENTER_CS);
    expect_passed("wrmsr-sysenter-cs-passed");
    expect_equal("wrmsr-sysenter-cs-value", "IA32_SYSENTER_CS", 0x4321, vm_saw(GUEST_SYSENTER_CS));
}

BUCKET("MSR bitmaps")
{
    bitmap = page_take();
    inside_ranges();
    only_its_own();
    outside_ranges();
    without_bitmaps();
    values();
}
