// The VM function that switches EPTs.
#include "guests/vmx/lib/ept.h"

CODE(code_switch, "vmfunc; mov (%rbx), %rax");
static uint64_t *list;
static uint8_t *second_target;
static uint64_t second_pointer;

// A second EPT that differs in the window alone: its PML4 is a copy with another entry.
static bool build_second(void)
{
    static uint64_t tables[4][512] __attribute__((aligned(4096)));
    if (!ept_window[4])
        return false;
    ept_window_map(ept_target);
    memcpy(tables[0], (const void *)((word_t)ept_window[4] & ~(word_t)(EPT_PAGE - 1)), EPT_PAGE);
    tables[0][1] = physical(tables[1]) | EPT_RWX;
    tables[1][0] = physical(tables[2]) | EPT_RWX;
    tables[2][0] = physical(tables[3]) | EPT_RWX;
    tables[3][0] = physical(second_target) | EPT_RWX | EPT_WB;
    second_pointer = physical(tables[0]) | EPTP_WB | EPTP_WALK_4;
    *(uint64_t *)(ept_target + EPT_OFFSET + 8) = 1;
    *(uint64_t *)(second_target + EPT_OFFSET + 8) = 2;
    return true;
}

static void describe_switch(uint32_t function, uint32_t index)
{
    ept_window_map(ept_target);
    ept_describe(code_switch, EPT_OFFSET + 8);
    vm_control(WORD_SECONDARY, SECONDARY_VM_FUNCTIONS, true);
    vm_control(WORD_FUNCTION, FUNCTION_EPTP_SWITCHING, true);
    vm_set(EPTP_LIST_ADDRESS, physical(list));
    vm_set(EXCEPTION_BITMAP, ~0u);
    vm_watch(EPT_POINTER);
    vm_watch(EPTP_INDEX);
    memset(list, 0, EPT_PAGE);
    list[0] = ept_pointer;
    list[1] = list[511] = second_pointer;
    vm_gpr[0] = function;
    vm_gpr[1] = index;
}

static void switching(void)
{
    static const struct {
        const char *name;
        uint64_t flip; // of a pointer in the list
    } bad[] = {
        {"memory-type", 2 ^ 6  },
        {"walk-length", 1 << 3 },
        {"reserved-8",  1 << 8 },
        {"reserved-11", 1 << 11},
    };
    section = "EPTP Switching";
    ept_describe(code_switch, EPT_OFFSET);
    vm_gpr[0] = vm_gpr[1] = 0;
    vm_set(EXCEPTION_BITMAP, ~0u);
    expect_exception("vmfunc-not-enabled", VECTOR_UD, -1);
    if (!can(WORD_FUNCTION, FUNCTION_EPTP_SWITCHING) || !build_second()) {
        skipped("switch", "no EPTP switching, or no room for a second EPT");
        return;
    }
    describe_switch(0, 0);
    expect_passed("switch-to-same");
    expect_equal("switch-to-same-value", "value read", 1, vm_gpr[0]);
    describe_switch(0, 1);
    expect_passed("switch");
    expect_equal("switch-value", "value read", 2, vm_gpr[0]);
    expect_equal("switch-pointer", "EPT_POINTER", second_pointer, vm_saw(EPT_POINTER));
    if (can(WORD_SECONDARY, SECONDARY_EPT_VIOLATION_VE))
        expect_equal("switch-index", "EPTP index", 1, vm_saw(EPTP_INDEX));
    else
        skipped("switch-index", "no EPT-violation #VE");
    describe_switch(0, 511);
    expect_passed("switch-last");
    expect_equal("switch-last-value", "value read", 2, vm_gpr[0]);
    describe_switch(0, 1);
    vm_user();
    expect_reason("switch-cpl3", REASON_VMCALL);
    describe_switch(0, 512);
    expect_reason("switch-beyond-list", REASON_VMFUNC);
    expect_equal("switch-beyond-list-length", "instruction length", 3, result.length);
    describe_switch(0, 1);
    vm_control(WORD_FUNCTION, FUNCTION_EPTP_SWITCHING, false);
    expect_reason("switch-function-off", REASON_VMFUNC);
    describe_switch(1, 1);
    expect_reason("switch-function-1", REASON_VMFUNC);
    describe_switch(63, 1);
    expect_reason("switch-function-63", REASON_VMFUNC);
    describe_switch(64, 1);
    expect_exception("switch-function-64", VECTOR_UD, -1);
    for (unsigned i = 0; i < array_size(bad); i++) {
        describe_switch(0, 1);
        list[1] ^= bad[i].flip;
        expect_reason(name_of("switch-bad-%s", bad[i].name), REASON_VMFUNC);
    }
    for (uint64_t bits = ept_beyond_width(); bits; bits &= bits - 1) {
        describe_switch(0, 1);
        list[1] |= bits & -bits;
        expect_reason(name_of("switch-bad-bit-%d", __builtin_ctzll(bits)), REASON_VMFUNC);
    }
}

BUCKET("EPTP switching")
{
    ept_begin();
    second_target = page_take();
    list = page_take();
    switching();
}
