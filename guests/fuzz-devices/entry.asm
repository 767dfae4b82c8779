; Gates for all vectors, and where a processor begins after SIPI. The PIC can deliver an interrupt through a vector
; where exceptions have an error code, so the vector does not tell what was pushed. RSP does: the processor aligns it
; to 16 before it pushes five words or six (SDM, "64-Bit Mode Stack Frame").
bits 64
default rel
extern fuzz_interrupt, fuzz_restarted, fuzz_stacks
global gate_stubs, restart_entry, restart_code, restart_code_end

FUZZ_STACK equ 8192

section .text
    align 16
gate_stubs:
%assign vector 0
%rep 256
    align 16
    push vector
    jmp gate_common
%assign vector vector + 1
%endrep

; The stack becomes a struct frame; an error code of -1 says that there was none.
gate_common:
    test spl, 8
    jnz .with_code
    push rax
    mov rax, [rsp + 8]
    mov qword [rsp + 8], -1
    xchg rax, [rsp]
.with_code:
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
    mov rdi, rsp
    mov rbx, rsp
    and rsp, -16
    cld
    call fuzz_interrupt
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

; The trampoline's stack is nobody's: several may be on it at once. Each finds its own by its APIC ID.
restart_entry:
    mov eax, 1
    cpuid
    shr ebx, 24
    mov edi, ebx
    inc ebx
    imul ebx, FUZZ_STACK
    lea rsp, [fuzz_stacks]
    add rsp, rbx
    xor ebp, ebp
    call fuzz_restarted
.end:
    hlt
    jmp .end

; What each page that a SIPI may name begins with: a jump to the trampoline.
bits 16
restart_code:
    jmp 0x800:0
restart_code_end:
section .note.GNU-stack noalloc noexec nowrite progbits
