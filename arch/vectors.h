// Vectors of physical interrupts. 0-31 are exceptions (sdm/bits.h, EXC_); 20H-2FH take what a masked PIC may
// still raise.
#pragma once

enum vector {
    VECTOR_PIC = 0x20,      // 16 of them; only spurious ones arrive
    VECTOR_SERIAL = 0xe0,   // a serial port has received something
    VECTOR_TIMER = 0xf0,    // local APIC timer of an idle processor
    VECTOR_KICK = 0xf1,     // pcpu_kick: look at your queues
    VECTOR_PROBE = 0xf2,    // vmx/probe_signal.c: send somebody a signal
    VECTOR_SPURIOUS = 0xff, // of the local APIC; takes no EOI
    VECTOR_COUNT = 256
};
