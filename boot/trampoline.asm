; Where a SIPI lands: real mode, CS:IP = page:0000. Copied to a frame below 1 MiB, independent of which.
; From here straight to the 32-bit code of boot/entry.asm, which the boot tables map where it is linked.

extern ap_entry, boot_gdt

CODE32  equ 0x18

section .rodata
bits 16

global trampoline, trampoline_end
trampoline:
    cli
    o32 lgdt [cs:.gdt - trampoline]
    mov eax, cr0
    or al, 1                        ; PE
    mov cr0, eax
    jmp dword CODE32:ap_entry
align 4
.gdt:
    dw 4 * 8 - 1
    dd boot_gdt
trampoline_end:

section .note.GNU-stack noalloc noexec nowrite progbits
