// Width, what memory answers, at which access it fails, registers, code. Whatever they are, decoding reads
// the buffer alone, an accepted instruction fits into what was given, and emulating it makes at most one
// probe, one read and one write an element, of a size that exists and within the address size, and changes no
// register when one of them fails.
#include "sdm/bits.h"
#include "sdm/qualification.h"
#include "vmx/emulate.h"
#include "vmx/start.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER = 26 };

struct fuzzed {
    struct emulation e;
    const struct instruction *i;
    uint64_t gpr[GPR_COUNT];
    uint64_t answer;
    unsigned count, fail_at;
    enum emulate_access last;
};

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool access(struct emulation *e, enum emulate_access how, unsigned segment, uint64_t offset,
                   unsigned size, uint64_t *value)
{
    struct fuzzed *f = container_of(e, struct fuzzed, e);
    unsigned reach = f->i->address_size > e->stack_size ? f->i->address_size : e->stack_size;
    require(segment <= SEG_GS && (size == 1 || size == 2 || size == 4 || size == 8));
    require(reach == 8 || offset >> (8 * reach) == 0);
    require(!f->count++ || how > f->last);
    require(how != EMULATE_WRITE || size == 8 || *value >> (8 * size) == 0);
    f->last = how;
    if (how == EMULATE_READ)
        *value = f->answer;
    return f->count != f->fail_at;
}

static void check(const struct instruction *i, unsigned width)
{
    require(i->operation > OP_NONE && i->operation < OP_COUNT && i->segment <= SEG_GS);
    require(i->base <= BASE_RIP || i->base == REGISTER_NONE);
    require(i->index < GPR_COUNT || i->index == REGISTER_NONE);
    require(i->shift < 4 && i->reg < GPR_COUNT && i->use & (USE_READ | USE_WRITE));
    require(width == 8 || (i->size < 8 && i->reg < 8 && i->base != BASE_RIP && i->address_size < 8));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzzed f = {.answer = 0};
    struct instruction i;
    if (size < HEADER)
        return 0;
    unsigned width = 2u << data[0] % 3;
    f.fail_at = data[1] % 5;
    memcpy(&f.answer, data + 2, 8);
    for (unsigned n = 0; n < GPR_COUNT; n++)
        memcpy(&f.gpr[n], data + 2 + n, 8);
    unsigned available = (unsigned)min_u64(size - HEADER, 20);
    uint8_t *code = calloc(1, INSTRUCTION_BUFFER);
    memcpy(code, data + HEADER, available);
    bool known = decode_instruction(&i, code, available, width);
    free(code);
    if (!known)
        return 0;
    require(i.length && i.length <= available && i.length <= INSTRUCTION_MAX);
    check(&i, width);
    struct fuzzed before = f;
    f.i = &i;
    f.e = (struct emulation){f.gpr, data[10], data[11] << 4 | RFLAGS_FIXED1, (uint8_t)width, access};
    uint64_t rflags = f.e.rflags;
    enum emulate_outcome outcome = emulate(&i, &f.e);
    if (outcome == EMULATE_STOPPED)
        require(f.count == f.fail_at && memcmp(f.gpr, before.gpr, sizeof(f.gpr)) == 0 &&
                f.e.rflags == rflags);
    require(outcome != EMULATE_REPEAT || i.rep);
    return 0;
}
