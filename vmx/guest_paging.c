#include "vmx/guest_paging.h"
#include "sdm/bits.h"

// Bits of a paging-structure entry (SDM, "Formats of CR3 and Paging-Structure Entries").
enum { PTE_P = 1 << 0, PTE_W = 1 << 1, PTE_U = 1 << 2, PTE_A = 1 << 5, PTE_D = 1 << 6, PTE_PS = 1 << 7 };
#define PTE_NX                (1ull << 63)
#define PTE_ADDRESS           0x000ffffffffff000ull
#define PTE_IGNORED_BY_4LEVEL 0x7ff0000000000000ull

// One paging mode: how many levels, index bits a level, bytes an entry.
struct paging_mode {
    uint8_t levels, index_bits, entry_bytes;
};
static const struct paging_mode mode_32 = {2, 10, 4}, mode_pae = {2, 9, 8}, mode_4level = {4, 9, 8};

struct walk {
    const struct guest_paging *p;
    struct space *space;
    const struct paging_mode *mode;
    uint64_t linear;
    enum access access;
    uint64_t rights; // PTE_W and PTE_U of all entries, AND-ed
    unsigned tries;  // this one and those to come
    uint32_t *pf_error;
};

static enum error fault(const struct walk *w, uint32_t bits)
{
    *w->pf_error = bits | (w->access == ACCESS_WRITE ? (uint32_t)PF_ERROR_W : 0) |
                   (w->p->cpl == 3 ? (uint32_t)PF_ERROR_U : 0);
    return E_NOT_FOUND;
}

// Address bits beyond the physical width, and what stands below a large page's address (SDM, "Formats of CR3
// and Paging-Structure Entries").
static uint64_t reserved_bits(const struct walk *w, unsigned level, bool leaf)
{
    unsigned physical_bits = w->p->physical_bits;
    bool large = leaf && level;
    if (w->mode->entry_bytes == 4) // a 4-MB page has address bits from 32 on in bits 20:13
        return large ? 0x3fffffull & ~((1ull << (min_u64(physical_bits, 40) - 19)) - 1) : 0;
    uint64_t r = PTE_ADDRESS & ~((1ull << physical_bits) - 1);
    if (w->mode == &mode_pae)
        r |= PTE_IGNORED_BY_4LEVEL;
    if (!(w->p->efer & EFER_NXE))
        r |= PTE_NX;
    if (large)
        r |= ((1ull << (9 * level)) - 1) << 12 & ~(1ull << 12); // PAT at bit 12
    return r;
}

static bool is_leaf(const struct walk *w, unsigned level, uint64_t entry)
{
    if (level == 0)
        return true;
    bool large_exists = w->mode->entry_bytes == 8 ? level <= 2 : w->p->cr4 & CR4_PSE;
    return large_exists && entry & PTE_PS;
}

// Rights of the whole walk against the access (SDM, "Access Rights").
static bool allowed(const struct walk *w)
{
    bool user_page = w->rights & PTE_U, writable = w->rights & PTE_W;
    if (w->p->cpl == 3)
        return user_page && (writable || w->access != ACCESS_WRITE);
    if (user_page && w->p->cr4 & CR4_SMAP && !(w->p->rflags & RFLAGS_AC))
        return false;
    return writable || w->access != ACCESS_WRITE || !(w->p->cr0 & CR0_WP);
}

static enum error read_entry(const struct walk *w, gpa_t at, uint64_t *entry)
{
    *entry = 0;
    return guest_read(w->space, at, entry, w->mode->entry_bytes);
}

// E_AGAIN: another processor has changed the entry since. One that does so all the time does not hold us: its last
// entry goes without.
static enum error mark(const struct walk *w, gpa_t at, uint64_t entry, bool leaf)
{
    uint64_t flags = PTE_A | (leaf && w->access == ACCESS_WRITE ? PTE_D : 0);
    if ((entry & flags) == flags)
        return E_OK;
    enum error e = guest_exchange(w->space, at, entry, entry | flags, w->mode->entry_bytes);
    return e == E_AGAIN && w->tries == 1 ? E_OK : e;
}

