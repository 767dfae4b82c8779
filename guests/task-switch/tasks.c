#include "guests/task-switch/tasks.h"

enum {
    STACK = 2048,
    BUSY = 2,
    TSS32 = 0x89,
    TSS16 = 0x81,
    TASK_GATE = 0xe5,
    SMALL = 0x4000,
    GRANULAR = 0xc000
};

struct tss tss_main, tss_work, tss_second, tss_v86;
struct tss16 tss_narrow;
uint64_t gdt[GDT_BYTES / 8];
struct worked worked;
struct faulted faulted;
word_t resume;
uint16_t call_inside;
const volatile uint32_t *look_at;
bool leave_by_jump, leave_by_resume, send_nmi_inside;

static const uint8_t fault_vectors[TASK_FAULTS] = {VECTOR_DF, VECTOR_TS, VECTOR_NP, VECTOR_SS, VECTOR_GP};
static struct tss tss_fault[TASK_FAULTS];
static uint64_t ldt[2];
static char stack_work[STACK], stack_second[STACK], stack_fault[STACK];

struct far {
    uint32_t offset;
    uint16_t selector;
} __attribute__((packed));
const struct far to_main = {0, MAIN};

struct snapshot {
    uint32_t flags, edi, esi, ebp, esp, ebx, edx, ecx, eax;
};
void work_body(const struct snapshot *s);
_Noreturn void fault_body(uint32_t vector, uint32_t error_code);

// Neither IRET with NT set nor a jump to a task uses the stack. What runs from NARROW_CODE has neither: its
// stack pointer has 16 bits only.
// clang-format off
__asm__(".pushsection .text\n"
        ".globl work_entry, work_again, narrow_entry, narrow_end\n"
        "work_entry: pushal; pushfl; pushl %esp; call work_body; addl $4, %esp; popfl; popal\n"
        "  cmpb $0, leave_by_jump; jne 1f; iretl\n"
        "work_again: jmp work_entry\n"
        "1: ljmp *to_main\n"
        "fault_entry: pushl %eax; call fault_body\n"
        "narrow_entry: incw %ax; movw $0x5678, %dx; iretl\n"
        "narrow_end: nop\n"
        ".popsection");
// clang-format on
extern char fault_entry[];

static uint16_t task_register(void)
{
    uint16_t tr;
    __asm__ volatile("str %0" : "=r"(tr));
    return tr;
}

static uint16_t local_table(void)
{
    uint16_t selector;
    __asm__ volatile("sldt %0" : "=r"(selector));
    return selector;
}

static struct tss *task(uint16_t selector)
{
    static struct tss *const tasks[] = {&tss_main, &tss_work, &tss_second, NULL, &tss_v86};
    return selector >= MAIN && selector <= V86 ? tasks[(selector - MAIN) / 8] : NULL;
}

void work_body(const struct snapshot *s)
{
    uint16_t tr = task_register();
    if (!worked.runs++)
        worked = (struct worked){
            .runs = 1,
            .tr = tr,
            .link = (uint16_t)task(tr)->link,
            .main_busy = is_busy(MAIN),
            .self_busy = is_busy(tr),
            .ts = read_cr0() & CR0_TS,
            .flags = s->flags,
            .ebx = s->ebx,
            .esi = s->esi,
            .esp = s->esp,
            .top = *(uint32_t *)s->esp,
            .cr3 = read_cr3(),
            .looked = look_at ? *look_at : 0,
            .fs = read_fs(),
            .ldt = local_table(),
        };
    if (send_nmi_inside) {
        send_nmi_inside = false;
        apic_send(apic_id(), ICR_NMI);
        __asm__ volatile("nop; nop");
        worked.runs_inside = worked.runs;
    }
    if (leave_by_resume)
        tss_main.eip = resume;
    if (call_inside && tr == WORK) {
        struct far to = {0, call_inside};
        __asm__ volatile("lcall *%0" : : "m"(to) : "memory");
    }
}

_Noreturn void fault_body(uint32_t vector, uint32_t error_code)
{
    for (unsigned i = 0; i < TASK_FAULTS; i++)
        if (fault_vectors[i] == vector) {
            faulted = (struct faulted){(uint8_t)vector, (uint16_t)tss_fault[i].link, error_code, 0};
            if (task(faulted.task))
                faulted.ip = task(faulted.task)->eip;
        }
    tss_main.eip = resume;
    set_rights(MAIN, TSS32);
    for (;;)
        __asm__ volatile("ljmp *to_main");
}

// ---- Descriptors ----

uint64_t segment(uint32_t base, uint32_t limit, uint16_t rights)
{
    if (rights & 0x8000)
        limit >>= 12;
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)rights << 40 |
           (uint64_t)(limit & 0xf0000) << 32 | (uint64_t)(base >> 24) << 56;
}

void set_rights(uint16_t selector, uint8_t rights)
{
    gdt[selector / 8] = (gdt[selector / 8] & ~(0xffull << 40)) | (uint64_t)rights << 40;
}

bool is_busy(uint16_t selector)
{
    return gdt[selector / 8] >> 40 & BUSY;
}

struct table_register {
    uint16_t limit;
    word_t base;
} __attribute__((packed));

static uint64_t *idt(void)
{
    struct table_register r;
    __asm__ volatile("sidt %0" : "=m"(r));
    return (uint64_t *)r.base;
}

void set_task_gate(uint8_t vector, uint16_t selector)
{
    idt()[vector] = (uint64_t)selector << 16 | (uint64_t)TASK_GATE << 40;
}

