// Where between two instructions an interrupt comes: after STI's shadow, POPF, IRET, HLT, or an APIC write.
#include "guests/apic/apic.h"

unsigned windows_points(void)
{
    return 8;
}

#define SAME(name, expected, got) check_equal(named(name), (word_t)(expected), (word_t)(got))

// Code with a label behind which the interrupt is due.
extern const char after_shadow[], after_popf[], after_hlt[];

static void check_sti(void)
{
    apic_self(0x51);
    __asm__ volatile("sti\n\tnop\n.global after_shadow\nafter_shadow:\n\tnop\n\tcli" : : : "memory");
    SAME("sti-shadow-of-one", after_shadow, seen.count == 1 ? seen.ip[0] : 0);
    seen_reset(NULL);
    apic_self(0x52);
    __asm__ volatile("sti\n\tcli\n\tnop" : : : "memory");
    CHECK_NOTHING_SEEN(named("sti-cli-lets-nothing-in"));
    __asm__ volatile("sti\n\tsti\n\tnop\n\tcli" : : : "memory"); // the second one casts no shadow
    CHECK_SEEN(named("sti-sti"), 0x52);
}

static void check_popf(void)
{
    apic_self(0x53);
#ifdef __x86_64__
    __asm__ volatile("pushfq\n\torq $0x200, (%%rsp)\n\tpopfq\n.global after_popf\nafter_popf:\n\tnop\n\tcli"
                     :
                     :
                     : "memory", "cc");
#else
    __asm__ volatile("pushfl\n\torl $0x200, (%%esp)\n\tpopfl\n.global after_popf\nafter_popf:\n\tnop\n\tcli"
                     :
                     :
                     : "memory", "cc");
#endif
    SAME("popf-opens-at-once", after_popf, seen.count == 1 ? seen.ip[0] : 0);
    seen_reset(NULL);
}

// The write that makes the interrupt due stands in the shadow of MOV SS, and ends it.
extern const char after_wrmsr[], after_store[];

static void check_mov_ss(void)
{
    uint16_t ss = read_ss();
    interrupts_on();
    if (apic_x2)
        __asm__ volatile("mov %0, %%ss\n\twrmsr\n.global after_wrmsr\nafter_wrmsr:\n\tnop"
                         :
                         : "r"(ss), "a"(ICR_SELF | 0x54), "d"(0), "c"(MSR_X2APIC + APIC_ICR)
                         : "memory");
    else
        __asm__ volatile("mov %0, %%ss\n\tmovl %1, (%2)\n.global after_store\nafter_store:\n\tnop"
                         :
                         : "r"(ss), "r"(ICR_SELF | 0x54), "r"(apic_at(APIC_ICR))
                         : "memory");
    interrupts_off();
    SAME("mov-ss-shadow-ends-behind-write", apic_x2 ? after_wrmsr : after_store,
         seen.count == 1 ? seen.ip[0] : 0);
    seen_reset(NULL);
}

static void check_hlt(void)
{
    apic_self(0x55);
    __asm__ volatile("sti\n\thlt\n.global after_hlt\nafter_hlt:\n\tcli" : : : "memory");
    SAME("hlt-with-one-pending", after_hlt, seen.count == 1 ? seen.ip[0] : 0);
    seen_reset(NULL);
    apic_write(APIC_TPR, 0x60); // does not count for the halt
    apic_self(0x56);
    apic_self(0x76);
    halt_once();
    CHECK_SEEN(named("hlt-woken-by-priority"), 0x76);
    apic_write(APIC_TPR, 0);
    interrupts_window();
    CHECK_SEEN(named("hlt-the-other-later"), 0x56);
}

void windows_test(void)
{
    seen_reset(NULL);
    check_sti();
    check_popf();
    check_mov_ss();
    check_hlt();
}
