// Task switches: they exit always, from four sources, behind what makes them fault.
#include "guests/vmx/lib/vmx.h"

CODE(code_task_call, ".code32; lcall $0x68, $0; .code64");
CODE(code_task_jmp, ".code32; ljmp $0x68, $0; .code64");
CODE(code_task_iret, ".code32; iret; .code64");
CODE(code_task_int, ".code32; int $0x30; .code64");
CODE(code_task_ud, ".code32; ud2; .code64");

// Two task-state segments: the one that the subject runs on, which names the other as the one to go back to.
static uint32_t tasks[2][26];
enum {
    OUTER = SUBJECT_FREE,
    PRESENT_BUSY_TSS = 0x8b,
    TASK_GATE = 0x85,
    AVAILABLE_TSS = 0x89,
    GATE_VECTOR = 0x30
};

static void task_descriptor(uint16_t selector, const void *at, uint8_t type)
{
    uint64_t base = (word_t)at;
    subject_gdt[selector / 8] =
        (sizeof *tasks - 1) | (base & 0xffffff) << 16 | (uint64_t)type << 40 | (base >> 24 & 0xff) << 56;
}

static const struct task_row {
    const char *name, *code;
    uint8_t source, length;
    bool busy; // what it switches to
    uint32_t vectoring;
} task_rows[] = {
    {"call",      code_task_call, TASK_BY_CALL, 7, false, 0        },
    {"jmp",       code_task_jmp,  TASK_BY_JMP,  7, false, 0        },
    {"iret",      code_task_iret, TASK_BY_IRET, 1, true,  0        },
    {"int",       code_task_int,  TASK_BY_GATE, 2, false,
     EVENT_INFO_VALID | EVENT_SOFTWARE_INTERRUPT << 8 | GATE_VECTOR},
    {"exception", code_task_ud,   TASK_BY_GATE, 0, false,
     EVENT_INFO_VALID | EVENT_HARDWARE_EXCEPTION << 8 | VECTOR_UD  },
};

static const char *describe_task(const struct task_row *r)
{
    vm_reset();
    const char *why = vm_mode(MODE_PROTECTED);
    if (why)
        return why;
    vm_tables();
    tasks[0][0] = OUTER;
    vm_set(GUEST_TR_BASE, (word_t)tasks[0]);
    vm_set(GUEST_TR_LIMIT, sizeof *tasks - 1);
    task_descriptor(SUBJECT_TSS, tasks[0], PRESENT_BUSY_TSS);
    task_descriptor(OUTER, tasks[1], r->busy ? PRESENT_BUSY_TSS : AVAILABLE_TSS);
    subject_idt[GATE_VECTOR] = subject_idt[VECTOR_UD] = (uint64_t)OUTER << 16 | (uint64_t)TASK_GATE << 40;
    if (r->source == TASK_BY_IRET)
        vm_set_bits(GUEST_RFLAGS, RFLAGS_NT);
    vm_run(r->code);
    return NULL;
}

static void task_switches(void)
{
    for (unsigned n = 0; n < array_size(task_rows); n++) {
        const struct task_row *r = &task_rows[n];
        const char *why = describe_task(r);
        if (why) {
            skipped(name_of("task-%s", r->name), why);
            continue;
        }
        section = "Exit Qualification for Task Switches";
        expect_exit(name_of("task-%s", r->name), REASON_TASK_SWITCH, OUTER | (uint64_t)r->source << 30);
        section = "Information for VM Exits Due to Instruction Execution";
        if (r->length)
            expect_equal(name_of("task-%s-length", r->name), "instruction length", r->length, result.length);
        section = "Saving RIP, RSP, RFLAGS, and SSP";
        expect_equal(name_of("task-%s-rip", r->name), "RIP", (word_t)r->code, result.rip);
        section = "Information for VM Exits During Event Delivery";
        expect_equal(name_of("task-%s-vectoring", r->name), "IDT-vectoring information", r->vectoring,
                     result.vectoring & (r->vectoring ? ~0ull : EVENT_INFO_VALID));
        section = "Treatment of Task Switches"; // nothing of it has happened
        uint64_t type = subject_gdt[OUTER / 8] >> 40 & 0xff;
        expect_equal(name_of("task-%s-undone", r->name), "type of the new TSS",
                     r->busy ? PRESENT_BUSY_TSS : AVAILABLE_TSS, type);
    }
}

// What makes a task switch fault does so before the exit.
static void task_faults(void)
{
    section = "Treatment of Task Switches";
    struct task_row jmp = task_rows[1];
    jmp.busy = true;
    if (describe_task(&jmp)) {
        skipped("task-busy", "the processor has no unrestricted guest");
        return;
    }
    vm_set(EXCEPTION_BITMAP, 0xffffffff);
    expect_exception("task-jmp-to-busy", VECTOR_GP, OUTER);
    describe_task(&task_rows[1]);
    vm_set(EXCEPTION_BITMAP, 0xffffffff);
    subject_gdt[OUTER / 8] &= ~(1ull << 47); // P
    expect_exception("task-jmp-not-present", VECTOR_NP, OUTER);
}

BUCKET("task switches")
{
    task_switches();
    task_faults();
}
