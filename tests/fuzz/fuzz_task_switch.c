// Source, selector, a register, where memory ends, and memory itself with GDT, LDT and TSSs in it. Whatever they are,
// every access lies in the address space and is small, a switch that fails early stores nothing, and what a committed
// one leaves can be entered (SDM, "Checks on Guest Segment Registers").
#include "vmx/task_switch.h"
#include "sdm/bits.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 1024, HEADER = 8, GDT = 0, OLD_TSS = 512 };

struct fuzzed {
    struct task task; // first
    uint8_t memory[MEMORY];
    uint32_t end;
    unsigned stores;
    bool bad_cr3;
};

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool move(struct task *t, uint32_t linear, void *value, unsigned size, enum guest_move how)
{
    struct fuzzed *f = (struct fuzzed *)t;
    require(size >= 1 && size <= 128);
    if (linear >= f->end || size > f->end - linear)
        return false;
    if (how == GUEST_STORE)
        memcpy(f->memory + linear, value, size);
    else if (how == GUEST_LOAD)
        memcpy(value, f->memory + linear, size);
    f->stores += how == GUEST_STORE;
    return true;
}

static bool load_cr3(struct task *t, uint32_t cr3)
{
    (void)cr3;
    return !((struct fuzzed *)t)->bad_cr3;
}

static void require_enterable(const struct task *t)
{
    const struct task_segment *s = t->segment;
    unsigned cs = s[SEG_CS].rights, dpl = cs >> AR_DPL_SHIFT & 3, cpl = s[SEG_SS].rights >> AR_DPL_SHIFT & 3;
    require((t->eflags & 0xffc08028) == 0 && t->eflags & RFLAGS_FIXED1);
    require((s[TASK_TR].rights & ~8u & (AR_TYPE | AR_S | AR_P)) == (AR_P | AR_TYPE_BUSY_TSS16));
    if (t->eflags & RFLAGS_VM) {
        for (unsigned i = 0; i < TASK_LDTR; i++)
            require(s[i].rights == 0xf3 && s[i].limit == 0xffff && s[i].base == (uint32_t)s[i].selector << 4);
        return;
    }
    require(!(cs & AR_UNUSABLE) && (cs & (AR_S | AR_P | 9)) == (AR_S | AR_P | 9));
    require(cs & AR_TYPE_EXPAND_DOWN ? dpl <= cpl : dpl == cpl);
    for (unsigned i = 0; i < TASK_SEGMENTS; i++)
        require(s[i].rights & AR_UNUSABLE ||
                (s[i].rights & AR_P && !(s[i].rights & (uint32_t)AR_RESERVED) &&
                 (s[i].rights & AR_G ? (s[i].limit & 0xfff) == 0xfff : s[i].limit >> 20 == 0)));
    for (unsigned i = 0; i < TASK_LDTR;
         i++) // and DPL of data against RPL does not count under unrestricted guest
        require(s[i].rights & AR_UNUSABLE ||
                (s[i].rights & (AR_S | AR_TYPE_ACCESSED)) == (AR_S | AR_TYPE_ACCESSED));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEADER)
        return 0;
    struct fuzzed *f = calloc(1, sizeof(*f));
    struct task_switch to = {.source = data[0] & 3};
    memcpy(&to.selector, data + 1, 2);
    f->bad_cr3 = data[0] & 4;
    f->end = data[0] & 8 ? MEMORY : data[3] * 4u;
    memcpy(f->memory, data + HEADER, min_u64(size - HEADER, MEMORY));
    f->task = (struct task){.move = move, .load_cr3 = load_cr3, .gdt_base = GDT, .gdt_limit = data[4] * 2u};
    f->task.segment[TASK_TR] = (struct task_segment){
        .selector = data[5], .base = OLD_TSS, .limit = data[6], .rights = data[7] & 1 ? 0x8b : 0x83};
    f->task.segment[TASK_LDTR].rights = AR_UNUSABLE;
    bool done = task_switch(&f->task, to);
    require(!done || f->task.committed);
    if (f->task.committed)
        require_enterable(&f->task);
    else if (f->task.vector != TASK_STOPPED)
        require(f->stores == 0 && (f->task.error_code & SELECTOR_RPL) == 0);
    free(f);
    return 0;
}
