// The emulation against the processor that runs this test: random instructions with a memory operand are
// executed both ways, and registers, memory and status flags must come out alike. By hand: what 64-bit code
// cannot show. One argument, a number, asks for that many million instructions.
#define _GNU_SOURCE // MAP_FIXED_NOREPLACE
#include "vmx/emulate.h"
#include "sdm/bits.h"
#include "sdm/qualification.h"
#include "vmx/start.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

enum { ARENA = 2048, STRING_MAX = 5 };

static const uint64_t status = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF;

struct registers {
    uint64_t gpr[GPR_COUNT], rflags;
};

// All below 2 GB, where 32-bit addresses and displacements reach it.
static struct native {
    uint8_t code[PAGE_SIZE];
    uint8_t arena[ARENA];
    struct registers registers;
    uint64_t rsp;
} *const native = (struct native *)0x10000000;

static uint64_t seed = 1;
static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void fill(void *to, size_t bytes)
{
    for (size_t n = 0; n < bytes; n += 8) {
        uint64_t r = next_random();
        memcpy((uint8_t *)to + n, &r, 8);
    }
}

// Code that loads all registers, executes one instruction, and stores all registers.
static uint8_t *emit(uint8_t *at, const void *bytes, size_t count)
{
    memcpy(at, bytes, count);
    return at + count;
}

static uint8_t *emit_mov(uint8_t *at, bool load, unsigned reg, const void *address)
{
    uint32_t where = (uint32_t)(uintptr_t)address;
    const uint8_t code[] = {(uint8_t)(0x48 | (reg >> 3) << 2), load ? 0x8b : 0x89,
                            (uint8_t)((reg & 7) << 3 | 4), 0x25};
    return emit(emit(at, code, 4), &where, 4);
}

static uint8_t *emit_stack(uint8_t *at, const void *address)
{
    uint32_t where = (uint32_t)(uintptr_t)address;
    return emit(emit(at, "\x48\xc7\xc4", 3), &where, 4); // MOV RSP, where
}

static uint8_t *emit_entry(void)
{
    uint8_t *at =
        emit(native->code, "\x53\x55\x41\x54\x41\x55\x41\x56\x41\x57", 10); // PUSH RBX RBP R12 ... R15
    at = emit_mov(at, false, RSP, &native->rsp);
    at = emit(emit_stack(at, &native->registers.rflags), "\x9d", 1); // POPFQ
    for (unsigned reg = 0; reg < GPR_COUNT; reg++)
        at = emit_mov(at, true, reg, &native->registers.gpr[reg]);
    return at;
}

static void emit_exit(uint8_t *at)
{
    for (unsigned reg = 0; reg < GPR_COUNT; reg++)
        at = emit_mov(at, false, reg, &native->registers.gpr[reg]);
    at = emit(emit_stack(at, &native->registers.rflags + 1), "\x9c\xfc", 2); // PUSHFQ, CLD
    at = emit_mov(at, true, RSP, &native->rsp);
    emit(at, "\x41\x5f\x41\x5e\x41\x5d\x41\x5c\x5d\x5b\xc3", 11);
}

// A copy of the arena, which the emulation sees at the arena's address.
struct machine {
    struct emulation e;
    struct registers r;
    uint8_t arena[ARENA];
    unsigned accesses, fail_at; // fail_at: the access that does not succeed, from 1; 0: none
    enum emulate_access last;
};

static bool machine_access(struct emulation *e, enum emulate_access how, unsigned segment, uint64_t offset,
                           unsigned size, uint64_t *value)
{
    struct machine *m = container_of(e, struct machine, e);
    uint64_t at = offset - (uintptr_t)native->arena;
    assert_true(segment <= SEG_GS);
    assert_true(size == 1 || size == 2 || size == 4 || size == 8);
    if (m->accesses) // in order, each at most once
        assert_true(how > m->last);
    m->last = how;
    if (++m->accesses == m->fail_at)
        return false;
    if (at > ARENA - size)
        fail_msg("access outside the arena: offset %llx", (unsigned long long)offset);
    if (how == EMULATE_READ)
        memcpy(value, m->arena + at, size); // bits above stay what they are
    else if (how == EMULATE_WRITE)
        memcpy(m->arena + at, value, size);
    if (how == EMULATE_WRITE && size < 8)
        assert_int_equal(*value >> (8 * size), 0);
    return true;
}

