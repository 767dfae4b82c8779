// Events whose delivery touches memory for the first time: the exit in its middle must not lose the event,
// deliver it twice or change what the handler sees (SDM, "Information for VM Exits During Event Delivery").
#include "guests/modes/modes.h"

enum { PAGE = 4096, STACK = 2 * PAGE, NO_MSR = 0x1234, VECTOR_BR = 5, PF_WRITE = 2 };
enum { SWITCH_BYTES = 6, BACK_BYTES = 3 };
#define UNMAPPED 0x7f0000000000ull

static const struct row {
    const char *name, *bytes;
    uint8_t length;
    uint8_t vector, behind; // bytes between the event's first and the saved RIP
    uint16_t error_code;
    uint64_t address;
} rows[] = {
#define CODE(text) .bytes = (text), .length = sizeof(text) - 1
  // clang-format off
    {"deliver-int3",      CODE("\xcc"),     VECTOR_BP, 1, 0, 0},
    {"deliver-int-3",     CODE("\xcd\x03"), VECTOR_BP, 2, 0, 0},
    {"deliver-int-5",     CODE("\xcd\x05"), VECTOR_BR, 2, 0, 0},
    {"deliver-int1",      CODE("\xf1"),     VECTOR_DB, 1, 0, 0},
    {"deliver-ud",        CODE("\x0f\x0b"), VECTOR_UD, 0, 0, 0},
    {"deliver-gp",        CODE("\xcd\xff"), VECTOR_GP, 0, 0xff * 8 + 2, 0}, // beyond the IDT
    {"deliver-pf",        CODE("\x88\x02"), VECTOR_PF, 0, PF_WRITE, UNMAPPED}, // mov [rdx], al
    {"deliver-injected-ud", CODE("\x0f\x01\xc4"), VECTOR_UD, 0, 0, 0}, // vmxoff
    {"deliver-injected-gp", CODE("\xf3\x6c"), VECTOR_GP, 0, 0, 0}, // rep insb to where RDI is not canonical
  // clang-format on
};

static struct {
    unsigned count;
    word_t offset, error_code, address;
    uint8_t vector;
} seen;
static word_t event_at, back_at;

static bool on_event(struct frame *f)
{
    seen.count++;
    seen.vector = (uint8_t)f->vector;
    seen.offset = f->ip - event_at;
    seen.error_code = f->error_code;
    seen.address = f->vector == VECTOR_PF ? read_cr2() : 0;
    f->ip = back_at;
    return true;
}

unsigned delivery_points(void)
{
    return array_size(rows);
}

static void test(const struct row *r, word_t stack)
{
    uint8_t bytes[32];
    struct call c = {
        .dx = r->vector == VECTOR_PF ? UNMAPPED : 0, .si = stack, .di = 1ull << 47, .ds = DATA, .es = DATA};
    memcpy(bytes, "\x48\x89\xe0\x48\x89\xf4", SWITCH_BYTES); // mov rax, rsp; mov rsp, rsi
    memcpy(bytes + SWITCH_BYTES, r->bytes, r->length);
    memcpy(bytes + SWITCH_BYTES + r->length, "\x48\x89\xc4", BACK_BYTES); // mov rsp, rax
    c.cs = CODE64;
    c.cx = 1;
    c.flags = RFLAGS_FIXED;
    event_at = (word_t)modes_code + SWITCH_BYTES;
    back_at = event_at + r->length;
    memset(&seen, 0, sizeof seen);
    modes_run(&c, (const char *)bytes, SWITCH_BYTES + r->length + BACK_BYTES, 0);
    check(seen.count == 1 && seen.vector == r->vector && seen.offset == r->behind &&
              seen.error_code == r->error_code && seen.address == r->address,
          r->name,
          "expected one %s, error code %#x, CR2 %#llx, at +%u\ngot %u, the last %s, %#lx, %#lx, at +%lu",
          fault_name(r->vector), r->error_code, (unsigned long long)r->address, r->behind, seen.count,
          fault_name(seen.vector), (unsigned long)seen.error_code, (unsigned long)seen.address,
          (unsigned long)seen.offset);
}

void delivery_test(void)
{
    static const unsigned char watched[] = {VECTOR_DB, VECTOR_BP, VECTOR_BR, VECTOR_UD, VECTOR_GP, VECTOR_PF};
    for (unsigned i = 0; i < array_size(watched); i++)
        exception_handle((enum vector)watched[i], on_event);
    for (unsigned i = 0; i < array_size(rows); i++)
        test(&rows[i], fresh_memory + (i + 1) * STACK);
}
