#include "vmx/exit_words.h"
#include "sdm/exit_reason.h"
#include "sdm/msr.h"
#include "sdm/qualification.h"
#include "sdm/vmcs_fields.h"

static const char *const gpr_names[16] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                          "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};

static const char *const event_types[8] = {
    [EVENT_EXTERNAL_INTERRUPT] = "external interrupt",
    [EVENT_RESERVED] = "event of the reserved type",
    [EVENT_NMI] = "NMI",
    [EVENT_SOFTWARE_INTERRUPT] = "software interrupt",
    [EVENT_OTHER] = "other event",
};

// "#GP (general protection), error code 10h", "external interrupt 30h", "NMI"
static void add_event(struct text *t, uint32_t info, uint32_t error)
{
    struct event e = decode_event(info);
    const char *words = exception_words(e.vector);
    if (e.type == EVENT_NMI)
        text_add(t, "NMI");
    else if (event_types[e.type])
        text_add(t, "%s %xh", event_types[e.type], e.vector);
    else if (words)
        text_add(t, "%s (%s)", exception_name(e.vector), words);
    else
        text_add(t, "%s %xh", exception_name(e.vector), e.vector);
    if (!event_types[e.type] && e.error_code)
        text_add(t, ", error code %xh", error);
}

static void interruption_words(struct text *t, const struct exit_info *x)
{
    struct event e = decode_event(x->interruption);
    if (!e.valid)
        return;
    text_add(t, ": ");
    add_event(t, x->interruption, x->interruption_error);
    if (e.type == EVENT_HARDWARE_EXCEPTION && e.vector == EXC_PF)
        text_add(t, ", address %lxh", x->qualification);
}

static void external_words(struct text *t, const struct exit_info *x)
{
    if (decode_event(x->interruption).valid)
        text_add(t, ", vector %xh", decode_event(x->interruption).vector);
}

static void sipi_words(struct text *t, const struct exit_info *x)
{
    text_add(t, ", vector %lxh", x->qualification & 0xff);
}

static void task_words(struct text *t, const struct exit_info *x)
{
    static const char *const sources[] = {"CALL", "IRET", "JMP", "a task gate in the IDT"};
    struct task_switch s = decode_task_switch(x->qualification);
    text_add(t, " by %s to selector %xh", sources[s.source], s.selector);
}

static void cr_words(struct text *t, const struct exit_info *x)
{
    struct cr_access a = decode_cr_access(x->qualification);
    const char *gpr = gpr_names[a.gpr];
    if (a.type == CR_MOV_TO)
        text_add(t, ": MOV to CR%u, source %s", a.cr, gpr);
    else if (a.type == CR_MOV_FROM)
        text_add(t, ": MOV from CR%u, destination %s", a.cr, gpr);
    else if (a.type == CR_CLTS)
        text_add(t, ": CLTS");
    else
        text_add(t, ": LMSW %xh", a.lmsw_source);
}

static void dr_words(struct text *t, const struct exit_info *x)
{
    struct dr_access a = decode_dr_access(x->qualification);
    text_add(t, a.from_dr ? " from DR%u, destination %s" : " to DR%u, source %s", a.dr, gpr_names[a.gpr]);
}

static void io_words(struct text *t, const struct exit_info *x)
{
    struct io_access a = decode_io_access(x->qualification);
    text_add(t, ": %s%s%s of %u %s, port %xh", a.rep ? "REP " : "", a.in ? "IN" : "OUT", a.string ? "S" : "",
             a.size, a.size == 1 ? "byte" : "bytes", a.port);
}

static void msr_words(struct text *t, const struct exit_info *x)
{
    text_add(t, " of %s (%xh)", msr_name((uint32_t)x->rcx), (uint32_t)x->rcx);
}

static void linear_words(struct text *t, const struct exit_info *x)
{
    text_add(t, " of linear address %lxh", x->qualification);
}

