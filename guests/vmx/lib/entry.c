#include "guests/vmx/lib/entry.h"

const char *const mode_names[MODE_COUNT] = {
    [MODE_REAL] = "real", [MODE_PROTECTED] = "protected", [MODE_PAGED] = "paged",
    [MODE_PAE] = "pae",   [MODE_LONG] = "long",           [MODE_V86] = "v86",
};

const uint8_t pat_types[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 0x10, 0x80, 0xff};

enum { KNOWN_ALL = KNOWN_PDPTES | KNOWN_VTPR | KNOWN_LINK | KNOWN_MSRS, PAGE = 4096 };

uint64_t entry_pages;
bool entry_dangerous;
static uint8_t *pages;                                     // entry_pages, as this machine sees them
static uint8_t empty[PAGE] __attribute__((aligned(4096))); // paging structures without an entry

// ---- Memory behind addresses ----

static void pages_clear(void)
{
    if (!pages) {
        pages = pages_take(ENTRY_CASE_PAGES);
        entry_pages = physical(pages);
    }
    memset(pages, 0, (size_t)ENTRY_CASE_PAGES * PAGE);
    uint64_t *list = (uint64_t *)(pages + ENTRY_CASE_MSR_PAGE * PAGE);
    for (unsigned i = 0; i < PAGE / sizeof *list; i += 2)
        list[i] = MSR_SYSENTER_CS;
}

// `bytes` of the image's values from `at` on to where the field points to, if that is one of the pages.
static void put_facts(uint32_t field, unsigned offset, unsigned at, unsigned bytes)
{
    uint64_t to = (vm_get(field) & ~15ull) + offset - entry_pages;
    if (to < (uint64_t)ENTRY_CASE_PAGES * PAGE - bytes)
        memcpy(pages + to, &vm.value[at], bytes);
}

void entry_put_facts(void)
{
    put_facts(VIRTUAL_APIC_ADDRESS, 0x80, AT_VTPR, 4);
    put_facts(VMCS_LINK_POINTER, 0, AT_LINK_REVISION, 4);
    put_facts(VM_ENTRY_MSR_LOAD_ADDRESS, 0, AT_ENTRY_MSR_0, 16 * IMAGE_MSRS);
    put_facts(GUEST_CR3, 0, AT_MEMORY_PDPTE0, 32);
}

// ---- Valid states ----

// Real mode begins at address 0, and so do others when the processor lets them execute an instruction.
static void put_vmcall_at_0(void)
{
    static const uint8_t vmcall[] = {0x0f, 0x01, 0xc1, 0xf4};
    word_t to = 0;
    __asm__("" : "+r"(to)); // to the compiler, writing at address 0 is a mistake
    memcpy((void *)to, vmcall, sizeof vmcall);
}

static bool has_ept(void)
{
    return vm_get(PRIMARY_CONTROLS) & PRIMARY_ACTIVATE_SECONDARY &&
           vm_get(SECONDARY_CONTROLS) & SECONDARY_EPT;
}

bool valid_state(enum entry_mode mode)
{
    vm_reset();
    pages_clear();
    put_vmcall_at_0();
    vm.known = KNOWN_ALL;
    for (unsigned i = 0; i < IMAGE_MSRS; i++)
        vm.value[AT_ENTRY_MSR_0 + 2 * i] = MSR_SYSENTER_CS;
    uint64_t pin = vm.value[AT_PIN_BASED_CONTROLS], exit = vm.value[AT_VM_EXIT_CONTROLS];
    uint64_t rip = vm.value[AT_GUEST_RIP], rsp = vm.value[AT_GUEST_RSP], cr3 = vm.value[AT_GUEST_CR3];
    bool can_be = entry_mode_set(&vm, &processor, mode);
    vm.value[AT_PIN_BASED_CONTROLS] = pin;
    vm.value[AT_VM_EXIT_CONTROLS] = exit;
    vm.value[AT_GUEST_CR3] = mode == MODE_LONG ? cr3 : (word_t)empty;
    if (mode == MODE_LONG) {
        vm.value[AT_GUEST_RIP] = rip;
        vm.value[AT_GUEST_RSP] = rsp;
    }
    return can_be;
}

// ---- Points ----

static enum rule_kind kind_of(const struct entry_verdict *v)
{
    return (enum rule_kind)entry_rules[entry_next_broken(v, 0)].kind;
}

// The same without EPT, where addresses are the box's; and what must be refused for its controls gets an activity state
// that does not exist, lest a level below that takes the controls delivers an event or runs on.
void entry_make_safe(const struct entry_verdict *v)
{
    if (!has_ept() && vm.value[AT_GUEST_CR3] < entry_pages)
        vm.value[AT_GUEST_CR3] = entry_pages;
    if (v->kind == VERDICT_BREAKS && kind_of(v) == KIND_CONTROL)
        vm.value[AT_GUEST_ACTIVITY_STATE] = ACTIVITY_WAIT_FOR_SIPI + 1;
}

