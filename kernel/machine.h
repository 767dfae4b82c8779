// A module line, parsed: everything the user asked of one machine. Pure; lives as long as the machine.
//   NAME key=value ...     see docs/modules.md
#pragma once
#include "abi/ending.h"
#include "arch/reason.h"
#include "arch/types.h"

enum { MACHINE_VCPUS_MAX = 16, MACHINE_NAME_MAX = 31, MACHINE_TEXT_MAX = 511, MACHINE_IPC_MAX = 255 };
enum { MACHINE_MEM_DEFAULT = 4 << 20 };
enum { MACHINE_WINDOW_MAX = 1 << 30 };
#define MACHINE_MEM_MAX (64ull << 30)

struct machine {
    char name[MACHINE_NAME_MAX + 1]; // [A-Za-z0-9._+-]+
    uint64_t mem;                    // bytes, multiple of PAGE_SIZE; default 4M
    uint64_t balloon;                // how much RAM it may come to hold, more than mem=; 0: no more
    bool eager;                      // backing=eager; default lazy
    uint32_t vcpus;                  // default 1
    uint64_t cpus;                   // bit per pCPU id allowed; 0: any
    uint64_t slice_us;               // 0: the kernel option's
    uint32_t weight;                 // default 1
    uint64_t timeout_us;             // 0: none
    uint32_t rights;                 // enum right
    bool console;                    // console=log (default) or none
    bool input;                      // input=serial
    bool dump_screen;                // screen=dump
    enum ending expect;              // default END_EXIT
    uint64_t expect_code;            // with END_EXIT: the exit code that counts as ok, default 0
    uint64_t flip;                   // test hook flip=GPA: bit 0 of this byte flips now and then; 0: never
    char break_field[48];            // test hook break=FIELD,XOR: what no VM entry is to survive; "": none
    uint64_t break_xor;
    char cmdline[MACHINE_TEXT_MAX + 1];
    char initrd[MACHINE_NAME_MAX + 1]; // name of another module, "" if none
    uint64_t window;                   // bytes, multiple of PAGE_SIZE; 0: none
    char ipc[MACHINE_IPC_MAX + 1];     // names of the machines it may send to, commas between, "" if none
    char expect_screen[128];           // regex of expect=screen:REGEX, "" if none
    char fail_screen[128];             // regex of fail=screen:REGEX, "" if none
};

// Parses one module line as GRUB hands it over (quotes anywhere in a word, GRUB's backslash escapes undone).
// E_MALFORMED / E_TOO_BIG with the sentence in `why`, naming key and value; `m->name` is set whenever the
// line had one.
enum error machine_parse(struct machine *m, const char *line, struct reason *why);

// Of names of machines and of points: A-Z a-z 0-9 . _ + -
bool is_name_char(char c);
// Where its window begins, behind its memory and clear of the local APICs' pages.
gfn_t machine_window(const struct machine *m);
// Copies the n-th name (from 0) of its ipc=. False: there are not so many.
bool machine_peer(const struct machine *m, unsigned n, char name[MACHINE_NAME_MAX + 1]);

// The word of an ending as `expect=` spells it, and its sentence.
const char *ending_word(enum ending e);
const char *ending_text(enum ending e);
