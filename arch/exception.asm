; 256 entries for the IDT, 8 bytes apart, and the way from any of them into exception_dispatch and back.
; The stack becomes a struct exception_frame. SDM, "64-Bit Mode Stack Frame".

extern exception_dispatch

section .text
bits 64

; #DF #TS #NP #SS #GP #PF #AC #CP, and what SVM adds: the processor pushes an error code for these.
%define HAS_ERROR(v) ((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17 || (v) == 21 || (v) == 29 || (v) == 30)

global exception_stubs
align 16
exception_stubs:
%assign vector 0
%rep 256
    align 8
    push byte (vector ^ 128) - 128  ; sign-extended: only the low byte counts
    %if HAS_ERROR(vector)
        jmp near with_error
    %else
        jmp near without_error
    %endif
    %assign vector vector + 1
%endrep

align 16
without_error:
    push qword [rsp]
    mov qword [rsp + 8], 0
with_error:
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
    cld
    mov rdi, rsp
    call exception_dispatch
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
    add rsp, 16                     ; vector and error code
    iretq

section .note.GNU-stack noalloc noexec nowrite progbits