// Behaves as one that was never launched?
static bool launch_was_lost(void)
{
    if (vm_flags & PROBE_RESUME)
        return result.outcome == PROBE_FAIL_VALID && result.error == VM_ERROR_VMRESUME_NOT_LAUNCHED;
    return result.outcome == PROBE_ENTERED;
}

// Entered before, so that it is launched. Where the vCPU moves to another processor in between, its VMCS has been
// cleared for that: once more.
static const char *enter_launched(void)
{
    enum { TRIES = 4 };
    uint32_t flags = vm_flags;
    const char *why = NULL;
    for (unsigned n = 0; n < TRIES && !why && (n == 0 || launch_was_lost()); n++) {
        vm_flags = 0;
        why = vm_enter();
        vm_flags = flags;
        if (!why)
            why = vm_again();
    }
    return why;
}

// FACT_ATTEMPT as the probe has it. NULL, or why it cannot.
static const char *enter(void)
{
    uint64_t how = vm.value[AT_ATTEMPT];
    if (how & (ATTEMPT_SHADOW_VMCS | ATTEMPT_IN_SMM | ATTEMPT_HOST_32BIT | ATTEMPT_TRACING))
        return how & ATTEMPT_IN_SMM       ? "this is not system-management mode"
               : how & ATTEMPT_HOST_32BIT ? "the hypervisor is in IA-32e mode"
               : how & ATTEMPT_TRACING    ? "the hypervisor uses no processor trace"
                                          : "bucket vmx-instructions has it";
    vm_flags = (how & ATTEMPT_VMRESUME ? PROBE_RESUME : 0) | (how & ATTEMPT_MOV_SS ? PROBE_MOV_SS : 0) |
               (how & ATTEMPT_NO_VMCS ? PROBE_NO_VMCS : 0);
    if (vm_get(GUEST_ACTIVITY_STATE) == ACTIVITY_WAIT_FOR_SIPI)
        vm_flags |= PROBE_SEND_SIPI;
    entry_put_facts();
    if (!(how & ATTEMPT_LAUNCHED))
        return vm_enter();
    return enter_launched();
}

struct entry_outcome entry_got(void)
{
    static const uint8_t ends[] = {[PROBE_FAIL_INVALID] = ENTRY_VMFAIL_INVALID,
                                   [PROBE_FAIL_VALID] = ENTRY_VMFAIL_VALID,
                                   [PROBE_FAILED_ENTRY] = ENTRY_FAILED,
                                   [PROBE_ENTERED] = ENTRY_ENTERED};
    return (struct entry_outcome){
        .end = (enum entry_end)ends[result.outcome],
        .number =
            (uint32_t)(result.outcome == PROBE_FAIL_VALID ? result.error : result.reason & REASON_BASIC),
        .qualification = result.qualification};
}

void entry_expected(char *buf, size_t size, const struct entry_verdict *v)
{
    struct text t = text_in(buf, size);
    if (v->kind == VERDICT_OBEYS) {
        text_add(&t, "an entry");
        return;
    }
    enum entry_rule rule = entry_next_broken(v, 0);
    const struct entry_rule_info *r = &entry_rules[rule];
    text_add(&t, "%s", rule_kind_words((enum rule_kind)r->kind));
    if (r->kind == KIND_GUEST || r->kind == KIND_MSR_LOAD)
        text_add(&t, ", qualification %u", r->kind == KIND_GUEST ? r->number : v->msr_entry);
    text_add(&t, ": ");
    entry_rule_id(&t, rule);
}

// For rows that may be the last thing a box does.
static void announce(const char *name)
{
    if (entry_dangerous) {
        print("try %s\n", name);
        log_flush();
    }
}

static bool compare(const char *name, const struct entry_verdict *v)
{
    char expected[100];
    entry_expected(expected, sizeof expected, v);
    entry_make_safe(v);
    if (stepped_over(name))
        return true;
    announce(name);
    const char *why = enter();
    if (why) {
        skipped(name, why);
        return true;
    }
    return expect_true(name, result.outcome != PROBE_NOTHING && entry_agrees(v, entry_got()),
                       "expected %s\ngot %s", expected, result_words());
}

static const char *open_words(const struct entry_verdict *v)
{
    return v->open ? open_question_words((enum open_question)__builtin_ctz(v->open)) : "an open question";
}

// There are processors on which VMWRITE drops the reserved bits of access rights, so that no VM entry sees them (SDM
// volume 3, "Guest Register State"). An entry that is refused for its controls leaves the field as it was written.
static bool drops_rights(void)
{
    static enum { UNKNOWN, KEPT, DROPPED } rights;
    if (rights == UNKNOWN) {
        struct vmcs_image kept = vm;
        valid_state(MODE_LONG);
        vm_set(CR3_TARGET_COUNT, ~0u);
        vm_set_bits(GUEST_LDTR_ACCESS_RIGHTS, (uint32_t)AR_RESERVED);
        vm_watch(GUEST_LDTR_ACCESS_RIGHTS);
        bool read = !vm_enter() && result.outcome == PROBE_FAIL_VALID;
        rights = read && !(vm_saw(GUEST_LDTR_ACCESS_RIGHTS) & (uint32_t)AR_RESERVED) ? DROPPED : KEPT;
        vm_reset();
        vm = kept;
    }
    return rights == DROPPED;
}

