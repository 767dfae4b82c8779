// Fuzzing of VM entry: valid states of every mode with one to four fields changed at random; the entry doctor and the
// processor must be of one opinion. On the command line:
//     seed=N count=N             the random numbers, and how many attempts (3000)
//     try=MODE,FIELD=VALUE,...   one attempt, with what both have to say; a disagreement is printed in this form
#include "guests/vmx/lib/entry.h"

enum { CHANGES_MAX = 4, COUNT_DEFAULT = 3000, PAGE = 4096 };

struct change {
    unsigned at; // enum image_at
    uint64_t value, old;
};

static struct change changes[CHANGES_MAX];
static unsigned changed;
static enum entry_mode mode;

// ---- Random numbers ----

static uint64_t random_state;

static uint64_t random_64(void) // xorshift64*
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1dull;
}
static unsigned random_below(unsigned n)
{
    return (unsigned)((random_64() >> 32) * n >> 32);
}

// ---- What is changed ----

static uint16_t
    candidates[IMAGE_VALUES]; // enum image_at of what rules read, and behind it of all other fields
static unsigned of_rules, candidate_count;
static bool is_candidate[IMAGE_VALUES];

static uint32_t encoding_at(unsigned at)
{
    return at < VMCS_FIELD_COUNT ? vmcs_fields[at].encoding : FACT_FIRST + 2 * (at - VMCS_FIELD_COUNT);
}

// What ends the run, or whose every legal change would end the host, is left alone.
static bool left_alone(unsigned at)
{
    static const uint16_t some[] = {
        AT_PREEMPTION_TIMER_VALUE, AT_ATTEMPT,       AT_HOST_RSP,      AT_HOST_RIP,
        AT_VM_EXIT_MSR_LOAD_COUNT, AT_MEMORY_PDPTE0, AT_MEMORY_PDPTE1, AT_MEMORY_PDPTE2,
        AT_MEMORY_PDPTE3};
    for (unsigned i = 0; i < array_size(some); i++)
        if (some[i] == at)
            return true;
    return at < VMCS_FIELD_COUNT &&
           (!field_exists(encoding_at(at)) || vmcs_group(encoding_at(at)) == VMCS_EXIT_INFO);
}

static void add_candidate(unsigned at)
{
    if (is_candidate[at] || left_alone(at))
        return;
    is_candidate[at] = true;
    candidates[candidate_count++] = (uint16_t)at;
}

static void list_candidates(void)
{
    for (unsigned rule = 0; rule < RULE_COUNT; rule++)
        for (unsigned i = 0; i < entry_rules[rule].fields; i++)
            add_candidate(image_at(entry_rules[rule].field[i]));
    of_rules = candidate_count;
    for (unsigned at = 0; at < VMCS_FIELD_COUNT; at++)
        add_candidate(at);
}

static unsigned random_field(void)
{
    return candidates[random_below(random_below(16) ? of_rules : candidate_count)];
}

// Fields that lead to memory stay where they are but for bits that make no other page of them.
static bool is_address(unsigned at)
{
    static const uint16_t addresses[] = {
        AT_IO_BITMAP_A,
        AT_IO_BITMAP_B,
        AT_MSR_BITMAP,
        AT_VM_EXIT_MSR_STORE_ADDRESS,
        AT_VM_EXIT_MSR_LOAD_ADDRESS,
        AT_VM_ENTRY_MSR_LOAD_ADDRESS,
        AT_EXECUTIVE_VMCS_POINTER,
        AT_PML_ADDRESS,
        AT_VIRTUAL_APIC_ADDRESS,
        AT_APIC_ACCESS_ADDRESS,
        AT_POSTED_INTERRUPT_DESCRIPTOR,
        AT_EPTP_LIST_ADDRESS,
        AT_VMREAD_BITMAP,
        AT_VMWRITE_BITMAP,
        AT_VE_INFORMATION_ADDRESS,
        AT_EPT_POINTER,
        AT_VMCS_LINK_POINTER,
        AT_HOST_CR3,
    };
    for (unsigned i = 0; i < array_size(addresses); i++)
        if (addresses[i] == at)
            return true;
    return false;
}

static uint64_t random_address(uint64_t old)
{
    unsigned bit = random_below(24);
    if (bit < 12)
        return old ^ 1ull << bit;
    return old ^ 1ull << (processor.physical_width + random_below(64u - processor.physical_width));
}

