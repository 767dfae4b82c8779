#include "vmx/dump.h"
#include "sdm/controls.h"

// Fields whose bits are worth a line of their own.
static const struct {
    uint16_t field;
    const struct bit_table *bits;
} decoded[] = {
    {GUEST_CR0,                      &cr0_bits                          },
    {GUEST_CR4,                      &cr4_bits                          },
    {GUEST_RFLAGS,                   &rflags_bits                       },
    {GUEST_EFER,                     &efer_bits                         },
    {GUEST_DR7,                      &dr7_bits                          },
    {GUEST_DEBUGCTL,                 &debugctl_bits                     },
    {GUEST_INTERRUPTIBILITY_STATE,   &interruptibility_bits             },
    {GUEST_PENDING_DEBUG_EXCEPTIONS, &pending_debug_bits                },
    {PIN_BASED_CONTROLS,             &control_words[WORD_PIN].bits      },
    {PRIMARY_CONTROLS,               &control_words[WORD_PRIMARY].bits  },
    {SECONDARY_CONTROLS,             &control_words[WORD_SECONDARY].bits},
    {TERTIARY_CONTROLS,              &control_words[WORD_TERTIARY].bits },
    {VM_EXIT_CONTROLS,               &control_words[WORD_EXIT].bits     },
    {SECONDARY_VM_EXIT_CONTROLS,     &control_words[WORD_EXIT2].bits    },
    {VM_ENTRY_CONTROLS,              &control_words[WORD_ENTRY].bits    },
    {VM_FUNCTION_CONTROLS,           &control_words[WORD_FUNCTION].bits },
    {CR0_GUEST_HOST_MASK,            &cr0_bits                          },
    {CR0_READ_SHADOW,                &cr0_bits                          },
    {CR4_GUEST_HOST_MASK,            &cr4_bits                          },
    {CR4_READ_SHADOW,                &cr4_bits                          },
    {HOST_CR0,                       &cr0_bits                          },
    {HOST_CR4,                       &cr4_bits                          },
    {HOST_EFER,                      &efer_bits                         },
};

static const struct bit_table *bits_of(uint32_t field)
{
    for (unsigned i = 0; i < array_size(decoded); i++)
        if (decoded[i].field == field)
            return decoded[i].bits;
    return NULL;
}

enum { SEGMENTS = 8, SELECTOR_STEP = 2 };
static const char *const segment_names[SEGMENTS] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};

// A segment's selector, limit, access rights and base stand together, in the block of segments.
static bool is_segment_part(uint32_t field)
{
    static const uint16_t firsts[] = {GUEST_ES_SELECTOR, GUEST_ES_LIMIT, GUEST_ES_ACCESS_RIGHTS,
                                      GUEST_ES_BASE};
    for (unsigned i = 0; i < array_size(firsts); i++)
        if (field - firsts[i] < SEGMENTS * SELECTOR_STEP)
            return true;
    return false;
}

struct dump {
    vmcs_read_fn read;
    void *read_context;
    line_fn line;
    void *line_context;
};

static const char *without_prefix(const char *name, const char *prefix)
{
    const char *s = name;
    while (*prefix)
        if (*s++ != *prefix++)
            return name;
    return s;
}

// "  CR0 80000031h: PE, ET, NE, PG"
static void decoded_line(const struct dump *d, const char *name, uint64_t value, const struct bit_table *bits)
{
    char buf[80];
    struct lines l = {.line = d->line, .context = d->line_context, .separator = ","};
    lines_start(&l, "  %s %lxh:", name, value);
    for (unsigned bit = 0; bit < 64; bit++) {
        if (!(value >> bit & 1))
            continue;
        bits_text(buf, sizeof(buf), 1ull << bit, bits);
        lines_item(&l, "%s", buf);
    }
    lines_end(&l, "-");
}

static bool in_block(const struct dump *d, const struct vmcs_field *f, enum vmcs_group group, uint64_t *value)
{
    return vmcs_group(f->encoding) == group && !is_segment_part(f->encoding) &&
           d->read(d->read_context, f->encoding, value);
}

static const struct block {
    enum vmcs_group group;
    const char *title, *prefix; // the latter of names, not shown
} groups[] = {
    {VMCS_GUEST,     "VMCS: guest registers and state", "GUEST_"},
    {VMCS_CONTROL,   "VMCS: controls",                  ""      },
    {VMCS_HOST,      "VMCS: host state",                "HOST_" },
    {VMCS_EXIT_INFO, "VMCS: exit information",          ""      },
};
_Static_assert(VMCS_DUMP_PARTS == array_size(groups) + 1, "the groups, and the segments");

// First the fields with a line of their own, then all others as "NAME=value".
static void group_block(const struct dump *d, const struct block *b)
{
    struct lines plain = {.line = d->line, .context = d->line_context, .separator = ""};
    uint64_t value;
    d->line(d->line_context, b->title);
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++) {
        const struct bit_table *bits = bits_of(vmcs_fields[i].encoding);
        if (bits && in_block(d, &vmcs_fields[i], b->group, &value))
            decoded_line(d, without_prefix(vmcs_field_name(vmcs_fields[i].encoding), b->prefix), value, bits);
    }
    lines_start(&plain, " ");
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++)
        if (!bits_of(vmcs_fields[i].encoding) && in_block(d, &vmcs_fields[i], b->group, &value))
            lines_item(&plain, "%s=%lxh", without_prefix(vmcs_field_name(vmcs_fields[i].encoding), b->prefix),
                       value);
    lines_end(&plain, NULL);
}

static uint64_t read_or_0(const struct dump *d, uint32_t field)
{
    uint64_t value;
    return d->read(d->read_context, field, &value) ? value : 0;
}

// "  CS 0010h base 0h limit ffffffffh rights a09bh: type bh DPL 0 S P L G"
static void segment_line(const struct dump *d, unsigned segment)
{
    unsigned step = segment * SELECTOR_STEP;
    uint32_t rights = (uint32_t)read_or_0(d, GUEST_ES_ACCESS_RIGHTS + step);
    char buf[160], bits[96];
    bits_text(bits, sizeof(bits), rights & ~(uint32_t)(AR_TYPE | AR_DPL), &access_rights_bits);
    format(buf, sizeof(buf), "  %s %lxh base %lxh limit %lxh rights %xh: type %xh DPL %u %s",
           segment_names[segment], read_or_0(d, GUEST_ES_SELECTOR + step), read_or_0(d, GUEST_ES_BASE + step),
           read_or_0(d, GUEST_ES_LIMIT + step), rights, rights & AR_TYPE, (rights & AR_DPL) >> AR_DPL_SHIFT,
           bits);
    d->line(d->line_context, buf);
}

void vmcs_dump(unsigned part, vmcs_read_fn read, void *read_context, line_fn line, void *line_context)
{
    const struct dump d = {read, read_context, line, line_context};
    if (part < array_size(groups)) {
        group_block(&d, &groups[part]);
        return;
    }
    line(line_context, "VMCS: guest segments");
    for (unsigned segment = 0; segment < SEGMENTS; segment++)
        segment_line(&d, segment);
}
