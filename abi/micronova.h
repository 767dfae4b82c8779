// The contract between Micronova and its guests: entry state, start information, CPUID leaves, hypercalls.
// Used by the hypervisor and by guests, 64- and 32-bit. docs/abi.md explains it with examples.
#pragma once
#include <stdint.h>
#include "abi/error.h"

enum { ABI_VERSION = 4 };

// CPUID 40000000H: EAX = highest leaf, EBX ECX EDX = signature. 40000001H: EAX = ABI_VERSION,
// EBX = rights of this machine (enum right), ECX = TSC frequency in kHz, EDX = id of this machine.
enum { CPUID_HYPERVISOR = 0x40000000, CPUID_MICRONOVA = 0x40000001 };
#define MICRONOVA_SIGNATURE "MicronovaVMM" // EBX, ECX, EDX, four bytes each

enum right {
    RIGHT_PROBE = 1 << 0,   // caps=probe: attempts VM entries and VMX instructions of its own (abi/probe.h)
    RIGHT_CONTROL = 1 << 1, // caps=control: pauses, resumes, resets and destroys other machines
    RIGHT_LOG = 1 << 2,     // caps=log: learns which of its own pages were written
};

// What our own ELF guests find at entry. EAX/RAX = START_MAGIC, EDI/RDI = gpa of struct start_info,
// interrupts off, flat segments, direction flag clear, no stack (RSP = 0), all other registers zero.
// ELF64: 64-bit mode, CR3 = identity map of the first 1 to 4 GiB with 2-MiB pages, CR0 = PE ET PG,
// CR4 = PAE, EFER = LME LMA. ELF32: protected mode, paging off, CR0 = PE ET, CR4 = 0, EFER = 0. Both:
// RFLAGS = 2, CS = 10H, SS DS ES FS GS = 18H with base 0 and those descriptors in the GDT, IDT limit 0,
// DR7 = 400H, XCR0 = 1; CR0.NE and CR4.VMXE read 0 whatever the processor needs. What is not named is as
// after RESET (SDM "Processor State After Reset"). RAM is zero outside the file's segments, the area below
// and the pages of `cmdline` and `initrd`. A segment of the file may not touch the area below.
enum {
    START_MAGIC = 0x4d4e5631, // "MNV1"
    START_AREA = 0x1000,      // start information, GDT
    START_AREA_END = 0x8000,  // page tables end here
};

struct start_info {
    uint32_t magic, abi_version;
    uint32_t size; // of this structure, bytes
    uint32_t vm_id;
    uint64_t mem_bytes; // RAM from gpa 0
    uint64_t cmdline;   // gpa of the NUL-terminated cmdline=, never 0
    uint64_t initrd;    // gpa, 0 if none
    uint64_t initrd_bytes;
    uint64_t tsc_hz;
    char name[32]; // the machine's, NUL-terminated
};

