; Code that runs at CPL 3, and the way there and back.
bits 64
default rel

global user_enter, user_landing

%define USER_CS 0x2b
%define USER_SS 0x33

section .text
; void user_enter(const void *code, void *stack): runs code at CPL 3. It must fault or execute INT3; whoever
; handles that continues at user_landing at CPL 0 with the stack that this function keeps.
user_enter:
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
user_landing:
    mov rsp, [kept]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret


; uint32_t compatibility_enter(const void *code): a far call into the 32-bit code segment. What the upper halves of
; registers hold afterwards is nobody's promise (SDM volume 1, "Operating Modes").
global compatibility_enter
%define CODE32 0x20
compatibility_enter:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [kept], rsp
    mov [far_pointer], edi
    mov word [far_pointer + 4], CODE32
    call far dword [far_pointer]
    mov rsp, [kept]
    mov eax, eax
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

section .bss
far_pointer: resb 6
alignb 8
kept: resq 1
section .note.GNU-stack noalloc noexec nowrite progbits
