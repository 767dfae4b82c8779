// Sweeps over everything that has a number: ports, MSRs, control-register bits. Nothing may come of it but a
// value or the exception that the SDM names.
#include "guests/hostile/hostile.h"

// What a sweep met: exceptions other than the one that is due, and the first of them.
struct sweep {
    unsigned wrong, refused;
    uint64_t at;
    struct fault fault;
};

static void note(struct sweep *s, uint64_t at, struct fault f)
{
    if (f.vector == VECTOR_NONE)
        return;
    if (f.vector == VECTOR_GP && f.error_code == 0) {
        s->refused++;
        return;
    }
    if (s->wrong++ == 0) {
        s->at = at;
        s->fault = f;
    }
}

static void report(const char *name, const struct sweep *s)
{
    check(s->wrong == 0, name, "expected a value or #GP(0)\ngot %s, error code %#lx, for %#llx; %u like it",
          fault_name(s->fault.vector), (unsigned long)s->fault.error_code, (unsigned long long)s->at,
          s->wrong);
}

// Ports that end or reset the machine when written: keyboard controller, port 92h, reset control, debug exit.
static const uint16_t deadly[] = {0x64, 0x92, 0xcf9, 0xf4, 0x8900};

static bool is_deadly(unsigned port, unsigned width)
{
    for (unsigned i = 0; i < array_size(deadly); i++) {
        if (port <= deadly[i] && deadly[i] < port + width)
            return true;
    }
    return false;
}

struct access {
    uint16_t port;
    uint8_t width;
    bool out;
};

static void do_access(void *p)
{
    const struct access *a = p;
    if (a->out && a->width == 1)
        outb(a->port, 0);
    else if (a->out && a->width == 2)
        outw(a->port, 0);
    else if (a->out)
        outl(a->port, 0);
    else if (a->width == 1)
        inb(a->port);
    else if (a->width == 2)
        inw(a->port);
    else
        inl(a->port);
}

// By pages of 256; wide accesses reach into one from below.
static bool is_near_device(unsigned port)
{
    unsigned page = (port + 3) >> 8;
    return page < 4 || page == 0x04 || page == 0x0c || page == 0x89;
}

// Ports of pages where devices are, are accessed in every way, each other one in one: all ways of all ports would be
// 393,216 exits, half the time of all hostile machines in an emulator.
static void sweep_ports(const char *name, unsigned kind, unsigned width, bool out)
{
    enum { KINDS = 6 };
    struct sweep s = {0};
    for (unsigned port = 0; port <= 0xffff; port++) {
        struct access a = {(uint16_t)port, (uint8_t)width, out};
        if ((is_near_device(port) || port % KINDS == kind) && (!out || !is_deadly(port, width)))
            note(&s, port, catch_exception(do_access, &a));
    }
    check(s.wrong + s.refused == 0, name, "expected no exception\ngot %u, the first %s at port %#llx",
          s.wrong + s.refused, s.wrong ? fault_name(s.fault.vector) : "#GP(0)", (unsigned long long)s.at);
}

int attack_ports(const struct start_info *start)
{
    (void)start;
    tap_plan(11);
    sweep_ports("in-8", 0, 1, false);
    sweep_ports("in-16", 1, 2, false);
    sweep_ports("in-32", 2, 4, false);
    check_equal("com2-absent", 0xff, inb(0x2fd));
    check_equal("keyboard-absent", 0xff, inb(0x64));
    check_equal("pci-absent", 0xffffffff, inl(0xcfc));
    check_equal("nobody", 0xffff, inw(0x2222));
    sweep_ports("out-8", 3, 1, true);
    sweep_ports("out-16", 4, 2, true);
    sweep_ports("out-32", 5, 4, true);
    check_equal("alive", ABI_VERSION, (uint64_t)hypercall0(HC_VERSION));
    return tap_end();
}

static const struct {
    uint32_t first, last;
} msr_ranges[] = {
    {0,          0x1fff    },
    {0x40000000, 0x400000ff},
    {0xc0000000, 0xc0001fff},
    {0xc0010000, 0xc00101ff},
    {0xffffff00, 0xfffffffe},
};

// Writing their own values back would move the clock.
static bool is_clock(uint32_t index)
{
    return index == 0x10 || index == 0x3b || index == 0x6e0;
}

