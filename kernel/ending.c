#include "kernel/ending.h"
#include "arch/log.h"
#include "kernel/report.h"
#include "sdm/text.h"
#include "vmx/microscope.h"

enum { ROWS_A_STEP = 4, LOOKS_A_STEP = 8 };

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
    vm_lock(vm);
    guest_console_flush(&vm->console);
    vm_unlock(vm);
    if (vm->how == END_AGAIN) { // its points so far stand; its end is none
        log_info("%s: %s", m->name, vm->detail);
        return;
    }
    if (is_good(vm)) {
        log_info("%s ended: %s", m->name, vm->detail);
        report_point(POINT_OK, m->name, "end", NULL);
        return;
    }
    name_ending(expected, sizeof expected, m->expect, m->expect_code);
    name_ending(got, sizeof got, vm->how, vm->code);
    if (vm->has_plan && vm->delivered != vm->planned)
        format(text, sizeof text, "expected %u test points\ngot %u, then %s: %s", vm->planned, vm->delivered,
               got, vm->detail);
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
    if (part > 0)
        return vcpu_describe(&vm->teller->vcpu, part - 1, log_registers, vm);
    microscope_last(&vm->teller->vcpu, log_registers, vm);
    return true;
}

static bool wants_screen(const struct vm *vm)
{
    return vm->machine->dump_screen || (vm->watch && !is_good(vm));
}

// True: the last row is found that is not blank, or there is none.
static bool find_last_row(struct vm *vm)
{
    unsigned before = vm->rows, rows = screen_trim(vm->space, before, LOOKS_A_STEP);
    vm->rows = (uint8_t)rows;
    return before - rows < LOOKS_A_STEP;
}

// True: these are the last rows.
static bool tell_rows(struct vm *vm, unsigned first)
{
    char text[SCREEN_COLUMNS];
    for (unsigned row = first; row < first + ROWS_A_STEP && row < vm->rows; row++) {
        size_t len = screen_row(vm->space, row, text);
        log_info("%s: screen |%.*s", vm->machine->name, (int)len, text);
    }
    return first + ROWS_A_STEP >= vm->rows;
}

bool ending_tell(struct vm *vm)
{
    enum { POINT, REGISTERS, SCREEN = 16, ROWS };
    if (!report_has_room())
        return false;
    if (vm->told >= ROWS) {
        if (tell_rows(vm, (vm->told - ROWS) * ROWS_A_STEP))
            return true;
    } else if (vm->told == SCREEN) {
        if (!find_last_row(vm))
            return false;
    } else if (vm->told == POINT) {
        tell_point(vm);
        if (vm->how == END_AGAIN)
            return true;
    } else if (!tell_registers(vm, vm->told - REGISTERS)) {
        microscope_table(&vm->teller->vcpu, log_registers, vm);
        if (!wants_screen(vm))
            return true;
        vm->rows = SCREEN_ROWS;
        vm->told = SCREEN - 1;
    }
    vm->told++;
    return false;
}
