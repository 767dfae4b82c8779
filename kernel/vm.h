// struct vm: a running machine. Owns its space, vCPUs and devices, and every frame charged to it; all of it
// goes back when it ends, after which the buddy has what it had before.
//
// Each vCPU lives on a processor, its home: only that runs it, fires its timeouts, gives it to another processor and
// lets go of it. The machine's own timeouts live where its first vCPU does. A machine ends on whatever processor that
// happens; the homes of its other vCPUs are told, and the last vCPU that leaves its home takes the machine down.
//
// Locking: `lock` guards devices and console of a machine with several vCPUs; with one it is not taken. It is
// never held while another lock of kernel/ is taken.
#pragma once
#include "arch/lock.h"
#include "dev/devices.h"
#include "kernel/cpu.h"
#include "kernel/guest_console.h"
#include "kernel/loader.h"
#include "kernel/machine.h"
#include "kernel/machines.h"
#include "kernel/screen.h"

enum { VM_MAX = 255 };
// Timers that any vCPU may set: those of devices (enum device_timer), and when a partial console line goes out.
enum { VM_TIMER_PARTIAL = DEVICE_TIMERS, VM_TIMERS };
// Timeouts of a machine: its own, and each vCPU's (kernel/home.c). All that there are may come to one processor, beside
// a few of its own.
enum { VM_TIMEOUTS = VM_TIMERS + 3, CPU_TIMEOUTS = 3, PCPU_TIMEOUTS = 16 };
enum { TIMEOUTS_MAX = VM_MAX * (VM_TIMEOUTS + MACHINE_VCPUS_MAX * CPU_TIMEOUTS) + PCPU_TIMEOUTS };

enum vm_stop { STOP_ENDED = 1, STOP_PAUSED = 2 }; // why none of its vCPUs is to run
static const enum ending END_AGAIN = END_COUNT;   // not an ending: it is built once more (kernel/control.c)

struct screen_watch; // regular expressions and the search, for machines that have expect= or fail=screen:
struct services;     // the hypervisor as its peer (kernel/services.h)
struct shared_io;    // devices behind the lock, for several vCPUs

struct vm {
    uint32_t id;
    uint32_t stops; // enum vm_stop, atomic: who sets STOP_ENDED first ends it
    bool has_plan;
    uint8_t told, rows; // kernel/ending.c: steps of the report of its end, rows of its screen
    enum ending how;
    uint64_t code;      // with END_EXIT
    struct cpu *teller; // the vCPU that ended it: its registers are told, on its home
    char detail[DETAIL_MAX];
    uint32_t planned, delivered; // test points
    struct {
        uint64_t want, target; // pages
        uint32_t cpu;          // whose local APIC gets `vector` when the target changes; 0: none does
        uint8_t vector;
    } balloon; // kernel/balloon.h
    const struct machine *machine;
    struct space *space;
    struct devices *devices;
    struct shared_io *shared;   // NULL: one vCPU
    struct screen_watch *watch; // NULL: nothing to watch
    struct services *services;  // NULL: it has no port to the hypervisor
    uint64_t create_ticks;
    struct lock lock;
    uint32_t cpu_count, cpus_left; // built; still running (atomic)
    uint64_t asleep;               // kernel/sleep.c (atomic)
    uint32_t cpus_known;           // whom a home may still have in its inbox (atomic)
    struct cpu *cpus[MACHINE_VCPUS_MAX];
    struct lapic_bus bus;
    struct lapic *lapics[MACHINE_VCPUS_MAX];
    uint32_t apics_elsewhere; // APICs not in xAPIC mode at the usual place; under `lock` (kernel/cpu.c)
    struct guest_console console;
    enum ending device_ending; // with END_COUNT: no device ended it
    uint64_t device_code;
    uint32_t wanted; // other processors ask: enum vm_want
    struct vm_timer {
        struct timeout timeout;
        struct vm *vm;
        tsc_t deadline;      // as asked for
    } timer[VM_TIMERS];      // next events of devices, and of the console
    struct timeout deadline; // timeout=
    struct timeout look;     // at the screen
    struct timeout flip;     // test hook flip=
};

static inline void vm_lock(struct vm *vm)
{
    if (unlikely(vm->cpu_count > 1))
        lock_take(&vm->lock);
}
static inline void vm_unlock(struct vm *vm)
{
    if (unlikely(vm->cpu_count > 1))
        lock_release(&vm->lock);
}

// After mm_init() and vmx_init(), once. `all_ended` is called where the last machine is destroyed, after
// vm_all_built(); it does not return.
void vm_init(void (*all_ended)(void));

// Builds the machine of a verdict and hands its vCPUs to the processors that will be their homes. On failure reports
// the point "NAME/load" with the reason and returns false. Boot processor, in VMX operation.
bool vm_create(const struct verdict *verdict, struct blob image, uint32_t id);
// The same for one that ended to start again. Any processor.
bool vm_create_again(const struct verdict *verdict, struct blob image, uint32_t id);
// No machine will be built any more.
void vm_all_built(void);
// Whether there is only one machine, and will be.
bool vm_is_last(void);

// Ends the machine: its vCPUs run no more. From an exit handler or a timeout of one of them, or for a controller; the
// report and the way back of what it owned are chores of their homes. `code`: the exit code with END_EXIT; `detail`:
// a sentence, or NULL for the ending's own.
void vm_end(struct vm *vm, enum ending how, uint64_t code, const char *detail);
// The same from a device, under the machine's lock: at the next look at events.
void vm_end_from_device(struct vm *vm, enum ending how, uint64_t code);
// All its vCPUs have left: gives everything back.
void vm_destroy(struct vm *vm);

// Bytes a machine costs the hypervisor, its RAM aside.
uint64_t vm_bytes(const struct vm *vm);
// Bytes of guest console output; returns how many were taken.
size_t vm_console_write(struct vm *vm, const char *bytes, size_t n);

// The machine's timeouts (kernel/vm_timeouts.c), all on the home of its first vCPU, where these are called.
void vm_init_timeouts(struct vm *vm);
void vm_start_timeouts(struct vm *vm);
// timeout_cancel(), timeout_suspend() or timeout_resume() for each of them.
void vm_for_timeouts(struct vm *vm, void (*act)(struct timeouts *ts, struct timeout *t));
// What other processors asked for.
void vm_home_work(struct vm *vm);
// Any processor: bytes for its serial port wait, or that has room again.
void vm_want_input(struct vm *vm);
// Any processor, under the lock: what timer `which` of VM_TIMERS is for is done at `deadline`, ~0: never.
void vm_arm(struct vm *vm, unsigned which, tsc_t deadline);
