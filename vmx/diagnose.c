#include "vmx/diagnose.h"
#include "arch/format.h"
#include "sdm/exit_reason.h"
#include "sdm/vm_error.h"
#include "vmx/dump.h"
#include "vmx/exit.h"

// With VMfail for what does not exist.
static bool read_field(void *context, uint32_t encoding, uint64_t *value)
{
    (void)context;
    bool failed;
    __asm__ volatile("vmread %2, %0" : "=r"(*value), "=@ccbe"(failed) : "r"((uint64_t)encoding) : "cc");
    return !failed;
}

static void describe_exit(const struct vcpu *v, char *buf, size_t size)
{
    struct exit_info info;
    exit_info_read(&info, read_field, NULL);
    info.rcx = v->gpr[RCX];
    exit_words(buf, size, &info);
}

void diagnose_end(struct vcpu *v, enum ending how)
{
    char text[200];
    describe_exit(v, text, sizeof text);
    vcpu_upcalls.end(v, how, text);
}

// ---- A failed VMLAUNCH or VMRESUME, from vmx/entry.asm ----

struct retry {
    struct vcpu *v;  // whom to enter next
    uint64_t launch; // by VMLAUNCH
};
struct retry vmx_entry_failed(struct vcpu *v);

// VMfailInvalid means that no VMCS is current, which is this hypervisor's own mistake.
static uint32_t instruction_error(void)
{
    uint64_t current;
    __asm__ volatile("vmptrst %0" : "=m"(current)::"cc", "memory");
    return current == ~0ull ? 0 : vmread32(VM_INSTRUCTION_ERROR);
}

struct retry vmx_entry_failed(struct vcpu *v)
{
    uint32_t error = instruction_error();
    if (error == VM_ERROR_VMRESUME_NOT_LAUNCHED)
        return (struct retry){v, true};
    char text[160];
    if (error)
        format(text, sizeof text, "VM entry failed: error %u, %s", error, vm_error_words(error));
    else
        format(text, sizeof text, "VM entry failed: no VMCS is current");
    vcpu_upcalls.end(v, END_ENTRY_FAILED, text);
    return (struct retry){vcpu_upcalls.turn(), false};
}

// ---- Registers ----

struct listener {
    void (*line)(void *context, const char *text);
    void *context;
};

static printf_like(2, 3) void say(const struct listener *to, const char *fmt, ...)
{
    char text[200];
    va_list args;
    va_start(args, fmt);
    format_v(text, sizeof text, fmt, args);
    va_end(args);
    to->line(to->context, text);
}

// A failed entry is not counted as an exit.
static bool ever_left(const struct vcpu *v)
{
    uint32_t exits = vmread32(EXIT_REASON) & REASON_ENTRY_FAILURE;
    for (unsigned i = 0; i < EXIT_REASONS_COUNTED; i++)
        exits |= v->exits[i];
    return exits;
}

static void describe_last_exit(const struct vcpu *v, const struct listener *to)
{
    char text[200];
    if (ever_left(v))
        describe_exit(v, text, sizeof text);
    else
        format(text, sizeof text, "none, it never had its turn");
    say(to, "last exit: %s", text);
}

static void describe_general(const struct vcpu *v, const struct listener *to)
{
    const uint64_t *g = v->gpr;
    say(to, "rip %016lx rsp %016lx rflags %08lx", vmread_nat(GUEST_RIP), vmread_nat(GUEST_RSP),
        vmread_nat(GUEST_RFLAGS));
    say(to, "rax %016lx rbx %016lx rcx %016lx rdx %016lx", g[RAX], g[RBX], g[RCX], g[RDX]);
    say(to, "rsi %016lx rdi %016lx rbp %016lx r8  %016lx", g[RSI], g[RDI], g[RBP], g[R8]);
    say(to, "r9  %016lx r10 %016lx r11 %016lx r12 %016lx", g[R9], g[R10], g[R11], g[R12]);
    say(to, "r13 %016lx r14 %016lx r15 %016lx", g[R13], g[R14], g[R15]);
}

static void describe_control(const struct vcpu *v, const struct listener *to)
{
    (void)v;
    char bits[80];
    bits_text(bits, sizeof bits, vmread_nat(GUEST_CR0), &cr0_bits);
    say(to, "cr0 %08lx (%s) cr3 %lx cr4 %lx efer %lx", vmread_nat(GUEST_CR0), bits, vmread_nat(GUEST_CR3),
        vmread_nat(GUEST_CR4), vmread64(GUEST_EFER));
    say(to, "cs %04x base %lx rights %x, ss %04x base %lx rights %x, idt %lx limit %x",
        vmread16(GUEST_CS_SELECTOR), vmread_nat(GUEST_CS_BASE), vmread32(GUEST_CS_ACCESS_RIGHTS),
        vmread16(GUEST_SS_SELECTOR), vmread_nat(GUEST_SS_BASE), vmread32(GUEST_SS_ACCESS_RIGHTS),
        vmread_nat(GUEST_IDTR_BASE), vmread32(GUEST_IDTR_LIMIT));
}

// All of a VMCS that the processor refused. Long, but no guest can ask for it again and again.
static void describe_refused(const struct vcpu *v, const struct listener *to)
{
    (void)v;
    if (vmread32(EXIT_REASON) & REASON_ENTRY_FAILURE)
        vmcs_dump(read_field, NULL, (line_fn)to->line, to->context);
}

bool vcpu_describe(struct vcpu *v, unsigned part, void (*line)(void *context, const char *text),
                   void *context)
{
    static void (*const parts[])(const struct vcpu *v, const struct listener *to) = {
        describe_last_exit, describe_general, describe_control, describe_refused};
    struct vcpu *current = this_pcpu()->current;
    if (part >= array_size(parts))
        return false;
    vmcs_bind(v->vmcs);
    parts[part](v, &(struct listener){line, context});
    if (current)
        vmcs_bind(current->vmcs);
    return true;
}
