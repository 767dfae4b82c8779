// The hostile guest: one image, many attacks; cmdline=ATTACK picks one. Those that must kill the machine say
// on the module line how (`expect=`); the others deliver points and end by themselves.
#pragma once
#include "guests/lib/guest.h"

typedef int attack(const struct start_info *start); // returns the exit code

// clang-format off
#define ATTACKS(X)                                                                                           \
    /* these kill the machine */                                                                             \
    X("triple-fault", attack_triple_fault)       /* expect=triple-fault */                                   \
    X("wild-pointer", attack_wild_pointer)       /* expect=outside-memory */                                 \
    X("jump-outside", attack_jump_outside)       /* expect=outside-memory */                                 \
    X("stack-outside", attack_stack_outside)     /* expect=outside-memory */                                 \
    X("stack-unmapped", attack_stack_unmapped)   /* expect=triple-fault */                                   \
    X("page-tables-outside", attack_page_tables) /* expect=outside-memory */                                 \
    X("fault-recursion", attack_fault_recursion) /* expect=triple-fault */                                   \
    X("endless-loop", attack_endless_loop)       /* expect=timeout timeout=... */                            \
    X("cli-hlt", attack_cli_hlt)                 /* expect=stuck */                                          \
    X("debug-loop", attack_debug_loop)           /* expect=timeout timeout=... */                            \
    X("init-self", attack_init_self)             /* expect=stuck */                                          \
    X("mmio-page-end", attack_mmio_page_end)     /* expect=outside-memory */                                 \
    X("mmio-vector", attack_mmio_vector)         /* expect=unhandled-exit */                                 \
    X("mmio-exec", attack_mmio_exec)             /* expect=outside-memory */                                 \
    X("mmio-stack", attack_mmio_stack)           /* expect=outside-memory */                                 \
    X("mmio-page-tables", attack_mmio_page_tables)/* expect=outside-memory */                                \
    /* these end by themselves */                                                                            \
    X("hypercalls", attack_hypercalls)                                                                       \
    X("ring3", attack_ring3)                                                                                 \
    X("ports", attack_ports)                                                                                 \
    X("msrs", attack_msrs)                                                                                   \
    X("control-registers", attack_control_registers)                                                         \
    X("vmx", attack_vmx)                                                                                     \
    X("code", attack_code)                                                                                   \
    X("mmio", attack_mmio)                                                                                   \
    X("ipis", attack_ipis)                                                                                   \
    X("jump-unmapped", attack_jump_unmapped)                                                                 \
    X("console-flood", attack_console_flood)                                                                 \
    X("forged-tap", attack_forged_tap)
// clang-format on

#define X(name, function) attack function;
ATTACKS(X)
#undef X

enum { PAGE_BYTES = 4096, LARGE_PAGE = 2 << 20 };
enum { PTE_PRESENT = 1, PTE_WRITE = 2, PTE_USER = 4, PTE_LARGE = 0x80 };
#define UNMAPPED    (1ull << 40) // canonical, in nobody's page tables
#define PTE_ADDRESS 0x000ffffffffff000ull

// The loader's page directory of the first GiB, for attacks that bend it.
uint64_t *page_directory(void);
