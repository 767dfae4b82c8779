#include "vmx/task_switch.h"
#include "arch/string.h"
#include "sdm/bits.h"

enum { TSS_MAX = 104, WORDS_MAX = 17, DESCRIPTOR_RIGHTS = 5, BUSY = 2, TSS_CR3 = 0x1c, TSS_TRAP = 0x64 };

// The order of words in a TSS from `first` on, of the width of the TSS. All but the LDT's selector are saved.
enum { WORD_IP, WORD_FLAGS, WORD_GPR, WORD_SEGMENT = WORD_GPR + 8 };
struct layout {
    uint8_t width, first, segments, size;
};
static const struct layout layouts[] = {
    {2, 0x0e, 4, 44     }, // 16 bits, without FS and GS
    {4, 0x20, 6, TSS_MAX},
};

static bool fault(struct task *t, unsigned vector, uint16_t selector)
{
    t->vector = (uint8_t)vector;
    t->error_code = selector & (uint16_t)~SELECTOR_RPL;
    return false;
}

static bool move(struct task *t, uint32_t linear, void *value, unsigned size, enum guest_move how)
{
    if (t->move(t, linear, value, size, how))
        return true;
    t->vector = TASK_STOPPED;
    return false;
}

// ---- Descriptors ----

struct descriptor {
    uint32_t at; // linear
    struct task_segment parsed;
};

static struct task_segment parse(uint16_t selector, uint64_t d)
{
    uint32_t limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));
    uint32_t rights = (uint32_t)(d >> 40) & 0xf0ff;
    return (struct task_segment){
        .selector = selector,
        .base = (uint32_t)((d >> 16 & 0xffffff) | (d >> 32 & 0xff000000)),
        .limit = rights & AR_G ? limit << 12 | 0xfff : limit,
        .rights = rights,
    };
}

static bool read_descriptor(struct task *t, uint16_t selector, unsigned invalid, struct descriptor *d)
{
    const struct task_segment *ldt = &t->segment[TASK_LDTR];
    bool local = selector & SELECTOR_TI;
    uint32_t limit = local ? ldt->limit : t->gdt_limit;
    uint64_t raw = 0;
    if ((local && ldt->rights & AR_UNUSABLE) || (selector | 7u) > limit)
        return fault(t, invalid, selector);
    d->at = (local ? ldt->base : t->gdt_base) + (selector & ~7u);
    if (!move(t, d->at, &raw, sizeof raw, GUEST_LOAD))
        return false;
    d->parsed = parse(selector, raw);
    return true;
}

static bool write_type(struct task *t, uint32_t descriptor, uint32_t rights)
{
    uint8_t byte = (uint8_t)rights;
    return move(t, descriptor + DESCRIPTOR_RIGHTS, &byte, 1, GUEST_STORE);
}

// ---- Task-state segments ----

static const struct layout *layout_of(const struct task_segment *tss)
{
    return &layouts[(tss->rights & AR_TYPE) > AR_TYPE_BUSY_TSS16];
}

static unsigned words(const struct layout *l) // that are saved
{
    return WORD_SEGMENT + (unsigned)l->segments;
}
static unsigned saved_bytes(const struct layout *l)
{
    return l->width * words(l);
}

// What is done with the two descriptors and the link (SDM, "Effect of a Task Switch on Busy Flag, NT Flag,
// Previous Task Link Field, and TS Flag").
struct plan {
    struct descriptor new;
    uint32_t old; // linear address of the descriptor
    bool links, leaves, enters;
};

// The processor has checked all of this before the exit; another processor of the machine may have been at
// it.
static bool find_target(struct task *t, struct task_switch to, struct descriptor *d)
{
    bool direct = to.source == TASK_BY_CALL || to.source == TASK_BY_JMP;
    unsigned invalid = direct ? EXC_GP : EXC_TS;
    uint32_t busy = to.source == TASK_BY_IRET ? BUSY : 0;
    if (to.selector & SELECTOR_TI)
        return fault(t, invalid, to.selector);
    if (!read_descriptor(t, to.selector, invalid, d))
        return false;
    uint32_t rights = d->parsed.rights;
    uint32_t type = rights & (AR_S | AR_TYPE);
    if ((type | BUSY) != AR_TYPE_BUSY_TSS && (type | BUSY) != AR_TYPE_BUSY_TSS16)
        return fault(t, invalid, to.selector);
    if ((type & BUSY) != busy)
        return fault(t, invalid, to.selector);
    if (!(rights & AR_P))
        return fault(t, EXC_NP, to.selector);
    if (d->parsed.limit < layout_of(&d->parsed)->size - 1u)
        return fault(t, EXC_TS, to.selector);
    return true;
}

