#include "vmx/microscope.h"
#include "arch/cpu.h"
#include "mm/mm.h"
#include "sdm/exit_reason.h"
#include "sdm/text.h"
#include "vmx/exit_words.h"
#include "vmx/vmcs.h"

static struct object_cache cache;
static bool watching;

#ifdef CHECKING
uint64_t vmcs_reads[PCPU_MAX], vmcs_writes[PCPU_MAX];
#endif

void microscope_init(bool on)
{
    watching = on;
    object_cache_init(&cache, &frames, sizeof(struct microscope), 64);
}

enum error microscope_create(struct vcpu *v, uint16_t owner)
{
    if (!watching)
        return E_OK;
    struct microscope *m = v->microscope = object_alloc(&cache, owner);
    if (!m)
        return E_NO_MEMORY;
    for (unsigned i = 0; i < MICROSCOPE_LAST; i++)
        m->last[i].next = &m->last[(i + 1) % MICROSCOPE_LAST];
    m->oldest = m->last;
    return E_OK;
}

void microscope_destroy(struct vcpu *v, uint16_t owner)
{
    if (v->microscope)
        object_free(&cache, v->microscope, owner);
    v->microscope = NULL;
}

uint64_t microscope_bytes(void)
{
    return watching ? object_cost(&cache) : 0;
}

// ---- Watching ----

// RCX names the MSR; the others are fields of the VMCS, read beside the qualification.
enum { QUALIFICATION_ONLY = 1, RCX_ONLY = 2 };
const uint16_t microscope_fields[EXIT_REASONS_COUNTED] = {
    [REASON_EXCEPTION_OR_NMI] = VM_EXIT_INTERRUPTION_INFO,
    [REASON_EXTERNAL_INTERRUPT] = VM_EXIT_INTERRUPTION_INFO,
    [REASON_EPT_VIOLATION] = (uint16_t)GUEST_PHYSICAL_ADDRESS,
    [REASON_EPT_MISCONFIGURATION] = (uint16_t)GUEST_PHYSICAL_ADDRESS,
    [REASON_CR_ACCESS] = QUALIFICATION_ONLY,
    [REASON_IO_INSTRUCTION] = QUALIFICATION_ONLY,
    [REASON_TASK_SWITCH] = QUALIFICATION_ONLY,
    [REASON_MOV_DR] = QUALIFICATION_ONLY,
    [REASON_RDMSR] = RCX_ONLY,
    [REASON_WRMSR] = RCX_ONLY,
};

struct vcpu *microscope_note_more(struct vcpu *v, struct exit_record *r)
{
    uint16_t field = microscope_fields[r->reason];
    v->microscope->histogram[r->reason][log2_floor(r->took)]++;
    r->qualification = vmread_nat(EXIT_QUALIFICATION);
    r->extra = field == RCX_ONLY ? v->gpr[RCX] : field == QUALIFICATION_ONLY ? 0 : vmread_raw(field);
    return v;
}

int64_t microscope_longest(struct vcpu *v)
{
    if (!v->microscope)
        return -(int64_t)E_UNSUPPORTED;
    uint32_t longest = v->microscope->longest;
    v->microscope->longest = 0;
    return longest;
}

int64_t microscope_vmcs(bool writes)
{
#ifdef CHECKING
    return (int64_t)(writes ? vmcs_writes : vmcs_reads)[this_pcpu()->id];
#else
    (void)writes;
    return -(int64_t)E_UNSUPPORTED;
#endif
}

// ---- Telling ----

static void row(const struct vcpu *v, unsigned reason, struct text *t)
{
    const uint32_t *histogram = v->microscope->histogram[reason];
    text_add(t, "%8u %s, log2 of ticks:", v->exits[reason], exit_reason_words(reason));
    for (unsigned b = 0; b < MICROSCOPE_BUCKETS; b++)
        if (histogram[b])
            text_add(t, " %u:%u", b, histogram[b]);
}

void microscope_table(const struct vcpu *v, void (*line)(void *context, const char *text), void *context)
{
    char text[300];
    for (unsigned reason = 0; v->microscope && reason < EXIT_REASONS_COUNTED; reason++)
        if (v->exits[reason]) {
            struct text t = text_in(text, sizeof text);
            row(v, reason, &t);
            line(context, text);
        }
}

enum { LINEAR_VALID = 1 << 7 }; // of an EPT violation's qualification

static void tell(const struct exit_record *r, uint32_t now, struct text *t)
{
    uint16_t field = microscope_fields[r->reason];
    struct exit_info info = {.reason = (uint32_t)r->reason, .qualification = r->qualification};
    if (field == VM_EXIT_INTERRUPTION_INFO)
        info.interruption = r->extra;
    else if (field != (uint16_t)GUEST_PHYSICAL_ADDRESS)
        info.rcx = r->extra;
    else {
        info.physical = r->extra;
        info.qualification &= ~(uint64_t)LINEAR_VALID; // the linear address is not kept
    }
    text_add(t, "%u ticks ago, %u long, on at %lx: ", now - r->entry + r->took, r->took, r->rip);
    exit_words(t, &info);
}

void microscope_last(const struct vcpu *v, void (*line)(void *context, const char *text), void *context)
{
    const struct microscope *m = v->microscope;
    char text[240];
    if (!m)
        return;
    const struct exit_record *r = m->oldest;
    uint32_t now = rdtsc_low();
    do {
        if (r->took) { // else not used yet
            struct text t = text_in(text, sizeof text);
            tell(r, now, &t);
            line(context, text);
        }
        r = r->next;
    } while (r != m->oldest);
}