static void machine_init(struct machine *m, uint64_t rip, unsigned stack_size)
{
    m->e = (struct emulation){m->r.gpr, rip, m->r.rflags, (uint8_t)stack_size, machine_access};
    m->accesses = m->fail_at = 0;
}

struct subject {
    uint8_t code[INSTRUCTION_BUFFER];
    struct instruction i;
};

static const uint8_t one_byte[] = {
    0x00, 0x01, 0x02, 0x03, 0x08, 0x09, 0x0a, 0x0b, 0x10, 0x11, 0x12, 0x13, 0x18, 0x19, 0x1a, 0x1b, 0x20,
    0x21, 0x22, 0x23, 0x28, 0x29, 0x2a, 0x2b, 0x30, 0x31, 0x32, 0x33, 0x38, 0x39, 0x3a, 0x3b, 0x63, 0x80,
    0x81, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8f, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5,
    0xaa, 0xab, 0xac, 0xad, 0xc6, 0xc7, 0xf6, 0xf7, 0xfe, 0xff, 0xf6, 0xf7, 0xfe, 0xff,
};
static const uint8_t two_byte[] = {0xa3, 0xab, 0xb0, 0xb1, 0xb3, 0xb6, 0xb7, 0xba,
                                   0xbb, 0xbe, 0xbf, 0xc0, 0xc1, 0xc3, 0xba, 0xb1};

static bool generate(struct subject *s)
{
    uint64_t r = next_random();
    uint8_t *at = s->code;
    fill(s->code, sizeof(s->code));
    if (!(r & 7))
        *at++ = 0x67;
    if (!(r >> 3 & 7))
        *at++ = 0xf0;
    else if (!(r >> 3 & 1))
        *at++ = 0xf3;
    if (!(r >> 6 & 3))
        *at++ = 0x66;
    if (r >> 8 & 1)
        *at++ = 0x40 | (r >> 9 & 15);
    if (r >> 16 & 3) {
        *at++ = one_byte[(r >> 20) % sizeof(one_byte)];
    } else {
        *at++ = 0x0f;
        *at++ = two_byte[(r >> 20) % sizeof(two_byte)];
    }
    return decode_instruction(&s->i, s->code, INSTRUCTION_MAX, 8) && s->i.segment < SEG_FS;
}

// Puts the displacement that reaches `target` into the code, wherever it stands there; only MOV from and to
// an offset has one of eight bytes.
static bool patch_displacement(struct subject *s, uint64_t target)
{
    static const int64_t markers[] = {[4] = 0x1234567, [8] = 0x123456789abcdef};
    struct instruction probe;
    for (unsigned bytes = 8; bytes >= 4; bytes -= 4)
        for (unsigned at = 1; at + bytes <= s->i.length; at++) {
            struct subject patched = *s;
            memcpy(patched.code + at, &markers[bytes], bytes);
            if (decode_instruction(&probe, patched.code, INSTRUCTION_MAX, 8) &&
                probe.displacement == markers[bytes]) {
                memcpy(s->code + at, &target, bytes);
                return decode_instruction(&s->i, s->code, INSTRUCTION_MAX, 8);
            }
        }
    return false;
}

static uint64_t low(uint64_t value, unsigned bytes)
{
    return bytes == 8 ? value : value & ((1ull << (8 * bytes)) - 1);
}

// Registers, or a displacement, with which the operand lies in the middle of the arena.
static bool aim(struct subject *s, struct registers *r, uint64_t rip)
{
    struct instruction *i = &s->i;
    uint64_t target = (uintptr_t)native->arena + ARENA / 2 + (next_random() & 255);
    uint64_t disp = (uint64_t)i->displacement;
    if (i->base == BASE_RIP)
        return patch_displacement(s, target - rip - i->length);
    if (i->base == REGISTER_NONE && i->index == REGISTER_NONE)
        return patch_displacement(s, target);
    if (i->base == REGISTER_NONE)
        r->gpr[i->index] = (target - disp) >> i->shift;
    else if (i->index == REGISTER_NONE)
        r->gpr[i->base] = target - disp;
    else if (i->index != i->base)
        r->gpr[i->base] = target - disp - (r->gpr[i->index] << i->shift);
    else
        r->gpr[i->base] = (target - disp) / ((1u << i->shift) + 1); // right when it divides
    return true;
}

