#include "sdm/lines.h"
#include "sdm/vmx_caps.h"

static void list_bits(struct lines *l, uint64_t value, uint64_t always, const struct bit_table *bits)
{
    const char *name = bits->names;
    for (uint64_t left = bits->named; left; left &= left - 1, name = text_next(name)) {
        uint64_t bit = left & -left;
        if (value & bit)
            lines_item(l, always & bit ? "%s (always)" : "%s", name);
    }
}

static void basic_text(const struct vmx_caps *c, struct lines *l)
{
    lines_start(l, "VMX basic %016lx:", c->basic);
    lines_item(l, "VMCS revision %u", vmx_basic_revision(c->basic));
    lines_item(l, "region bytes %u", vmx_basic_region_size(c->basic));
    lines_item(l, "structures %s", vmx_basic_memory_type(c->basic) == MT_WB ? "write-back" : "uncached");
    list_bits(l, c->basic, 0, &vmx_basic_bits);
    lines_end(l, "none");
}

static void misc_text(const struct vmx_caps *c, struct lines *l)
{
    lines_start(l, "VMX misc %016lx:", c->misc);
    lines_item(l, "timer ticks by TSC bit %u", vmx_misc_timer_rate(c->misc));
    lines_item(l, "CR3 targets %u", vmx_misc_cr3_targets(c->misc));
    lines_item(l, "MSR list entries %u", vmx_misc_msr_list_max(c->misc));
    list_bits(l, c->misc, 0, &vmx_misc_bits);
    lines_end(l, "none");
}

static void fixed_text(struct lines *l, const char *title, uint64_t raw, uint64_t bits,
                       const struct bit_table *table)
{
    lines_start(l, "%s %016lx:", title, raw);
    list_bits(l, bits, 0, table);
    lines_end(l, "none");
}

void vmx_caps_text(const struct vmx_caps *c, line_fn line, void *context)
{
    struct lines l = {.line = line, .context = context, .separator = ","};
    basic_text(c, &l);
    for (unsigned word = WORD_PIN; word < WORD_COUNT; word++) {
        struct control_capability can = vmx_caps_control(c, word);
        if (!can.may_be_1)
            continue;
        bool wide =
            word == WORD_TERTIARY || word == WORD_FUNCTION || word == WORD_EXIT2; // 64 allowed 1-settings
        lines_start(&l, "%s %016lx:", control_words[word].words,
                    wide ? can.may_be_1 : can.may_be_1 << 32 | can.must_be_1);
        list_bits(&l, can.may_be_1, can.must_be_1, &control_words[word].bits);
        lines_end(&l, "none");
    }
    if (c->ept_vpid)
        fixed_text(&l, "EPT and VPID", c->ept_vpid, c->ept_vpid, &ept_vpid_cap_bits);
    misc_text(c, &l);
    fixed_text(&l, "CR0 always 1", c->cr0_fixed0, c->cr0_fixed0, &cr0_bits);
    fixed_text(&l, "CR4 always 1", c->cr4_fixed0, c->cr4_fixed0, &cr4_bits);
    fixed_text(&l, "CR4 can be 1", c->cr4_fixed1, c->cr4_fixed1, &cr4_bits);
}
