// The ACPI tables that a hypervisor needs: processors, interrupt controllers, PM timer, power-off, reset.
// Tables are hostile: a wrong checksum or length is logged (log_warn) and the table skipped, never followed.
// Pure: physical memory is reached through a callback.
#pragma once
#include "abi/error.h"
#include "arch/types.h"

enum { ACPI_CPUS_MAX = 256, ACPI_IOAPICS_MAX = 16, ACPI_OVERRIDES_MAX = 24 };

struct acpi_ioapic {
    uint32_t id, gsi_base;
    hpa_t base;
};

struct acpi_override { // an ISA interrupt that arrives elsewhere
    uint8_t irq;
    uint16_t flags; // MPS INTI flags
    uint32_t gsi;
};

enum acpi_space { ACPI_MEMORY = 0, ACPI_IO = 1 }; // address space of a register (other spaces are dropped)

struct acpi_register { // Generic Address Structure
    enum acpi_space space;
    uint64_t address; // 0: the register does not exist
};

struct acpi_info {
    uint32_t cpu_count;
    uint32_t apic_ids[ACPI_CPUS_MAX]; // of the processors that are enabled, each once
    uint32_t ioapic_count;
    struct acpi_ioapic ioapics[ACPI_IOAPICS_MAX];
    uint32_t override_count;
    struct acpi_override overrides[ACPI_OVERRIDES_MAX];
    hpa_t lapic_base; // 0 without a MADT
    struct acpi_register pm_timer;
    struct acpi_register pm1a_control, pm1b_control;
    bool has_s5; // the two values for SLP_TYP are known
    uint8_t s5_a, s5_b;
    struct acpi_register reset;
    uint8_t reset_value;
    uint32_t skipped; // tables and entries that were reported and not followed
};

// Makes [at, at+bytes) readable and returns its address, or NULL when it cannot. What it returned earlier
// must stay valid until acpi_parse returns.
typedef const void *(*acpi_map)(hpa_t at, size_t bytes);

// `rsdp` is the boot loader's copy of the Root System Description Pointer, `bytes` long. E_MALFORMED when it
// or its root table cannot be used; then `out` says "no processors, no timer, no power-off".
// ACPI specification, "ACPI Software Programming Model".
enum error acpi_parse(const void *rsdp, size_t bytes, acpi_map map, struct acpi_info *out);

// Where an ISA interrupt arrives: its override, or what it is without one.
struct acpi_override acpi_isa_irq(const struct acpi_info *info, uint8_t irq);
// The I/O APIC that has this interrupt, if one has: the one that begins last before it. NULL: none.
const struct acpi_ioapic *acpi_ioapic_of(const struct acpi_info *info, uint32_t gsi);
