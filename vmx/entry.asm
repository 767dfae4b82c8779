; The whole boundary between guest and hypervisor. A VM exit arrives with RSP = HOST_RSP = the vCPU, whose
; first member is the array of general registers, in the order of enum gpr; RSP's own place is unused.
; Interrupts are off; NMI and #MC have stacks of their own.
;
; Guest values are cleared from registers before C runs, so that nothing of them can steer speculation.
%include "offsets.inc"
        bits 64
        default rel

extern vmx_exit
extern vmx_exit_watched
extern vmx_entry_failed

%define REG(n) [rsp + 8 * n]

%macro store_guest_registers 0
        mov REG(0), rax
        mov REG(2), rdx
        store_other_guest_registers
%endmacro

%macro store_other_guest_registers 0
        mov REG(1), rcx
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
        mov rdi, rsp
        mov rsp, [gs:PCPU_STACK_TOP]
        xor eax, eax
        xor ecx, ecx
        xor edx, edx
        xor ebx, ebx
        xor ebp, ebp
        xor esi, esi
        xor r8d, r8d
        xor r9d, r9d
        xor r10d, r10d
        xor r11d, r11d
        xor r12d, r12d
        xor r13d, r13d
        xor r14d, r14d
        xor r15d, r15d
%endmacro

; From the vCPU in RSP.
%macro load_guest_registers 0
        mov rax, REG(0)
        mov rcx, REG(1)
        mov rdx, REG(2)
        mov rbx, REG(3)
        mov rbp, REG(5)
        mov rsi, REG(6)
        mov rdi, REG(7)
        mov r8, REG(8)
        mov r9, REG(9)
        mov r10, REG(10)
        mov r11, REG(11)
        mov r12, REG(12)
        mov r13, REG(13)
        mov r14, REG(14)
        mov r15, REG(15)
%endmacro

section .text


; HOST_RIP under the exit microscope (kernel option report=stats). The time of the exit, its low half, is kept
; where RSP's place is free.
global vmx_exit_stub_watched
vmx_exit_stub_watched:
        mov REG(0), rax
        mov REG(2), rdx
        rdtsc
        mov REG(4), eax
        store_other_guest_registers
        call vmx_exit_watched
        jmp enter

; HOST_RIP.
global vmx_exit_stub
vmx_exit_stub:
        store_guest_registers
        call vmx_exit
enter:  mov rsp, rax
        load_guest_registers
        vmresume
; Only here when it failed; the guest's registers are all still in the vCPU. The processor itself knows
; whether the VMCS was launched, so no flag of ours has to agree with it: an error "VMRESUME with
; non-launched VMCS" makes vmx_entry_failed() answer true, every other failure ends that vCPU there.
        mov rdi, rsp
        mov rsp, [gs:PCPU_STACK_TOP]
        call vmx_entry_failed
        mov rsp, rax
        test rdx, rdx
        jz enter
        load_guest_registers
        vmlaunch
        mov rdi, rsp
        mov rsp, [gs:PCPU_STACK_TOP]
        call vmx_entry_failed
        jmp enter

; _Noreturn void vcpu_run(struct vcpu *v)
global vcpu_run
vcpu_run:
        mov rax, rdi
        jmp enter

section .note.GNU-stack noalloc noexec nowrite progbits
