// Lists of MSRs that VM entry loads, and VM exit stores and loads: up to the maximum of IA32_VMX_MISC, never beyond.
#include "guests/vmx/lib/vmx.h"
#include "sdm/msr.h"

CODE(code_rdmsr, "rdmsr; shl $32, %rdx; or %rdx, %rax");
CODE(code_wrmsr, "mov %rax, %rdx; shr $32, %rdx; wrmsr");

struct msr_entry {
    uint32_t index, reserved;
    uint64_t value;
};
enum { AREA_ENTRIES = 512 };
static struct msr_entry *area; // two pages

static unsigned list_maximum(void)
{
    unsigned maximum = 512 * ((unsigned)(processor.caps.misc >> 25 & 7) + 1);
    return maximum < AREA_ENTRIES ? maximum : AREA_ENTRIES;
}

static void describe_list(uint32_t address, uint32_t count_field, unsigned count)
{
    vm_reset();
    vm_tables();
    vm_run(code_rdmsr);
    vm_control(WORD_PRIMARY, PRIMARY_MSR_BITMAPS, true); // none exits
    vm_set(EXCEPTION_BITMAP, 0xffffffff);
    vm_watch(GUEST_RIP);
    vm_gpr[1] = MSR_KERNEL_GS_BASE;
    vm_set(address, physical(area));
    vm_set(count_field, count);
}

static void fill(unsigned count)
{
    memset(area, 0, AREA_ENTRIES * sizeof *area);
    for (unsigned n = 0; n < count; n++)
        area[n] = (struct msr_entry){.index = MSR_KERNEL_GS_BASE, .value = 0x1000 + n};
}

static void loads_lists(void)
{
    static const struct {
        const char *name;
        uint32_t msr;
        uint64_t value;
        int feature;
    } msrs[] = {
        {"star",           MSR_STAR,           0x0010000800000000, -1            },
        {"lstar",          MSR_LSTAR,          0x123456789abc,     -1            },
        {"cstar",          MSR_CSTAR,          0xffff800012345678, -1            },
        {"fmask",          MSR_FMASK,          0x47700,            -1            },
        {"kernel-gs-base", MSR_KERNEL_GS_BASE, 0xffff800012345678, -1            },
        {"tsc-aux",        MSR_TSC_AUX,        0x12345678,         FEATURE_RDTSCP},
        {"sysenter-cs",    MSR_SYSENTER_CS,    0x1234,             -1            },
        {"sysenter-esp",   MSR_SYSENTER_ESP,   0x123456,           -1            },
        {"sysenter-eip",   MSR_SYSENTER_EIP,   0x654321,           -1            },
        {"pat",            MSR_PAT,            0x0007040600070405, -1            },
    };
    section = "Loading MSRs";
    for (unsigned n = 0; n < array_size(msrs); n++) {
        if (msrs[n].feature >= 0 && !entry_env_has(&processor, (enum cpuid_feature)msrs[n].feature)) {
            skipped(name_of("list-loads-%s", msrs[n].name), "the processor does not have the MSR");
            continue;
        }
        fill(0);
        area[0] = (struct msr_entry){.index = msrs[n].msr, .value = msrs[n].value};
        describe_list(VM_ENTRY_MSR_LOAD_ADDRESS, VM_ENTRY_MSR_LOAD_COUNT, 1);
        vm_gpr[1] = msrs[n].msr;
        expect_passed(name_of("list-loads-%s", msrs[n].name));
        expect_equal(name_of("list-loads-%s-value", msrs[n].name), "value read", msrs[n].value, vm_gpr[0]);
    }
}

// Legal values of IA32_PAT that differ in the upper half: the first 6 × 6 × 6 × 6.
static uint64_t pat_number(unsigned n)
{
    static const uint8_t types[] = {0, 1, 4, 5, 6, 7};
    uint64_t pat = 0x00070406;
    for (unsigned byte = 4; byte < 8; byte++, n /= array_size(types))
        pat |= (uint64_t)types[n % array_size(types)] << 8 * byte;
    return pat;
}

// What the list loads on exit is told of IA32_PAT (struct probe_attempt).
static void fill_pats(unsigned count)
{
    memset(area, 0, AREA_ENTRIES * sizeof *area);
    for (unsigned n = 0; n < count; n++)
        area[n] = (struct msr_entry){.index = MSR_PAT, .value = pat_number(n)};
}

static const unsigned counts[] = {0, 1, 2, 3, 16, 255, 256, 257, 511, 512};