static bool in_arena(uint64_t offset, uint64_t margin)
{
    uint64_t at = offset - (uintptr_t)native->arena;
    return at >= margin && at + margin <= ARENA;
}

static bool reaches_arena(const struct subject *s, const struct registers *r, uint64_t rip)
{
    const struct instruction *i = &s->i;
    uint64_t offset = (uint64_t)i->displacement;
    if (i->base == BASE_RIP)
        offset += rip + i->length;
    else if (i->base != REGISTER_NONE)
        offset += r->gpr[i->base];
    if (i->index != REGISTER_NONE)
        offset += r->gpr[i->index] * (1u << i->shift);
    offset = low(offset, i->address_size);
    bool bits = i->operation >= OP_BT && i->operation <= OP_BTC && !i->immediate;
    if (bits) {
        int64_t bit = i->size == 2   ? (int16_t)r->gpr[i->reg]
                      : i->size == 4 ? (int32_t)r->gpr[i->reg]
                                     : (int64_t)r->gpr[i->reg];
        if (bit < -8000 || bit > 8000)
            return false;
        offset = low(offset + (uint64_t)(bit >> 3), i->address_size);
    }
    return in_arena(offset, 16 + 8 * STRING_MAX);
}

// Random registers that suit the instruction. False: no luck.
static bool prepare(struct subject *s, struct registers *r, uint64_t rip)
{
    struct instruction *i = &s->i;
    fill(r, sizeof(*r));
    r->rflags = (r->rflags & (status | RFLAGS_DF)) | RFLAGS_FIXED1 | RFLAGS_IF;
    if (i->operation >= OP_BT && i->operation <= OP_BTC && !i->immediate) {
        int64_t bit = (int64_t)(next_random() % 4096) - 2048;
        r->gpr[i->reg] = (r->gpr[i->reg] & ~low(~0ull, i->size)) | low((uint64_t)bit, i->size);
    }
    bool string = i->operation == OP_MOVS || i->operation == OP_STOS || i->operation == OP_LODS;
    if (i->index == RSP || (i->base == RSP && string))
        return false;
    r->gpr[RSP] = (uintptr_t)native->arena + ARENA / 2 + 8;
    if (!aim(s, r, rip))
        return false;
    if (string) {
        r->gpr[RSI] = (uintptr_t)native->arena + ARENA / 2 + (next_random() & 31);
        r->gpr[RDI] = (uintptr_t)native->arena + ARENA / 2 + (next_random() & 31);
        r->gpr[RCX] = next_random() % (STRING_MAX + 1);
    }
    if (i->operation == OP_CMPXCHG && next_random() & 1) // memory will be like that: equal by chance is rare
        r->gpr[RAX] = next_random() & 1 ? 0 : ~0ull;
    if (i->address_size == 4) {
        const uint8_t bases[] = {i->base, i->index, string ? RDI : i->base, string ? RCX : i->base};
        for (unsigned n = 0; n < array_size(bases); n++)
            if (bases[n] < GPR_COUNT && bases[n] != RSP)
                r->gpr[bases[n]] |= next_random() << 32;
    }
    return reaches_arena(s, r, rip) && (i->operation < OP_PUSH || in_arena(r->gpr[RSP], 16));
}

