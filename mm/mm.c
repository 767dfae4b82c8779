#include "mm/mm.h"
#include "arch/log.h"
#include "arch/memory.h"
#include "arch/pcpu.h"
#include "arch/string.h"
#include "mm/space_impl.h"
#include "sdm/text.h"

enum { RECORDS_SHARE = 32 }; // frame records may cost this fraction of RAM; dense RAM needs 1/256

struct buddy frames;
static struct frame_cache caches[PCPU_MAX];

// How many frames get a record: up to the top of RAM, or up to a range below it if RAM is so sparse
// (or firmware so wrong) that the records would eat it.
static uint64_t covered(const struct memmap *m)
{
    uint64_t ram = 0, count = 0, left_out = 0; // the first frame above what is covered
    for (uint32_t i = 0; i < m->count; i++) {
        const struct mem_range *r = &m->range[i];
        if (r->type != MEM_RAM)
            continue;
        ram += r->end - r->first;
        // A splinter between modules may look sparse: what lies above it decides.
        bool sparse = r->end * sizeof(struct frame) / PAGE_SIZE > ram / RECORDS_SHARE + 1 || r->end >> 32;
        if (!sparse)
            count = r->end, left_out = 0;
        else if (!left_out)
            left_out = r->first;
    }
    if (left_out)
        log_warn("memory above %lu MiB is too sparse to manage and left out", left_out >> (20 - PAGE_SHIFT));
    return count;
}

enum error mm_init(struct memmap *m)
{
    uint64_t count = covered(m), bytes = count * sizeof(struct frame);
    pfn_t at = memmap_take(m, align_up(bytes, PAGE_SIZE) >> PAGE_SHIFT, 1);
    if (pfn_is_none(at))
        return E_NO_MEMORY;
    struct frame *records = memset(pfn_to_virt(at), 0, bytes); // all reserved until added
    buddy_init(&frames, records, count);
    for (uint32_t i = 0; i < m->count; i++) {
        const struct mem_range *r = &m->range[i];
        if (r->type == MEM_RAM && r->first < count)
            buddy_add(&frames, pfn(r->first), pfn(min_u64(r->end, count)));
    }
    object_cache_init(&space_cache, &frames, sizeof(struct space), 64);
    return E_OK;
}

struct frame_cache *mm_cpu_init(uint32_t id)
{
    frame_cache_init(&caches[id], &frames);
    return &caches[id];
}

// What OWNER_CACHE is really charged: its account lags behind by what left the caches since they were filled.
static uint64_t cached(void)
{
    uint64_t pages = buddy_owned(&frames, OWNER_CACHE);
    for (uint32_t i = 0; i < PCPU_MAX; i++)
        pages -= caches[i].charged - caches[i].count;
    return pages;
}

uint64_t mm_at_rest(void)
{
    return frames.free + cached() + buddy_owned(&frames, OWNER_OBJECTS);
}

void mm_drain(void)
{
    for (uint32_t i = 0; i < pcpu_count; i++)
        if (pcpus[i].frames && (&pcpus[i] == this_pcpu() || pcpus[i].state == PCPU_STOPPED))
            frame_cache_flush(pcpus[i].frames);
}

size_t mm_blocks_text(char *text, size_t size, const uint32_t blocks[BUDDY_ORDERS])
{
    struct text t = text_in(text, size);
    for (unsigned order = 0; order < BUDDY_ORDERS; order++)
        if (blocks[order])
            text_add(&t, " %u:%u", order, blocks[order]);
    return t.len;
}

// Free memory is of use to large leaves in blocks of 2 MiB and more.
static void report_free(void)
{
    enum { LARGE_ORDER = 9 };
    uint32_t blocks[BUDDY_ORDERS];
    uint64_t pages = 0, small = 0;
    unsigned largest = 0;
    char text[MM_BLOCKS_TEXT];
    buddy_count_blocks(&frames, OWNER_NONE, blocks);
    for (unsigned order = 0; order < BUDDY_ORDERS; order++) {
        pages += (uint64_t)blocks[order] << order;
        if (order < LARGE_ORDER)
            small = pages;
        if (blocks[order])
            largest = order;
    }
    mm_blocks_text(text, sizeof text, blocks);
    log_info("memory: free blocks, order:count:%s", text);
    log_info("memory: largest free block has order %u; %lu of %lu free pages, %lu per mille, are in blocks "
             "below 2 MiB",
             largest, small, pages, pages ? small * 1000 / pages : 0);
}

static void report_owner(uint32_t owner)
{
    static const char *const names[] = {
#define X(name, text) [OWNER_##name] = text,
        OWNERS(X)
#undef X
    };
    uint32_t pages =
        owner == OWNER_CACHE ? (uint32_t)cached() : (uint32_t)buddy_owned(&frames, (uint16_t)owner);
    uint32_t bytes = frames.account[owner].bytes;
    if (!pages && !bytes)
        return;
    uint32_t blocks[BUDDY_ORDERS];
    char text[MM_BLOCKS_TEXT];
    buddy_count_blocks(&frames, (uint16_t)owner, blocks);
    mm_blocks_text(text, sizeof text, blocks);
    if (owner < array_size(names))
        log_info("memory: %s: %u pages, order:count:%s", names[owner], pages, text);
    else
        log_info("memory: machine %u: %u pages, %u bytes of objects, order:count:%s", owner - OWNER_VM, pages,
                 bytes, text);
}

void mm_report(void)
{
    log_info("memory: %lu of %lu pages free, %lu promised", frames.free, frames.total, frames.promised);
    report_free();
    for (uint32_t owner = 0; owner < OWNER_COUNT; owner++)
        report_owner(owner);
}
