#include "vmx/tags_check.h"

#ifdef CHECKING
#include "sdm/text.h"
#include "arch/log.h"
#include "arch/pcpu.h"
#include "mm/quarantine.h"
#include "vmx/vmcs.h"

static struct tags tags[PCPU_MAX];
static uint64_t entries[PCPU_MAX];
static uint32_t wrong;
static struct reason first; // of the wrong ones

// What it reads is not of running: it does not count.
static struct tag_paging paging(void)
{
    return (struct tag_paging){vmread_uncounted(GUEST_CR0), vmread_uncounted(GUEST_CR3),
                               vmread_uncounted(GUEST_CR4), vmread_uncounted(GUEST_EFER)};
}

void tags_check_exit(struct vcpu *v)
{
    struct tag_paging now = paging();
    tags_left(&v->tag_stay, &now);
}

static void complain(const struct vcpu *v, const struct reason *why)
{
    log_warn("machine %u, vCPU %u, processor %u: %s", v->vm_id, v->index, this_pcpu()->id, why->text);
    if (!__atomic_fetch_add(&wrong, 1, __ATOMIC_ACQ_REL))
        first = *why;
}

// The generation is the one that this processor compared before entry: a newer one comes with a kick. Between
// turns nothing compares, so the space must be the one in the seat.
struct vcpu *tags_check_entry(struct vcpu *v)
{
    const struct seat *seat = this_vmx()->seat;
    uint32_t here = this_pcpu()->id;
    struct tag_paging now = paging();
    struct reason why;
    bool has_vpid = vmx_controls.secondary & SECONDARY_VPID;
    struct tag vpid = {has_vpid ? vmread_uncounted(VIRTUAL_PROCESSOR_ID) : 0,
                       tags_stamp(&v->tag_stay, here, &now)};
    struct tag root = {vmread_uncounted(EPT_POINTER), seat->generation};
    entries[here]++;
    if (tags_enter(&tags[here], vpid, root, &why))
        complain(v, &why);
    if (seat->space != v->space) {
        reason_set(&why, E_INVALID, "expected its space in the processor's seat");
        complain(v, &why);
    }
    return v;
}

void tags_check_invvpid(uint16_t vpid, bool all)
{
    if (all)
        tags_invvpid_all(&tags[this_pcpu()->id]);
    else
        tags_invvpid(&tags[this_pcpu()->id], vpid);
}

void tags_check_invept_all(void)
{
    tags_invept_all(&tags[this_pcpu()->id]);
}

bool tags_check_verdict(char *text, size_t size)
{
    uint64_t all = 0;
    for (uint32_t i = 0; i < pcpu_count; i++)
        all += entries[i];
    log_info("%lu VM entries looked at, %u with stale translations", all, wrong);
    format(text, size, "%s\n%u of %lu entries", wrong ? first.text : "expected entries to look at\ngot none",
           wrong, all);
    return all && !wrong;
}
#endif
