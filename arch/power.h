// The end of the machine, as the kernel option exit= says (docs/options.md).
#pragma once
#include "arch/acpi.h"
#include "arch/types.h"

enum power_way { POWER_DEFAULT, POWER_BOCHS, POWER_QEMU, POWER_ACPI, POWER_REBOOT, POWER_HALT };

// Runs before any of it, on the processor that asked: takes the others out of VMX and out of work. May be
// NULL.
extern void (*power_prepare)(void);

// `acpi` must stay; `oem_id`: six bytes of the Root System Description Pointer, or NULL.
void power_init(const struct acpi_info *acpi, const char *oem_id);
// Whether the emulator that is recognised is Bochs. After power_init().
bool power_on_bochs(void);
// `code` reaches whoever can read it (isa-debug-exit). POWER_DEFAULT picks by the emulator recognised; on
// hardware it is halt. Ports 8900H and F4H are written only when named or when their emulator is recognised.
_Noreturn void power_end(enum power_way way, uint8_t code);
