#include "arch/power.h"
#include "arch/cpu.h"
#include "arch/features.h"
#include "arch/paging.h"
#include "arch/string.h"

void (*power_prepare)(void);

static const struct acpi_info *acpi;
static bool on_bochs, on_qemu;

// Bochs tells of itself by nothing but the OEM id of its firmware's tables, which QEMU's firmware shares; but
// QEMU answers the hypervisor leaf of CPUID, and Bochs does not have it.
void power_init(const struct acpi_info *info, const char *oem_id)
{
    acpi = info;
    on_bochs = !features.has[FEATURE_HYPERVISOR] && oem_id && !memcmp(oem_id, "BOCHS ", 6);
    on_qemu = !strcmp(features.hypervisor, "TCGTCGTCGTCG") || !strncmp(features.hypervisor, "KVMKVMKVM", 9);
}

static void write_register(const struct acpi_register *r, unsigned width, uint16_t clear, uint16_t set)
{
    if (!r->address)
        return;
    if (r->space == ACPI_IO) {
        if (width == 1)
            out8((uint16_t)r->address, (uint8_t)set);
        else
            out16((uint16_t)r->address, (in16((uint16_t)r->address) & ~clear) | set);
        return;
    }
    volatile void *at = device_map(hpa(r->address), width, CACHE_NONE);
    if (!at)
        return;
    if (width == 1)
        *(volatile uint8_t *)at = (uint8_t)set;
    else
        *(volatile uint16_t *)at = (*(volatile uint16_t *)at & ~clear) | set;
}

static void end_bochs(uint8_t code)
{
    (void)code;
    for (const char *c = "Shutdown"; *c; c++)
        out8(0x8900, (uint8_t)*c);
}

static void end_qemu(uint8_t code)
{
    out8(0xf4, code); // isa-debug-exit: QEMU ends with 2 * code + 1
}

// ACPI specification, "PM1 Control Registers" and "Transitioning from the Working to the Soft Off State".
static void end_acpi(uint8_t code)
{
    enum { SLP_TYP_SHIFT = 10, SLP_TYP = 7 << SLP_TYP_SHIFT, SLP_EN = 1 << 13 };
    (void)code;
    if (!acpi || !acpi->has_s5)
        return;
    write_register(&acpi->pm1a_control, 2, SLP_TYP, (uint16_t)(acpi->s5_a << SLP_TYP_SHIFT | SLP_EN));
    write_register(&acpi->pm1b_control, 2, SLP_TYP, (uint16_t)(acpi->s5_b << SLP_TYP_SHIFT | SLP_EN));
}

static void wait_a_little(void)
{
    for (unsigned i = 0; i < 100000; i++)
        in8(0x80); // about a microsecond on real hardware
}

static void reset_8042(void)
{
    enum { STATUS = 0x64, INPUT_FULL = 2, PULSE_RESET = 0xfe };
    for (unsigned patience = 10000; patience && in8(STATUS) & INPUT_FULL; patience--)
        cpu_pause();
    out8(STATUS, PULSE_RESET);
}

// From the most to the least polite.
static void end_reboot(uint8_t code)
{
    (void)code;
    if (acpi && acpi->reset.address) {
        write_register(&acpi->reset, 1, 0, acpi->reset_value);
        wait_a_little();
    }
    out8(0xcf9, 2); // reset control register of PCI chip sets: hard reset, then go
    out8(0xcf9, 6);
    wait_a_little();
    reset_8042();
    wait_a_little();
    lidt(&(struct table_pointer){0, 0}); // no IDT: triple fault
    __asm__ volatile("int3");
}

bool power_on_bochs(void)
{
    return on_bochs;
}

static enum power_way pick(void)
{
    return on_bochs ? POWER_BOCHS : on_qemu ? POWER_QEMU : POWER_HALT;
}

_Noreturn void power_end(enum power_way way, uint8_t code)
{
    static void (*const ends[])(uint8_t code) = {
        [POWER_BOCHS] = end_bochs,   [POWER_QEMU] = end_qemu, [POWER_ACPI] = end_acpi,
        [POWER_REBOOT] = end_reboot, [POWER_HALT] = NULL,
    };
    if (power_prepare)
        power_prepare();
    if (way == POWER_DEFAULT)
        way = pick();
    if (ends[way])
        ends[way](code);
    cpu_stop();
}
