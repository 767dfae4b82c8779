// The machine state that no VMCS holds, as state.asm loads and stores it; the offsets stand in state.asm too.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { GPRS = 15, VECTORS = 16 }; // all but RSP; XMM/YMM registers

struct fx_area { // as FXSAVE64 lays it out, SDM volume 1
    uint16_t fcw, fsw;
    uint8_t ftw, reserved;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16];
    uint64_t xmm[VECTORS][2];
    uint8_t rest[96];
} __attribute__((aligned(16)));
_Static_assert(sizeof(struct fx_area) == 512, "SDM: FXSAVE area");

struct state {
    uint64_t gpr[GPRS]; // RAX RCX RDX RBX RBP RSI RDI R8..R15; RAX is the hypercall's
    uint64_t with_avx;
    struct fx_area fx;
    uint64_t ymm_high[VECTORS][2];
    uint64_t xcr0_in_call; // during the VMCALL, 0 without XSAVE; in the result: as found behind it
    uint64_t xcr0_around;  // before and after
};
_Static_assert(offsetof(struct state, with_avx) == 120, "state.asm: WITH_AVX");
_Static_assert(offsetof(struct state, fx) == 128, "state.asm: FX");
_Static_assert(offsetof(struct state, ymm_high) == 640, "state.asm: YMM_HIGH");
_Static_assert(offsetof(struct state, xcr0_in_call) == 896, "state.asm: XCR0_IN_CALL");

// Loads everything from `set`, executes one VMCALL with RAX = number, stores everything to `got`.
void state_round(const struct state *set, struct state *got, uint64_t number);
