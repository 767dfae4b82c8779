; From GRUB's 32-bit protected mode to 64-bit C. The tables built here map the first 4 GiB three times, read,
; write and execute: at 0 (for the code of this file), as the direct map, and the first GiB as the image.
; They last until arch/paging.c loads its own; application processors pass through them again.

%include "offsets.inc"

HIGH        equ 0xffffffff80000000  ; IMAGE_BASE: the image's virtual minus physical addresses
CR4_PAE     equ 1 << 5
CR0_BOOT    equ 0x80010031          ; PG, WP, NE, ET, PE
EFER        equ 0xc0000080
EFER_LME    equ 1 << 8
LONG_MODE   equ 29                  ; CPUID.80000001H:EDX
TABLE       equ 0x003               ; present, writable
LARGE_PAGE  equ 0x083               ; present, writable, 2 MiB

extern tsc_boot, boot_main, smp_main, smp_slots, smp_apic_ids, smp_efer, host_paging

section .boot.text alloc exec nowrite progbits align=16
bits 32

global boot_entry
boot_entry:                         ; EAX: Multiboot2 magic, EBX: information structure
    mov esi, eax
    rdtsc                           ; now: boot time is counted from here
    mov [tsc_boot - HIGH], eax
    mov [tsc_boot - HIGH + 4], edx
    cld
    mov esp, boot_stack_end - HIGH
    push esi
    push ebx
    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb no_long_mode
    mov eax, 0x80000001
    cpuid
    bt edx, LONG_MODE
    jnc no_long_mode
    call fill_tables
    pop esi                         ; arguments of boot_main
    pop edi
    mov ebx, boot_high - HIGH
    ; falls through

enter_long_mode:                    ; EBX: where to go on, as a physical address of the image
    mov eax, CR4_PAE
    mov cr4, eax
    mov eax, boot_pml4
    mov cr3, eax
    mov ecx, EFER
    rdmsr
    or eax, EFER_LME
    wrmsr
    mov eax, CR0_BOOT
    mov cr0, eax
    lgdt [boot_gdt.pointer]
    jmp CODE_SELECTOR:.long
bits 64
.long:
    mov eax, DATA_SELECTOR
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov rax, HIGH
    mov ebx, ebx                    ; its upper half is undefined after the change of mode
    add rax, rbx
    jmp rax

bits 32
fill_tables:
    mov edi, boot_pml4
    mov dword [edi], boot_pdpt + TABLE
    mov dword [edi + 256 * 8], boot_pdpt + TABLE        ; DIRECT_BASE
    mov dword [edi + 511 * 8], boot_pdpt_high + TABLE   ; IMAGE_BASE
    mov dword [boot_pdpt_high + 510 * 8], boot_pd + TABLE
    mov dword [boot_pdpt], boot_pd + TABLE
    mov dword [boot_pdpt + 8], boot_pd + 0x1000 + TABLE
    mov dword [boot_pdpt + 16], boot_pd + 0x2000 + TABLE
    mov dword [boot_pdpt + 24], boot_pd + 0x3000 + TABLE
    mov edi, boot_pd
    mov eax, LARGE_PAGE
.next:
    mov [edi], eax
    add edi, 8
    add eax, 1 << 21
    jnc .next                       ; until 4 GiB have been mapped
    ret

no_long_mode:                       ; the one message that has to do without C
    mov esi, .text
    mov edi, 0xb8000
    mov dx, 0x3f8
.next:
    lodsb
    test al, al
    jz .stop
    out dx, al
    mov ah, 7
    stosw
    jmp .next
.stop:
    cli
    hlt
    jmp .stop
.text:
    db 'Micronova needs a 64-bit processor', 0

global ap_entry
ap_entry:                           ; an application processor, from boot/trampoline.asm
    mov eax, DATA_SELECTOR
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov ebx, ap_high - HIGH
    jmp enter_long_mode

align 8
global boot_gdt
boot_gdt:
    dq 0
    dq 0x00af9b000000ffff           ; CODE_SELECTOR: 64-bit code
    dq 0x00cf93000000ffff           ; DATA_SELECTOR
    dq 0x00cf9b000000ffff           ; 18H: 32-bit code, between the trampoline and 64-bit mode
.end:
.pointer:
    dw .end - boot_gdt - 1
    dd boot_gdt, 0

section .boot.bss alloc noexec write nobits align=4096
boot_pml4:      resb 4096
boot_pdpt:      resb 4096
boot_pdpt_high: resb 4096
boot_pd:        resb 4 * 4096

section .bss
alignb 16
boot_stack:     resb 8192           ; until the stack with guard pages is mapped
boot_stack_end:

section .text
bits 64

boot_high:
    mov rsp, boot_stack_end
    xor ebp, ebp                    ; ends a backtrace
    call boot_main
    ud2

; Which processor am I? SDM, CPUID leaves 0BH (x2APIC id) and 1. No stack before that is known, and none
; for one that nobody expects: it sleeps.
ap_high:
    xor eax, eax
    cpuid
    cmp eax, 0x0b
    jb .initial_id
    mov eax, 0x0b
    xor ecx, ecx
    cpuid
    mov eax, edx
    test ebx, ebx
    jnz .search
.initial_id:
    mov eax, 1
    cpuid
    mov eax, ebx
    shr eax, 24
.search:
    xor edi, edi
.next:
    inc edi                         ; slot 0 is the boot processor's
    cmp edi, [smp_slots]
    jae .stop
    cmp eax, [smp_apic_ids + rdi * 4]
    jne .next
    mov ecx, EFER                   ; NXE before the tables that use it
    mov eax, [smp_efer]
    mov edx, [smp_efer + 4]
    wrmsr
    mov rax, [host_paging]          ; .root
    mov cr3, rax
    mov eax, edi
    imul rax, rax, PCPU_SLOT_SIZE
    mov rsp, STACK_TOP_0
    add rsp, rax
    xor ebp, ebp
    call smp_main                   ; (slot)
.stop:
    cli
    hlt
    jmp .stop

section .note.GNU-stack noalloc noexec nowrite progbits