static void describe(const struct subject *s, const struct machine *m, const struct registers *before)
{
    for (unsigned n = 0; n < s->i.length; n++)
        print_error("%02x ", s->code[n]);
    print_error("\nflags %llx: processor %llx, emulated %llx\n", (unsigned long long)before->rflags,
                (unsigned long long)native->registers.rflags, (unsigned long long)m->e.rflags);
    for (unsigned n = 0; n < GPR_COUNT; n++)
        if (native->registers.gpr[n] != m->r.gpr[n])
            print_error("register %u %llx: processor %llx, emulated %llx\n", n,
                        (unsigned long long)before->gpr[n], (unsigned long long)native->registers.gpr[n],
                        (unsigned long long)m->r.gpr[n]);
    for (unsigned n = 0; n < ARENA; n++)
        if (native->arena[n] != m->arena[n])
            print_error("arena %u: processor %x, emulated %x\n", n, native->arena[n], m->arena[n]);
}

// An access that fails leaves registers, flags and memory as they were.
static void stops_cleanly(const struct subject *s, struct machine *m, uint64_t rip, unsigned fail_at)
{
    struct registers before = m->r;
    machine_init(m, rip, 8);
    m->fail_at = fail_at;
    if (emulate(&s->i, &m->e) != EMULATE_STOPPED) {
        m->r = before;
        memcpy(m->arena, native->arena, ARENA);
        return;
    }
    assert_memory_equal(&before, &m->r, sizeof(before));
    assert_int_equal(before.rflags, m->e.rflags);
    assert_memory_equal(native->arena, m->arena, ARENA);
}

// What the SDM leaves undefined of the status flags after the instruction.
static uint64_t undefined_flags(const struct instruction *i)
{
    if (i->operation >= OP_BT && i->operation <= OP_BTC)
        return RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF;
    bool logical =
        i->operation == OP_AND || i->operation == OP_OR || i->operation == OP_XOR || i->operation == OP_TEST;
    return logical ? RFLAGS_AF : 0;
}

static void run_both(struct subject *s, struct machine *m, uint64_t rip)
{
    struct registers before = m->r;
    enum emulate_outcome outcome;
    native->registers = m->r;
    memcpy(native->code + (rip - (uintptr_t)native->code), s->code, s->i.length);
    emit_exit(native->code + (rip - (uintptr_t)native->code) + s->i.length);
    stops_cleanly(s, m, rip, 1 + next_random() % 3);
    ((void (*)(void))(uintptr_t)native->code)();
    machine_init(m, rip, 8);
    while ((outcome = emulate(&s->i, &m->e)) == EMULATE_REPEAT)
        m->accesses = 0;
    assert_int_equal(outcome, EMULATE_RETIRE);
    if (memcmp(m->r.gpr, native->registers.gpr, sizeof(m->r.gpr)) != 0 ||
        (m->e.rflags ^ native->registers.rflags) & ~undefined_flags(&s->i) ||
        memcmp(m->arena, native->arena, ARENA) != 0) {
        describe(s, m, &before);
        fail_msg("processor and emulation differ");
    }
}

static unsigned long million; // 0: the short run