static void set_gdt(void)
{
    const uint16_t flat = GRANULAR;
    gdt[CODE / 8] = segment(0, ~0u, flat | 0x9b);
    gdt[DATA / 8] = segment(0, ~0u, flat | 0x93);
    gdt[WORK / 8] = segment((word_t)&tss_work, sizeof tss_work - 1, TSS32);
    gdt[SECOND / 8] = segment((word_t)&tss_second, sizeof tss_second - 1, TSS32);
    gdt[NARROW / 8] = segment((word_t)&tss_narrow, sizeof tss_narrow - 1, TSS16);
    gdt[V86 / 8] = segment((word_t)&tss_v86, sizeof tss_v86 - 1, TSS32);
    for (unsigned i = 0; i < TASK_FAULTS; i++)
        gdt[FAULT / 8 + i] = segment((word_t)&tss_fault[i], sizeof tss_fault[i] - 1, TSS32);
    gdt[GATE / 8] = (uint64_t)WORK << 16 | (uint64_t)TASK_GATE << 40;
    gdt[LDT / 8] = segment((word_t)ldt, sizeof ldt - 1, 0x82);
    gdt[ABSENT_LDT / 8] = segment((word_t)ldt, sizeof ldt - 1, 0x02);
    gdt[NARROW_CODE / 8] = segment((word_t)narrow_entry, 0xff, SMALL | 0x9a);
    gdt[ABSENT / 8] = segment(0, ~0u, flat | 0x12);
    gdt[ABSENT_CODE / 8] = segment(0, ~0u, flat | 0x1a);
    gdt[READ_ONLY / 8] = segment(0, ~0u, flat | 0x90);
    gdt[EXECUTE_ONLY / 8] = segment(0, ~0u, flat | 0x98);
    gdt[SHORT_CODE / 8] = segment(0, 0xff, SMALL | 0x9a);
    gdt[SHORT_DATA / 8] = segment(0, 0xff, SMALL | 0x92);
    gdt[USER_CODE / 8] = segment(0, ~0u, flat | 0xfa);
    gdt[USER_DATA / 8] = segment(0, ~0u, flat | 0xf2);
    ldt[IN_LDT / 8] = segment(0, ~0u, flat | 0x92);
}

static struct tss new_task(const char *entry, char *stack)
{
    return (struct tss){
        .cr3 = read_cr3(),
        .eip = (word_t)entry,
        .eflags = RFLAGS_FIXED,
        .ebx = 0x13579bdf,
        .esi = 0x2468ace0,
        .esp = (word_t)(stack + STACK - 32),
        .es = DATA,
        .cs = CODE,
        .ss = DATA,
        .ds = DATA,
        .fs = DATA,
        .gs = DATA,
        .io_map = sizeof(struct tss),
    };
}

void prepare(void)
{
    static bool loaded;
    set_gdt();
    if (!loaded) {
        struct table_register gdtr = {sizeof gdt - 1, (word_t)gdt};
        gdt[MAIN / 8] = segment((word_t)&tss_main, sizeof tss_main - 1, TSS32);
        __asm__ volatile("lgdt %0; ltr %w1" : : "m"(gdtr), "r"(MAIN) : "memory");
        loaded = true;
    }
    tss_main.cr3 = read_cr3(); // never saved
    tss_work = new_task(work_entry, stack_work);
    tss_second = new_task(work_entry, stack_second);
    tss_v86 = new_task(work_entry, stack_second);
    for (unsigned i = 0; i < TASK_FAULTS; i++) {
        tss_fault[i] = new_task(fault_entry, stack_fault);
        tss_fault[i].eax = fault_vectors[i];
        set_task_gate(fault_vectors[i], (uint16_t)(FAULT + 8 * i));
    }
    tss_narrow = (struct tss16){
        .flags = RFLAGS_FIXED, .ax = 0x1234, .es = DATA, .cs = NARROW_CODE, .ss = DATA, .ds = DATA};
    memset(&worked, 0, sizeof worked);
    faulted = (struct faulted){.vector = VECTOR_NONE};
    call_inside = 0;
    look_at = NULL;
    leave_by_jump = leave_by_resume = send_nmi_inside = false;
}

#define CLOBBERED "eax", "ecx", "edx", "ebx", "esi", "edi", "memory", "cc"
#define ATTEMPT(text)                                                                       \
    __asm__ volatile("movl $9f, resume; " text "; 9: pushfl; andl $~0x4100, (%%esp); popfl" \
                     :                                                                      \
                     : "m"(to)                                                              \
                     : CLOBBERED)

void go(enum how how, uint16_t selector)
{
    struct far to = {0, selector};
    switch (how) {
    case BY_CALL:
        ATTEMPT("lcall *%0");
        break;
    case BY_JMP:
        ATTEMPT("ljmp *%0");
        break;
    case BY_INT:
        ATTEMPT("int $22");
        break;
    case BY_IRET:
        tss_main.link = selector;
        ATTEMPT("pushfl; orl $0x4000, (%%esp); popfl; iretl");
        break;
    case BY_GP:
        ATTEMPT("movl $0xfff8, %%eax; movw %%ax, %%fs");
        break;
    case BY_UD:
        ATTEMPT("ud2");
        break;
    case BY_DE:
        ATTEMPT("xorl %%ecx, %%ecx; xorl %%edx, %%edx; divl %%ecx");
        break;
    case BY_EVENT:
        ATTEMPT("sti; nop; nop; cli");
        break;
    case BY_HALT:
        ATTEMPT("sti; hlt; .globl behind_halt; behind_halt: cli");
        break;
    }
}
