; Code that runs at CPL 3, and the way there and back.
bits 64
default rel

global ring3_run, ring3_landing

%define USER_CS 0x2b
%define USER_SS 0x33

section .text
; void ring3_run(const void *code, void *stack): runs code at CPL 3. It must fault or execute INT3; whoever
; handles that continues at ring3_landing at CPL 0 with the stack that this function keeps.
ring3_run:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [kept], rsp
    push USER_SS
    push rsi
    push 2 ; RFLAGS: IOPL 0, interrupts off
    push USER_CS
    push rdi
    iretq
ring3_landing:
    mov rsp, [kept]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

section .bss
kept: resq 1
section .note.GNU-stack noalloc noexec nowrite progbits