// Each entry has a value of its own: the last one counts.
static void counted_loads(void)
{
    section = "Loading MSRs";
    for (unsigned n = 0; n < array_size(counts) && counts[n] <= list_maximum(); n++) {
        fill(AREA_ENTRIES);
        describe_list(VM_ENTRY_MSR_LOAD_ADDRESS, VM_ENTRY_MSR_LOAD_COUNT, counts[n]);
        expect_passed(name_of("list-loads-%u", counts[n]));
        if (counts[n])
            expect_equal(name_of("list-loads-%u-last", counts[n]), "value read", 0x1000 + counts[n] - 1,
                         vm_gpr[0]);
        fill_pats(AREA_ENTRIES);
        describe_list(VM_EXIT_MSR_LOAD_ADDRESS, VM_EXIT_MSR_LOAD_COUNT, counts[n]);
        expect_passed(name_of("list-loads-%u-on-exit", counts[n]));
        if (counts[n])
            expect_equal(name_of("list-loads-%u-on-exit-last", counts[n]), "IA32_PAT behind the exit",
                         pat_number(counts[n] - 1), result.pat);
    }
}

static void stores(void)
{
    enum { OLD = 0x7777 };
    section = "Saving MSRs";
    for (unsigned n = 0; n < array_size(counts) && counts[n] <= list_maximum(); n++) {
        fill(AREA_ENTRIES);
        for (unsigned i = 0; i < AREA_ENTRIES; i++)
            area[i].value = OLD;
        describe_list(VM_EXIT_MSR_STORE_ADDRESS, VM_EXIT_MSR_STORE_COUNT, counts[n]);
        vm_run(code_wrmsr);
        vm_gpr[0] = 0x123456;
        expect_passed(name_of("list-stores-%u", counts[n]));
        unsigned stored = 0;
        for (unsigned i = 0; i < AREA_ENTRIES; i++)
            stored += area[i].value == 0x123456 && area[i].index == MSR_KERNEL_GS_BASE;
        expect_equal(name_of("list-stores-%u-entries", counts[n]), "entries stored", counts[n], stored);
        if (counts[n] < AREA_ENTRIES)
            expect_equal(name_of("list-stores-%u-no-more", counts[n]), "next entry", OLD,
                         area[counts[n]].value);
    }
}

// An entry that cannot be loaded: the entry fails with its number, and nothing of the guest-state area changes.
static void fails_at(const char *name, unsigned position, struct msr_entry bad)
{
    fill(AREA_ENTRIES);
    area[position - 1] = bad;
    describe_list(VM_ENTRY_MSR_LOAD_ADDRESS, VM_ENTRY_MSR_LOAD_COUNT, list_maximum());
    section = "VM-Entry Failures During or After Loading Guest State";
    expect_failed_entry(name_of("%s-at-%u", name, position), REASON_MSR_LOADING, position);
    expect_equal(name_of("%s-at-%u-rip-kept", name, position), "RIP", vm_get(GUEST_RIP), vm_saw(GUEST_RIP));
}

static void failing_lists(void)
{
    static const struct {
        const char *name;
        struct msr_entry entry;
    } bad[] = {
        {"list-fs-base",         {.index = MSR_FS_BASE}                             },
        {"list-gs-base",         {.index = MSR_GS_BASE}                             },
        {"list-x2apic-first",    {.index = MSR_X2APIC_FIRST}                        },
        {"list-x2apic-tpr",      {.index = MSR_X2APIC_FIRST + 8}                    },
        {"list-x2apic-last",     {.index = MSR_X2APIC_LAST}                         },
        {"list-smm-monitor-ctl", {.index = MSR_SMM_MONITOR_CTL}                     },
        {"list-reserved-bit-32", {.index = MSR_KERNEL_GS_BASE, .reserved = 1}       },
        {"list-reserved-bit-63", {.index = MSR_KERNEL_GS_BASE, .reserved = 1u << 31}},
        {"list-not-canonical",   {.index = MSR_KERNEL_GS_BASE, .value = 1ull << 62} },
        {"list-bad-pat",         {.index = MSR_PAT, .value = 2}                     },
        {"list-efer-lme",        {.index = MSR_EFER, .value = 0}                    },
    };
    static const unsigned positions[] = {1, 2, 17, 512};
    for (unsigned n = 0; n < array_size(bad); n++)
        for (unsigned p = 0; p < array_size(positions) && positions[p] <= list_maximum(); p++)
            fails_at(bad[n].name, positions[p], bad[n].entry);
    // Beyond the count it does not matter.
    section = "Loading MSRs";
    fill(AREA_ENTRIES);
    area[2].index = MSR_FS_BASE;
    describe_list(VM_ENTRY_MSR_LOAD_ADDRESS, VM_ENTRY_MSR_LOAD_COUNT, 2);
    expect_passed("list-bad-behind-count");
}

BUCKET("lists of MSRs")
{
    area = pages_take(2);
    loads_lists();
    counted_loads();
    stores();
    failing_lists();
}
