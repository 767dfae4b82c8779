#include "arch/features.h"
#include "arch/cpu.h"
#include "arch/string.h"
#include "sdm/bits.h"

struct features features;

static void read_text(char *to, const uint32_t *words, size_t count)
{
    memcpy(to, words, count * sizeof *words);
    to[count * sizeof *words] = 0;
}

// Who answers below us: SDM, CPUID.1:ECX[31]; the leaf itself is a convention of hypervisors.
static void read_hypervisor(struct features *f)
{
    if (!f->has[FEATURE_HYPERVISOR])
        return;
    struct cpuid c = cpuid(0x40000000, 0);
    read_text(f->hypervisor, (uint32_t[]){c.ebx, c.ecx, c.edx}, 3);
}

static void read_brand(struct features *f)
{
    if (f->max_extended_leaf < 0x80000004)
        return;
    uint32_t words[12];
    for (uint32_t i = 0; i < 3; i++) {
        struct cpuid c = cpuid(0x80000002 + i, 0);
        memcpy(&words[(size_t)i * 4], (uint32_t[]){c.eax, c.ebx, c.ecx, c.edx}, 16);
    }
    read_text(f->brand, words, 12);
    size_t blanks = 0; // some processors right-justify the name
    while (f->brand[blanks] == ' ')
        blanks++;
    memmove(f->brand, f->brand + blanks, sizeof f->brand - blanks);
}

// SDM, CPUID leaf 1, "Version Information": the extended fields count for families 6 and 15 only.
static void read_signature(struct features *f)
{
    f->signature = cpuid(1, 0).eax;
    f->stepping = f->signature & 15;
    f->model = f->signature >> 4 & 15;
    f->family = f->signature >> 8 & 15;
    if (f->family == 6 || f->family == 15)
        f->model |= f->signature >> 12 & 0xf0;
    if (f->family == 15)
        f->family += f->signature >> 20 & 0xff;
}

static void read_bits(struct features *f)
{
    struct cpuid_regs regs = {0};
    for (unsigned i = 0, leaf = ~0u, subleaf = 0; i < FEATURE_COUNT; i++) {
        const struct cpuid_feature_row *row = &cpuid_features[i];
        uint32_t most = row->leaf & 0x80000000 ? f->max_extended_leaf : f->max_leaf;
        if (row->leaf > most)
            continue;
        if (row->leaf != leaf || row->subleaf != subleaf) {
            struct cpuid c = cpuid(leaf = row->leaf, subleaf = row->subleaf);
            regs = (struct cpuid_regs){
                {c.eax, c.ebx, c.ecx, c.edx}
            };
        }
        f->has[i] = cpuid_feature_in(i, &regs);
    }
}

static void read_sizes(struct features *f)
{
    uint32_t sizes = f->max_extended_leaf >= 0x80000008 ? cpuid(0x80000008, 0).eax : 36 | 48 << 8;
    f->physical_bits = sizes & 0xff;
    f->linear_bits = sizes >> 8 & 0xff;
    if (!f->has[FEATURE_XSAVE])
        return;
    struct cpuid main = cpuid(0xd, 0), extended = cpuid(0xd, 1);
    f->xsave_size = main.ecx;
    f->xcr0_supported = (uint64_t)main.edx << 32 | main.eax;
    if (f->has[FEATURE_XSAVES])
        f->xss_supported = (uint64_t)extended.edx << 32 | extended.ecx;
}

void features_read(struct features *f)
{
    *f = (struct features){0};
    struct cpuid c = cpuid(0, 0);
    f->max_leaf = c.eax;
    read_text(f->vendor, (uint32_t[]){c.ebx, c.edx, c.ecx}, 3);
    f->intel = !strcmp(f->vendor, "GenuineIntel");
    f->max_extended_leaf = cpuid(0x80000000, 0).eax;
    read_signature(f);
    read_bits(f);
    read_hypervisor(f);
    read_brand(f);
    read_sizes(f);
}

const char *features_differ(const struct features *f)
{
    if (f->signature != features.signature || strcmp(f->vendor, features.vendor) != 0)
        return "vendor, family, model or stepping";
    if (f->physical_bits != features.physical_bits || f->linear_bits != features.linear_bits)
        return "address widths";
    if (f->xcr0_supported != features.xcr0_supported || f->xss_supported != features.xss_supported)
        return "XSAVE state components";
    for (unsigned i = 0; i < FEATURE_COUNT; i++)
        if (f->has[i] != features.has[i] && i != FEATURE_OSXSAVE && i != FEATURE_OSPKE)
            return cpuid_feature_name(i);
    return NULL;
}

void features_enable(void)
{
    uint64_t cr4 = read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT;
    if (cpu_has(FEATURE_XSAVE))
        cr4 |= CR4_OSXSAVE;
    if (cpu_has(FEATURE_MCE))
        cr4 |= CR4_MCE;
    write_cr4(cr4);
}
