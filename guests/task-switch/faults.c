// What goes wrong on the way, and whose fault it is: the old or the new task's.
#include "guests/task-switch/tasks.h"

#define AT(field) offsetof(struct tss, field)
enum { NOTHING = 0 }; // the link is overwritten anyway

static const struct row {
    const char *name;
    uint16_t field, value; // of the worker's TSS
    uint8_t how;
    uint8_t vector;
    uint16_t error_code, task;
    uint16_t rights; // of the worker's descriptor; 0: as it should be
} rows[] = {
  // clang-format off
    {"ss-null",           AT(ss), 0,              BY_CALL, VECTOR_TS, 0,             WORK, 0},
    {"ss-read-only",      AT(ss), READ_ONLY,      BY_CALL, VECTOR_TS, READ_ONLY,     WORK, 0},
    {"ss-code",           AT(ss), CODE,           BY_CALL, VECTOR_TS, CODE,          WORK, 0},
    {"ss-dpl",            AT(ss), USER_DATA,      BY_CALL, VECTOR_TS, USER_DATA,     WORK, 0},
    {"ss-rpl",            AT(ss), DATA | 1,       BY_CALL, VECTOR_TS, DATA,          WORK, 0},
    {"ss-not-present",    AT(ss), ABSENT,         BY_CALL, VECTOR_SS, ABSENT,        WORK, 0},
    {"ss-beyond-gdt",     AT(ss), GDT_BYTES,      BY_CALL, VECTOR_TS, GDT_BYTES,     WORK, 0},
    {"ss-no-ldt",         AT(ss), IN_LDT,         BY_CALL, VECTOR_TS, IN_LDT,        WORK, 0},
    {"cs-null",           AT(cs), 0,              BY_CALL, VECTOR_TS, 0,             WORK, 0},
    {"cs-data",           AT(cs), DATA,           BY_CALL, VECTOR_TS, DATA,          WORK, 0},
    {"cs-tss",            AT(cs), MAIN,           BY_CALL, VECTOR_TS, MAIN,          WORK, 0},
    {"cs-not-present",    AT(cs), ABSENT_CODE,    BY_JMP,  VECTOR_NP, ABSENT_CODE,   WORK, 0},
    {"ds-execute-only",   AT(ds), EXECUTE_ONLY,   BY_CALL, VECTOR_TS, EXECUTE_ONLY,  WORK, 0},
    {"ds-not-present",    AT(ds), ABSENT,         BY_CALL, VECTOR_NP, ABSENT,        WORK, 0},
    {"ds-rpl",            AT(ds), DATA | 3,       BY_CALL, VECTOR_TS, DATA,          WORK, 0},
    {"es-beyond-gdt",     AT(es), 0xfff8,         BY_JMP,  VECTOR_TS, 0xfff8,        WORK, 0},
    {"fs-tss",            AT(fs), SECOND,         BY_CALL, VECTOR_TS, SECOND,        WORK, 0},
    {"gs-not-present",    AT(gs), ABSENT_CODE,    BY_CALL, VECTOR_NP, ABSENT_CODE,   WORK, 0},
    {"ldt-of-ldt",        AT(ldt), IN_LDT,        BY_CALL, VECTOR_TS, IN_LDT,        WORK, 0},
    {"ldt-no-ldt",        AT(ldt), DATA,          BY_CALL, VECTOR_TS, DATA,          WORK, 0},
    {"ldt-not-present",   AT(ldt), ABSENT_LDT,    BY_CALL, VECTOR_TS, ABSENT_LDT,    WORK, 0},
    {"eip-beyond-limit",  AT(cs), SHORT_CODE,     BY_CALL, VECTOR_GP, 0,             WORK, 0},
    {"int-ss-null",       AT(ss), 0,              BY_INT,  VECTOR_TS, 0,             WORK, 0},
    {"int-ss-read-only",  AT(ss), READ_ONLY,      BY_INT,  VECTOR_TS, READ_ONLY,     WORK, 0},
    // An exception is external to the program; two contributory ones are a double fault.
    {"ud-ss-read-only",   AT(ss), READ_ONLY,      BY_UD,   VECTOR_TS, READ_ONLY | 1, WORK, 0},
    {"ud-cs-not-present", AT(cs), ABSENT_CODE,    BY_UD,   VECTOR_NP, ABSENT_CODE | 1, WORK, 0},
    {"de-ss-read-only",   AT(ss), READ_ONLY,      BY_DE,   VECTOR_DF, 0,             WORK, 0},
    // The new stack does not take the error code.
    {"gp-ss-too-short",   AT(ss), SHORT_DATA,     BY_GP,   VECTOR_DF, 0,             WORK, 0},
    // Checked before anything changes.
    {"call-busy",         NOTHING, 0,             BY_CALL, VECTOR_GP, WORK,          MAIN, 0x8b},
    {"jmp-not-present",   NOTHING, 0,             BY_JMP,  VECTOR_NP, WORK,          MAIN, 0x09},
    {"iret-not-busy",     NOTHING, 0,             BY_IRET, VECTOR_TS, WORK,          MAIN, 0},
    {"iret-not-present",  NOTHING, 0,             BY_IRET, VECTOR_NP, WORK,          MAIN, 0x0b},
  // clang-format on
};

unsigned fault_points(void)
{
    return array_size(rows);
}

void fault_test(void)
{
    for (unsigned i = 0; i < array_size(rows); i++) {
        const struct row *r = &rows[i];
        prepare();
        memcpy((char *)&tss_work + r->field, &r->value, sizeof r->value);
        if (r->rights)
            set_rights(WORK, (uint8_t)r->rights);
        set_task_gate(VECTOR_TASK, WORK);
        set_task_gate(VECTOR_UD, WORK);
        set_task_gate(VECTOR_DE, WORK);
        if (r->how == BY_GP)
            set_task_gate(VECTOR_GP, WORK);
        go((enum how)r->how, WORK);
        check(faulted.vector == r->vector && faulted.error_code == r->error_code && faulted.task == r->task &&
                  !worked.runs && (r->task == MAIN || faulted.ip == (word_t)work_entry),
              r->name,
              "expected %s, error code %#x, in task %#x\ngot %s, %#x, in task %#x at %#x (ran %u times)",
              fault_name(r->vector), r->error_code, r->task, fault_name(faulted.vector), faulted.error_code,
              faulted.task, faulted.ip, worked.runs);
    }
}