static uint64_t random_constant(void)
{
    static const uint64_t constants[] = {0,     1,          2,          3,           4,           0xf,
                                         0xff,  0xffff,     0x10000,    0x7fffffff,  0x80000000,  0xffffffff,
                                         ~0ull, 1ull << 32, 1ull << 47, ~0ull << 47, ~0ull << 48, 1ull << 63};
    return constants[random_below(array_size(constants))];
}

static uint64_t random_event(void)
{
    static const uint8_t vectors[] = {0, 1, 2, 3, 6, 8, 10, 13, 14, 17, 18, 32, 255};
    uint64_t info = EVENT_INFO_VALID | random_below(8) << 8 | vectors[random_below(array_size(vectors))];
    return random_below(2) ? info | EVENT_INFO_ERROR_CODE : info;
}

static uint64_t random_value(unsigned at, uint64_t old, unsigned width)
{
    if (at == AT_VMCS_LINK_POINTER)
        return random_below(2) ? entry_pages + PAGE : random_address(entry_pages + PAGE);
    if (is_address(at))
        return random_address(old);
    if (at == AT_VM_ENTRY_INTERRUPTION_INFO && random_below(4))
        return random_event();
    if (at == AT_GUEST_ACTIVITY_STATE)
        return random_below(6);
    if (at == AT_VM_ENTRY_MSR_LOAD_COUNT || at == AT_VM_EXIT_MSR_STORE_COUNT)
        return random_below(IMAGE_MSRS + 1);
    unsigned how = random_below(8);
    return how == 0 ? random_64() : how == 1 ? random_constant() : old ^ 1ull << random_below(width);
}

static bool is_changed(unsigned at)
{
    for (unsigned i = 0; i < changed; i++)
        if (changes[i].at == at)
            return true;
    return false;
}

static void change(unsigned at)
{
    static const uint8_t widths[] = {
        [VMCS_WIDTH_16] = 16, [VMCS_WIDTH_32] = 32, [VMCS_WIDTH_64] = 64, [VMCS_WIDTH_NAT] = 64};
    unsigned width = at < VMCS_FIELD_COUNT ? widths[vmcs_width(vmcs_fields[at].encoding)] : 64;
    uint64_t old = vm.value[at], value = random_value(at, old, width) & (~0ull >> (64 - width));
    changes[changed++] = (struct change){at, value, old};
    vm.value[at] = value;
}

static void undo(void)
{
    while (changed)
        changed--, vm.value[changes[changed].at] = changes[changed].old;
}

// ---- What is tried ----

static bool any_changed(bool (*is)(unsigned at))
{
    for (unsigned i = 0; i < changed; i++)
        if (is(changes[i].at))
            return true;
    return false;
}

static bool is_host(unsigned at)
{
    return at == AT_VM_EXIT_CONTROLS || at == AT_VM_EXIT_MSR_LOAD_COUNT ||
           (at < VMCS_FIELD_COUNT && vmcs_group(vmcs_fields[at].encoding) == VMCS_HOST);
}
static bool is_interrupt_table(unsigned at)
{
    return at == AT_GUEST_IDTR_BASE || at == AT_GUEST_IDTR_LIMIT;
}
static bool is_fact(unsigned at)
{
    return at >= VMCS_FIELD_COUNT;
}

enum { PINS = PIN_EXTERNAL_INTERRUPT_EXITING | PIN_NMI_EXITING | PIN_PREEMPTION_TIMER };

// May the processor enter this guest, should it want to, though the doctor finds it wrong? What is refused for controls
// or host state never comes so far.
static bool survivable(const struct entry_verdict *v)
{
    if (v->kind == VERDICT_BREAKS) {
        unsigned kind = entry_rules[entry_next_broken(v, 0)].kind;
        if (kind != KIND_GUEST && kind != KIND_MSR_LOAD)
            return true;
    }
    bool event = vm.value[AT_VM_ENTRY_INTERRUPTION_INFO] & EVENT_INFO_VALID;
    return (vm.value[AT_PIN_BASED_CONTROLS] & PINS) == (vm_template.value[AT_PIN_BASED_CONTROLS] & PINS) &&
           !any_changed(is_host) && !(event && any_changed(is_interrupt_table));
}

static struct {
    unsigned tries, judged, open, not_tried, disagreements; // the tries of minimise() too
} counts;
static unsigned seen[RULE_COUNT + 1], wrong[RULE_COUNT + 1]; // by the first broken rule; [RULE_COUNT]: none

// The facts as they were, where the pointers are now.
static void take_facts_back(void)
{
    uint64_t now[CHANGES_MAX];
    for (unsigned i = 0; i < changed; i++) {
        now[i] = vm.value[changes[i].at];
        if (is_fact(changes[i].at))
            vm.value[changes[i].at] = changes[i].old;
    }
    entry_put_facts();
    for (unsigned i = 0; i < changed; i++)
        vm.value[changes[i].at] = now[i];
}

