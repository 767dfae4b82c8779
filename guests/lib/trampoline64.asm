; Where other processors begin after SIPI: copied to a page below 1 MiB, real mode to 64-bit mode.
global trampoline, trampoline_end, trampoline_cr3, trampoline_stack, trampoline_main

section .text
bits 16
; CS is the page that the SIPI names, IP 0; everything is found from there.
trampoline:
    cli
    mov ax, cs
    mov ds, ax
    xor ebx, ebx
    mov bx, ax
    shl ebx, 4 ; where this page is
    lea eax, [ebx + gdt - trampoline]
    mov [gdtr + 2 - trampoline], eax
    lea eax, [ebx + in_long - trampoline]
    mov [far_long - trampoline], eax
    lgdt [gdtr - trampoline]
    mov eax, 1 << 5 ; CR4.PAE
    mov cr4, eax
    mov eax, [trampoline_cr3 - trampoline]
    mov cr3, eax
    mov ecx, 0xc0000080 ; IA32_EFER
    rdmsr
    or eax, 1 << 8 ; LME
    wrmsr
    mov eax, 0x80000011 ; PG ET PE
    mov cr0, eax
    jmp dword far [far_long - trampoline]
bits 64
in_long:
    mov ax, 0x18
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov fs, ax
    mov gs, ax
    mov rsp, [rel trampoline_stack]
    mov rax, [rel trampoline_main]
    xor ebp, ebp
    call rax
.end:
    cli
    hlt
    jmp .end

align 8
; The loader's: 10h code, 18h data.
gdt: dq 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr: dw 31
    dd 0
far_long: dd 0
    dw 0x10
align 8
trampoline_cr3: dd 0
    dd 0
trampoline_stack: dq 0
trampoline_main: dq 0
trampoline_end:
section .note.GNU-stack noalloc noexec nowrite progbits
