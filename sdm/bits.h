// The room sdm/ holds what Intel's manual (SDM) says, as tables and as functions of their arguments alone. It
// owns no state, takes no lock, touches no processor and depends on no other room, so that kernel, guests,
// host tests and tools use it alike; 32-bit guests use its headers alone. Invariant: a fact of the manual stands in one
// list; enums, names and tables come from it.
//
// Bits of the processor's registers as named constants, from one list each, and a decoder into text.
// SDM volume 3, "Control Registers"; volume 1, "EFLAGS Register"; volume 3, "Debug Registers".
//
// Every enum ends in a member at bit 63, so that the compiler gives 64 bits to the members that do not fit
// an int: ~CR0_PG then clears one bit of a uint64_t and not the 32 above it. Pure.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIT_ENUM(prefix, bit, name) prefix##name = 1ull << (bit),
#define BIT_MASK(prefix, bit, name) | 1ull << (bit)
#define BIT_NAME(prefix, bit, name) #name "\0"

// clang-format off
#define CR0_BITS(X) \
    X(CR0_, 0, PE) X(CR0_, 1, MP) X(CR0_, 2, EM) X(CR0_, 3, TS) X(CR0_, 4, ET) X(CR0_, 5, NE) \
    X(CR0_, 16, WP) X(CR0_, 18, AM) X(CR0_, 29, NW) X(CR0_, 30, CD) X(CR0_, 31, PG)

#define CR3_BITS(X) X(CR3_, 3, PWT) X(CR3_, 4, PCD) X(CR3_, 61, LAM_U57) X(CR3_, 62, LAM_U48) X(CR3_, 63, NOFLUSH)

#define CR4_BITS(X) \
    X(CR4_, 0, VME) X(CR4_, 1, PVI) X(CR4_, 2, TSD) X(CR4_, 3, DE) X(CR4_, 4, PSE) X(CR4_, 5, PAE) \
    X(CR4_, 6, MCE) X(CR4_, 7, PGE) X(CR4_, 8, PCE) X(CR4_, 9, OSFXSR) X(CR4_, 10, OSXMMEXCPT) \
    X(CR4_, 11, UMIP) X(CR4_, 12, LA57) X(CR4_, 13, VMXE) X(CR4_, 14, SMXE) X(CR4_, 16, FSGSBASE) \
    X(CR4_, 17, PCIDE) X(CR4_, 18, OSXSAVE) X(CR4_, 19, KL) X(CR4_, 20, SMEP) X(CR4_, 21, SMAP) \
    X(CR4_, 22, PKE) X(CR4_, 23, CET) X(CR4_, 24, PKS) X(CR4_, 25, UINTR) X(CR4_, 27, LASS) \
    X(CR4_, 28, LAM_SUP) X(CR4_, 32, FRED)

#define EFER_BITS(X) X(EFER_, 0, SCE) X(EFER_, 8, LME) X(EFER_, 10, LMA) X(EFER_, 11, NXE)

#define XCR0_BITS(X) \
    X(XCR0_, 0, X87) X(XCR0_, 1, SSE) X(XCR0_, 2, AVX) X(XCR0_, 3, BNDREG) X(XCR0_, 4, BNDCSR) \
    X(XCR0_, 5, OPMASK) X(XCR0_, 6, ZMM_HI256) X(XCR0_, 7, HI16_ZMM) X(XCR0_, 9, PKRU) \
    X(XCR0_, 17, TILECFG) X(XCR0_, 18, TILEDATA)

#define RFLAGS_BITS(X) \
    X(RFLAGS_, 0, CF) X(RFLAGS_, 1, FIXED1) X(RFLAGS_, 2, PF) X(RFLAGS_, 4, AF) X(RFLAGS_, 6, ZF) \
    X(RFLAGS_, 7, SF) X(RFLAGS_, 8, TF) X(RFLAGS_, 9, IF) X(RFLAGS_, 10, DF) X(RFLAGS_, 11, OF) \
    X(RFLAGS_, 14, NT) X(RFLAGS_, 16, RF) X(RFLAGS_, 17, VM) X(RFLAGS_, 18, AC) X(RFLAGS_, 19, VIF) \
    X(RFLAGS_, 20, VIP) X(RFLAGS_, 21, ID)

// BLD and RTM mean by 0 that the event happened.
#define DR6_BITS(X) \
    X(DR6_, 0, B0) X(DR6_, 1, B1) X(DR6_, 2, B2) X(DR6_, 3, B3) X(DR6_, 11, BLD) X(DR6_, 13, BD) \
    X(DR6_, 14, BS) X(DR6_, 15, BT) X(DR6_, 16, RTM)

#define DR7_BITS(X) \
    X(DR7_, 0, L0) X(DR7_, 1, G0) X(DR7_, 2, L1) X(DR7_, 3, G1) X(DR7_, 4, L2) X(DR7_, 5, G2) \
    X(DR7_, 6, L3) X(DR7_, 7, G3) X(DR7_, 8, LE) X(DR7_, 9, GE) X(DR7_, 10, FIXED1) X(DR7_, 11, RTM) \
    X(DR7_, 13, GD)

