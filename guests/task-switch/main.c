// Task switches by hardware: never made by a processor under VMX, so all of it is the hypervisor's (SDM
// volume 3, "Task Management"). cmdline= outside, no-way-out, endless: ways in which this machine may hurt
// itself.
#include "guests/task-switch/tasks.h"

enum { DR7_INIT = 0x400, DR7_L0 = 1, DR7_G1 = 8, DR7_LE = 0x100, DR6_BS = 1 << 14, DR6_BT = 1 << 15 };
#define DR6_INIT 0xffff0ff0u

static void worked_by(const char *name, uint16_t link, bool nested)
{
    bool nt = worked.flags & FLAG_NT;
    check(worked.runs == 1 && worked.tr == WORK && nt == nested && (!nested || worked.link == link) &&
              worked.self_busy && worked.main_busy == nested && worked.ts && worked.ebx == tss_work.ebx &&
              worked.esi == 0x2468ace0,
          name,
          "expected one run in task %#x, NT %u, link %#x, TS\ngot %u in %#x, NT %u, link %#x, TS %u, busy "
          "%u, main "
          "busy %u, EBX %#x, ESI %#x",
          WORK, nested, link, worked.runs, worked.tr, nt, worked.link, worked.ts, worked.self_busy,
          worked.main_busy, worked.ebx, worked.esi);
}

static void back_in_main(const char *name, word_t left_at)
{
    uint16_t tr;
    __asm__ volatile("str %0" : "=r"(tr));
    check(
        tr == MAIN && is_busy(MAIN) && !is_busy(WORK) && tss_work.eip == left_at &&
            !(tss_work.eflags & FLAG_NT) && tss_main.eip == resume && tss_main.cs == CODE &&
            tss_main.ds == DATA,
        name,
        "expected to be in task %#x, busy, and that the other was left at %#lx without NT, this one at %#lx\n"
        "got %#x, busy %u %u, left at %#x with flags %#x, this at %#x",
        MAIN, (unsigned long)left_at, (unsigned long)resume, tr, is_busy(MAIN), is_busy(WORK), tss_work.eip,
        tss_work.eflags, tss_main.eip);
}

static void call_test(void)
{
    prepare();
    go(BY_CALL, WORK);
    worked_by("call", MAIN, true);
    back_in_main("call-iret", (word_t)work_again);
    go(BY_CALL, WORK);
    check_equal("call-again", 2, worked.runs);
    prepare();
    go(BY_CALL, GATE);
    worked_by("call-gate", MAIN, true);
    prepare();
    leave_by_jump = true;
    go(BY_JMP, WORK);
    worked_by("jmp", MAIN, false);
    prepare();
    set_rights(WORK, 0x8b);
    leave_by_jump = true;
    go(BY_IRET, WORK);
    worked_by("iret", MAIN, false);
}

static void gate_test(void)
{
    prepare();
    set_task_gate(VECTOR_TASK, WORK);
    go(BY_INT, WORK);
    worked_by("int", MAIN, true);
    back_in_main("int-iret", (word_t)work_again);
    prepare();
    set_task_gate(VECTOR_GP, WORK);
    leave_by_resume = true;
    go(BY_GP, WORK);
    worked_by("exception", MAIN, true);
    check_equal("exception-error-code", 0xfff8, worked.top);
    prepare();
    set_task_gate(VECTOR_UD, WORK);
    leave_by_resume = true;
    go(BY_UD, WORK);
    worked_by("exception-without-code", MAIN, true);
    check(worked.top == 0, "exception-nothing-pushed", "expected 0 on top of the stack\ngot %#x", worked.top);
}

