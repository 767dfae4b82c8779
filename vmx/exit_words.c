#include "vmx/exit_words.h"
#include "sdm/exit_reason.h"
#include "sdm/msr.h"
#include "sdm/qualification.h"
#include "sdm/text.h"
#include "sdm/vmcs_fields.h"

static const char *const gpr_names[16] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                          "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};

static void add_hex(struct text *t, const char *before, uint64_t v)
{
    text_add(t, before);
    text_hex(t, v);
}

static void add_dec(struct text *t, const char *before, uint64_t v)
{
    text_add(t, before);
    text_dec(t, v);
}

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
    if (event_types[e.type]) {
        text_add(t, event_types[e.type]);
        if (e.type != EVENT_NMI)
            add_hex(t, " ", e.vector);
        return;
    }
    text_add(t, exception_name(e.vector));
    const char *words = exception_words(e.vector);
    if (words) {
        text_add(t, " (");
        text_add(t, words);
        text_add(t, ")");
    } else {
        add_hex(t, " ", e.vector);
    }
    if (e.error_code)
        add_hex(t, ", error code ", error);
}

static void interruption_words(struct text *t, const struct exit_info *x)
{
    struct event e = decode_event(x->interruption);
    if (!e.valid)
        return;
    text_add(t, ": ");
    add_event(t, x->interruption, x->interruption_error);
    if (e.type == EVENT_HARDWARE_EXCEPTION && e.vector == EXC_PF)
        add_hex(t, ", address ", x->qualification);
}

static void external_words(struct text *t, const struct exit_info *x)
{
    if (decode_event(x->interruption).valid)
        add_hex(t, ", vector ", decode_event(x->interruption).vector);
}

static void sipi_words(struct text *t, const struct exit_info *x)
{
    add_hex(t, ", vector ", x->qualification & 0xff);
}

static void task_words(struct text *t, const struct exit_info *x)
{
    static const char *const sources[] = {" by CALL", " by IRET", " by JMP", " by a task gate in the IDT"};
    struct task_switch s = decode_task_switch(x->qualification);
    text_add(t, sources[s.source]);
    add_hex(t, " to selector ", s.selector);
}

static void cr_words(struct text *t, const struct exit_info *x)
{
    static const char *const verbs[] = {": MOV to CR", ": MOV from CR", ": CLTS", ": LMSW"};
    struct cr_access a = decode_cr_access(x->qualification);
    text_add(t, verbs[a.type]);
    if (a.type == CR_LMSW)
        add_hex(t, " ", a.lmsw_source);
    if (a.type > CR_MOV_FROM)
        return;
    text_dec(t, a.cr);
    text_add(t, a.type == CR_MOV_TO ? ", source " : ", destination ");
    text_add(t, gpr_names[a.gpr]);
}

static void dr_words(struct text *t, const struct exit_info *x)
{
    struct dr_access a = decode_dr_access(x->qualification);
    text_add(t, a.from_dr ? " from DR" : " to DR");
    text_dec(t, a.dr);
    text_add(t, a.from_dr ? ", destination " : ", source ");
    text_add(t, gpr_names[a.gpr]);
}

static void io_words(struct text *t, const struct exit_info *x)
{
    struct io_access a = decode_io_access(x->qualification);
    text_add(t, a.rep ? ": REP " : ": ");
    text_add(t, a.in ? "IN" : "OUT");
    text_add(t, a.string ? "S" : "");
    add_dec(t, " of ", a.size);
    add_hex(t, a.size == 1 ? " byte, port " : " bytes, port ", a.port);
}

static void msr_words(struct text *t, const struct exit_info *x)
{
    text_add(t, " of ");
    text_add(t, msr_name((uint32_t)x->rcx));
    add_hex(t, " (", (uint32_t)x->rcx);
    text_add(t, ")");
}

static void linear_words(struct text *t, const struct exit_info *x)
{
    add_hex(t, " of linear address ", x->qualification);
}

static void guest_state_words(struct text *t, const struct exit_info *x)
{
    static const char *const failures[] = {[ENTRY_FAILURE_PDPTE] = ": a PDPTE",
                                           [ENTRY_FAILURE_NMI] = ": NMI injected while STI blocks",
                                           [ENTRY_FAILURE_LINK] = ": VMCS link pointer"};
    if (x->qualification < array_size(failures) && failures[x->qualification])
        text_add(t, failures[x->qualification]);
    else if (x->qualification)
        add_hex(t, ", qualification ", x->qualification);
}

