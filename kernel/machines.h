// All module lines, judged before any machine is built: which modules become machines, which are data for
// another, which are refused and why. Pure.
#pragma once
#include "kernel/loader.h"
#include "kernel/machine.h"

enum module_role { MODULE_MACHINE, MODULE_DATA, MODULE_REFUSED };

struct module {
    const char *line; // as GRUB hands it over
    struct blob file;
};

struct verdict {
    enum module_role role;
    enum error error;       // why it was refused; E_OK otherwise
    struct reason why;      // the sentence for that
    struct blob initrd;     // bytes of the module that initrd= names; size 0 if none
    struct machine machine; // machine.name is set for every role ("module-N" when the line has none)
};

// Fills verdicts[count]. `machines_max` is how many machines the hypervisor can hold: the ones after that
// are refused.
void machines_judge(const struct module *modules, size_t count, size_t machines_max,
                    struct verdict *verdicts);
// The first module of that name; `count` when there is none.
size_t machines_find(const struct verdict *verdicts, size_t count, const char *name);