// Hypercalls: VMCALL at CPL 0 with the number in RAX, arguments in RDI RSI RDX R10 R8 (outside 64-bit
// mode EAX; EBX ECX EDX ESI EDI). The result is in RAX: zero or more, or an enum error negated; outside 64-bit
// mode EAX has the low half. Other
// registers are kept. Buffers are given by guest-physical address and length in bytes. A call is refused
// whole: at CPL > 0 with E_DENIED, unknown with E_UNKNOWN_CALL, a buffer that is not all RAM of the machine
// with E_BAD_ADDRESS, a buffer or a plan beyond its maximum with E_TOO_BIG (checked before the address), a
// name that is empty or has other characters, an unknown flag, query or unit with E_INVALID, a second plan
// with E_EXISTS. A buffer of 0 bytes needs no address.
// clang-format off
#define HYPERCALLS(X)                                                                                        \
    X(VERSION, 0)       /* () -> ABI_VERSION */                                                              \
    X(CONSOLE_WRITE, 1) /* (gpa, bytes <= CONSOLE_WRITE_MAX) -> bytes taken; -E_AGAIN while the log is full */ \
    X(TAP_PLAN, 2)      /* (points): how many points this machine will deliver; once */                      \
    X(TAP_POINT, 3)     /* (flags, name gpa, name bytes, detail gpa, detail bytes): enum tap_flag */          \
    X(EXIT, 4)          /* (code): ends the machine; 0 is success; does not return */                        \
    X(YIELD, 5)         /* (): gives up the rest of the turn */                                              \
    X(TIME, 6)          /* (enum time_query) -> value */                                                     \
    X(BENCH, 7)         /* (value, name gpa, name bytes, unit gpa, unit bytes): logs "# bench NAME VALUE UNIT" */ \
    X(QUERY, 8)         /* (enum query) -> a figure the hypervisor keeps about itself or this machine */      \
    X(CONTROL, 9)       /* (enum control_op, machine id, ...): steers another machine; RIGHT_CONTROL */       \
    X(PROBE, 10)        /* (enum probe_op, ...): VMX itself (abi/probe.h); RIGHT_PROBE */                     \
    X(MEMORY, 11)       /* (enum memory_op, ...): pages of this machine's memory */                    \
    X(PORT, 12)         /* (enum port_op, ...): finds ports and asks for events */                            \
    X(SEND, 13)         /* (port out, 4 words): puts a message into it */                                     \
    X(RECEIVE, 14)      /* (port in or PORT_ANY, microseconds) -> port, and 4 words where SEND has them */    \
    X(CALL, 15)         /* (port out | port in << 8, 4 words): SEND, then RECEIVE for ever, without a gap */  \
    X(GRANT, 16)        /* (enum grant_op, ...): pages of one machine in another */
// clang-format on

enum hypercall {
#define X(name, number) HC_##name = (number),
    HYPERCALLS(X)
#undef X
        HC_COUNT
};

enum {
    CONSOLE_WRITE_MAX = 512, // bytes one HC_CONSOLE_WRITE takes
    TAP_NAME_MAX = 64,       // [A-Za-z0-9._+-]: the point is called MACHINE/NAME
    TAP_DETAIL_MAX = 256, // text for the "# " lines that follow (lines split at \n), e.g. "expected 1\ngot 2"
    TAP_PLAN_MAX = 100000,
    BENCH_UNIT_MAX = 16, // a unit is spelled like a name
};

enum tap_flag { TAP_NOT_OK = 0, TAP_OK = 1, TAP_SKIP = 2 }; // TAP_SKIP: ok, with the detail as the reason

enum time_query {
    TIME_TSC_HZ,   // TSC ticks a second
    TIME_TSC_BOOT, // TSC when GRUB handed over to the hypervisor
};

enum query {
    QUERY_VM_BYTES,    // hypervisor memory this machine costs, its RAM aside, bytes
    QUERY_VM_CREATE,   // TSC ticks its creation took
    QUERY_MAX_HANDLER, // longest exit of this vCPU since the last such query, TSC ticks, else -E_UNSUPPORTED
    QUERY_VMREADS,     // VMREADs executed on this processor, when the build counts them, else -E_UNSUPPORTED
    QUERY_VMWRITES,
    QUERY_RUN_TICKS, // TSC ticks this vCPU has run
    QUERY_PROCESSOR, // the processor that it runs on, which may be another one next time
    QUERY_EXITS,     // VM exits of this vCPU so far, the query's own included
};

// What a machine with caps=control asks of another: 0, or an error. The other one's processors do it at their next
// turn, a moment later. E_DENIED without the right, E_NOT_FOUND when no machine with that id lives, E_AGAIN while one
// is about to start again, E_INVALID for an unknown number, or for oneself where another is meant.
enum control_op {
    CONTROL_NAME, // (gpa, bytes): writes its name there -> how long it is, at most 31; no NUL; also one's own
    CONTROL_PAUSE,  // it runs no more, though time goes on for it; harmless when it is paused
    CONTROL_RESUME, // it goes on; so does every paused one when no machine with the right is left
    CONTROL_RESET, // it starts again from its module, as after building; what it has delivered stays in the log
    CONTROL_DESTROY, // it ends: END_DESTROYED
    CONTROL_TICKS,   // -> TSC ticks that its vCPUs have run since it started; also one's own
};

