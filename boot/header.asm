; What GRUB looks for in the first 32 KiB of the file: Multiboot2 Specification, "Header layout".
; No relocation is offered: the image stands at the 2 MiB it is linked for (linker.ld).

MAGIC       equ 0xe85250d6
I386        equ 0               ; entered in 32-bit protected mode, also by UEFI GRUB
OPTIONAL    equ 1               ; a loader that cannot serve the tag may go on

section .boot.header alloc noexec nowrite progbits align=8

header:
    dd MAGIC, I386, header.end - header, -(MAGIC + I386 + (header.end - header))

.information:                   ; memory map, and modules; without a memory map we could not run
    dw 1, 0
    dd .information_end - .information
    dd 6
.information_end:
    align 8
; No framebuffer tag: with one, GRUB under BIOS picks a graphics mode whatever gfxpayload says (and crashes in
; its VBE calls on Bochs 2.7). Without it BIOS keeps text mode, and UEFI still hands over a linear framebuffer.
.console:                       ; a text screen is welcome
    dw 4, OPTIONAL
    dd .console_end - .console
    dd 2
.console_end:
    align 8
.module_alignment:
    dw 6, OPTIONAL
    dd .module_alignment_end - .module_alignment
.module_alignment_end:
    align 8
    dw 0, 0                     ; the end tag
    dd 8
.end:

section .note.GNU-stack noalloc noexec nowrite progbits
