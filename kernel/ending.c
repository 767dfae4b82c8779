#include "kernel/ending.h"
#include "arch/format.h"
#include "arch/log.h"
#include "kernel/report.h"

enum { ROWS_A_STEP = 4 };

static bool is_good(const struct vm *vm)
{
    const struct machine *m = vm->machine;
    if (vm->has_plan && vm->delivered != vm->planned)
        return false;
    return vm->how == m->expect && (vm->how != END_EXIT || vm->code == m->expect_code);
}

static void name_ending(char *buf, size_t size, enum ending how, uint64_t code)
{
    if (how == END_EXIT)
        format(buf, size, "%s:%lu", ending_word(how), code);
    else
        format(buf, size, "%s", ending_word(how));
}

static void tell_point(struct vm *vm)
{
    const struct machine *m = vm->machine;
    char expected[40], got[40], text[400];
    guest_console_flush(&vm->console);
    if (is_good(vm)) {
        log_info("%s ended: %s", m->name, vm->detail);
        report_point(POINT_OK, m->name, "end", NULL);
        return;
    }
    name_ending(expected, sizeof expected, m->expect, m->expect_code);
    name_ending(got, sizeof got, vm->how, vm->code);
    if (vm->has_plan && vm->delivered != vm->planned)
        format(text, sizeof text, "expected %u test points\ngot %u, then %s: %s", vm->planned, vm->delivered, got, vm->detail);
    else
        format(text, sizeof text, "expected %s\ngot %s: %s", expected, got, vm->detail);
    report_point(POINT_NOT_OK, m->name, "end", text);
}

static void log_registers(void *context, const char *line)
{
    const struct vm *vm = context;
    log_info("%s: %s", vm->machine->name, line);
}

// What the user needs to see of an end that was not expected. False: there is no such part.
static bool tell_registers(struct vm *vm, unsigned part)
{
    if (is_good(vm) || vm->how == END_EXIT || vm->how == END_SCREEN)
        return false;
    return vcpu_describe(vm->vcpu, part, log_registers, vm);
}

static bool wants_screen(const struct vm *vm)
{
    return vm->machine->dump_screen || (vm->watch && !is_good(vm));
}

// Part 0 only looks how many rows there are.
static bool tell_screen(struct vm *vm, unsigned part)
{
    char text[SCREEN_COLUMNS];
    if (part == 0)
        vm->rows = wants_screen(vm) ? (uint8_t)screen_rows(vm->space) : 0;
    unsigned end = part * ROWS_A_STEP;
    for (unsigned row = part ? end - ROWS_A_STEP : 0; row < end && row < vm->rows; row++) {
        size_t len = screen_row(vm->space, row, text);
        log_info("%s: screen |%.*s", vm->machine->name, (int)len, text);
    }
    return end < vm->rows;
}

bool ending_tell(struct vm *vm)
{
    enum { REGISTERS = 1, SCREEN = 16 };
    if (!report_has_room())
        return false;
    if (vm->told < REGISTERS)
        tell_point(vm);
    else if (vm->told < SCREEN && !tell_registers(vm, vm->told - REGISTERS))
        vm->told = SCREEN;
    if (vm->told >= SCREEN && !tell_screen(vm, vm->told - SCREEN))
        return true;
    vm->told++;
    return false;
}