// What a machine asks about its memory, in pages of 4 KiB by number (gpa >> 12).
enum memory_op {
    MEMORY_LEAF, // (page) -> how many pages are mapped together with it: 1, 512 or 262144; 0: it was never touched
    MEMORY_RIGHTS, // (first page, pages, enum memory_right bits) -> of how many pages they were set, from the first on:
    // ask again for the rest. An access that they forbid raises #GP(0). From then on, also for other
    // vCPUs; one that runs at this moment on another processor notices a moment later.
    // E_UNSUPPORTED: execution without reading, on a processor that has no such pages
    // Which pages were written, of oneself (RIGHT_LOG) or any machine (RIGHT_CONTROL).
    LOG_START, // (machine id): all of its RAM counts as written at first
    LOG_STOP,  // (machine id)
    LOG_SYNC,  // (machine id): when LOG_PASSED says 0, LOG_READ knows of all that was written before
    LOG_READ, // (machine id, first page, pages, gpa): a bit a page, in words of 64: written since the last time -> of
              // how many pages. `first page` is a multiple of 64; the gpa gets whole words
    LOG_PASSED, // (machine id) -> 0: every processor has obeyed the last LOG_SYNC or LOG_READ; -E_AGAIN: not yet
    // With balloon= on the module line: pages behind mem= are holes until they are taken.
    BALLOON_GIVE, // (first page, pages) -> how many went back, from the first on, at least one: ask again for the rest.
    // E_NOT_FOUND: a hole already; E_DENIED: mem= would be fewer; E_EXISTS: lent to another machine
    BALLOON_TAKE, // (first page, pages) -> how many holes became zeroed pages, at least one. E_EXISTS: no hole; E_AGAIN:
                  // it holds its target; E_NO_MEMORY: others have not given theirs yet
    BALLOON_FIGURE, // (enum balloon_figure) -> pages
    BALLOON_WANT,   // (pages): how many it would like to hold; at first as many as may be
    BALLOON_EVENT,  // (vector): this vCPU's local APIC gets it when the target changes, from 16 on; 0: none
};
enum balloon_figure { BALLOON_HELD, BALLOON_TARGET, BALLOON_LEAST, BALLOON_MOST };
enum memory_right { MEMORY_READ = 1, MEMORY_WRITE = 2, MEMORY_EXEC = 4 };

// Messages between machines (docs/ipc.md). `ipc=` on a module line opens ports: one out to each machine that it names,
// and there one in from this machine. Each end numbers its ports out and its ports in; a number says nothing to others.
enum {
    MESSAGE_WORDS = 4, // 64 bits each; outside 64-bit mode the low halves
    PORTS = 64,        // of each kind, at most
    FIRST_PEER = 1,    // numbers of ports to and from machines begin here
    PORT_ANY = 0xff,   // receives from whichever has something, turn about
};
#define WAIT_FOREVER 0xffffffffu // microseconds; 0: does not wait

// HC_SEND: E_NOT_FOUND: no such port; E_AGAIN: it is full (nothing was sent); E_GONE: the machine behind it has ended.
// HC_RECEIVE, and HC_CALL once it has sent: E_NOT_FOUND, E_INVALID: more microseconds than WAIT_FOREVER; E_AGAIN:
// nothing came in that time; E_INTERRUPTED: an interrupt or NMI came first; E_GONE: all that could send have ended.

enum port_op {
    PORT_OUT, // (name gpa, bytes) -> the port out to the machine of that name
    PORT_IN,  // (name gpa, bytes) -> the port in from it
    PORT_EVENT, // (port in, vector): arrival raises that vector in this vCPU's local APIC, from 16 on; 0: does not
};

// Pages of one machine in another (docs/ipc.md), in pages of 4 KiB by number (gpa >> 12). `window=` on a module line
// makes room for what others grant; there an access that no grant allows raises #GP(0).
enum grant_op {
    GRANT_WINDOW, // () -> the first page of this machine's window; E_NOT_FOUND: it has none
    GRANT_GIVE,   // (port out, first page, pages, enum memory_right bits) -> the number of the grant
    GRANT_REVOKE, // (port out, number) -> how many pages are still mapped: ask again, until 0: it is no more
    GRANT_MAP, // (port in, number, page of the window) -> how many pages are mapped, from the first on: ask again
    GRANT_UNMAP, // (port in, number) -> how many pages are still mapped: ask again
};
