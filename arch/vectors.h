// Vectors of physical interrupts. 0-31 are exceptions; 20H-2FH take what a masked PIC may still raise.
#pragma once

enum vector {
    VECTOR_DEBUG = 1,
    VECTOR_NMI = 2,
    VECTOR_BREAKPOINT = 3,
    VECTOR_DOUBLE_FAULT = 8,
    VECTOR_GENERAL_PROTECTION = 13,
    VECTOR_PAGE_FAULT = 14,
    VECTOR_MACHINE_CHECK = 18,
    VECTOR_PIC = 0x20,   // 16 of them; only spurious ones arrive
    VECTOR_TIMER = 0xf0, // local APIC timer of an idle processor
    VECTOR_KICK = 0xf1,  // pcpu_kick: look at your queues
    VECTOR_LAPIC_ERROR = 0xfe,
    VECTOR_SPURIOUS = 0xff, // of the local APIC; takes no EOI
    VECTOR_COUNT = 256
};