static bool save(struct task *t, const struct layout *l, bool leaves_nested)
{
    uint8_t image[TSS_MAX];
    uint32_t word[WORDS_MAX] = {[WORD_IP] = t->eip, [WORD_FLAGS] = t->eflags};
    uint32_t at = t->segment[TASK_TR].base + l->first;
    if (leaves_nested)
        word[WORD_FLAGS] &= ~(uint32_t)RFLAGS_NT;
    memcpy(&word[WORD_GPR], t->gpr, sizeof t->gpr);
    // Of a selector's 32 bits the upper ones are reserved and stay.
    if (!move(t, at, image, saved_bytes(l), GUEST_LOAD))
        return false;
    for (unsigned i = 0; i < l->segments; i++)
        word[WORD_SEGMENT + i] = t->segment[i].selector;
    for (unsigned i = 0; i < words(l); i++)
        memcpy(image + i * l->width, &word[i], i < WORD_SEGMENT ? l->width : 2u);
    return move(t, at, image, saved_bytes(l), GUEST_STORE);
}

// Whatever may fault does so here, in the old task and before anything has changed (SDM: "Checks that the
// current (old) TSS, new TSS, and all segment descriptors used in the task switch are paged into system
// memory").
static bool probe(struct task *t, const struct plan *p)
{
    uint8_t image[TSS_MAX];
    const struct task_segment *old = &t->segment[TASK_TR];
    const struct layout *l = layout_of(old);
    if (old->limit < l->first + saved_bytes(l) - 1)
        return fault(t, EXC_TS, old->selector);
    return move(t, old->base + l->first, image, saved_bytes(l), GUEST_PROBE) &&
           move(t, p->new.parsed.base, image, layout_of(&p->new.parsed)->size, GUEST_LOAD) &&
           (!p->links || move(t, p->new.parsed.base, image, 2, GUEST_PROBE)) &&
           (!p->leaves || move(t, p->old + DESCRIPTOR_RIGHTS, image, 1, GUEST_PROBE)) &&
           (!p->enters || move(t, p->new.at + DESCRIPTOR_RIGHTS, image, 1, GUEST_PROBE));
}

// ---- The new task's segments (SDM, "Exception Conditions Checked During a Task Switch") ----

static bool fits(unsigned i, uint32_t rights, unsigned rpl, unsigned cpl)
{
    unsigned dpl = (rights & AR_DPL) >> AR_DPL_SHIFT;
    bool code = rights & AR_TYPE_CODE, conforming = code && rights & AR_TYPE_EXPAND_DOWN;
    if (!(rights & AR_S))
        return false;
    if (i == SEG_SS)
        return !code && rights & AR_TYPE_WRITABLE && dpl == cpl && rpl == cpl;
    if (i == SEG_CS)
        return code && (conforming ? dpl <= cpl : dpl == cpl);
    return (!code || rights & AR_TYPE_WRITABLE) && (conforming || dpl >= (rpl > cpl ? rpl : cpl));
}

static bool load_segment(struct task *t, unsigned i, unsigned cpl)
{
    struct task_segment *s = &t->segment[i];
    uint16_t selector = s->selector;
    struct descriptor d;
    if (!(selector & ~SELECTOR_RPL))
        return (i != SEG_SS && i != SEG_CS) || fault(t, EXC_TS, selector);
    if (!read_descriptor(t, selector, EXC_TS, &d))
        return false;
    if (!fits(i, d.parsed.rights, selector & SELECTOR_RPL, cpl))
        return fault(t, EXC_TS, selector);
    if (!(d.parsed.rights & AR_P))
        return fault(t, i == SEG_SS ? EXC_SS : EXC_NP, selector);
    if (!(d.parsed.rights & AR_TYPE_ACCESSED) && !write_type(t, d.at, d.parsed.rights | AR_TYPE_ACCESSED))
        return false;
    d.parsed.rights |= AR_TYPE_ACCESSED;
    *s = d.parsed;
    return true;
}

static bool load_ldt(struct task *t)
{
    struct task_segment *s = &t->segment[TASK_LDTR];
    struct descriptor d;
    if (s->selector & SELECTOR_TI)
        return fault(t, EXC_TS, s->selector);
    if (!(s->selector & ~SELECTOR_RPL))
        return true;
    if (!read_descriptor(t, s->selector, EXC_TS, &d))
        return false;
    if ((d.parsed.rights & (AR_P | AR_S | AR_TYPE)) != (AR_P | AR_TYPE_LDT))
        return fault(t, EXC_TS, s->selector);
    *s = d.parsed;
    return true;
}

