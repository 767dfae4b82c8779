// The abnormal end of a machine, in words.
#include "arch/cpu.h"
#include "arch/features.h"
#include "arch/memory.h"
#include "arch/string.h"
#include "mm/mm.h"
#include "sdm/exit_reason.h"
#include "sdm/text.h"
#include "sdm/vm_error.h"
#include "vmx/doctor.h"
#include "vmx/dump.h"
#include "vmx/exit.h"

// Asks for no field that does not exist: that VMfail would leave its error where a failed entry's is still needed.
static bool read_field(void *context, uint32_t encoding, uint64_t *value)
{
    (void)context;
    const struct vmcs_field *f = vmcs_field_find(encoding);
    if (!f || !vmx_caps_field_exists(&vmx_caps, f))
        return false;
    *value = vmread_raw(encoding);
    return true;
}

// ---- The entry doctor, asked about the current VMCS ----

// What VM entry reads from memory, and where the VMCS says that it is.
static const struct {
    uint16_t field, offset; // address, and how far behind it
    uint16_t at;            // enum image_at of the first value
    uint8_t bytes, known;
} facts[] = {
    {VIRTUAL_APIC_ADDRESS,      0x80, AT_VTPR,          4,               KNOWN_VTPR  },
    {VMCS_LINK_POINTER,         0,    AT_LINK_REVISION, 4,               KNOWN_LINK  },
    {VM_ENTRY_MSR_LOAD_ADDRESS, 0,    AT_ENTRY_MSR_0,   16 * IMAGE_MSRS, KNOWN_MSRS  },
    {GUEST_CR3,                 0,    AT_MEMORY_PDPTE0, 32,              KNOWN_PDPTES},
};

static bool owns(const struct vcpu *v, uint64_t address)
{
    return address >> PAGE_SHIFT < frames.count &&
           frames.frames[address >> PAGE_SHIFT].owner == OWNER_VM + v->vm_id;
}

// Only in frames that the machine, or the hypervisor on its account, has: what else a broken VMCS names may be nothing.
static void read_facts(struct vmcs_image *im, const struct vcpu *v)
{
    for (unsigned i = 0; i < array_size(facts); i++) {
        uint64_t from = (image_get(im, facts[i].field) & ~15ull) + facts[i].offset;
        if (!owns(v, from) || from % PAGE_SIZE + facts[i].bytes > PAGE_SIZE)
            continue;
        memcpy(&im->value[facts[i].at], hpa_to_virt(hpa(from)), facts[i].bytes);
        im->known |= facts[i].known;
    }
}

static void describe_processor(struct entry_env *env, const struct vcpu *v)
{
    *env = (struct entry_env){.caps = vmx_caps,
                              .physical_width = (uint8_t)features.physical_bits,
                              .linear_width = (uint8_t)features.linear_bits,
                              .current_vmcs = v->vmcs->region.v};
    for (unsigned f = 0; f < FEATURE_COUNT; f++)
        if (cpu_has(f))
            entry_env_set_feature(env, f);
    if (features.max_leaf >= 0xa) {
        struct cpuid counters = cpuid(0xa, 0);
        entry_env_set_counters(env, counters.eax, counters.edx);
    }
    entry_env_prepare(env);
}

// Whoever asks has seen the entry fail: it was by VMLAUNCH with a clear VMCS, or by VMRESUME with a launched one.
static void take_image(struct vmcs_image *im, struct entry_env *env, const struct vcpu *v)
{
    image_read(im, read_field, NULL);
    read_facts(im, v);
    describe_processor(env, v);
}

static noinline_cold void add_sentence(const struct vcpu *v, struct text *t)
{
    struct vmcs_image im;
    struct entry_env env;
    take_image(&im, &env, v);
    text_add(t, ": ");
    doctor_sentence(t, &im, &env);
}

// True: a broken rule explains it.
static noinline_cold bool tell_rules(const struct vcpu *v, line_fn line, void *context)
{
    struct vmcs_image im;
    struct entry_env env;
    take_image(&im, &env, v);
    return doctor_tell(&im, &env, line, context);
}

static void no_line(void *context, const char *text)
{
    (void)context;
    (void)text;
}

// The VMCS of a vCPU that ended so keeps what says it.
static bool refused(void)
{
    uint32_t error = vmread32(VM_INSTRUCTION_ERROR);
    return vmread32(EXIT_REASON) & REASON_ENTRY_FAILURE || error == VM_ERROR_ENTRY_CONTROLS ||
           error == VM_ERROR_ENTRY_HOST_STATE;
}

// ---- Ends ----

static void describe_exit(const struct vcpu *v, struct text *t)
{
    struct exit_info info;
    exit_info_read(&info, read_field, NULL);
    info.rcx = v->gpr[RCX];
    exit_words(t, &info);
}

void diagnose_end(struct vcpu *v, enum ending how)
{
    char text[DETAIL_MAX];
    struct text t = text_in(text, sizeof text);
    describe_exit(v, &t);
    if (how == END_ENTRY_FAILED)
        add_sentence(v, &t);
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
    char text[DETAIL_MAX];
    struct text t = text_in(text, sizeof text);
    if (error) {
        text_add(&t, "VM entry failed: error %u, %s", error, vm_error_words(error));
        add_sentence(v, &t);
    } else {
        text_add(&t, "VM entry failed: no VMCS is current");
    }
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
    struct text t = text_in(text, sizeof text);
    va_list args;
    va_start(args, fmt);
    text_add_v(&t, fmt, args);
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
    struct text t = text_in(text, sizeof text);
    text_add(&t, "last exit: ");
    if (ever_left(v))
        describe_exit(v, &t);
    else
        text_add(&t, "none, it never had its turn");
    to->line(to->context, text);
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

static void describe_refusal(const struct vcpu *v, const struct listener *to)
{
    if (refused())
        tell_rules(v, (line_fn)to->line, to->context);
}

bool vcpu_describe(struct vcpu *v, unsigned part, void (*line)(void *context, const char *text),
                   void *context)
{
    static void (*const parts[])(const struct vcpu *v, const struct listener *to) = {
        describe_last_exit, describe_general, describe_control, describe_refusal};
    struct vcpu *current = this_pcpu()->current;
    if (part >= array_size(parts) + VMCS_DUMP_PARTS)
        return false;
    vmcs_bind(v->vmcs);
    if (part < array_size(parts))
        parts[part](v, &(struct listener){line, context});
    else if (refused() && !tell_rules(v, no_line, NULL)) // the whole VMCS only where nothing explains it
        vmcs_dump(part - (unsigned)array_size(parts), read_field, NULL, (line_fn)line, context);
    if (current)
        vmcs_bind(current->vmcs);
    return true;
}