#define DEBUGCTL_BITS(X) \
    X(DEBUGCTL_, 0, LBR) X(DEBUGCTL_, 1, BTF) X(DEBUGCTL_, 2, BLD) X(DEBUGCTL_, 6, TR) \
    X(DEBUGCTL_, 7, BTS) X(DEBUGCTL_, 8, BTINT) X(DEBUGCTL_, 9, BTS_OFF_OS) \
    X(DEBUGCTL_, 10, BTS_OFF_USR) X(DEBUGCTL_, 11, FREEZE_LBRS) X(DEBUGCTL_, 12, FREEZE_PERFMON) \
    X(DEBUGCTL_, 13, UNCORE_PMI) X(DEBUGCTL_, 14, FREEZE_IN_SMM) X(DEBUGCTL_, 15, RTM)

#define FEATURE_CONTROL_BITS(X) \
    X(FEATURE_CONTROL_, 0, LOCK) X(FEATURE_CONTROL_, 1, VMX_IN_SMX) X(FEATURE_CONTROL_, 2, VMX) \
    X(FEATURE_CONTROL_, 15, SENTER) X(FEATURE_CONTROL_, 17, SGX_LAUNCH) X(FEATURE_CONTROL_, 18, SGX) \
    X(FEATURE_CONTROL_, 20, LMCE)

#define APIC_BASE_BITS(X) X(APIC_BASE_, 8, BSP) X(APIC_BASE_, 10, X2APIC) X(APIC_BASE_, 11, ENABLE)

// Segment access rights as the VMCS keeps them (SDM volume 3, "Guest Register State"): descriptor bits 55:40,
// and bit 16 for "unusable".
#define ACCESS_RIGHTS_BITS(X) \
    X(AR_, 4, S) X(AR_, 7, P) X(AR_, 12, AVL) X(AR_, 13, L) X(AR_, 14, DB) X(AR_, 15, G) \
    X(AR_, 16, UNUSABLE)

// Guest interruptibility state and pending debug exceptions (SDM volume 3, "Guest Non-Register State").
#define INTERRUPTIBILITY_BITS(X) \
    X(BLOCKING_BY_, 0, STI) X(BLOCKING_BY_, 1, MOV_SS) X(BLOCKING_BY_, 2, SMI) X(BLOCKING_BY_, 3, NMI) \
    X(BLOCKING_BY_, 4, ENCLAVE)

#define PENDING_DEBUG_BITS(X) \
    X(PENDING_DEBUG_, 0, B0) X(PENDING_DEBUG_, 1, B1) X(PENDING_DEBUG_, 2, B2) X(PENDING_DEBUG_, 3, B3) \
    X(PENDING_DEBUG_, 11, BLD) X(PENDING_DEBUG_, 12, ENABLED_BREAKPOINT) X(PENDING_DEBUG_, 14, BS) \
    X(PENDING_DEBUG_, 16, RTM)

// The error code of #PF (SDM volume 3, "Page-Fault Exception").
#define PF_ERROR_BITS(X) \
    X(PF_ERROR_, 0, P) X(PF_ERROR_, 1, W) X(PF_ERROR_, 2, U) X(PF_ERROR_, 3, RSVD) X(PF_ERROR_, 4, I) \
    X(PF_ERROR_, 5, PK) X(PF_ERROR_, 6, SS) X(PF_ERROR_, 7, HLAT) X(PF_ERROR_, 15, SGX)

// name of the table, prefix of a 64-bit end marker, list
#define BIT_LISTS(X) \
    X(cr0, CR0, CR0_BITS) X(cr3, CR3, CR3_BITS) X(cr4, CR4, CR4_BITS) X(efer, EFER, EFER_BITS) \
    X(xcr0, XCR0, XCR0_BITS) X(rflags, RFLAGS, RFLAGS_BITS) X(dr6, DR6, DR6_BITS) \
    X(dr7, DR7, DR7_BITS) X(debugctl, DEBUGCTL, DEBUGCTL_BITS) \
    X(feature_control, FEATURE_CONTROL, FEATURE_CONTROL_BITS) \
    X(apic_base, APIC_BASE, APIC_BASE_BITS) X(access_rights, AR, ACCESS_RIGHTS_BITS) \
    X(interruptibility, BLOCKING, INTERRUPTIBILITY_BITS) \
    X(pending_debug, PENDING_DEBUG, PENDING_DEBUG_BITS) X(pf_error, PF_ERROR, PF_ERROR_BITS)