void entry_look(struct entry_verdict *v)
{
    enum { SEGMENTS = 8 }; // their fields follow one another
    if (drops_rights())
        for (unsigned i = 0; i < SEGMENTS; i++)
            vm.value[AT_GUEST_ES_ACCESS_RIGHTS + i] &= ~(uint64_t)(uint32_t)AR_RESERVED;
    entry_judge(v, &vm, &processor);
}

bool expect_judged(const char *name)
{
    struct entry_verdict v;
    entry_look(&v);
    if (v.kind == VERDICT_NOT_JUDGED) {
        skipped(name, open_words(&v));
        return true;
    }
    return compare(name, &v);
}

bool expect_broken(const char *name, enum entry_rule rule)
{
    struct entry_verdict v;
    entry_look(&v);
    const char *why = NULL;
    if (v.kind == VERDICT_NOT_JUDGED)
        why = open_words(&v);
    else if (rule == RULE_COUNT ? v.kind == VERDICT_BREAKS : !entry_breaks(&v, rule))
        why = rule == RULE_COUNT ? "this processor has less than that takes for granted"
                                 : "this processor allows it";
    if (why) {
        skipped(name, why);
        return true;
    }
    return compare(name, &v);
}

// ---- Cases ----

static const char *case_name(const struct entry_case *c, bool good)
{
    static char buf[TAP_NAME_MAX + 1];
    struct text t = text_in(buf, sizeof buf);
    entry_rule_id(&t, c->rule);
    if (c->number)
        text_add(&t, "-%u", c->number + 1);
    if (good)
        text_add(&t, "-good");
    return buf;
}

static const char *lacks(const struct entry_step *s)
{
    if (s->op == STEP_FEATURE || s->op == STEP_NO_FEATURE)
        return s->op == STEP_FEATURE ? "the processor lacks the feature" : "the processor has the feature";
    if (s->op == STEP_RESERVED_0 || s->op == STEP_RESERVED_1)
        return "the processor fixes no such bit";
    return "the processor lacks the control or state";
}

static void side(const struct entry_case *c, bool good)
{
    const char *name = case_name(c, good);
    section = entry_section_title((enum entry_section)entry_rules[c->rule].section);
    if (!valid_state(c->mode)) {
        skipped(name, "the processor lacks unrestricted guest");
        return;
    }
    const struct entry_step *s =
        entry_case_apply(c, good ? STEP_GOOD : STEP_BAD, &processor, entry_pages, &vm);
    if (s)
        skipped(name, lacks(s));
    else
        expect_broken(name, good ? RULE_COUNT : c->rule);
}

// A case whose good side is but the valid state of its mode has no point of its own for that.
static bool has_good_side(const struct entry_case *c)
{
    for (unsigned i = 0; i < c->steps; i++)
        if (c->step[i].when != STEP_BAD)
            return true;
    return false;
}

void entry_cases(enum entry_rule first, enum entry_rule end)
{
    for (struct entry_case c = {0}; entry_case_next(&c);) {
        if (c.rule < first || c.rule >= end)
            continue;
        side(&c, false);
        if (has_good_side(&c))
            side(&c, true);
    }
}

void entry_modes_enter(void)
{
    section = "VM Entries";
    for (enum entry_mode mode = 0; mode < MODE_COUNT; mode++) {
        const char *name = name_of("valid-%s", mode_names[mode]);
        if (valid_state(mode))
            expect_broken(name, RULE_COUNT);
        else
            skipped(name, "the processor lacks unrestricted guest");
    }
}

// ---- Sweeps ----

void entry_sweep(const struct sweep *s)
{
    static const uint8_t widths[] = {
        [VMCS_WIDTH_16] = 16, [VMCS_WIDTH_32] = 32, [VMCS_WIDTH_64] = 64, [VMCS_WIDTH_NAT] = 64};
    if (!field_exists(s->field) || !valid_state((enum entry_mode)s->mode)) {
        skipped(s->name, "the processor lacks the field or the mode");
        return;
    }
    for (unsigned bit = 0; bit < widths[vmcs_width(s->field)]; bit++) {
        if (!(s->bits >> bit & 1))
            continue;
        valid_state((enum entry_mode)s->mode);
        if (s->prepare)
            s->prepare();
        vm_xor(s->field, 1ull << bit);
        section = entry_section_title((enum entry_section)s->section);
        expect_judged(name_of("%s-bit-%02u", s->name, bit));
    }
}