int attack_msrs(const struct start_info *start)
{
    struct sweep reads = {0}, writes = {0}, garbage = {0};
    unsigned accepted = 0;
    (void)start;
    tap_plan(5);
    for (unsigned r = 0; r < array_size(msr_ranges); r++) {
        for (uint32_t index = msr_ranges[r].first; index <= msr_ranges[r].last; index++) {
            uint64_t value;
            struct fault f = try_rdmsr(index, &value);
            note(&reads, index, f);
            if (f.vector == VECTOR_NONE && !is_clock(index)) {
                note(&writes, index, try_wrmsr(index, value));
            } else if (f.vector != VECTOR_NONE) {
                f = try_wrmsr(index, ~0ull);
                note(&garbage, index, f);
                accepted += f.vector == VECTOR_NONE;
            }
        }
    }
    report("read", &reads);
    report("write-back", &writes);
    report("write-garbage", &garbage);
    check(accepted == 0, "unreadable-refuse-writes", "expected 0 accepted\ngot %u", accepted);
    check_equal("alive", ABI_VERSION, (uint64_t)hypercall0(HC_VERSION));
    return tap_end();
}

static void do_write_cr3(void *p)
{
    write_cr3(*(word_t *)p);
}

// Each bit flipped on its own, and restored when the processor took it. PG and PE off at once, or CR3
// elsewhere, would be legal suicide and is not a sweep's business.
static void sweep_bits(const char *name, word_t (*read)(void), struct fault (*try)(word_t))
{
    struct sweep s = {0};
    word_t before = read();
    for (unsigned bit = 0; bit < 64; bit++) {
        struct fault f = try(before ^ 1ull << bit);
        note(&s, bit, f);
        try(before);
    }
    report(name, &s);
    char restored[TAP_NAME_MAX];
    format_text(restored, sizeof restored, "%s-restored", name);
    check_equal(restored, before, read());
}

static void sweep_cr3_reserved(void)
{
    struct sweep s = {0};
    unsigned width = cpuid(0x80000008, 0).eax & 0xff, taken = 0;
    word_t before = read_cr3();
    for (unsigned bit = width; bit < 61; bit++) { // 61 and 62 have become LAM's, 63 PCID's
        word_t value = before | 1ull << bit;
        struct fault f = catch_exception(do_write_cr3, &value);
        note(&s, bit, f);
        taken += f.vector == VECTOR_NONE;
    }
    check(s.wrong == 0 && taken == 0, "cr3-reserved",
          "expected #GP(0) for bits %u to 60\ngot %u others, %u taken", width, s.wrong, taken);
}

int attack_control_registers(const struct start_info *start)
{
    (void)start;
    tap_plan(6);
    sweep_bits("cr0", read_cr0, try_write_cr0);
    sweep_bits("cr4", read_cr4, try_write_cr4);
    sweep_cr3_reserved();
    check_equal("alive", ABI_VERSION, (uint64_t)hypercall0(HC_VERSION));
    return tap_end();
}

// VMX instructions after an attempt to switch VMX on, with operands that lie outside memory: #UD comes first.
int attack_vmx(const struct start_info *start)
{
    static const struct {
        const char *name, *code; // RAX is free; [0x3ff00000] is in the page tables but not in memory
    } rows[] = {
        {"vmxon",    "\xf3\x0f\xc7\x34\x25\x00\x00\xf0\x3f\xc3"    },
        {"vmclear",  "\x66\x0f\xc7\x34\x25\x00\x00\xf0\x3f\xc3"    },
        {"vmptrld",  "\x0f\xc7\x34\x25\x00\x00\xf0\x3f\xc3"        },
        {"vmptrst",  "\x0f\xc7\x3c\x25\x00\x00\xf0\x3f\xc3"        },
        {"vmread",   "\x0f\x78\x04\x25\x00\x00\xf0\x3f\xc3"        },
        {"vmwrite",  "\x0f\x79\x04\x25\x00\x00\xf0\x3f\xc3"        },
        {"vmlaunch", "\x0f\x01\xc2\xc3"                            },
        {"vmresume", "\x0f\x01\xc3\xc3"                            },
        {"vmxoff",   "\x0f\x01\xc4\xc3"                            },
        {"vmfunc",   "\x31\xc0\x31\xc9\x0f\x01\xd4\xc3"            },
        {"invept",   "\x66\x0f\x38\x80\x04\x25\x00\x00\xf0\x3f\xc3"},
        {"invvpid",  "\x66\x0f\x38\x81\x04\x25\x00\x00\xf0\x3f\xc3"},
        {"getsec",   "\x31\xc0\x0f\x37\xc3"                        },
    };
    (void)start;
    tap_plan(array_size(rows) + 2);
    check_fault("cr4-vmxe", FAULT_GP, try_write_cr4(read_cr4() | CR4_VMXE));
    for (unsigned i = 0; i < array_size(rows); i++)
        check_fault(rows[i].name, FAULT_UD, try_code(rows[i].code));
    check_equal("alive", ABI_VERSION, (uint64_t)hypercall0(HC_VERSION));
    return tap_end();
}
