#include "guests/vmx/lib/vmx.h"

// ---- Hypercall ----

static sword_t probe(enum probe_op op, word_t first, word_t second)
{
    return hypercall(HC_PROBE, op, first, second, 0, 0);
}

static const char *refusal(sword_t got)
{
    return got < 0 ? error_text((enum error) - got) : NULL;
}

// ---- Memory ----

enum { POOL_PAGES = 96, PAGE = 4096 };
static uint8_t pool[POOL_PAGES][PAGE] __attribute__((aligned(4096)));
static bool taken[POOL_PAGES];
uint8_t scratch_page[PAGE] __attribute__((aligned(4096)));

uint64_t physical(const volatile void *at)
{
    return (uint64_t)probe(PROBE_ADDRESS, (word_t)at, 0);
}

// Frames need not follow one another where pages do; backed from the highest page down they mostly do. Entered code
// must find the rest there too: it exits where it touches what is not.
static void memory_touch(void)
{
    for (unsigned i = POOL_PAGES; i-- > 0;)
        *(volatile uint8_t *)pool[i] = 0;
    for (char *page = image_start; page < image_end; page += PAGE)
        *(volatile char *)page = *page;
}

static bool run_at(unsigned first, unsigned n)
{
    uint64_t at = physical(pool[first]);
    for (unsigned i = 0; i < n; i++)
        if (taken[first + i] || physical(pool[first + i]) != at + (uint64_t)i * PAGE)
            return false;
    return true;
}

void *pages_take(unsigned n)
{
    for (unsigned first = 0; first + n <= POOL_PAGES; first++)
        if (run_at(first, n)) {
            memset(&taken[first], true, n);
            memset(pool[first], 0, (size_t)n * PAGE);
            return pool[first];
        }
    return NULL;
}

// ---- The description ----

struct vmcs_image vm;
static struct vmcs_image template;
extern const struct vmcs_image vm_template __attribute__((alias("template")));
uint64_t vm_gpr[16];
uint32_t vm_flags;
struct probe_attempt result;

static bool exists[VMCS_FIELD_COUNT];
static struct vmcs_image entered; // as vm was at the last attempt
static struct probe_field watched[16];
static unsigned watches;

void vm_set(uint32_t field, uint64_t value)
{
    image_set(&vm, field, value);
}

uint64_t vm_get(uint32_t field)
{
    return image_get(&vm, field);
}

void vm_xor(uint32_t field, uint64_t bits)
{
    vm_set(field, vm_get(field) ^ bits);
}

void vm_reset(void)
{
    vm = template;
    vm_flags = 0;
    watches = 0;
    memset(vm_gpr, 0, sizeof vm_gpr);
    memset(scratch_page, 0, sizeof scratch_page);
    vm_set(GUEST_RSP, (word_t)subject_stack + sizeof subject_stack - 16);
}

void vm_control(enum vmcs_control_word word, uint64_t bit, bool on)
{
    static const uint32_t fields[WORD_COUNT] = {
        [WORD_PIN] = PIN_BASED_CONTROLS,        [WORD_PRIMARY] = PRIMARY_CONTROLS,
        [WORD_SECONDARY] = SECONDARY_CONTROLS,  [WORD_TERTIARY] = TERTIARY_CONTROLS,
        [WORD_EXIT] = VM_EXIT_CONTROLS,         [WORD_ENTRY] = VM_ENTRY_CONTROLS,
        [WORD_FUNCTION] = VM_FUNCTION_CONTROLS, [WORD_EXIT2] = SECONDARY_VM_EXIT_CONTROLS,
    };
    uint64_t old = vm_get(fields[word]);
    vm_set(fields[word], on ? old | bit : old & ~bit);
}

void vm_watch(uint32_t field)
{
    if (watches < array_size(watched))
        watched[watches++] = (struct probe_field){.field = field};
}

uint64_t vm_saw(uint32_t field)
{
    for (unsigned i = 0; i < watches; i++)
        if (watched[i].field == field)
            return watched[i].value;
    return 0;
}

// ---- Attempts ----

static struct probe_field fields[PROBE_FIELDS_MAX];

// What differs from `from`, and nothing that the hypervisor would not find.
static unsigned differences(const struct vmcs_image *from)
{
    unsigned n = 0;
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++)
        if (vm.value[i] != from->value[i] && exists[i] && n < array_size(fields))
            fields[n++] = (struct probe_field){.field = vmcs_fields[i].encoding, .value = vm.value[i]};
    return n;
}

// With the first `writes` of fields[].
static const char *send(uint32_t flags, unsigned writes)
{
    enum { PATIENCE = 100 };
    result = (struct probe_attempt){.flags = flags, .writes = writes, .fields = (word_t)fields};
    for (unsigned i = 0; i < watches && result.writes + result.reads < array_size(fields); i++)
        fields[result.writes + result.reads++] = watched[i];
    memcpy(result.gpr, vm_gpr, sizeof vm_gpr);
    sword_t got = probe(PROBE_ATTEMPT, (word_t)&result, 0);
    for (unsigned n = 0; got == -E_AGAIN && n < PATIENCE; n++) { // who is to send a signal is busy
        yield();
        got = probe(PROBE_ATTEMPT, (word_t)&result, 0);
    }
    const char *why = refusal(got);
    if (why)
        return why;
    memcpy(vm_gpr, result.gpr, sizeof vm_gpr);
    memcpy(watched, fields + result.writes, result.reads * sizeof *watched);
    return NULL;
}