static void as_the_processor(void **state)
{
    (void)state;
    static struct machine m;
    static unsigned long runs[OP_COUNT];
    assert_ptr_equal(mmap(native, sizeof(*native), PROT_READ | PROT_WRITE | PROT_EXEC,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
                     native);
    uint64_t rip = (uintptr_t)emit_entry();
    for (unsigned long n = 0; n < (million ? million * 1000000 : 200000);) {
        struct subject s;
        if (!generate(&s) || !prepare(&s, &m.r, rip))
            continue;
        if (n++ % 64 == 0)
            fill(native->arena, ARENA);
        if (s.i.operation == OP_CMPXCHG && m.r.gpr[RAX] + 1 < 2)
            memset(native->arena, (int)m.r.gpr[RAX], ARENA);
        memcpy(m.arena, native->arena, ARENA);
        run_both(&s, &m, rip);
        runs[s.i.operation]++;
    }
    for (unsigned op = OP_NONE + 1; op < OP_COUNT; op++)
        if (runs[op] < 100)
            fail_msg("operation %u: expected 100 runs at least, got %lu", op, runs[op]);
}

// The rest: addresses and stacks of 16- and 32-bit code, against a memory that only records.
struct recorder {
    struct emulation e;
    uint64_t gpr[GPR_COUNT];
    struct {
        enum emulate_access how;
        unsigned segment, size;
        uint64_t offset, value;
    } log[3];
    unsigned count;
    uint64_t reads; // what READ gives
};

static bool record(struct emulation *e, enum emulate_access how, unsigned segment, uint64_t offset,
                   unsigned size, uint64_t *value)
{
    struct recorder *r = container_of(e, struct recorder, e);
    assert_true(r->count < array_size(r->log));
    if (how == EMULATE_READ)
        *value = r->reads;
    r->log[r->count].how = how;
    r->log[r->count].segment = segment;
    r->log[r->count].size = size;
    r->log[r->count].offset = offset;
    r->log[r->count++].value = *value;
    return true;
}

static enum emulate_outcome run(struct recorder *r, unsigned width, const char *bytes, unsigned length)
{
    uint8_t code[INSTRUCTION_BUFFER] = {0};
    struct instruction i;
    memcpy(code, bytes, length);
    assert_true(decode_instruction(&i, code, length, width));
    assert_int_equal(i.length, length);
    r->e.gpr = r->gpr;
    r->e.stack_size = (uint8_t)width;
    r->e.access = record;
    r->count = 0;
    return emulate(&i, &r->e);
}

#define RUN(r, width, bytes) run(r, width, bytes, sizeof(bytes) - 1)

static void expect_access(const struct recorder *r, unsigned n, enum emulate_access how, unsigned segment,
                          uint64_t offset, unsigned size)
{
    assert_true(n < r->count);
    assert_int_equal(r->log[n].how, how);
    assert_int_equal(r->log[n].segment, segment);
    assert_int_equal(r->log[n].offset, offset);
    assert_int_equal(r->log[n].size, size);
}

static void addresses(void **state)
{
    (void)state;
    struct recorder r = {
        .gpr = {[RBX] = 0xffff1234fff0, [RSI] = 0x20, [RBP] = 0x10, [RDI] = 3, [RSP] = 0x99}
    };
    r.reads = 0xaabb;
    assert_int_equal(RUN(&r, 2, "\x8b\x00"), EMULATE_RETIRE); // MOV AX, [BX+SI]: wraps at 64 KB
    expect_access(&r, 0, EMULATE_READ, SEG_DS, 0x10, 2);
    assert_int_equal(r.gpr[RAX], 0xaabb);
    RUN(&r, 2, "\x8b\x43\xfe"); // MOV AX, [BP+DI-2]
    expect_access(&r, 0, EMULATE_READ, SEG_SS, 0x11, 2);
    RUN(&r, 2, "\x65\x8b\x0e\x00\xf0"); // MOV CX, GS:[F000H]
    expect_access(&r, 0, EMULATE_READ, SEG_GS, 0xf000, 2);
    RUN(&r, 2, "\x67\x66\x8b\x44\x9d\x04"); // MOV EAX, [EBP+EBX*4+4]
    expect_access(&r, 0, EMULATE_READ, SEG_SS, (0x14 + 4ull * 0x1234fff0) & 0xffffffff, 4);
    RUN(&r, 4, "\xa1\x20\x00\xe0\xfe"); // MOV EAX, [FEE00020H]
    expect_access(&r, 0, EMULATE_READ, SEG_DS, 0xfee00020, 4);
    RUN(&r, 4, "\xc7\x05\xb0\x00\xe0\xfe\x00\x00\x00\x80"); // MOV DWORD [FEE000B0H], 80000000H
    expect_access(&r, 0, EMULATE_WRITE, SEG_DS, 0xfee000b0, 4);
    assert_int_equal(r.log[0].value, 0x80000000);
    assert_int_equal(r.count, 1);
    r.e.rip = 0xfffffffffffff000;
    RUN(&r, 8, "\xf7\x05\x00\x10\x00\x00\x01\x00\x00\x00"); // TEST DWORD [RIP+1000H], 1
    expect_access(&r, 0, EMULATE_READ, SEG_DS, 10, 4);
    RUN(&r, 8, "\x64\x3e\x8b\x04\x24"); // MOV EAX, FS:[RSP]: the DS in between does not count
    expect_access(&r, 0, EMULATE_READ, SEG_FS, 0x99, 4);
}

static void strings(void **state)
{
    (void)state;
    struct recorder r = {
        .gpr = {[RSI] = 0x1111ffff, [RDI] = 0x22220000, [RCX] = 0x33330002, [RAX] = 0x5566}
    };
    r.reads = 0x77;
    r.e.rflags = RFLAGS_FIXED1;
    assert_int_equal(RUN(&r, 2, "\xf3\x2e\xa4"), EMULATE_REPEAT); // REP MOVSB from CS
    expect_access(&r, 0, EMULATE_PROBE, SEG_ES, 0, 1);
    expect_access(&r, 1, EMULATE_READ, SEG_CS, 0xffff, 1);
    expect_access(&r, 2, EMULATE_WRITE, SEG_ES, 0, 1);
    assert_int_equal(r.log[2].value, 0x77);
    assert_int_equal(r.gpr[RSI], 0x11110000);
    assert_int_equal(r.gpr[RDI], 0x22220001);
    assert_int_equal(r.gpr[RCX], 0x33330001);
    r.e.rflags |= RFLAGS_DF;
    assert_int_equal(RUN(&r, 2, "\xf3\x26\xab"), EMULATE_RETIRE); // the last element
    expect_access(&r, 0, EMULATE_WRITE, SEG_ES, 1, 2);
    assert_int_equal(r.gpr[RDI], 0x2222ffff);
    assert_int_equal(r.gpr[RCX], 0x33330000);
    assert_int_equal(RUN(&r, 2, "\xf3\xab"), EMULATE_RETIRE); // none left
    assert_int_equal(r.count, 0);
    assert_int_equal(r.gpr[RDI], 0x2222ffff);
}

static void stacks(void **state)
{
    (void)state;
    struct recorder r = {
        .gpr = {[RSP] = 0x12340001, [RBX] = 0x500},
          .reads = 0xbeef
    };
    RUN(&r, 2, "\xff\x37"); // PUSH WORD [BX]
    expect_access(&r, 0, EMULATE_PROBE, SEG_SS, 0xffff, 2);
    expect_access(&r, 1, EMULATE_READ, SEG_DS, 0x500, 2);
    expect_access(&r, 2, EMULATE_WRITE, SEG_SS, 0xffff, 2);
    assert_int_equal(r.log[2].value, 0xbeef);
    assert_int_equal(r.gpr[RSP], 0x1234ffff);
    RUN(&r, 4, "\x8f\x44\x24\x08"); // POP DWORD [ESP+8]: by the new ESP
    expect_access(&r, 0, EMULATE_PROBE, SEG_SS, 0x1235000b, 4);
    expect_access(&r, 1, EMULATE_READ, SEG_SS, 0x1234ffff, 4);
    expect_access(&r, 2, EMULATE_WRITE, SEG_SS, 0x1235000b, 4);
    assert_int_equal(r.gpr[RSP], 0x12350003);
}

// Every access that changes its operand asks first; LOCK is told and changes nothing.
static void order(void **state)
{
    (void)state;
    struct recorder r = {.gpr = {[RAX] = 0x00ff}, .reads = 0xffffffff80000000};
    RUN(&r, 4, "\xf0\x83\x08\x01"); // LOCK OR DWORD [EAX], 1
    assert_int_equal(r.count, 3);
    expect_access(&r, 0, EMULATE_PROBE, SEG_DS, 0xff, 4);
    expect_access(&r, 1, EMULATE_READ, SEG_DS, 0xff, 4);
    expect_access(&r, 2, EMULATE_WRITE, SEG_DS, 0xff, 4);
    assert_int_equal(r.log[2].value, 0x80000001);
    assert_int_equal(r.e.rflags, RFLAGS_SF);
    RUN(&r, 4, "\x84\x20"); // TEST [EAX], AH
    assert_int_equal(r.count, 1);
    assert_int_equal(r.e.rflags, RFLAGS_ZF | RFLAGS_PF);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses), cmocka_unit_test(strings),          cmocka_unit_test(stacks),
        cmocka_unit_test(order),     cmocka_unit_test(as_the_processor),
    };
    if (argc > 1)
        million = strtoul(argv[1], NULL, 10);
    return cmocka_run_group_tests_name("emulate", tests, NULL, NULL);
}
