#include "vmx/tags.h"
#include "sdm/bits.h"

static const uint64_t CR4_DROPS = CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP;

static uint64_t newest_stamp;

static uint64_t stamp_draw(void)
{
    return __atomic_add_fetch(&newest_stamp, 1, __ATOMIC_RELAXED);
}

// ---- vCPUs ----

static bool drops(const struct tag_paging *a, const struct tag_paging *b)
{
    return (a->cr0 ^ b->cr0) & CR0_PG || a->cr3 != b->cr3 || (a->cr4 ^ b->cr4) & CR4_DROPS ||
           (a->efer ^ b->efer) & (EFER_LMA | EFER_NXE);
}

void tags_left(struct tag_stay *stay, const struct tag_paging *now)
{
    stay->left = *now;
}

uint64_t tags_stamp(struct tag_stay *stay, uint64_t processor, const struct tag_paging *now)
{
    if (!stay->stamp || stay->processor != processor || drops(&stay->left, now))
        stay->stamp = stamp_draw();
    stay->processor = processor;
    stay->left = *now;
    return stay->stamp;
}

// ---- Sets ----

static uint32_t find(const struct tag_set *s, uint64_t tag)
{
    uint32_t i = 0;
    while (i < s->count && s->tags[i].tag != tag)
        i++;
    return i;
}

static void drop(struct tag_set *s, uint32_t i)
{
    for (s->count--; i < s->count; i++)
        s->tags[i] = s->tags[i + 1];
}

// The newest stands last.
static void note(struct tag_set *s, struct tag seen)
{
    uint32_t i = find(s, seen.tag);
    if (i < s->count)
        drop(s, i);
    else if (s->count == TAGS_KEPT)
        drop(s, 0);
    s->tags[s->count++] = seen;
}

static bool stale(const struct tag_set *s, struct tag wanted)
{
    uint32_t i = find(s, wanted.tag);
    return i < s->count && s->tags[i].stamp != wanted.stamp;
}

// ---- Entries and invalidations ----

enum error tags_enter(struct tags *t, struct tag vpid, struct tag root, struct reason *why)
{
    bool owes_invept = stale(&t->roots, root), owes_invvpid = vpid.tag && stale(&t->vpids, vpid);
    note(&t->roots, root);
    if (vpid.tag)
        note(&t->vpids, vpid);
    if (owes_invept)
        return reason_set(why, E_INVALID, "expected INVEPT: EPT root %lx was used here for something else",
                          root.tag);
    if (owes_invvpid)
        return reason_set(why, E_INVALID, "expected INVVPID: VPID %lu has translations of before", vpid.tag);
    return E_OK;
}

void tags_invvpid(struct tags *t, uint64_t vpid)
{
    uint32_t i = find(&t->vpids, vpid);
    if (i < t->vpids.count)
        drop(&t->vpids, i);
}

void tags_invvpid_all(struct tags *t)
{
    t->vpids.count = 0;
}

void tags_invept_all(struct tags *t)
{
    t->vpids.count = t->roots.count = 0;
}
