// Rules of VM entry about the guest's segment registers: SDM volume 3, "Checks on Guest Segment Registers", one
// condition of one register a row. How to read a row: sdm/entry_rules_control.h; besides, AR(R) is R's access
// rights, TYPE(R), DPL(R) and RPL(R) are parts of them and of its selector, and USABLE(R) says whether it is.
#pragma once

// clang-format off
#define SEGMENT_RULE(X, R, NAME, broken, sentence) \
    X(GUEST_##R##_##NAME, GUEST, 0, GUEST_SEGMENTS, (GUEST_##R##_ACCESS_RIGHTS), (broken), sentence)
#define LIMIT_RULE(X, R, NAME, broken, sentence) \
    X(GUEST_##R##_##NAME, GUEST, 0, GUEST_SEGMENTS, (GUEST_##R##_ACCESS_RIGHTS, GUEST_##R##_LIMIT), (broken), sentence)
#define BASE_RULE(X, R, NAME, broken, sentence) \
    X(GUEST_##R##_##NAME, GUEST, 0, GUEST_SEGMENTS, (GUEST_##R##_BASE, GUEST_##R##_SELECTOR, GUEST_##R##_ACCESS_RIGHTS), (broken), sentence)

// What holds for every register where its rights count at all. `s` is the value that S must not have.
#define COMMON_RULES(X, R, applies, wrong_s, s_sentence) \
    SEGMENT_RULE(X, R, S, (applies) && !(AR(R) & AR_S) == !(wrong_s), s_sentence) \
    SEGMENT_RULE(X, R, P, (applies) && !(AR(R) & AR_P), "P is 1") \
    SEGMENT_RULE(X, R, RESERVED_LOW, (applies) && AR(R) & 0xf00, "bits 11:8 of the access rights are 0") \
    SEGMENT_RULE(X, R, RESERVED_HIGH, (applies) && AR(R) & 0xfffe0000u, "bits 31:17 of the access rights are 0") \
    LIMIT_RULE(X, R, G_LOW, (applies) && AR(R) & AR_G && ~V(GUEST_##R##_LIMIT) & 0xfff, "G is 0 if any of bits 11:0 of the limit is 0") \
    LIMIT_RULE(X, R, G_HIGH, (applies) && !(AR(R) & AR_G) && V(GUEST_##R##_LIMIT) & 0xfff00000u, \
      "G is 1 if any of bits 31:20 of the limit is 1")

#define V86_RULES(X, R) \
    BASE_RULE(X, R, BASE_V86, w->v86 && V(GUEST_##R##_BASE) != V(GUEST_##R##_SELECTOR) << 4, \
      "the base is 16 times the selector in virtual-8086 mode") \
    LIMIT_RULE(X, R, LIMIT_V86, w->v86 && V(GUEST_##R##_LIMIT) != 0xffff, "the limit is ffffh in virtual-8086 mode") \
    SEGMENT_RULE(X, R, RIGHTS_V86, w->v86 && AR(R) != 0xf3, "the access rights are f3h in virtual-8086 mode")

#define BASE_HIGH_RULE(X, R, applies) BASE_RULE(X, R, BASE_HIGH, (applies) && V(GUEST_##R##_BASE) >> 32, "bits 63:32 of the base are 0")
#define BASE_CANONICAL_RULE(X, R, applies) BASE_RULE(X, R, BASE_CANONICAL, (applies) && !canonical(w, V(GUEST_##R##_BASE)), "the base is canonical")

#define DATA_RULES(X, R) \
    V86_RULES(X, R) \
    SEGMENT_RULE(X, R, TYPE_ACCESSED, COUNTS(R) && !(TYPE(R) & AR_TYPE_ACCESSED), "the type is that of an accessed segment (bit 0)") \
    SEGMENT_RULE(X, R, TYPE_READABLE, COUNTS(R) && (TYPE(R) & (AR_TYPE_CODE | AR_TYPE_WRITABLE)) == AR_TYPE_CODE, \
      "a code segment is readable (bit 1 of the type)") \
    X(GUEST_##R##_DPL, GUEST, 0, GUEST_SEGMENTS, (GUEST_##R##_ACCESS_RIGHTS, GUEST_##R##_SELECTOR), \
      COUNTS(R) && !w->unrestricted && TYPE(R) <= 11 && DPL(R) < RPL(R), \
      "DPL is not below RPL but for a conforming code segment, without unrestricted guest") \
    COMMON_RULES(X, R, COUNTS(R), false, "S is 1")

// The guest will use FRED transitions.
#define FRED_RULE(X, NAME, FIELD, broken, sentence) \
    X(NAME, GUEST, 0, GUEST_SEGMENTS, (FIELD, GUEST_SS_ACCESS_RIGHTS, GUEST_CR4), w->fred && !w->v86 && (broken), sentence)

#define ENTRY_RULES_SEGMENTS(X) \
    V86_RULES(X, CS) \
    BASE_HIGH_RULE(X, CS, true) \
    SEGMENT_RULE(X, CS, TYPE, !w->v86 && !(TYPE(CS) == 3 && w->unrestricted) && (TYPE(CS) & 9) != 9, \
      "the type is 9, 11, 13 or 15, or 3 under unrestricted guest") \
    SEGMENT_RULE(X, CS, DPL_DATA, !w->v86 && w->unrestricted && TYPE(CS) == 3 && DPL(CS), "DPL is 0 if the type is 3") \
    X(GUEST_CS_DPL_NONCONFORMING, GUEST, 0, GUEST_SEGMENTS, (GUEST_CS_ACCESS_RIGHTS, GUEST_SS_ACCESS_RIGHTS), \
      !w->v86 && (TYPE(CS) == 9 || TYPE(CS) == 11) && DPL(CS) != DPL(SS), "DPL is that of SS if the type is 9 or 11") \
    X(GUEST_CS_DPL_CONFORMING, GUEST, 0, GUEST_SEGMENTS, (GUEST_CS_ACCESS_RIGHTS, GUEST_SS_ACCESS_RIGHTS), \
      !w->v86 && (TYPE(CS) == 13 || TYPE(CS) == 15) && DPL(CS) > DPL(SS), "DPL is not above that of SS if the type is 13 or 15") \
    X(GUEST_CS_DB_L, GUEST, 0, GUEST_SEGMENTS, (GUEST_CS_ACCESS_RIGHTS, VM_ENTRY_CONTROLS), \
      !w->v86 && w->long_mode && (~AR(CS) & (AR_L | AR_DB)) == 0, "D/B is 0 if L is 1 in IA-32e mode") \
    COMMON_RULES(X, CS, !w->v86, false, "S is 1") \
    X(GUEST_SS_RPL, GUEST, 0, GUEST_SEGMENTS, (GUEST_SS_SELECTOR, GUEST_CS_SELECTOR), \
      !w->v86 && !w->unrestricted && RPL(SS) != RPL(CS), "RPL is that of CS, without unrestricted guest") \
    V86_RULES(X, SS) \
    BASE_HIGH_RULE(X, SS, USABLE(SS)) \
    SEGMENT_RULE(X, SS, TYPE, COUNTS(SS) && TYPE(SS) != 3 && TYPE(SS) != 7, "the type is 3 or 7") \
    X(GUEST_SS_DPL, GUEST, 0, GUEST_SEGMENTS, (GUEST_SS_ACCESS_RIGHTS, GUEST_SS_SELECTOR), \
      !w->v86 && !w->unrestricted && DPL(SS) != RPL(SS), "DPL is RPL, without unrestricted guest") \
    X(GUEST_SS_DPL_REAL, GUEST, 0, GUEST_SEGMENTS, (GUEST_SS_ACCESS_RIGHTS, GUEST_CS_ACCESS_RIGHTS, GUEST_CR0), \
      !w->v86 && (TYPE(CS) == 3 || !(V(GUEST_CR0) & CR0_PE)) && DPL(SS), "DPL is 0 if the type of CS is 3 or CR0.PE is 0") \
    FRED_RULE(X, GUEST_SS_DPL_FRED, GUEST_SS_ACCESS_RIGHTS, DPL(SS) == 1 || DPL(SS) == 2, "DPL is 0 or 3 under FRED") \
    FRED_RULE(X, GUEST_CS_L_FRED, GUEST_CS_ACCESS_RIGHTS, !DPL(SS) && !(AR(CS) & AR_L), \
      "L of CS is 1 if DPL of SS is 0 under FRED") \
    FRED_RULE(X, GUEST_RFLAGS_IOPL_FRED, GUEST_RFLAGS, DPL(SS) == 3 && V(GUEST_RFLAGS) & RFLAGS_IOPL, \
      "RFLAGS.IOPL is 0 if DPL of SS is 3 under FRED") \
    FRED_RULE(X, BLOCKING_STI_FRED, GUEST_INTERRUPTIBILITY_STATE, DPL(SS) == 3 && w->blocking & BLOCKING_BY_STI, \
      "STI does not block if DPL of SS is 3 under FRED") \
    COMMON_RULES(X, SS, COUNTS(SS), false, "S is 1") \
    DATA_RULES(X, DS) BASE_HIGH_RULE(X, DS, USABLE(DS)) \
    DATA_RULES(X, ES) BASE_HIGH_RULE(X, ES, USABLE(ES)) \
    DATA_RULES(X, FS) BASE_CANONICAL_RULE(X, FS, true) \
    DATA_RULES(X, GS) BASE_CANONICAL_RULE(X, GS, true) \
    X(GUEST_TR_SELECTOR_TI, GUEST, 0, GUEST_SEGMENTS, (GUEST_TR_SELECTOR), V(GUEST_TR_SELECTOR) & SELECTOR_TI, "the TI flag is 0") \
    BASE_CANONICAL_RULE(X, TR, true) \
    X(GUEST_TR_TYPE, GUEST, 0, GUEST_SEGMENTS, (GUEST_TR_ACCESS_RIGHTS, VM_ENTRY_CONTROLS), \
      TYPE(TR) != AR_TYPE_BUSY_TSS && !(TYPE(TR) == AR_TYPE_BUSY_TSS16 && !w->long_mode), \
      "the type is 11 (busy TSS), or 3 outside IA-32e mode") \
    SEGMENT_RULE(X, TR, UNUSABLE, !USABLE(TR), "TR is usable (bit 16 is 0)") \
    COMMON_RULES(X, TR, true, true, "S is 0") \
    X(GUEST_LDTR_SELECTOR_TI, GUEST, 0, GUEST_SEGMENTS, (GUEST_LDTR_SELECTOR, GUEST_LDTR_ACCESS_RIGHTS), \
      USABLE(LDTR) && V(GUEST_LDTR_SELECTOR) & SELECTOR_TI, "the TI flag is 0") \
    BASE_CANONICAL_RULE(X, LDTR, USABLE(LDTR)) \
    SEGMENT_RULE(X, LDTR, TYPE, USABLE(LDTR) && TYPE(LDTR) != AR_TYPE_LDT, "the type is 2 (LDT)") \
    COMMON_RULES(X, LDTR, USABLE(LDTR), true, "S is 0")
// clang-format on
