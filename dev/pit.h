// An 8254 programmable interval timer at 40h-43h with the gate and output of channel 2 at port 61h. Nothing
// ticks: each channel remembers when its count was loaded, and what it shows is computed from the host's TSC
// when somebody looks. Channel 0 drives IRQ 0: each rising edge of its output is one event, and the line stays high
// until the next, so that no half period is waited for. (8254 data sheet, "Operational Description".)
#pragma once
#include "dev/host.h"

enum { PIT_HZ = 1193182, PIT_CHANNELS = 3, PIT_BASE = 0x40, PIT_CONTROL = 0x43, PIT_PORT_B = 0x61 };

struct pit_channel {
    uint64_t start;   // running: tick at which it began
    uint64_t elapsed; // not running: ticks it had counted when it stopped
    uint32_t count;   // 1..65536; BCD digits converted
    uint16_t latch;   // what the counter-latch command caught
    uint8_t control;  // RW, mode, BCD as last written: the low six bits of the status byte
    uint8_t status;   // what the read-back command caught
    uint8_t low;      // first byte of a two-byte count
    bool gate, running;
    bool null_count;            // control word written, count not yet
    bool write_high, read_high; // the next byte is the high one
    bool count_latched, status_latched;
};

struct pit {
    struct device device; // first
    const struct dev_host *host;
    void *owner;
    struct line line;
    uint64_t edges; // of channel 0 since its start that were signalled
    uint8_t port_b; // port 61h bits 3:0 as written
    struct pit_channel channel[PIT_CHANNELS];
};

// Signals what channel 0 has to signal and arms for the next.
void pit_expire(struct pit *p);
void pit_init(struct pit *p, const struct dev_host *host, void *owner);
