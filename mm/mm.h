// The mm room: physical frames (memory map, buddy, zeroed-frame caches, object caches) and address spaces
// (EPT, slots, quarantine). Lock order: a space's lock, an object cache's, the buddy's; innermost, under a
// space's, the quarantine's list lock. Bring-up:
//   memmap_init, memmap_add..., memmap_carve..., memmap_seal     from the Multiboot2 information
//   memmap_take...                                               page tables, before the direct map lives
//   mm_init                                                      records and buddy, through the direct map
//   mm_cpu_init                                                  on each processor before it runs guests
#pragma once
#include "mm/frame_cache.h"
#include "mm/memmap.h"
#include "mm/object_cache.h"

extern struct buddy frames;             // all of the box's free memory
extern struct object_cache space_cache; // struct space

// Frame records for all RAM below the map's top and the global buddy. RAM so sparse that its records would
// eat it is left out. E_NO_MEMORY: the records do not fit.
enum error mm_init(struct memmap *m);

// The zeroed-frame cache of processor `id`, to be put in struct pcpu's `frames`. Empty at first.
struct frame_cache *mm_cpu_init(uint32_t id);

// Pages that belong to nobody in particular: free, zeroed in advance by any processor, in object caches. The
// same before the first machine and after the last, whatever the caches hold; exact while nobody allocates.
uint64_t mm_at_rest(void);

// Gives the buddy what is in the caches of this processor and of those that stopped.
void mm_drain(void);

// Writes counts of blocks as " ORDER:COUNT" each, orders without blocks left out.
enum { MM_BLOCKS_TEXT = 300 };
size_t mm_blocks_text(char *text, size_t size, const uint32_t blocks[BUDDY_ORDERS]);

// Logs total, free and promised, the free blocks by order and how fragmented they are, and every owner that holds
// something, one line each.
void mm_report(void);