static void guest_state_words(struct text *t, const struct exit_info *x)
{
    static const char *const failures[] = {[ENTRY_FAILURE_PDPTE] = "a PDPTE",
                                           [ENTRY_FAILURE_NMI] = "NMI injected while STI blocks",
                                           [ENTRY_FAILURE_LINK] = "VMCS link pointer"};
    if (x->qualification < array_size(failures) && failures[x->qualification])
        text_add(t, ": %s", failures[x->qualification]);
    else if (x->qualification)
        text_add(t, ", qualification %lxh", x->qualification);
}

static void msr_loading_words(struct text *t, const struct exit_info *x)
{
    text_add(t, ": entry %lu", x->qualification);
}

static void apic_words(struct text *t, const struct exit_info *x)
{
    static const char *const types[16] = {[APIC_LINEAR_READ] = "read",
                                          [APIC_LINEAR_WRITE] = "write",
                                          [APIC_LINEAR_FETCH] = "instruction fetch",
                                          [APIC_LINEAR_EVENT] = "access of event delivery",
                                          [APIC_LINEAR_MONITOR] = "monitoring"};
    struct apic_access a = decode_apic_access(x->qualification);
    if (types[a.type])
        text_add(t, ": %s at offset %xh", types[a.type], a.offset);
    else
        text_add(t, ": guest-physical access");
}

static void ept_violation_words(struct text *t, const struct exit_info *x)
{
    static const char *const rights[] = {
        "nothing is mapped",         "one may read",       "one may write",
        "one may read and write",    "one may execute",    "one may read and execute",
        "one may write and execute", "one may do anything"};
    struct ept_violation v = decode_ept_violation(x->qualification);
    text_add(t, ": %s gpa %lxh, where %s",
             v.fetch   ? "instruction fetch from"
             : v.write ? "write to"
                       : "read of",
             x->physical, rights[v.readable | v.writable << 1 | v.executable << 2]);
    if (v.linear_valid)
        text_add(t, ", %s %lxh", v.translated ? "linear address" : "page walk for linear address", x->linear);
}

static void ept_misconfiguration_words(struct text *t, const struct exit_info *x)
{
    text_add(t, " at gpa %lxh", x->physical);
}

// What a reason's own fields add to its name.
static void (*const details[REASON_COUNT])(struct text *, const struct exit_info *) = {
    [REASON_EXCEPTION_OR_NMI] = interruption_words,
    [REASON_EXTERNAL_INTERRUPT] = external_words,
    [REASON_SIPI] = sipi_words,
    [REASON_TASK_SWITCH] = task_words,
    [REASON_INVLPG] = linear_words,
    [REASON_CR_ACCESS] = cr_words,
    [REASON_MOV_DR] = dr_words,
    [REASON_IO_INSTRUCTION] = io_words,
    [REASON_RDMSR] = msr_words,
    [REASON_WRMSR] = msr_words,
    [REASON_INVALID_GUEST_STATE] = guest_state_words,
    [REASON_MSR_LOADING] = msr_loading_words,
    [REASON_APIC_ACCESS] = apic_words,
    [REASON_EPT_VIOLATION] = ept_violation_words,
    [REASON_EPT_MISCONFIGURATION] = ept_misconfiguration_words,
};

void exit_words(struct text *t, const struct exit_info *x)
{
    uint32_t basic = x->reason & REASON_BASIC;
    text_add(t, "%s", exit_reason_words(basic));
    if (!exit_reason_known(basic))
        text_add(t, " %u", basic);
    else if (details[basic])
        details[basic](t, x);
    if (!(x->reason & REASON_ENTRY_FAILURE) && decode_event(x->idt_vectoring).valid) {
        text_add(t, ", while delivering ");
        add_event(t, x->idt_vectoring, x->idt_error);
    }
}

void exit_info_read(struct exit_info *info, vmcs_read_fn read, void *context)
{
    *info = (struct exit_info){0};
#define X(member, field)                      \
    if (!read(context, field, &info->member)) \
        info->member = 0;
    EXIT_INFO(X)
#undef X
}
