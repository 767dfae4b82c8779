// struct vm: a running machine. Owns its space, vCPU and devices, and every frame charged to it; all of it
// goes back when it ends, after which the buddy has what it had before.
//
// A machine lives on the processor that its vCPU calls home: only that processor runs it, fires its timeouts
// and destroys it, so a machine needs no lock.
#pragma once
#include "kernel/guest_console.h"
#include "kernel/loader.h"
#include "kernel/machine.h"
#include "kernel/machines.h"
#include "kernel/screen.h"
#include "sched/timeout.h"
#include "vmx/vcpu.h"

enum { VM_MAX = 255 };

struct screen_watch; // regular expressions and the search, for machines that have expect= or fail=screen:

struct vm {
    struct list link; // in its processor's list of ended machines
    uint32_t id;
    bool ended;
    bool has_plan;
    uint8_t told, rows; // kernel/ending.c: steps of the report of its end, rows of its screen
    enum ending how;
    uint64_t code; // with END_EXIT
    char detail[200];
    uint32_t planned, delivered; // test points
    const struct machine *machine;
    struct space *space;
    struct vcpu *vcpu;
    struct devices *devices;
    struct screen_watch *watch; // NULL: nothing to watch
    uint64_t create_ticks;
    struct guest_console console;
    struct timeout deadline; // timeout=
    struct timeout partial;  // a partial console line goes out
    struct timeout look;     // at the screen
    struct timeout flip;     // test hook flip=
};

// After mm_init() and vmx_init(), once. `all_ended` is called where the last machine is destroyed, after
// vm_all_built(); it does not return.
void vm_init(void (*all_ended)(void));

// Builds the machine of a verdict and hands it to the processor that will be its home. On failure reports the point "NAME/load" with the reason
// and returns false. Boot processor, in VMX operation.
bool vm_create(const struct verdict *verdict, struct blob image, uint32_t id);

// Starts one machine of those that were handed to this processor; false when there is none. From its scheduling
// loop.
bool vm_adopt(void);

// Ends the machine: it runs no more. On its home processor, from an exit handler or a timeout; vm_reap() reports
// it and gives its memory back. `code`: the exit code with END_EXIT; `detail`: a sentence, or NULL for the ending's
// own.
void vm_end(struct vm *vm, enum ending how, uint64_t code, const char *detail);

// One step for a machine that ended on this processor: reports "NAME/end", with registers and reason when it is
// not the end that was expected, and in the end destroys it. False when there is none. Not from inside an exit
// handler.
bool vm_reap(void);

// No machine will be built any more.
void vm_all_built(void);

// Bytes a machine costs the hypervisor, its RAM aside.
uint64_t vm_bytes(const struct vm *vm);

// Bytes of guest console output; returns how many were taken.
size_t vm_console_write(struct vm *vm, const char *bytes, size_t n);
