; Runs a few bytes of code in another code segment, and by it in another mode.
bits 64
default rel

global modes_call

section .text
; void modes_call(struct call *c): the code ends with a far return of 32 bits; offsets as in modes.h.
modes_call:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [current], rdi
    mov ds, [rdi + 48]
    mov es, [rdi + 50]
    push qword [rdi + 40]
    popfq
    mov rax, [rdi]
    mov rcx, [rdi + 8]
    mov rdx, [rdi + 16]
    mov rsi, [rdi + 24]
    mov rbx, rdi
    mov rdi, [rdi + 32]
    call far dword [rbx + 52]
    mov rbx, [current]
    mov [rbx], rax
    mov [rbx + 8], rcx
    mov [rbx + 16], rdx
    mov [rbx + 24], rsi
    mov [rbx + 32], rdi
    cld
    mov eax, ss
    mov ds, eax
    mov es, eax
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

section .bss
current: resq 1
section .note.GNU-stack noalloc noexec nowrite progbits
