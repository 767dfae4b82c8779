; One round of the state guest: every register loaded, one VMCALL, every register stored (state.h).
bits 64
default rel

%define WITH_AVX 120
%define FX       128
%define YMM_HIGH 640
%define XCR0_IN_CALL 896
%define XCR0_AROUND  904

global state_round

; FXRSTOR leaves the upper halves alone and FXSAVE does not read them: they travel by themselves.
%macro LOAD_UPPER 1
    vinsertf128 ymm%1, ymm%1, [rdi + YMM_HIGH + %1 * 16], 1
%endmacro
%macro STORE_UPPER 1
    vextractf128 [rbx + YMM_HIGH + %1 * 16], ymm%1, 1
%endmacro

section .text
; void state_round(const struct state *set, struct state *got, uint64_t number)
state_round:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [got], rsi
    mov [number], rdx
    fxrstor64 [rdi + FX]
    cmp qword [rdi + WITH_AVX], 0
    je .loaded
%assign i 0
%rep 16
    LOAD_UPPER i
%assign i i + 1
%endrep
.loaded:
    mov rax, [rdi + XCR0_AROUND]
    mov [around], rax
    mov rax, [rdi + XCR0_IN_CALL]
    test rax, rax
    jz .narrowed
    xor ecx, ecx
    mov rdx, rax
    shr rdx, 32
    xsetbv
.narrowed:
    mov rcx, [rdi + 1 * 8]
    mov rdx, [rdi + 2 * 8]
    mov rbx, [rdi + 3 * 8]
    mov rbp, [rdi + 4 * 8]
    mov rsi, [rdi + 5 * 8]
    mov r8, [rdi + 7 * 8]
    mov r9, [rdi + 8 * 8]
    mov r10, [rdi + 9 * 8]
    mov r11, [rdi + 10 * 8]
    mov r12, [rdi + 11 * 8]
    mov r13, [rdi + 12 * 8]
    mov r14, [rdi + 13 * 8]
    mov r15, [rdi + 14 * 8]
    mov rax, [rdi + WITH_AVX]
    mov [avx], rax
    mov rdi, [rdi + 6 * 8]
    mov rax, [number]
    vmcall
    push rbx
    mov rbx, [got]
    mov [rbx + 0 * 8], rax
    mov [rbx + 1 * 8], rcx
    mov [rbx + 2 * 8], rdx
    pop qword [rbx + 3 * 8]
    mov [rbx + 4 * 8], rbp
    mov [rbx + 5 * 8], rsi
    mov [rbx + 6 * 8], rdi
    mov [rbx + 7 * 8], r8
    mov [rbx + 8 * 8], r9
    mov [rbx + 9 * 8], r10
    mov [rbx + 10 * 8], r11
    mov [rbx + 11 * 8], r12
    mov [rbx + 12 * 8], r13
    mov [rbx + 13 * 8], r14
    mov [rbx + 14 * 8], r15
    mov eax, [around]
    test eax, eax
    jz .widened
    xor ecx, ecx
    xgetbv
    mov [rbx + XCR0_IN_CALL], eax
    mov [rbx + XCR0_IN_CALL + 4], edx
    mov eax, [around]
    mov edx, [around + 4]
    xsetbv
.widened:
    mov rax, [avx]
    mov [rbx + WITH_AVX], rax
    fxsave64 [rbx + FX]
    test rax, rax
    jz .stored
%assign i 0
%rep 16
    STORE_UPPER i
%assign i i + 1
%endrep
.stored:
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

section .bss
got: resq 1
number: resq 1
avx: resq 1
around: resq 1
section .note.GNU-stack noalloc noexec nowrite progbits
