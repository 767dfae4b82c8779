// The hypervisor's own command line, parsed once at start-up into a const struct. Pure.
#pragma once
#include "arch/log.h"
#include "arch/power.h"
#include "arch/types.h"
#include "mm/dirty.h"

enum { SLICE_US_MIN = 100, SLICE_US_MAX = 10000000, SLICE_US_DEFAULT = 10000 };
enum console { CONSOLE_NONE = 0, CONSOLE_COM1 = 1, CONSOLE_COM2 = 2, CONSOLE_SCREEN = 4 };

enum report_extra {
    REPORT_STATS = 1,  // the exit microscope: vmx/microscope.h
    REPORT_MEMORY = 2, // frames by owner at start and end
    REPORT_BENCH = 4,  // what the buddy costs: kernel/bench.h
};

// Whether the processor virtualizes local APICs, where it can.
enum apicv_option {
    APICV_AUTO, // unless that is known to go wrong: kernel/main.c
    APICV_ON,
    APICV_OFF
};

struct fail_alloc {
    uint64_t n;       // the allocation that fails, from 1 on; 0: none does
    bool rising;      // of the machine's first life the first, and so on
    char machine[32]; // whose allocations count; "": everybody's
};

struct options {
    uint32_t console; // bits of enum console; each is used only where it is found. Default COM1 and screen
    enum log_level loglevel;      // default LOG_INFO
    enum power_way exit;          // how the machine ends after the report
    uint32_t cpus;                // processors to use; 0: all
    uint64_t slice_us;            // quantum of machines without slice=; default SLICE_US_DEFAULT
    uint64_t hang_us;             // test hook: processor 1 hangs so long after it started; 0: never
    uint64_t panic_us;            // test hook: panic() so long after the machines were built; 0: never
    uint64_t machine_check_us;    // the same: #MC
    uint64_t stray_us;            // the same: an interrupt and an NMI that nobody asked for
    struct fail_alloc fail_alloc; // the same: an allocation fails
    enum dirty_method dirty;      // how writes are logged; default DIRTY_METHOD_COUNT: the best there is
    uint32_t report;              // bits of enum report_extra; default none
    bool tap;                     // default on; off: no TAP on serial, only the log
    enum apicv_option apicv;      // default APICV_AUTO
};

extern struct options options; // of this run; constant after start-up

// Parses `line` as GRUB hands it over. Each unknown or malformed word is named to `complain` in a sentence
// and ignored; the default stays.
void options_parse(const char *line, struct options *out, void (*complain)(const char *sentence));
