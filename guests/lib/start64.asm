; 64-bit guests: entry, exception vectors, and the landing of catch_exception().
bits 64
default rel

extern guest_start, exception_dispatch, stack_top
global _start, entry_state, catch_call, catch_landing, catch_stack, exception_stubs

section .text.start progbits alloc exec nowrite
; Every register is kept as found before anything is touched: the cpu guest compares it with the ABI.
_start:
    mov [entry_state + 0 * 8], rax
    mov [entry_state + 1 * 8], rcx
    mov [entry_state + 2 * 8], rdx
    mov [entry_state + 3 * 8], rbx
    mov [entry_state + 4 * 8], rsp
    mov [entry_state + 5 * 8], rbp
    mov [entry_state + 6 * 8], rsi
    mov [entry_state + 7 * 8], rdi
    mov [entry_state + 8 * 8], r8
    mov [entry_state + 9 * 8], r9
    mov [entry_state + 10 * 8], r10
    mov [entry_state + 11 * 8], r11
    mov [entry_state + 12 * 8], r12
    mov [entry_state + 13 * 8], r13
    mov [entry_state + 14 * 8], r14
    mov [entry_state + 15 * 8], r15
    lea rsp, [stack_top]
    pushfq
    pop qword [entry_state + 16 * 8]
    rdtsc
    mov [entry_state + 17 * 8], eax
    mov [entry_state + 17 * 8 + 4], edx
    mov rdi, [entry_state + 7 * 8]
    xor ebp, ebp
    call guest_start
.end:
    cli
    hlt
    jmp .end

section .text
; bool catch_call(void (*fn)(void *), void *arg): true when an exception ended fn early.
catch_call:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    pushfq
    push qword [catch_stack]
    mov [catch_stack], rsp
    mov rax, rdi
    mov rdi, rsi
    call rax
    xor eax, eax
    jmp catch_out
; An exception that nobody else handles returns here instead of to the culprit.
catch_landing:
    mov rsp, [catch_stack]
    mov eax, 1
catch_out:
    pop qword [catch_stack]
    popfq
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

%include "guests/lib/stubs.inc"

exception_common:
    push rax
    push rcx
    push rdx
    push rbx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    mov rbx, rsp
    mov rdi, rsp
    and rsp, -16
    cld
    call exception_dispatch
    mov rsp, rbx
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq

section .bss
entry_state: resq 18
catch_stack: resq 1
section .note.GNU-stack noalloc noexec nowrite progbits