static void msr_loading_words(struct text *t, const struct exit_info *x)
{
    add_dec(t, ": entry ", x->qualification);
}

static void apic_words(struct text *t, const struct exit_info *x)
{
    static const char *const types[16] = {[APIC_LINEAR_READ] = "read",
                                          [APIC_LINEAR_WRITE] = "write",
                                          [APIC_LINEAR_FETCH] = "instruction fetch",
                                          [APIC_LINEAR_EVENT] = "access of event delivery",
                                          [APIC_LINEAR_MONITOR] = "monitoring"};
    struct apic_access a = decode_apic_access(x->qualification);
    text_add(t, ": ");
    text_add(t, types[a.type] ? types[a.type] : "guest-physical access");
    if (types[a.type])
        add_hex(t, " at offset ", a.offset);
}

// ", where one may read and execute"
static void add_rights(struct text *t, bool r, bool w, bool x)
{
    static const char *const rights[] = {
        "nothing is mapped",         "one may read",       "one may write",
        "one may read and write",    "one may execute",    "one may read and execute",
        "one may write and execute", "one may do anything"};
    text_add(t, ", where ");
    text_add(t, rights[r | w << 1 | x << 2]);
}

static void ept_violation_words(struct text *t, const struct exit_info *x)
{
    struct ept_violation v = decode_ept_violation(x->qualification);
    text_add(t, v.fetch ? ": instruction fetch from gpa " : v.write ? ": write to gpa " : ": read of gpa ");
    text_hex(t, x->physical.v);
    add_rights(t, v.readable, v.writable, v.executable);
    if (!v.linear_valid)
        return;
    add_hex(t, v.translated ? ", linear address " : ", page walk for linear address ", x->linear);
}

static void ept_misconfiguration_words(struct text *t, const struct exit_info *x)
{
    add_hex(t, " at gpa ", x->physical.v);
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

size_t exit_words(char *buf, size_t size, const struct exit_info *x)
{
    struct text t = text_in(buf, size);
    uint32_t basic = x->reason & REASON_BASIC;
    bool entry_failure = x->reason & REASON_ENTRY_FAILURE;
    text_add(&t, exit_reason_words(basic));
    if (!exit_reason_known(basic))
        add_dec(&t, " ", basic);
    else if (details[basic])
        details[basic](&t, x);
    if (!entry_failure && decode_event(x->idt_vectoring).valid) {
        text_add(&t, ", while delivering ");
        add_event(&t, x->idt_vectoring, x->idt_error);
    }
    return t.len;
}

void exit_info_read(struct exit_info *info, vmcs_read_fn read, void *context)
{
    const struct {
        uint32_t field;
        uint32_t *to;
    } words[] = {
        {EXIT_REASON,                     &info->reason            },
        {VM_EXIT_INTERRUPTION_INFO,       &info->interruption      },
        {VM_EXIT_INTERRUPTION_ERROR_CODE, &info->interruption_error},
        {IDT_VECTORING_INFO,              &info->idt_vectoring     },
        {IDT_VECTORING_ERROR_CODE,        &info->idt_error         },
        {VM_EXIT_INSTRUCTION_LENGTH,      &info->length            },
        {VM_EXIT_INSTRUCTION_INFO,        &info->instruction       },
    };
    const struct {
        uint32_t field;
        uint64_t *to;
    } longs[] = {
        {EXIT_QUALIFICATION,     &info->qualification},
        {GUEST_LINEAR_ADDRESS,   &info->linear       },
        {GUEST_PHYSICAL_ADDRESS, &info->physical.v   },
        {GUEST_RIP,              &info->rip          },
    };
    *info = (struct exit_info){0};
    uint64_t value;
    for (unsigned i = 0; i < array_size(words); i++)
        if (read(context, words[i].field, &value))
            *words[i].to = (uint32_t)value;
    for (unsigned i = 0; i < array_size(longs); i++)
        if (read(context, longs[i].field, &value))
            *longs[i].to = value;
}