static gpa_t leaf_address(const struct walk *w, unsigned level, uint64_t entry)
{
    unsigned shift = 12 + w->mode->index_bits * level;
    uint64_t offset = w->linear & ((1ull << shift) - 1);
    if (w->mode->entry_bytes == 4 && level) // PSE-36: address bits 39:32 are in entry bits 20:13
        return gpa((entry & 0xffc00000) | (entry >> 13 & 0xff) << 32 | offset);
    return gpa((entry & PTE_ADDRESS & ~((1ull << shift) - 1)) | offset);
}

static enum error walk_once(struct walk *w, gpa_t table, gpa_t *to)
{
    w->rights = PTE_W | PTE_U;
    for (unsigned level = w->mode->levels - 1u;; level--) {
        uint64_t index = w->linear >> (12 + w->mode->index_bits * level) & ((1u << w->mode->index_bits) - 1);
        gpa_t at = gpa(table.v + index * w->mode->entry_bytes);
        uint64_t entry;
        enum error e = read_entry(w, at, &entry);
        if (e)
            return e;
        if (!(entry & PTE_P))
            return fault(w, 0);
        bool leaf = is_leaf(w, level, entry);
        if (entry & reserved_bits(w, level, leaf) || (level == 3 && entry & PTE_PS))
            return fault(w, PF_ERROR_P | PF_ERROR_RSVD);
        w->rights &= entry;
        if (leaf && !allowed(w))
            return fault(w, PF_ERROR_P);
        e = mark(w, at, entry, leaf);
        if (e)
            return e;
        if (leaf) {
            *to = leaf_address(w, level, entry);
            return E_OK;
        }
        table = gpa(entry & PTE_ADDRESS);
    }
}

static enum error walk(struct walk *w, gpa_t table, gpa_t *to)
{
    enum { TRIES = 4 };
    enum error e = E_AGAIN;
    for (w->tries = TRIES; e == E_AGAIN; w->tries--)
        e = walk_once(w, table, to);
    return e;
}

enum error guest_translate(const struct guest_paging *p, struct space *space, uint64_t linear,
                           enum access access, gpa_t *to, uint32_t *pf_error)
{
    struct walk w = {
        .p = p, .space = space, .mode = &mode_32, .linear = linear, .access = access, .pf_error = pf_error};
    if (!(p->cr0 & CR0_PG)) {
        *to = gpa((uint32_t)linear);
        return E_OK;
    }
    if (p->efer & EFER_LMA) {
        w.mode = &mode_4level;
        return walk(&w, gpa(p->cr3 & PTE_ADDRESS), to);
    }
    w.linear = (uint32_t)linear;
    if (!(p->cr4 & CR4_PAE))
        return walk(&w, gpa(p->cr3 & 0xfffff000), to);
    w.mode = &mode_pae;
    uint64_t pdpte = p->pdpte[w.linear >> 30];
    return pdpte & PTE_P ? walk(&w, gpa(pdpte & PTE_ADDRESS), to) : fault(&w, 0);
}

const void *guest_fetched(struct guest_view *g, uint64_t cr3, uint64_t linear)
{
    uint64_t page = cr3 & PTE_ADDRESS, inside = PAGE_SIZE - 1;
    for (unsigned shift = 39;; shift -= 9) {
        const uint64_t *table = guest_peek(g, gpa(page));
        if (unlikely(!table))
            return NULL;
        uint64_t entry = __atomic_load_n(&table[linear >> shift & 511], __ATOMIC_RELAXED);
        if (unlikely(!(entry & PTE_P)))
            return NULL;
        page = entry & PTE_ADDRESS;
        if (shift == 12)
            break;
        if (entry & PTE_PS) {
            inside = (1ull << shift) - 1;
            break;
        }
    }
    return guest_peek(g, gpa((page & ~inside) | (linear & inside)));
}