// Vector, mnemonic, words, has an error code, class (SDM volume 3, "Double Fault Exception": which pairs of
// exceptions make a double fault).
#define EXCEPTIONS(X) \
    X(0,  DE, "divide error",               false, CONTRIBUTORY) \
    X(1,  DB, "debug",                      false, BENIGN) \
    X(2,  NMI, "NMI",                       false, BENIGN) \
    X(3,  BP, "breakpoint",                 false, BENIGN) \
    X(4,  OF, "overflow",                   false, BENIGN) \
    X(5,  BR, "BOUND range exceeded",       false, BENIGN) \
    X(6,  UD, "invalid opcode",             false, BENIGN) \
    X(7,  NM, "device not available",       false, BENIGN) \
    X(8,  DF, "double fault",               true,  DOUBLE_FAULT) \
    X(10, TS, "invalid TSS",                true,  CONTRIBUTORY) \
    X(11, NP, "segment not present",        true,  CONTRIBUTORY) \
    X(12, SS, "stack-segment fault",        true,  CONTRIBUTORY) \
    X(13, GP, "general protection",         true,  CONTRIBUTORY) \
    X(14, PF, "page fault",                 true,  PAGE_FAULT) \
    X(16, MF, "x87 floating-point error",   false, BENIGN) \
    X(17, AC, "alignment check",            true,  BENIGN) \
    X(18, MC, "machine check",              false, BENIGN) \
    X(19, XM, "SIMD floating-point error",  false, BENIGN) \
    X(20, VE, "virtualization",             false, PAGE_FAULT) \
    X(21, CP, "control protection",         true,  CONTRIBUTORY)
// clang-format on

#define BITS_TO_ENUM(table, PREFIX, list) enum { list(BIT_ENUM) PREFIX##_64BIT = 1ull << 63 };
BIT_LISTS(BITS_TO_ENUM)
#undef BITS_TO_ENUM

enum {
    SELECTOR_RPL = 3, // mask
    SELECTOR_TI = 4,
    AR_TYPE = 0xf, // mask
    AR_DPL_SHIFT = 5,
    AR_DPL = 3 << AR_DPL_SHIFT,
    AR_RESERVED = (int)0xfffe0f00,
    AR_TYPE_ACCESSED = 1,    // the four bits of the type of a code or data segment
    AR_TYPE_WRITABLE = 2,    // data; for code: readable
    AR_TYPE_EXPAND_DOWN = 4, // data; for code: conforming
    AR_TYPE_CODE = 8,
    AR_CODE = AR_TYPE_CODE | AR_TYPE_WRITABLE | AR_TYPE_ACCESSED | AR_S | AR_P,
    AR_DATA = AR_TYPE_WRITABLE | AR_TYPE_ACCESSED | AR_S | AR_P,
    AR_FLAT32 = AR_G | AR_DB,
    AR_FLAT64 = AR_G | AR_L,
    AR_TYPE_LDT = 2,
    AR_TYPE_BUSY_TSS16 = 3,
    AR_TYPE_BUSY_TSS = 11, // 32-bit or 64-bit
    RFLAGS_IOPL_SHIFT = 12,
    RFLAGS_IOPL = 3 << RFLAGS_IOPL_SHIFT,
    DR6_INIT = (int)0xffff0ff0,
    DR7_INIT = 0x400,
};

// Whether bits 63:`width` - 1 are the same: what addresses of that many bits are (SDM volume 1, "Canonical Addressing").
static inline bool is_canonical(uint64_t address, unsigned width)
{
    unsigned shift = 64 - width;
    return (uint64_t)((int64_t)(address << shift) >> shift) == address;
}

// SDM volume 3, "Guest Non-Register State".
enum activity_state { ACTIVITY_ACTIVE, ACTIVITY_HLT, ACTIVITY_SHUTDOWN, ACTIVITY_WAIT_FOR_SIPI };

enum exception_class { EXC_BENIGN, EXC_CONTRIBUTORY, EXC_PAGE_FAULT, EXC_DOUBLE_FAULT };

#define EXCEPTION_TO_ENUM(vector, name, words, error_code, class) EXC_##name = vector,
enum exception_vector { EXCEPTIONS(EXCEPTION_TO_ENUM) EXC_COUNT = 32 };
#undef EXCEPTION_TO_ENUM

struct exception {
    const char *name, *words; // NULL: reserved
    bool error_code;          // delivered with an error code outside real-address mode
    uint8_t class;            // enum exception_class
};
extern const struct exception exceptions[EXC_COUNT]; // by vector
const char *exception_name(unsigned vector);         // "#GP"; "vector" for 32 and above and reserved ones
const char *exception_words(unsigned vector);        // "general protection"; NULL for those

struct bit_table {
    uint64_t named;    // the bits that have names
    const char *names; // of those in ascending order (sdm/text.h, text_next)
};
#define BITS_TO_EXTERN(table, PREFIX, list) extern const struct bit_table table##_bits;
BIT_LISTS(BITS_TO_EXTERN)
#undef BITS_TO_EXTERN

const char *bit_name(const struct bit_table *table, unsigned bit); // NULL: it has none

// Writes the names of the bits that are set in `value`, blanks between, low bit first: "PE MP NE PG"; a set
// bit without a name is "bit17"; no bit set is "-". buf[size] is always terminated (size > 0). Returns the
// length of the whole text; if that is >= size the text was cut. Example: bits_text(b, sizeof b, cr0,
// &cr0_bits).
size_t bits_text(char *buf, size_t size, uint64_t value, const struct bit_table *table);