static const char *enter_changed(void)
{
    static const uint16_t made_safe[] = {AT_GUEST_ACTIVITY_STATE, AT_GUEST_CR3}; // by entry_make_safe()
    uint32_t fields[CHANGES_MAX + array_size(made_safe)];
    unsigned n = 0;
    for (unsigned i = 0; i < changed; i++)
        if (!is_fact(changes[i].at))
            fields[n++] = encoding_at(changes[i].at);
    for (unsigned i = 0; i < array_size(made_safe); i++)
        if (vm.value[made_safe[i]] != vm_template.value[made_safe[i]])
            fields[n++] = encoding_at(made_safe[i]);
    if (!any_changed(is_fact))
        return vm_enter_changed(fields, n);
    entry_put_facts();
    const char *why = vm_enter_changed(fields, n);
    take_facts_back();
    return why;
}

// Judges and enters. False: there is nothing to be compared.
static bool attempt(struct entry_verdict *v)
{
    counts.tries++;
    entry_look(v);
    counts.open += v->kind == VERDICT_NOT_JUDGED;
    if (v->kind == VERDICT_NOT_JUDGED || !survivable(v))
        return false;
    uint64_t activity = vm.value[AT_GUEST_ACTIVITY_STATE], cr3 = vm.value[AT_GUEST_CR3];
    entry_make_safe(v);
    const char *why = enter_changed();
    vm.value[AT_GUEST_ACTIVITY_STATE] = activity;
    vm.value[AT_GUEST_CR3] = cr3;
    counts.not_tried += why != NULL;
    return !why;
}

static bool agrees(const struct entry_verdict *v)
{
    return result.outcome != PROBE_NOTHING && entry_agrees(v, entry_got());
}

// ---- Disagreements ----

static void without(unsigned i)
{
    vm.value[changes[i].at] = changes[i].old;
    changes[i] = changes[--changed];
}

// Drops each change without which they still disagree. The verdict and the result are those of what is left.
static void minimise(struct entry_verdict *v)
{
    for (unsigned i = 0; changed > 1 && i < changed;) {
        struct change all[CHANGES_MAX];
        unsigned n = changed;
        memcpy(all, changes, sizeof all);
        without(i);
        if (attempt(v) && !agrees(v))
            continue; // another one stands at i now
        memcpy(changes, all, sizeof all);
        changed = n;
        for (unsigned k = 0; k < n; k++)
            vm.value[changes[k].at] = changes[k].value;
        i++;
    }
    attempt(v);
}

static const char *recipe(void)
{
    static char text[200];
    size_t n = format_text(text, sizeof text, "try=%s", mode_names[mode]);
    for (unsigned i = 0; i < changed; i++)
        n += format_text(text + n, sizeof text - n, ",%s=%#llx", image_name(encoding_at(changes[i].at)),
                         (unsigned long long)changes[i].value);
    return text;
}

static void tell(const struct entry_verdict *v)
{
    char expected[120];
    entry_expected(expected, sizeof expected, v);
    print("%s\n  doctor: %s\n  processor: %s\n", recipe(), expected, result_words());
}

// Kinds of disagreement: the rule that the doctor names first and the fields that it takes. The first of each is told,
// as long as there is room to remember it.
static bool is_new_kind(enum entry_rule rule)
{
    enum { KINDS_MAX = 128 };
    static uint64_t kinds[KINDS_MAX];
    static unsigned known;
    uint64_t kind = rule;
    for (unsigned i = 0; i < changed; i++)
        kind += (changes[i].at + 1) * (changes[i].at + 1) * 0x9e3779b97f4a7c15ull; // in whatever order
    for (unsigned i = 0; i < known; i++)
        if (kinds[i] == kind)
            return false;
    if (known == KINDS_MAX)
        return false;
    kinds[known++] = kind;
    return true;
}

static void one(void)
{
    struct entry_verdict v;
    for (unsigned n = 1 + random_below(CHANGES_MAX); n > 0; n--) {
        unsigned at = random_field();
        if (!is_changed(at))
            change(at);
    }
    if (attempt(&v)) {
        counts.judged++;
        seen[entry_next_broken(&v, 0)]++;
        if (!agrees(&v)) {
            minimise(&v);
            counts.disagreements++;
            enum entry_rule rule = entry_next_broken(&v, 0);
            wrong[rule]++;
            if (is_new_kind(rule))
                tell(&v);
        }
    }
    undo();
}

// ---- Runs ----

