// The local APIC, as x2APIC where the processor has it, else through its page. Each processor touches its
// own only. The legacy PIC and the I/O APICs are masked, but for what ioapic_route() lets through.
#pragma once
#include "arch/pcpu.h"
#include "arch/types.h"

// Boot processor, after paging: chooses the mode; `base` is what the MADT says (0: IA32_APIC_BASE's). False
// when there is no local APIC that can be used. Includes lapic_init_cpu.
bool lapic_init(hpa_t base);
void lapic_init_cpu(void); // every processor: mode, spurious vector, LVTs masked, task priority 0
uint32_t lapic_id(void);
void lapic_eoi(void);
int lapic_in_service(void); // the highest vector that was taken and has had no EOI; -1: none

// What to send, beside a vector. SDM, "Interrupt Command Register (ICR)".
enum ipi { IPI_FIXED = 0, IPI_NMI = 4 << 8, IPI_INIT = 5 << 8, IPI_STARTUP = 6 << 8 };
// `vector`: of IPI_FIXED; of IPI_STARTUP the page, below 1 MiB, where the processor starts.
void lapic_send(uint32_t apic_id, enum ipi ipi, uint8_t vector);

// One VECTOR_TIMER at `deadline` or soon after (at once if it has passed); a deadline of ~0 disarms. TSC
// deadline where present, else the timer's counter, calibrated by lapic_timer_calibrate.
void lapic_timer_arm(tsc_t deadline);

// Measures the timer's counter where there is no TSC deadline; once, after tsc_init. 1 ms.
void lapic_timer_calibrate(void);

void pic_mask(void);
void ioapic_mask(hpa_t base);
// Lets `pin` of the I/O APIC at `base` interrupt this processor by `vector`. Flags as in the MADT's overrides. Boot
// processor. False: it has no such pin.
bool ioapic_route(hpa_t base, uint32_t pin, uint16_t flags, uint8_t vector);
