// EPT of a test's own.
#include "guests/vmx/lib/vmx.h"

enum { ENTRIES = 512, PAGE = 4096, TABLES = 8, LARGE = 1 << 7, OPEN = 7 };

static uint64_t tables[TABLES][ENTRIES] __attribute__((aligned(4096)));
static unsigned tables_used;
uint64_t ept_window_gpa;
uint64_t *ept_window[5];

static uint64_t *table_new(void)
{
    return tables[tables_used++];
}

static void link(uint64_t *entry, const uint64_t *table)
{
    *entry = physical(table) | EPT_RWX;
}

// All memory of the machine at its own addresses, by 4-KByte pages.
static void map_memory(uint64_t *pml4)
{
    uint64_t *pdpt = table_new(), *directory = table_new();
    link(&pml4[0], pdpt);
    link(&pdpt[0], directory);
    for (uint64_t at = 0; at < start->mem_bytes; at += PAGE) {
        uint64_t *table = tables[3 + (at >> 21)]; // behind PML4, PDPT and PD
        if (at % (PAGE * ENTRIES) == 0)
            link(&directory[at >> 21], table_new());
        table[at / PAGE % ENTRIES] = physical((const void *)(word_t)at) | EPT_RWX | EPT_WB;
    }
}

// The window has tables of its own on every level below the PML4 entry, where addresses are wide enough also that.
static void map_window(uint64_t *pml4)
{
    static uint64_t own[3][ENTRIES] __attribute__((aligned(4096)));
    bool wide = processor.physical_width > 39;
    ept_window_gpa = wide ? 1ull << 39 : 2ull << 30;
    ept_window[4] = wide ? &pml4[1] : NULL;
    ept_window[3] = wide ? &own[0][0] : &tables[1][2];
    ept_window[2] = &own[1][0];
    ept_window[1] = &own[2][0];
}

void ept_window_map(const void *page)
{
    uint64_t own = physical(ept_window[3]) & ~(uint64_t)(PAGE - 1);
    if (ept_window[4])
        *ept_window[4] = own | EPT_RWX;
    link(ept_window[3], ept_window[2]);
    link(ept_window[2], ept_window[1]);
    *ept_window[1] = physical(page) | EPT_RWX | EPT_WB;
}

uint64_t ept_build(void)
{
    uint64_t *pml4 = table_new();
    map_memory(pml4);
    map_window(pml4);
    return (physical(pml4) & ~(uint64_t)(PAGE - 1)) | EPTP_WB | EPTP_WALK_4;
}

void ept_use(uint64_t pointer)
{
    vm_set(EPT_POINTER, pointer);
    subject_pages[2][EPT_WINDOW >> 21] = ept_window_gpa | LARGE | OPEN;
}