static const char *attempt(uint32_t flags, const struct vmcs_image *from)
{
    const char *why = send(flags, differences(from));
    if (!why)
        entered = vm;
    return why;
}

const char *vm_enter_changed(const uint32_t *changed, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        fields[i] = (struct probe_field){.field = changed[i], .value = vm_get(changed[i])};
    return send(vm_flags, n);
}

const char *vm_enter(void)
{
    return attempt(vm_flags, &template);
}

const char *vm_again(void)
{
    return attempt(vm_flags | PROBE_KEEP, &entered);
}

static bool failed_with(enum vm_error error)
{
    return result.outcome == PROBE_FAIL_VALID && result.error == error;
}

static bool interrupted(void)
{
    return result.outcome == PROBE_ENTERED && result.reason == REASON_EXTERNAL_INTERRUPT;
}

const char *vm_continue(void)
{
    const char *why;
    do {
        why = attempt(PROBE_KEEP | PROBE_RESUME, &entered);
        if (!why && failed_with(VM_ERROR_VMRESUME_NOT_LAUNCHED))
            why = attempt(PROBE_KEEP, &entered);
    } while (!why && interrupted());
    return why;
}

void log_flush(void)
{
    probe(PROBE_FLUSH, 0, 0);
}

// ---- Steps ----

static struct probe_step steps[PROBE_STEPS_MAX];
static unsigned step_count;

void steps_begin(void)
{
    step_count = 0;
}

struct probe_step *step_with(enum probe_instruction i, uint64_t operand, uint64_t value, uint64_t value2,
                             uint16_t flags)
{
    struct probe_step *s = &steps[step_count++];
    *s = (struct probe_step){
        .instruction = (uint16_t)i, .operand = operand, .value = value, .value2 = value2, .flags = flags};
    return s;
}

struct probe_step *step(enum probe_instruction i, uint64_t operand)
{
    return step_with(i, operand, 0, 0, 0);
}

const char *steps_run(void)
{
    return refusal(probe(PROBE_RUN, (word_t)steps, step_count));
}

// ---- The processor ----

struct entry_env processor;

bool box_msr(uint32_t index, uint64_t *value)
{
    static uint64_t got;
    bool there = probe(PROBE_MSR, index, (word_t)&got) >= 0;
    *value = there ? got : 0;
    return there;
}

static uint64_t read_capability(void *context, uint32_t msr)
{
    (void)context;
    uint64_t value;
    box_msr(msr, &value);
    return value;
}

bool field_exists(uint32_t field)
{
    unsigned at = image_at(field);
    return at < VMCS_FIELD_COUNT && exists[at];
}

struct cpuid_regs box_cpuid(uint32_t leaf, uint32_t subleaf)
{
    static struct cpuid_regs got __attribute__((aligned(8)));
    probe(PROBE_CPUID, (uint64_t)subleaf << 32 | leaf, (word_t)&got);
    return got;
}

static void read_processor(void)
{
    vmx_caps_read(&processor.caps, read_capability, NULL);
    uint32_t widths = box_cpuid(0x80000008, 0).r[CPUID_EAX];
    processor.physical_width = (uint8_t)widths;
    processor.linear_width = (uint8_t)(widths >> 8);
    processor.current_vmcs = (uint64_t)probe(PROBE_VMCS, 0, 0);
    struct cpuid_regs counters = box_cpuid(0xa, 0);
    if (box_cpuid(0, 0).r[CPUID_EAX] >= 0xa)
        entry_env_set_counters(&processor, counters.r[CPUID_EAX], counters.r[CPUID_EDX]);
    for (unsigned f = 0; f < FEATURE_COUNT; f++) {
        struct cpuid_regs regs = box_cpuid(cpuid_features[f].leaf, cpuid_features[f].subleaf);
        if (cpuid_feature_in((enum cpuid_feature)f, &regs))
            entry_env_set_feature(&processor, (enum cpuid_feature)f);
    }
    entry_env_prepare(&processor);
}

static void read_template(void)
{
    static struct probe_field all[VMCS_FIELD_COUNT];
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++)
        all[i].field = vmcs_fields[i].encoding;
    for (unsigned done = 0; done < VMCS_FIELD_COUNT; done += PROBE_FIELDS_MAX) {
        unsigned n = VMCS_FIELD_COUNT - done < PROBE_FIELDS_MAX ? VMCS_FIELD_COUNT - done : PROBE_FIELDS_MAX;
        probe(PROBE_TEMPLATE, (word_t)&all[done], n);
    }
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++) {
        exists[i] = !(all[i].flags & PROBE_ABSENT);
        template.value[i] = all[i].value;
    }
}

// ---- The bucket ----

const struct start_info *start;
CODE(landing, "");

const char *vm_base(void)
{
    const char *why = refusal(probe(PROBE_BASE, (word_t)fields, differences(&template)));
    if (!why)
        template = vm;
    return why;
}

static const char *open(void)
{
    return refusal(probe(PROBE_OPEN, (word_t)landing, (word_t)scratch_page));
}

void vm_open(void)
{
    open();
    read_template();
}

int main(const struct start_info *information)
{
    start = information;
    memory_touch();
    const char *why = open();
    if (why) {
        print("no probe: %s (is caps=probe on the module line?)\n", why);
        return 1;
    }
    read_processor();
    read_template();
    vm_reset();
    bucket();
    return points_end();
}