// What the local APIC delivers: the interrupted task goes on where it was, behind its HLT, too. IRET from the
// handler's task ends the blocking of NMIs (SDM, "Handling Multiple NMIs").
static void event_test(void)
{
    enum { VECTOR = 0x51 };
    prepare();
    apic_enable(false);
    exception_handle(VECTOR, NULL); // for the IDT's limit
    set_task_gate(VECTOR, WORK);
    look_at = apic_at((enum apic_register)(APIC_ISR + VECTOR / 32));
    apic_self(VECTOR);
    go(BY_EVENT, WORK);
    worked_by("interrupt", MAIN, true);
    check(worked.looked >> VECTOR % 32 & 1, "interrupt-in-service", "expected its bit of ISR set\ngot %#x",
          worked.looked);
    apic_eoi();
    prepare();
    apic_self(VECTOR);
    go(BY_HALT, WORK);
    worked_by("interrupt-ends-halt", MAIN, true);
    check_equal("interrupt-behind-halt", (word_t)behind_halt, tss_main.eip);
    apic_eoi();
    prepare();
    set_task_gate(VECTOR_NMI, WORK);
    apic_send(apic_id(), ICR_NMI);
    __asm__ volatile("nop; nop");
    worked_by("nmi", MAIN, true);
    prepare();
    send_nmi_inside = true;
    apic_send(apic_id(), ICR_NMI);
    __asm__ volatile("nop; nop; nop");
    check(worked.runs == 2 && worked.runs_inside == 1 && faulted.vector == VECTOR_NONE, "nmi-until-iret",
          "expected 1 run inside, 2 in all, no fault\ngot %u, %u, %s", worked.runs_inside, worked.runs,
          fault_name(faulted.vector));
}

static void nested_test(void)
{
    prepare();
    call_inside = SECOND;
    go(BY_CALL, WORK);
    check(worked.runs == 2 && tss_second.link == WORK && tss_work.link == MAIN && !is_busy(SECOND) &&
              !is_busy(WORK),
          "nested", "expected 2 runs, links %#x and %#x, neither busy\ngot %u, %#x, %#x, %u %u", WORK, MAIN,
          worked.runs, tss_second.link, tss_work.link, is_busy(SECOND), is_busy(WORK));
}

static void narrow_test(void)
{
    prepare();
    go(BY_CALL, NARROW);
    check(tss_narrow.ax == 0x1235 && tss_narrow.dx == 0x5678 && tss_narrow.ip == narrow_end - narrow_entry &&
              tss_narrow.link == MAIN && tss_narrow.cs == NARROW_CODE && tss_narrow.ds == DATA &&
              !is_busy(NARROW),
          "16-bit",
          "expected AX 1235h, DX 5678h, IP %#x\ngot AX %#x, DX %#x, IP %#x, link %#x, CS %#x, DS %#x",
          (unsigned)(narrow_end - narrow_entry), tss_narrow.ax, tss_narrow.dx, tss_narrow.ip, tss_narrow.link,
          tss_narrow.cs, tss_narrow.ds);
}

static void v86_test(void)
{
    enum { AT = 0x9000, AT_HLT = 6, STACK = 0x800 };
    static const uint8_t code[] = {0x8c, 0xcb, 0xcd, 0x16,
                                   0x8c, 0xd2, 0xf4}; // mov bx, cs; int 22; mov dx, ss; hlt
    memcpy((void *)AT, code, sizeof code);
    prepare();
    tss_v86 =
        (struct tss){.eflags = RFLAGS_FIXED | FLAG_VM | FLAG_IOPL3, .cs = AT >> 4, .ss = STACK, .esp = 0xff0};
    tss_v86.cr3 = read_cr3();
    tss_v86.es = 0x1111;
    tss_v86.fs = 0x7777;
    set_task_gate(VECTOR_TASK, WORK);
    go(BY_CALL, V86);
    check(worked.runs == 1 && worked.link == V86 && worked.flags & FLAG_NT, "v86-int-gate",
          "expected one run, linked to %#x\ngot %u, %#x, flags %#x", V86, worked.runs, worked.link,
          worked.flags);
    check(faulted.vector == VECTOR_GP && faulted.task == V86 && faulted.ip == AT_HLT &&
              faulted.error_code == 0,
          "v86-fault", "expected #GP(0) in task %#x at %#x\ngot %s, code %#x, %#x at %#x", V86, AT_HLT,
          fault_name(faulted.vector), faulted.error_code, faulted.task, faulted.ip);
    check((uint16_t)tss_v86.ebx == AT >> 4 && (uint16_t)tss_v86.edx == STACK && tss_v86.eflags & FLAG_VM &&
              tss_v86.es == 0x1111 && tss_v86.fs == 0x7777 && tss_v86.cs == AT >> 4,
          "v86-state",
          "expected CS %#x, SS %#x, VM, ES 1111h, FS 7777h\ngot %#x, %#x, flags %#x, ES %#x, FS %#x", AT >> 4,
          STACK, tss_v86.ebx, tss_v86.edx, tss_v86.eflags, tss_v86.es, tss_v86.fs);
}

