; VM entries of a probe (vmx/probe.c) and the two ways back from them.
%include "offsets.inc"
        bits 64
        default rel

extern probe_inside
extern probe_restore_host

%define REG(n) [rsp + 8 * n]
%define PROBE_RSP 8 * 16          ; behind the registers: vmx/probe.c asserts it
%define PROBE_EFER 8 * 17
%define ROOM_RAX 8 * 6           ; and behind it RCX, RDX, RBX: vmx/probe_room.c asserts it
%define ROOM_FRAME 8 * 10
%define STATUS_FLAGS 8d7h       ; OF SF ZF AF PF CF and the bit that is always 1

section .rodata
data_selector: dw DATA_SELECTOR

section .text

; uint64_t probe_enter(struct probe *p, uint64_t way): RFLAGS behind an instruction that failed, 0 after an exit.
; way: 0 VMLAUNCH, 1 VMRESUME, 2 and 3 the same behind MOV SS.
global probe_enter
probe_enter:
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        mov [rdi + PROBE_RSP], rsp
        lea rax, [ways]
        mov rax, [rax + 8 * rsi]
        push rax
        push STATUS_FLAGS
        mov rcx, [rdi + 8 * 1]
        mov rdx, [rdi + 8 * 2]
        mov rbx, [rdi + 8 * 3]
        mov rbp, [rdi + 8 * 5]
        mov rsi, [rdi + 8 * 6]
        mov r8, [rdi + 8 * 8]
        mov r9, [rdi + 8 * 9]
        mov r10, [rdi + 8 * 10]
        mov r11, [rdi + 8 * 11]
        mov r12, [rdi + 8 * 12]
        mov r13, [rdi + 8 * 13]
        mov r14, [rdi + 8 * 14]
        mov r15, [rdi + 8 * 15]
        mov rax, [rdi]
        mov rdi, [rdi + 8 * 7]
        popfq
        ret                     ; into the way
launch: vmlaunch
        jmp failed
resume: vmresume
        jmp failed
launch_mov_ss:
        mov ss, [data_selector]
        vmlaunch
        jmp failed
resume_mov_ss:
        mov ss, [data_selector]
        vmresume
failed: pushfq
        pop rax
        jmp out

; HOST_RIP of an attempt that leaves host state alone; HOST_RSP is the probe.
global probe_exit
probe_exit:
        mov REG(0), rax
        mov REG(1), rcx
        mov REG(2), rdx
        mov REG(3), rbx
        mov REG(5), rbp
        mov REG(6), rsi
        mov REG(7), rdi
        mov REG(8), r8
        mov REG(9), r9
        mov REG(10), r10
        mov REG(11), r11
        mov REG(12), r12
        mov REG(13), r13
        mov REG(14), r14
        mov REG(15), r15
        mov rsp, [rsp + PROBE_RSP]
        xor eax, eax
out:    pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        pop rbx
        ret

; What probe_unblock_nmis() enters, on a stack with the frame for it.
global probe_iret, probe_iret_done
probe_iret:
        iretq
probe_iret_done:
        vmcall

; What probe_drain_init() enters: it ends by the timer, if by nothing else.
global probe_spin
probe_spin:
        pause
        jmp probe_spin

; void probe_go(struct room *r, cr3): ends in probe_came_*, by an exception (vmx/probe_room.c).
global probe_go
probe_go:
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        mov [rdi], rsp
        mov cr3, rsi
  %assign n 4
  %rep 5
        push qword [rdi + ROOM_FRAME + 8 * n]
    %assign n n - 1
  %endrep
        mov rax, [rdi + ROOM_RAX]
        mov rcx, [rdi + ROOM_RAX + 8]
        mov rdx, [rdi + ROOM_RAX + 16]
        mov rbx, [rdi + ROOM_RAX + 24]
        iretq

; Above the exception's frame stands the address of the room.
%macro CAME 2                   ; vector, whether it has an error code
global probe_came_%1
probe_came_%1:
  %if !%2
        push qword 0
  %endif
        push qword %1
        jmp came
%endmacro
        CAME 6, 0
        CAME 12, 1
        CAME 13, 1
        CAME 14, 1
came:   mov rdi, [rsp + 8 * 7]
        pop qword [rdi + 8 * 2] ; vector
        pop qword [rdi + 8 * 3] ; error code
        pop qword [rdi + 8 * 4] ; RIP
        add rsp, 8
        pop qword [rdi + 8 * 5] ; RFLAGS
        mov [rdi + ROOM_RAX], rax
        mov rax, [rdi + 8 * 1]
        mov rsp, [rdi]
        mov cr3, rax
        jmp out

; HOST_RIP of an attempt that may have left anything in host state: one entry a processor, PROBE_LANDING bytes
; apart, because nothing else may say which one this is. Until the control registers are right there is no access to
; memory but for fetching this; patch_landing() (vmx/probe.c) put their values in.
global probe_landings
align 16
probe_landings:
%assign n 0
%rep PCPU_COUNT_MAX
        align 16
        mov edi, n
        jmp near landing
  %assign n n + 1
%endrep

global probe_landing_efer, probe_landing_cr3, probe_landing_cr0, probe_landing_cr4
landing:
        mov ecx, 0c0000080h
        rdmsr
        shl rdx, 32
        or rdx, rax
        mov r8, rdx             ; IA32_EFER as the exit left it
        xor edx, edx
        mov eax, strict dword 0
probe_landing_efer:
        wrmsr
        mov rax, strict qword 0
probe_landing_cr3:
        mov cr3, rax
        mov rax, strict qword 0
probe_landing_cr0:
        mov cr0, rax
        mov rax, strict qword 0
probe_landing_cr4:
        mov cr4, rax
        lea rdx, [probe_inside]
        mov rdi, [rdx + 8 * rdi]
        mov rsp, [rdi + PROBE_RSP]
        mov [rdi + PROBE_EFER], r8
        call probe_restore_host
        xor eax, eax
        jmp out

section .rodata
align 8
ways:   dq launch, resume, launch_mov_ss, resume_mov_ss

section .note.GNU-stack noalloc noexec nowrite progbits
