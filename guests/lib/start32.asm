; 32-bit guests: entry, exception vectors, and the landing of catch_exception().
bits 32

extern guest_start, exception_dispatch, stack_top
global _start, entry_state, catch_call, catch_landing, catch_stack, exception_stubs

section .text.start progbits alloc exec nowrite
; Every register is kept as found before anything is touched: the cpu guest compares it with the ABI.
_start:
    mov [entry_state + 0 * 4], eax
    mov [entry_state + 1 * 4], ecx
    mov [entry_state + 2 * 4], edx
    mov [entry_state + 3 * 4], ebx
    mov [entry_state + 4 * 4], esp
    mov [entry_state + 5 * 4], ebp
    mov [entry_state + 6 * 4], esi
    mov [entry_state + 7 * 4], edi
    mov esp, stack_top
    pushfd
    pop dword [entry_state + 8 * 4]
    rdtsc
    mov [entry_state + 9 * 4], eax
    mov [entry_state + 10 * 4], edx
    xor ebp, ebp
    sub esp, 12 ; the ABI of C wants ESP aligned to 16 where a call pushes
    push edi
    call guest_start
.end:
    cli
    hlt
    jmp .end

section .text
; bool catch_call(void (*fn)(void *), void *arg): true when an exception ended fn early.
catch_call:
    mov eax, [esp + 4]
    mov ecx, [esp + 8]
    push ebp
    push ebx
    push esi
    push edi
    pushfd
    push dword [catch_stack]
    mov [catch_stack], esp
    sub esp, 16 ; room for the argument, aligned to 16 whatever the caller had
    and esp, -16
    mov [esp], ecx
    call eax
    xor eax, eax
    mov esp, [catch_stack]
    jmp catch_out
; An exception that nobody else handles returns here instead of to the culprit.
catch_landing:
    mov esp, [catch_stack]
    mov eax, 1
catch_out:
    pop dword [catch_stack]
    popfd
    pop edi
    pop esi
    pop ebx
    pop ebp
    ret

%include "guests/lib/stubs.inc"

exception_common:
    push eax
    push ecx
    push edx
    push ebx
    push ebp
    push esi
    push edi
    mov ebx, esp
    sub esp, 16
    and esp, -16
    mov [esp], ebx
    cld
    call exception_dispatch
    mov esp, ebx
    pop edi
    pop esi
    pop ebp
    pop ebx
    pop edx
    pop ecx
    pop eax
    add esp, 8
    iretd

section .bss
entry_state: resd 11
catch_stack: resd 1
section .note.GNU-stack noalloc noexec nowrite progbits