static bool load_segments(struct task *t, unsigned cpl)
{
    // The stack before the code: with it a handler within the task has somewhere to start.
    static const uint8_t order[] = {SEG_SS, SEG_CS, SEG_DS, SEG_ES, SEG_FS, SEG_GS};
    for (unsigned i = 0; i < sizeof order; i++)
        if (!load_segment(t, order[i], cpl))
            return false;
    return true;
}

// What stands in the segment registers until their descriptors are found good: as VM entry wants it, should a
// fault come before (SDM, "Checks on Guest Segment Registers").
static void set_selectors(struct task *t, const uint32_t *selector, unsigned count, unsigned cpl)
{
    uint32_t rights = AR_P | AR_S | AR_TYPE_ACCESSED | AR_TYPE_WRITABLE | cpl << AR_DPL_SHIFT;
    bool v86 = t->eflags & RFLAGS_VM;
    for (unsigned i = 0; i < TASK_LDTR; i++) {
        struct task_segment *s = &t->segment[i];
        *s = (struct task_segment){.selector = i < count ? (uint16_t)selector[i] : 0, .rights = rights};
        if (v86) {
            s->base = (uint32_t)s->selector << 4;
            s->limit = 0xffff;
        } else {
            s->rights |= i == SEG_CS ? (uint32_t)AR_TYPE_CODE : (uint32_t)AR_UNUSABLE;
        }
    }
    t->segment[TASK_LDTR] =
        (struct task_segment){.selector = (uint16_t)selector[count], .rights = AR_UNUSABLE};
}

// ---- The switch ----

static bool load(struct task *t, const struct layout *l, const uint8_t *image, bool nested)
{
    const uint64_t eflags = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_TF |
                            RFLAGS_IF | RFLAGS_DF | RFLAGS_OF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_RF |
                            RFLAGS_VM | RFLAGS_AC | RFLAGS_VIF | RFLAGS_VIP | RFLAGS_ID;
    uint32_t word[WORDS_MAX] = {0}, cr3;
    for (unsigned i = 0; i <= words(l); i++)
        memcpy(&word[i], image + l->first + i * l->width, l->width);
    t->eip = word[WORD_IP];
    t->eflags = (word[WORD_FLAGS] & (uint32_t)eflags) | RFLAGS_FIXED1 | (nested ? (uint32_t)RFLAGS_NT : 0);
    memcpy(t->gpr, &word[WORD_GPR], sizeof t->gpr);
    t->trap = t->wide && image[TSS_TRAP] & 1;
    bool v86 = t->eflags & RFLAGS_VM;
    unsigned cpl = v86 ? 3 : word[WORD_SEGMENT + SEG_CS] & SELECTOR_RPL;
    set_selectors(t, &word[WORD_SEGMENT], l->segments, cpl);
    memcpy(&cr3, image + TSS_CR3, sizeof cr3);
    if (t->wide && !t->load_cr3(t, cr3))
        return fault(t, EXC_GP, 0);
    return load_ldt(t) && (v86 || load_segments(t, cpl));
}

static bool change_busy(struct task *t, uint32_t descriptor, bool busy)
{
    uint8_t byte;
    return move(t, descriptor + DESCRIPTOR_RIGHTS, &byte, 1, GUEST_LOAD) &&
           write_type(t, descriptor, busy ? byte | BUSY : byte & ~(uint32_t)BUSY);
}

static bool leave(struct task *t, const struct plan *p, bool back)
{
    const struct task_segment *tr = &t->segment[TASK_TR];
    uint16_t link = tr->selector;
    return (!p->leaves || change_busy(t, p->old, false)) && save(t, layout_of(tr), back) &&
           (!p->links || move(t, p->new.parsed.base, &link, sizeof link, GUEST_STORE));
}

bool task_switch(struct task *t, struct task_switch to)
{
    uint8_t image[TSS_MAX];
    struct task_segment *tr = &t->segment[TASK_TR];
    bool back = to.source == TASK_BY_IRET, jump = to.source == TASK_BY_JMP;
    struct plan p = {.old = t->gdt_base + (tr->selector & ~7u),
                     .links = !back && !jump,
                     .leaves = back || jump,
                     .enters = !back};
    if (!find_target(t, to, &p.new) || !probe(t, &p) || !leave(t, &p, back))
        return false;
    const struct layout *l = layout_of(&p.new.parsed);
    if (!move(t, p.new.parsed.base, image, l->size, GUEST_LOAD) ||
        (p.enters && !change_busy(t, p.new.at, true)))
        return false;
    t->committed = true;
    t->wide = l->width == 4;
    *tr = p.new.parsed;
    tr->rights |= BUSY;
    return load(t, l, image, p.links);
}
