#include "arch/paging.h"
#include "arch/memory.h"
#include "arch/panic.h"
#include "arch/string.h"

// SDM, "4-Level Paging and 5-Level Paging".
enum { LEVELS = 4, INDEX_BITS = 9, ENTRIES = 1 << INDEX_BITS, LEVEL_2M = 2, LEVEL_1G = 3 };

#define PTE_PRESENT   (1ull << 0)
#define PTE_WRITE     (1ull << 1)
#define PTE_PWT       (1ull << 3)
#define PTE_PCD       (1ull << 4)
#define PTE_ACCESSED  (1ull << 5)
#define PTE_DIRTY     (1ull << 6)
#define PTE_LARGE     (1ull << 7)
#define PTE_PAT_4K    (1ull << 7)
#define PTE_PAT_LARGE (1ull << 12)
#define PTE_GLOBAL    (1ull << 8)
#define PTE_NX        (1ull << 63)
#define PTE_ADDRESS   0x000ffffffffff000ull

static uint64_t level_size(unsigned level)
{
    return 1ull << (PAGE_SHIFT + INDEX_BITS * (level - 1));
}

static uint64_t *entry_of(uint64_t *table, uint64_t va, unsigned level)
{
    return &table[va >> (PAGE_SHIFT + INDEX_BITS * (level - 1)) & (ENTRIES - 1)];
}

static uint64_t *table_at(uint64_t entry)
{
    return hpa_to_virt(hpa(entry & PTE_ADDRESS));
}

static pfn_t new_table(struct paging *p)
{
    pfn_t f = p->frame();
    if (!pfn_is_none(f))
        memset(pfn_to_virt(f), 0, PAGE_SIZE);
    return f;
}

bool paging_create(struct paging *p, pfn_t (*frame)(void), bool pages_1g, bool nx)
{
    *p = (struct paging){.frame = frame, .pages_1g = pages_1g, .nx = nx};
    pfn_t root = new_table(p);
    p->root = pfn_to_hpa(root);
    return !pfn_is_none(root);
}

// The entry that maps `va` at `level`; tables on the way are made. NULL: out of frames.
static uint64_t *walk(struct paging *p, uint64_t va, unsigned level)
{
    uint64_t *table = hpa_to_virt(p->root);
    for (unsigned l = LEVELS; l > level; l--) {
        uint64_t *entry = entry_of(table, va, l);
        if (!*entry) {
            pfn_t f = new_table(p);
            if (pfn_is_none(f))
                return NULL;
            *entry = pfn_to_hpa(f).v | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED;
        }
        assert(!(*entry & PTE_LARGE));
        table = table_at(*entry);
    }
    return entry_of(table, va, level);
}

// The largest page that fits at va, pa and is not longer than `bytes`.
static unsigned largest(const struct paging *p, uint64_t va, uint64_t pa, uint64_t bytes)
{
    for (unsigned level = p->pages_1g ? LEVEL_1G : LEVEL_2M; level > 1; level--)
        if (!((va | pa) & (level_size(level) - 1)) && bytes >= level_size(level))
            return level;
    return 1;
}

// Entry 4 of PAGING_PAT is write combining; its PAT bit is elsewhere in large pages.
static uint64_t attributes(const struct paging *p, enum page_rights rights, enum caching caching,
                           unsigned level)
{
    uint64_t a = PTE_PRESENT | PTE_ACCESSED | PTE_GLOBAL;
    if (rights & PAGE_WRITE)
        a |= PTE_WRITE | PTE_DIRTY;
    if (!(rights & PAGE_EXEC) && p->nx)
        a |= PTE_NX;
    if (level > 1)
        a |= PTE_LARGE;
    if (caching == CACHE_NONE)
        a |= PTE_PCD | PTE_PWT;
    if (caching == CACHE_WRITE_COMBINING)
        a |= level > 1 ? PTE_PAT_LARGE : PTE_PAT_4K;
    return a;
}

bool paging_map(struct paging *p, uint64_t va, hpa_t pa, uint64_t bytes, enum page_rights rights,
                enum caching caching)
{
    assert(!((va | pa.v | bytes) & (PAGE_SIZE - 1)));
    assert((rights & (PAGE_WRITE | PAGE_EXEC)) != (PAGE_WRITE | PAGE_EXEC));
    while (bytes) {
        unsigned level = largest(p, va, pa.v, bytes);
        uint64_t *entry = walk(p, va, level), size = level_size(level);
        if (!entry)
            return false;
        const uint64_t attr = attributes(p, rights, caching, level);
        do { // neighbours in the same table need no new walk
            assert(!*entry);
            *entry++ = pa.v | attr;
            va += size, pa.v += size, bytes -= size;
        } while (bytes >= size && (uintptr_t)entry & (PAGE_SIZE - 1) && largest(p, va, pa.v, bytes) == level);
    }
    return true;
}

struct check {
    struct paging_check *result;
    uint64_t image_start, image_end; // hpa
};

static const char *leaf_flaw(const struct check *c, uint64_t va, uint64_t entry, unsigned level, bool write,
                             bool exec)
{
    uint64_t size = level_size(level), pa = entry & PTE_ADDRESS & ~(size - 1);
    bool in_image = va >= IMAGE_BASE;
    if (va < 1ull << 47)
        return "something is mapped in the lower half";
    if (write && exec)
        return "a page is writable and executable";
    if (exec && !in_image)
        return "a page outside the image is executable";
    if (write && !in_image && pa < c->image_end && pa + size > c->image_start)
        return "the image can be written through an alias";
    return NULL;
}

// Rights are those of the whole path: writable only if every level says so, NX as soon as one does.
static void check_table(const struct check *c, const uint64_t *table, uint64_t base, unsigned level,
                        bool write, bool exec)
{
    for (unsigned i = 0; i < ENTRIES && !c->result->flaw; i++) {
        uint64_t entry = table[i];
        if (!(entry & PTE_PRESENT))
            continue;
        uint64_t va = base + i * level_size(level);
        if (level == LEVELS && i >= ENTRIES / 2)
            va |= 0xffffull << 48; // canonical
        bool w = write && entry & PTE_WRITE, x = exec && !(entry & PTE_NX);
        if (level > 1 && !(entry & PTE_LARGE)) {
            check_table(c, table_at(entry), va, level - 1, w, x);
            continue;
        }
        c->result->leaves++;
        const char *flaw = leaf_flaw(c, va, entry, level, w, x);
        if (flaw)
            c->result->flaw = flaw, c->result->va = va, c->result->entry = entry;
    }
}

struct paging_check paging_check_wx(hpa_t root, hpa_t image_start, hpa_t image_end)
{
    struct paging_check result = {0};
    struct check c = {&result, image_start.v, image_end.v};
    check_table(&c, hpa_to_virt(root), 0, LEVELS, true, true);
    return result;
}
