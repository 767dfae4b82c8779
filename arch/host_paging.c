#include "arch/paging.h"
#include "arch/cpu.h"
#include "arch/descriptors.h"
#include "arch/features.h"
#include "arch/memory.h"
#include "arch/pcpu.h"
#include "sdm/bits.h"
#include "sdm/msr.h"

struct paging host_paging;

extern const char image_start[], text_start[], text_end[], rodata_end[], data_end[], image_end[]; // linker.ld

hpa_t image_start_hpa(void)
{
    return image_to_hpa(image_start);
}
hpa_t image_end_hpa(void)
{
    return image_to_hpa(image_end);
}

static bool map_direct(struct paging *p, uint64_t from, uint64_t to)
{
    from = align_up(from, PAGE_SIZE);
    to = align_down(to, PAGE_SIZE);
    return from >= to ||
           paging_map(p, DIRECT_BASE + from, hpa(from), to - from, PAGE_WRITE, CACHE_WRITE_BACK);
}

bool paging_map_ram(struct paging *p, hpa_t base, uint64_t bytes)
{
    uint64_t end = base.v + bytes;
    return map_direct(p, base.v, min_u64(end, image_start_hpa().v)) &&
           map_direct(p, max_u64(base.v, image_end_hpa().v), end);
}

static bool map_section(struct paging *p, const char *from, const char *to, enum page_rights rights)
{
    return paging_map(p, (uint64_t)(uintptr_t)from, image_to_hpa(from), (uint64_t)(to - from), rights,
                      CACHE_WRITE_BACK);
}

bool paging_map_image(struct paging *p)
{
    return map_section(p, text_start, text_end, PAGE_EXEC) &&
           map_section(p, text_end, rodata_end, PAGE_READ) &&
           map_section(p, rodata_end, data_end, PAGE_WRITE) && map_section(p, data_end, image_end, PAGE_READ);
}

static bool map_stack(struct paging *p, uint64_t va, uint64_t bytes)
{
    for (; bytes; va += PAGE_SIZE, bytes -= PAGE_SIZE) {
        pfn_t f = p->frame();
        if (pfn_is_none(f) || !paging_map(p, va, pfn_to_hpa(f), PAGE_SIZE, PAGE_WRITE, CACHE_WRITE_BACK))
            return false;
    }
    return true;
}

bool paging_map_stacks(struct paging *p, uint32_t slot)
{
    uint64_t top = slot_stack_top(slot);
    if (!map_stack(p, top - PCPU_STACK_SIZE, PCPU_STACK_SIZE))
        return false;
    for (unsigned ist = 0; ist < 3; ist++)
        if (!map_stack(p, slot_ist_top(slot, ist) - IST_STACK_SIZE, IST_STACK_SIZE))
            return false;
    return true;
}

void paging_load(const struct paging *p)
{
    uint64_t cr4 = read_cr4() & ~(CR4_PGE | CR4_PCIDE);
    if (p->nx)
        wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
    if (cpu_has(FEATURE_PAT))
        wrmsr(MSR_PAT, PAGING_PAT);
    write_cr0((read_cr0() | CR0_WP) & ~(CR0_CD | CR0_NW));
    write_cr4(cr4); // without PGE nothing of the old tables stays in the TLB
    write_cr3(p->root.v);
    cr4 |= CR4_PGE;
    if (cpu_has(FEATURE_SMEP))
        cr4 |= CR4_SMEP;
    if (cpu_has(FEATURE_SMAP))
        cr4 |= CR4_SMAP;
    write_cr4(cr4);
}

void *device_map(hpa_t at, uint64_t bytes, enum caching caching)
{
    const uint64_t large = 2 << 20;
    static uint64_t next = DEVICE_BASE;
    uint64_t first = align_down(at.v, PAGE_SIZE), end = align_up(at.v + bytes, PAGE_SIZE);
    if (!bytes || end <= first || (end - 1) >> features.physical_bits ||
        end - first > DEVICE_BASE + DEVICE_SIZE - next - 2 * large)
        return NULL;
    if (end - first >= large) // the same place within 2 MiB as in memory lets large pages be used
        next = align_up(next, large) + (first & (large - 1));
    uint64_t va = next;
    next += end - first + PAGE_SIZE; // a page between neighbours stays unmapped
    if (!paging_map(&host_paging, va, hpa(first), end - first, PAGE_WRITE, caching))
        return NULL;
    return (void *)(uintptr_t)(va + (at.v - first));
}
