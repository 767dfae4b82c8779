// Real mode and back: instructions that the hypervisor emulates, and faults that it injects, which have no
// error code there (SDM, "Real-Address Mode Operation").
#include "guests/paging/paging.h"

enum { ROOM = 0x8000, IVT = 0x9000, STACK_TOP = 0xaff0 };
enum { VECTOR_INT = 0x40 };

// What the code below counts and finds, at its own end, in the low 64 KiB.
struct found {
    uint16_t ud, gp, interrupts, di, si, cx, high_cx, sp;
    uint8_t scratch, in;
};

extern const char real_start[], real_ud[], real_gp[], real_interrupt[], real_found[], real_end[];
void real_enter(void);

__asm__(
    ".pushsection .text\n"
    ".global real_enter, real_start, real_ud, real_gp, real_interrupt, real_found, real_end\n"
    "real_enter: pusha; sidt 1f; mov %esp, 2f\n"
    "  ljmp $5 * 8, $0x8000\n"
    "real_start: .code16\n"
    "  mov $6 * 8, %ax; mov %ax, %ds; mov %ax, %es; mov %ax, %ss\n" // limits of 64 KiB, which stay
    "  mov %cr0, %eax; xor $0x21, %eax; mov %eax, %cr0\n"           // PE off, NE flipped: emulated
    "  ljmp $0, $(0x8000 + 3f - real_start)\n"
    "3: xor %ax, %ax; mov %ax, %ds; mov %ax, %es; mov %ax, %ss; mov $0xaff0, %sp\n"
    "  lidt (0x8000 + real_ivt - real_start)\n"
    "  vmxoff\n"
    "  mov $0x1234, %ecx; rdmsr; wrmsr\n"
    "  int $0x40\n"
    "  mov $0x3ff, %dx; mov $(0x8000 + real_bytes - real_start), %si; mov $0xabcd0003, %ecx; cld; rep outsb\n"
    "  mov %si, (0x8000 + real_found - real_start + 8)\n"
    "  mov %ecx, (0x8000 + real_found - real_start + 10)\n"
    "  in %dx, %al; mov %al, (0x8000 + real_found - real_start + 16)\n"
    "  mov $0x5a, %al; out %al, %dx\n"
    "  mov $(0x8000 + real_found - real_start + 17), %di; insb; mov %di, (0x8000 + real_found - real_start + "
    "6)\n"
    "  mov $0xffff, %si; mov $1, %cx; rep outsw\n" // beyond the limit
    "  mov $0x2222, %dx; mov $0xffff, %di; mov $1, %cx; rep insw\n"
    "  xor %eax, %eax; cpuid\n"
    "  mov %sp, (0x8000 + real_found - real_start + 14)\n"
    "  mov %cr0, %eax; xor $0x21, %eax; mov %eax, %cr0\n"
    "  ljmpl $0x10, $real_back\n"
    "real_ud: push %bp; mov %sp, %bp; addw $3, 2(%bp); incw (0x8000 + real_found - real_start); pop %bp; "
    "iret\n"
    "real_gp: push %bp; mov %sp, %bp; addw $2, 2(%bp); incw (0x8000 + real_found - real_start + 2); pop %bp; "
    "iret\n"
    "real_interrupt: incw (0x8000 + real_found - real_start + 4); iret\n"
    "real_ivt: .word 1023; .long 0x9000\n"
    "real_bytes: .byte 1, 2, 3\n"
    ".balign 4\n"
    "real_found: .skip 20\n"
    "real_end: .code32\n"
    "real_back: mov $0x18, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss\n"
    "  mov 2f, %esp; lidt 1f; popa; ret\n"
    ".section .bss\n"
    "1: .skip 8\n"
    "2: .skip 4\n"
    ".popsection\n");

unsigned real_points(void)
{
    return 8;
}

static void set_vector(unsigned vector, const char *handler)
{
    ((uint32_t *)IVT)[vector] = (uint32_t)(ROOM + (handler - real_start));
}

void real_test(const struct start_info *start)
{
    if (loader_owns(start, ROOM, STACK_TOP - ROOM)) {
        check(false, "real-room", "expected free memory below 64 KiB\ngot something of the loader's");
        return;
    }
    memcpy((void *)ROOM, real_start, (size_t)(real_end - real_start));
    set_vector(VECTOR_UD, real_ud);
    set_vector(VECTOR_GP, real_gp);
    set_vector(VECTOR_INT, real_interrupt);
    real_enter();
    const struct found *f = (const struct found *)(ROOM + (real_found - real_start));
    check_equal("real-ud", 1, f->ud);
    check_equal("real-gp", 4, f->gp); // RDMSR, WRMSR, OUTS, INS
    check_equal("real-int", 1, f->interrupts);
    check_equal("real-stack", STACK_TOP, f->sp);
    check_equal("real-outs-cx", 0xabcd0000, (uint32_t)f->high_cx << 16 | f->cx);
    check_equal("real-outs-byte", 3, f->scratch);
    check_equal("real-ins-byte", 0x5a, f->in);
    check_equal("real-ins-di", ROOM + (real_found - real_start) + 18, f->di);
}
