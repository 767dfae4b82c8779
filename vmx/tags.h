// What one processor may still have cached of its guests' address translations, as a model to check against:
// emulators drop everything at every VM entry and cannot show that an invalidation is missing. Pure.
//
// Cached translations are tagged by VPID and by EPT root (SDM, "Information That May Be Cached"). A stamp stands
// for what a tag meant when its vCPU ran here: of a VPID, the vCPU in one uninterrupted stay on this processor with
// control registers that only the guest changed; of a root, the space and its generation. A tag that comes back
// with another stamp needs an invalidation between the two entries.
#pragma once
#include "arch/reason.h"

enum {
    TAGS_KEPT = 128
}; // of each kind; the one that was seen longest ago is forgotten, and with it what it could tell

struct tag {
    uint64_t tag, stamp;
};

struct tag_set {
    struct tag tags[TAGS_KEPT];
    uint32_t count;
};

// One processor. All zero: nothing is cached.
struct tags {
    struct tag_set vpids, roots;
};

// What translations depend on beside the tables in memory.
struct tag_paging {
    uint64_t cr0, cr3, cr4, efer;
};

// Kept beside each vCPU; all zero for a new one.
struct tag_stay {
    uint64_t stamp;         // of its VPID; 0: never ran
    uint64_t processor;     // where it ran last
    struct tag_paging left; // as the guest left them
};

// The guest of `stay` was left, with `now` in its registers.
void tags_left(struct tag_stay *stay, const struct tag_paging *now);
// It is about to be entered on `processor`. Returns the stamp of its VPID: a new one when the vCPU is new, ran
// elsewhere meanwhile, or when registers were changed in its place in a way that drops translations (SDM,
// "Operations that Invalidate TLBs and Paging-Structure Caches").
uint64_t tags_stamp(struct tag_stay *stay, uint64_t processor, const struct tag_paging *now);

// An entry with these tags. E_INVALID with what was expected when an invalidation is owed. `vpid` 0: VPIDs
// are not used, and every entry drops what they would tag.
enum error tags_enter(struct tags *t, struct tag vpid, struct tag root, struct reason *why);

void tags_invvpid(struct tags *t, uint64_t vpid); // INVVPID, single-context
void tags_invvpid_all(struct tags *t);
void tags_invept_all(struct tags *t); // guests run with EPT: that covers what VPIDs tag too
