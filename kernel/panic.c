// How panic() ends; arch/panic.h declares panic() itself. One processor panics: it stops the others by NMI,
// takes the consoles from whoever holds them and writes synchronously. A second processor's panic waits for
// ever, a panic inside panic() says its sentence and stops.
#include "arch/panic.h"
#include <stdarg.h>
#include "arch/cpu.h"
#include "arch/exception.h"
#include "arch/lapic.h"
#include "arch/memory.h"
#include "arch/pcpu.h"
#include "arch/power.h"
#include "kernel/backtrace.h"
#include "kernel/consoles.h"
#include "kernel/options.h"
#include "kernel/report.h"
#include "kernel/symbols.h"
#include "sdm/text.h"
#include "vmx/vmx.h"

enum { NOBODY = ~0u, STOP_PATIENCE = 1000000 };

static uint32_t panicking = NOBODY; // the processor that does
static uint32_t depth;              // panics inside its panic

static void stop_here(const struct exception_frame *frame)
{
    (void)frame;
    vmx_off_now(); // or a reset by INIT would be held back
    this_pcpu()->state = PCPU_STOPPED;
    cpu_stop();
}

// A processor that takes no NMI is left behind: the report matters more.
static void stop_others(uint32_t me)
{
    nmi_handler = stop_here;
    for (uint32_t i = 0; i < pcpu_count; i++)
        if (i != me && pcpus[i].state == PCPU_ONLINE)
            lapic_send(pcpus[i].apic_id, IPI_NMI, 0);
    for (uint32_t i = 0, patience = STOP_PATIENCE; i < pcpu_count; i++)
        while (i != me && pcpus[i].state == PCPU_ONLINE && --patience)
            cpu_pause();
}

// The function is the one that holds the byte `back` before `address`.
static void print_place(const char *what, uint64_t address, uint64_t back)
{
    struct symbol symbol;
    symbol_find(address - back, &symbol);
    log_error("%s %016lx %s+0x%lx", what, address, symbol.name, symbol.offset + back);
}

static void print_registers(const struct exception_frame *f)
{
    print_place("rip", f->rip, 0);
    log_error("rax %016lx rbx %016lx rcx %016lx rdx %016lx", f->rax, f->rbx, f->rcx, f->rdx);
    log_error("rsi %016lx rdi %016lx rbp %016lx rsp %016lx", f->rsi, f->rdi, f->rbp, f->rsp);
    log_error("r8  %016lx r9  %016lx r10 %016lx r11 %016lx", f->r8, f->r9, f->r10, f->r11);
    log_error("r12 %016lx r13 %016lx r14 %016lx r15 %016lx", f->r12, f->r13, f->r14, f->r15);
    log_error("cs  %04lx ss %04lx rflags %08lx vector %lu error %lx", f->cs, f->ss, f->rflags, f->vector,
              f->error);
}

// The boot stack is somewhere in the image: the page that holds the frame is mapped.
static struct stack_bounds stack_of(uint64_t address)
{
    if (address >= IMAGE_BASE)
        return (struct stack_bounds){address, align_down(address, PAGE_SIZE) + PAGE_SIZE};
    return backtrace_stack(align_down(this_pcpu()->stack_top - 1, PCPU_SLOT), address);
}

// Behind a call that does not return, the next function may begin: the call itself tells where we were.
static void print_backtrace(uint64_t rbp)
{
    uint64_t addresses[BACKTRACE_MAX];
    size_t n = backtrace_walk(rbp, stack_of(rbp), addresses);
    for (size_t i = 0; i < n; i++)
        print_place(i ? "    " : "from", addresses[i], 1);
}

// The other processors stand still by now: nobody is asked to leave VMX operation.
static _Noreturn void end(void)
{
    report_settle();
    vmx_off_now();
    if (depth > 1)
        cpu_stop();
    power_prepare = NULL;
    power_end(options.exit, 2);
}

// True for the first panic of the first processor; the others of that processor may say a sentence.
static bool take_over(void)
{
    uint32_t me = this_pcpu()->id, nobody = NOBODY;
    cli();
    if (!__atomic_compare_exchange_n(&panicking, &nobody, me, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) &&
        nobody != me)
        cpu_stop();
    if (++depth > 2)
        cpu_stop(); // not even the sentence works
    if (depth == 1)
        stop_others(me);
    return depth == 1;
}

static _Noreturn void die(const struct exception_frame *frame, uint64_t rbp, const char *sentence)
{
    if (!take_over()) {
        log_sink = report_seized_line;
        log_error("again: %s", sentence);
        end();
    }
    consoles_rescue();
    report_seize(sentence);
    log_error("on processor %u", panicking);
    if (frame)
        print_registers(frame);
    log_error("cr0 %08lx cr2 %016lx cr3 %016lx cr4 %08lx", read_cr0(), read_cr2(), read_cr3(), read_cr4());
    print_backtrace(rbp);
    end();
}

enum { SENTENCE_MAX = 240 };

void panic(const char *fmt, ...)
{
    char sentence[SENTENCE_MAX];
    struct text t = text_in(sentence, sizeof sentence);
    va_list args;
    va_start(args, fmt);
    text_add(&t, "panic: ");
    text_add_v(&t, fmt, args);
    va_end(args);
    die(NULL, (uint64_t)(uintptr_t)__builtin_frame_address(0), sentence);
}

void panic_exception(const struct exception_frame *frame, const char *name)
{
    char sentence[SENTENCE_MAX];
    struct symbol symbol;
    symbol_find(frame->rip, &symbol);
    format(sentence, sizeof sentence, "panic: %s in %s", name, symbol.name);
    die(frame, frame->rbp, sentence);
}
