; Runs a few bytes of code with chosen registers, single-stepped or not.
bits 64

global step_run

section .text
; void step_run(const struct registers *r, const void *code, uint64_t set_flags): R9 holds SS, for MOV SS.
; The code ends with RET. Interrupts are off again on return.
step_run:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov r10, rdx
    mov r11, rsi
    mov rax, [rdi + 0 * 8]
    mov rcx, [rdi + 1 * 8]
    mov rdx, [rdi + 2 * 8]
    mov rdi, [rdi + 3 * 8]
    mov r9d, ss
    pushfq
    or [rsp], r10
    popfq ; a TF set here traps behind the next instruction for the first time
    call r11
    cli
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret
section .note.GNU-stack noalloc noexec nowrite progbits
