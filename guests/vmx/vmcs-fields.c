// VMREAD and VMWRITE of every field of the VMCS, by value patterns; fields that are not there; encodings of none.
#include "guests/vmx/lib/vmx.h"

static uint32_t *region;

static void begin(void)
{
    region[0] = vmx_basic_revision(processor.caps.basic);
    steps_begin();
    step(PROBE_DO_VMPTRLD, physical(region));
}

// ---- What comes back of what was written ----

static const struct {
    const char *name;
    uint64_t value;
} patterns[] = {
    {"zeros", 0                 },
    {"ones",  ~0ull             },
    {"fives", 0x5555555555555555},
    {"tens",  0xaaaaaaaaaaaaaaaa},
};

static uint64_t width_mask(uint32_t encoding)
{
    switch (vmcs_width(encoding)) {
    case VMCS_WIDTH_16:
        return 0xffff;
    case VMCS_WIDTH_32:
        return 0xffffffff;
    default:
        return ~0ull;
    }
}

// Reserved bits of access rights need not be kept.
static uint64_t kept(uint32_t encoding)
{
    enum { ACCESS_RIGHTS = 0x1f0ff };
    bool rights = encoding >= GUEST_ES_ACCESS_RIGHTS && encoding <= GUEST_TR_ACCESS_RIGHTS;
    return rights ? ACCESS_RIGHTS : width_mask(encoding);
}

static void write_and_read(uint32_t encoding)
{
    const struct probe_step *written[array_size(patterns)], *read[array_size(patterns)];
    const char *field = vmcs_field_name(encoding);
    begin();
    for (unsigned i = 0; i < array_size(patterns); i++) {
        written[i] = step_with(PROBE_DO_VMWRITE, encoding, patterns[i].value, 0, 0);
        read[i] = step(PROBE_DO_VMREAD, encoding);
    }
    if (!steps_ran(name_of("%s", field)))
        return;
    step_succeeds(name_of("%s-write", field), written[0]);
    step_succeeds(name_of("%s-read", field), read[0]);
    for (unsigned i = 0; i < array_size(patterns); i++) {
        uint64_t shown = read[i]->value, mask = kept(encoding);
        expect_equal(name_of("%s-%s", field, patterns[i].name), "value read", patterns[i].value & mask,
                     shown & (mask | ~width_mask(encoding)));
    }
}

// The upper half of a 64-bit field, by an encoding of its own.
static void upper_half(uint32_t encoding)
{
    const char *field = vmcs_field_name(encoding);
    begin();
    step_with(PROBE_DO_VMWRITE, encoding, 0x0123456789abcdef, 0, 0);
    const struct probe_step *upper = step(PROBE_DO_VMREAD, encoding | 1);
    step_with(PROBE_DO_VMWRITE, encoding | 1, 0xffffffff76543210, 0, 0);
    const struct probe_step *whole = step(PROBE_DO_VMREAD, encoding);
    if (!steps_ran(name_of("%s-high", field)))
        return;
    expect_equal(name_of("%s-high-read", field), "value read", 0x01234567, upper->value);
    expect_equal(name_of("%s-high-write", field), "whole field", 0x7654321089abcdef, whole->value);
}

static void read_only(uint32_t encoding)
{
    const char *field = vmcs_field_name(encoding);
    begin();
    const struct probe_step *read = step(PROBE_DO_VMREAD, encoding);
    const struct probe_step *written = step_with(PROBE_DO_VMWRITE, encoding, 0, 0, 0);
    if (!steps_ran(name_of("%s", field)))
        return;
    step_succeeds(name_of("%s-read", field), read);
    step_fails_valid(name_of("%s-read-only", field), written, VM_ERROR_READ_ONLY_FIELD);
}

static void not_there(uint64_t encoding, const char *name)
{
    begin();
    const struct probe_step *read = step(PROBE_DO_VMREAD, encoding);
    const struct probe_step *written = step_with(PROBE_DO_VMWRITE, encoding, 0, 0, 0);
    if (!steps_ran(name_of("%s", name)))
        return;
    step_fails_valid(name_of("%s-read", name), read, VM_ERROR_UNSUPPORTED_FIELD);
    step_fails_valid(name_of("%s-write", name), written, VM_ERROR_UNSUPPORTED_FIELD);
}

static void each_field(void)
{
    bool any = processor.caps.misc & VMX_MISC_VMWRITE_ANY;
    section = "VMREAD, VMWRITE, and Encodings of VMCS Fields";
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++) {
        uint32_t encoding = vmcs_fields[i].encoding;
        if (!field_exists(encoding))
            not_there(encoding, name_of("%s-absent", vmcs_field_name(encoding)));
        else if (vmcs_group(encoding) == VMCS_EXIT_INFO && !any)
            read_only(encoding);
        else
            write_and_read(encoding);
        if (field_exists(encoding) && vmcs_width(encoding) == VMCS_WIDTH_64 &&
            (any || vmcs_group(encoding) != VMCS_EXIT_INFO))
            upper_half(encoding);
    }
}

// ---- The form with a memory operand, one field of each width ----

static void in_memory(void)
{
    static const uint32_t fields[] = {GUEST_CS_SELECTOR, TSC_OFFSET, EXCEPTION_BITMAP, GUEST_RIP};
    const uint64_t value = 0xfedcba9876543210;
    for (unsigned i = 0; i < array_size(fields); i++) {
        const char *field = vmcs_field_name(fields[i]);
        begin();
        step_with(PROBE_DO_VMWRITE, fields[i], value, 0, PROBE_STEP_MEMORY);
        const struct probe_step *in_register = step(PROBE_DO_VMREAD, fields[i]);
        const struct probe_step *read = step_with(PROBE_DO_VMREAD, fields[i], ~0ull, 0, PROBE_STEP_MEMORY);
        if (!steps_ran(name_of("%s-memory", field)))
            continue;
        expect_equal(name_of("%s-written-from-memory", field), "value", value & width_mask(fields[i]),
                     in_register->value);
        expect_equal(name_of("%s-read-to-memory", field), "64 bits in memory", value & width_mask(fields[i]),
                     read->value);
    }
}

// ---- Encodings that name no field ----

static void encodings(void)
{
    enum { LAST_INDEX = 0x1ff << 1 };
    static const char *const widths[] = {"16", "64", "32", "natural"};
    static const char *const groups[] = {"control", "exit", "guest", "host"};
    for (unsigned width = 0; width < array_size(widths); width++)
        for (unsigned group = 0; group < array_size(groups); group++)
            not_there(width << 13 | group << 10 | LAST_INDEX,
                      name_of("encoding-last-%s-%s", widths[width], groups[group]));
    not_there(GUEST_CS_SELECTOR | 1, "encoding-high-16");
    not_there(EXCEPTION_BITMAP | 1, "encoding-high-32");
    not_there(GUEST_RIP | 1, "encoding-high-natural");
    for (unsigned bit = 12; bit < 64; bit = bit == 12 ? 15 : bit + 1)
        not_there(GUEST_RIP ^ 1ull << bit, name_of("encoding-reserved-%u", bit));
}

BUCKET("fields of the VMCS")
{
    region = page_take();
    each_field();
    in_memory();
    encodings();
}
