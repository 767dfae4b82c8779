#include "sdm/qualification.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/types.h"

static void cr_access(void **state)
{
    (void)state;
    struct cr_access a = decode_cr_access(0x0f04); // MOV CR4, R15
    assert_int_equal(a.cr, 4);
    assert_int_equal(a.type, CR_MOV_TO);
    assert_int_equal(a.gpr, 15);
    a = decode_cr_access(0x318); // MOV RBX, CR8
    assert_int_equal(a.cr, 8);
    assert_int_equal(a.type, CR_MOV_FROM);
    assert_int_equal(a.gpr, 3);
    assert_int_equal(decode_cr_access(0x20).type, CR_CLTS);
    a = decode_cr_access(0xbeef0070); // LMSW [mem]
    assert_int_equal(a.type, CR_LMSW);
    assert_true(a.lmsw_memory);
    assert_int_equal(a.lmsw_source, 0xbeef);
    a = decode_cr_access(UINT64_MAX);
    assert_int_equal(a.cr, 15);
    assert_int_equal(a.gpr, 15);
}

static void dr_access(void **state)
{
    (void)state;
    struct dr_access a = decode_dr_access(0x917); // MOV R9, DR7
    assert_int_equal(a.dr, 7);
    assert_int_equal(a.gpr, 9);
    assert_true(a.from_dr);
    assert_false(decode_dr_access(0x907).from_dr);
}

static void io_access(void **state)
{
    (void)state;
    struct io_access a = decode_io_access(0x03f80008); // IN AL, DX
    assert_int_equal(a.port, 0x3f8);
    assert_int_equal(a.size, 1);
    assert_true(a.in && !a.string && !a.rep && !a.immediate);
    a = decode_io_access(0x00800041); // OUT 80H, AX
    assert_int_equal(a.port, 0x80);
    assert_int_equal(a.size, 2);
    assert_true(!a.in && a.immediate);
    a = decode_io_access(0xffff0033); // REP OUTSD
    assert_int_equal(a.port, 0xffff);
    assert_int_equal(a.size, 4);
    assert_true(!a.in && a.string && a.rep);
}

static void ept_violation(void **state)
{
    (void)state;
    struct ept_violation v = decode_ept_violation(0x181 | 1 << 5);
    assert_true(v.read && !v.write && !v.fetch && v.executable && !v.readable);
    assert_true(v.linear_valid && v.translated);
    v = decode_ept_violation(0x82);
    assert_true(v.write && v.linear_valid && !v.translated);
    v = decode_ept_violation(1 << 12 | 4);
    assert_true(v.fetch && v.nmi_unblocking && !v.linear_valid);
}

static void others(void **state)
{
    (void)state;
    struct task_switch t = decode_task_switch(0xc0000028);
    assert_int_equal(t.selector, 0x28);
    assert_int_equal(t.source, TASK_BY_GATE);
    struct apic_access a = decode_apic_access(0x10b0 | 1 << 16);
    assert_int_equal(a.offset, 0xb0);
    assert_int_equal(a.type, APIC_LINEAR_WRITE);
    assert_true(a.asynchronous);
}

static void events(void **state)
{
    (void)state;
    struct event e = decode_event(0x80000b0d); // #GP with error code
    assert_true(e.valid && e.error_code && !e.nmi_unblocking);
    assert_int_equal(e.vector, 13);
    assert_int_equal(e.type, EVENT_HARDWARE_EXCEPTION);
    assert_false(decode_event(0x00000b0d).valid);
    assert_true(decode_event(0x80001b0e).nmi_unblocking);
    assert_int_equal(event_info(EVENT_HARDWARE_EXCEPTION, 13, true), 0x80000b0d);
    assert_int_equal(event_info(EVENT_NMI, 2, false), 0x80000202);
    assert_int_equal(event_info(EVENT_EXTERNAL_INTERRUPT, 0xff, false), 0x800000ff);
    assert_int_equal(event_reinject(0xfffffb0e), 0x80000b0e);
    for (unsigned type = 0; type < 8; type++)
        assert_int_equal(event_has_length(type), type >= 4 && type <= 6);
}

static void instruction_info(void **state)
{
    (void)state;
    // VMREAD [RBX + RSI*8 + disp], RCX in 64-bit mode, DS
    struct instruction_info i =
        decode_instruction_info(1u << 28 | 3u << 23 | 6u << 18 | 3u << 15 | 2u << 7 | 3);
    assert_int_equal(i.scale, 8);
    assert_int_equal(i.address_size, 8);
    assert_false(i.is_register);
    assert_int_equal(i.segment, SEG_DS);
    assert_true(i.has_index && i.has_base);
    assert_int_equal(i.index, 6);
    assert_int_equal(i.base, 3);
    assert_int_equal(i.reg2, 1);
    // RDRAND R10, 64 bits
    i = decode_instruction_info(10u << 3 | 2u << 11);
    assert_int_equal(i.reg1, 10);
    assert_int_equal(i.operand_size, 8);
    // LIDT [disp16], no base, no index
    i = decode_instruction_info(3u << 28 | 1u << 27 | 1u << 22 | 1u << 11);
    assert_true(!i.has_base && !i.has_index && i.operand_32);
    assert_int_equal(i.identity, INSTR_LIDT);
    assert_int_equal(i.address_size, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cr_access),        cmocka_unit_test(dr_access), cmocka_unit_test(io_access),
        cmocka_unit_test(ept_violation),    cmocka_unit_test(others),    cmocka_unit_test(events),
        cmocka_unit_test(instruction_info),
    };
    return cmocka_run_group_tests_name("qualification", tests, NULL, NULL);
}