static uint8_t store_page[PAGE] __attribute__((aligned(PAGE)));

static bool begin(enum entry_mode of)
{
    mode = of;
    vm_open();
    if (!valid_state(mode))
        return false;
    vm.value[AT_VIRTUAL_APIC_ADDRESS] = entry_pages;
    vm.value[AT_VM_ENTRY_MSR_LOAD_ADDRESS] = entry_pages + ENTRY_CASE_MSR_PAGE * PAGE;
    vm.value[AT_VM_EXIT_MSR_STORE_ADDRESS] = physical(store_page);
    const char *why = vm_base();
    if (why)
        print("no base for %s: %s\n", mode_names[mode], why);
    return !why;
}

static void fuzz(unsigned count)
{
    unsigned done = 0;
    uint64_t ticks = 0;
    for (enum entry_mode m = 0; m < MODE_COUNT; m++) {
        if (!begin(m))
            continue;
        uint64_t from = rdtsc();
        for (unsigned i = 0; i < count / MODE_COUNT; i++, done++)
            one();
        ticks += rdtsc() - from;
    }
    info("%u attempts, %u compared, %u open, %u not tried, %u disagreements", done, counts.judged,
         counts.open, counts.not_tried, counts.disagreements);
    info("%llu ticks an attempt", counts.tries ? (unsigned long long)divide(ticks, counts.tries) : 0ull);
}

// A point for each rule that was broken first, and one for states that obey.
static void points(void)
{
    section = "VM Entries";
    for (unsigned rule = 0; rule <= RULE_COUNT; rule++) {
        char name[TAP_NAME_MAX + 1];
        struct text t = text_in(name, sizeof name);
        if (!seen[rule])
            continue;
        if (rule < RULE_COUNT)
            entry_rule_id(&t, (enum entry_rule)rule);
        else
            text_add(&t, "obeys");
        expect_true(name, !wrong[rule],
                    "expected that doctor and processor agree\ngot %u disagreements in %u attempts",
                    wrong[rule], seen[rule]);
    }
}

// ---- try= ----

static const char *word_behind(const char *line, const char *key)
{
    size_t n = strlen(key);
    for (const char *p = line; *p; p++)
        if ((p == line || p[-1] == ' ') && memcmp(p, key, n) == 0)
            return p + n;
    return NULL;
}

static size_t part_length(const char *p)
{
    size_t n = 0;
    while (p[n] && p[n] != ',' && p[n] != '=' && p[n] != ' ')
        n++;
    return n;
}

static bool is_word(const char *p, const char *word)
{
    return strlen(word) == part_length(p) && memcmp(p, word, strlen(word)) == 0;
}

static unsigned named(const char *p)
{
    unsigned at = 0;
    while (at < IMAGE_VALUES && !is_word(p, image_name(encoding_at(at))))
        at++;
    return at;
}

static uint64_t hex(const char *p)
{
    uint64_t value = 0;
    for (p += p[0] == '0' && p[1] == 'x' ? 2 : 0;; p++) {
        unsigned digit = *p >= 'a' ? (unsigned)(*p - 'a') + 10 : (unsigned)(*p - '0');
        if (digit > 15)
            return value;
        value = value << 4 | digit;
    }
}

static void try_one(const char *p)
{
    struct entry_verdict v;
    for (mode = 0; mode < MODE_COUNT && !is_word(p, mode_names[mode]);)
        mode++;
    if (mode == MODE_COUNT || !begin(mode)) {
        print("try=: no such mode here\n");
        return;
    }
    for (p += part_length(p); *p == ',' && changed < CHANGES_MAX;) {
        unsigned at = named(++p);
        p += part_length(p);
        if (at == IMAGE_VALUES || *p != '=') {
            print("try=: no such field\n");
            return;
        }
        uint64_t value = hex(++p);
        changes[changed++] = (struct change){at, value, vm.value[at]};
        vm.value[at] = value;
        p += part_length(p);
    }
    if (attempt(&v))
        tell(&v);
    else
        print("%s: not judged, or not tried\n", recipe());
    expect_true("agrees", v.kind == VERDICT_NOT_JUDGED || agrees(&v),
                "expected that doctor and processor agree");
    undo();
}

BUCKET("VM entries at random")
{
    const char *line = command_line(start), *recipe_given = word_behind(line, "try=");
    list_candidates();
    if (recipe_given) {
        try_one(recipe_given);
        return;
    }
    random_state = word_number(line, "seed", 1) * 0x9e3779b97f4a7c15ull | 1;
    fuzz((unsigned)word_number(line, "count", COUNT_DEFAULT));
    points();
}