static void user_test(void)
{
    extern char user_entry[];
    __asm__(".pushsection .text; user_entry: movl %cs, %ebx; hlt; .popsection");
    prepare();
    tss_work.eip = (word_t)user_entry;
    tss_work.cs = USER_CODE | 3;
    tss_work.ss = tss_work.ds = tss_work.es = USER_DATA | 3;
    tss_work.gs = 0;
    tss_work.fs = USER_DATA;
    go(BY_CALL, WORK);
    check(faulted.vector == VECTOR_GP && faulted.task == WORK && tss_work.ebx == (USER_CODE | 3) &&
              tss_work.gs == 0,
          "user", "expected #GP of HLT in task %#x, CS %#x\ngot %s, task %#x at %#x, CS %#x", WORK,
          USER_CODE | 3, fault_name(faulted.vector), faulted.task, faulted.ip, tss_work.ebx);
}

static void ldt_test(void)
{
    prepare();
    tss_work.ldt = LDT;
    tss_work.fs = IN_LDT;
    go(BY_CALL, WORK);
    check(worked.ldt == LDT && worked.fs == IN_LDT, "ldt", "expected LDT %#x, FS %#x\ngot %#x, %#x", LDT,
          IN_LDT, worked.ldt, worked.fs);
}

static word_t traps, trapped_at, trapped_dr6;

static bool on_debug(struct frame *f)
{
    traps++;
    trapped_at = f->ip;
    trapped_dr6 = read_dr6() & (DR6_BS | DR6_BT);
    f->flags &= ~(word_t)RFLAGS_TF;
    return true;
}

static void trap_point(const char *name, word_t ip, word_t dr6)
{
    traps = 0;
    write_dr6(DR6_INIT);
    go(BY_CALL, WORK);
    check(traps == 1 && trapped_at == ip && trapped_dr6 == dr6 && worked.runs == 1, name,
          "expected one #DB at %#lx, DR6 %#lx\ngot %lu, at %#lx, %#lx", (unsigned long)ip, (unsigned long)dr6,
          (unsigned long)traps, (unsigned long)trapped_at, (unsigned long)trapped_dr6);
}

static void debug_test(void)
{
    exception_handle(VECTOR_DB, on_debug);
    prepare();
    tss_work.trap = 1;
    trap_point("trap-flag", (word_t)work_entry, DR6_BT);
    prepare();
    tss_work.eflags |= RFLAGS_TF;
    trap_point("single-step", (word_t)work_entry + 1, DR6_BS); // behind PUSHA
    prepare();
    write_dr7(DR7_INIT | DR7_L0 | DR7_G1 | DR7_LE);
    go(BY_CALL, WORK);
    word_t dr7 = read_dr7();
    write_dr7(DR7_INIT);
    check_equal("dr7-local-bits", DR7_INIT | DR7_G1, dr7);
}

static void hurt_itself(const char *how)
{
    prepare();
    if (strcmp(how, "outside") == 0)
        gdt[WORK / 8] = segment(0xf0000000, sizeof tss_work - 1, 0x89);
    if (strcmp(how, "no-way-out") == 0)
        for (uint8_t v = VECTOR_DF; v <= VECTOR_GP; v++)
            set_task_gate(v, WORK);
    tss_work.ss = strcmp(how, "endless") == 0 ? DATA : 0;
    for (;;)
        go(BY_CALL, WORK);
}

int main(const struct start_info *start)
{
    enum { HERE = 28 };
    if (*command_line(start))
        hurt_itself(command_line(start));
    tap_plan(HERE + fault_points() + paging_points());
    call_test();
    gate_test();
    event_test();
    nested_test();
    narrow_test();
    v86_test();
    user_test();
    ldt_test();
    debug_test();
    fault_test();
    paging_test();
    return tap_end();
}
