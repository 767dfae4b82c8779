// I/O bitmaps and unconditional I/O exiting: which accesses exit, and what the qualification says of them.
#include "guests/vmx/lib/vmx.h"

CODE(in8_dx, "inb %dx, %al");
CODE(in16_dx, "inw %dx, %ax");
CODE(in32_dx, "inl %dx, %eax");
CODE(out8_dx, "outb %al, %dx");
CODE(out16_dx, "outw %ax, %dx");
CODE(out32_dx, "outl %eax, %dx");
CODE(in8_imm, "inb $0x80, %al");
CODE(in16_imm, "inw $0x80, %ax");
CODE(in32_imm, "inl $0x80, %eax");
CODE(out8_imm, "outb %al, $0x80");
CODE(out16_imm, "outw %ax, $0x80");
CODE(out32_imm, "outl %eax, $0x80");
CODE(ins8, "insb");
CODE(ins16, "insw");
CODE(ins32, "insl");
CODE(outs8, "outsb");
CODE(outs16, "outsw");
CODE(outs32, "outsl");
CODE(rep_ins8, "rep insb");
CODE(rep_ins16, "rep insw");
CODE(rep_ins32, "rep insl");
CODE(rep_outs8, "rep outsb");
CODE(rep_outs16, "rep outsw");
CODE(rep_outs32, "rep outsl");

// Bits of the qualification (SDM, "Exit Qualification for I/O Instructions").
enum { Q_IN = 1 << 3, Q_STRING = 1 << 4, Q_REP = 1 << 5, Q_IMMEDIATE = 1 << 6, Q_PORT = 16 };

static const struct instruction {
    const char *name, *code;
    uint8_t bytes;
    uint8_t flags; // of the qualification
} instructions[] = {
    {"in8",        in8_dx,     1, Q_IN                   },
    {"in16",       in16_dx,    2, Q_IN                   },
    {"in32",       in32_dx,    4, Q_IN                   },
    {"out8",       out8_dx,    1, 0                      },
    {"out16",      out16_dx,   2, 0                      },
    {"out32",      out32_dx,   4, 0                      },
    {"in8-imm",    in8_imm,    1, Q_IN | Q_IMMEDIATE     },
    {"in16-imm",   in16_imm,   2, Q_IN | Q_IMMEDIATE     },
    {"in32-imm",   in32_imm,   4, Q_IN | Q_IMMEDIATE     },
    {"out8-imm",   out8_imm,   1, Q_IMMEDIATE            },
    {"out16-imm",  out16_imm,  2, Q_IMMEDIATE            },
    {"out32-imm",  out32_imm,  4, Q_IMMEDIATE            },
    {"ins8",       ins8,       1, Q_IN | Q_STRING        },
    {"ins16",      ins16,      2, Q_IN | Q_STRING        },
    {"ins32",      ins32,      4, Q_IN | Q_STRING        },
    {"outs8",      outs8,      1, Q_STRING               },
    {"outs16",     outs16,     2, Q_STRING               },
    {"outs32",     outs32,     4, Q_STRING               },
    {"rep-ins8",   rep_ins8,   1, Q_IN | Q_STRING | Q_REP},
    {"rep-ins16",  rep_ins16,  2, Q_IN | Q_STRING | Q_REP},
    {"rep-ins32",  rep_ins32,  4, Q_IN | Q_STRING | Q_REP},
    {"rep-outs8",  rep_outs8,  1, Q_STRING | Q_REP       },
    {"rep-outs16", rep_outs16, 2, Q_STRING | Q_REP       },
    {"rep-outs32", rep_outs32, 4, Q_STRING | Q_REP       },
};
enum { IMMEDIATE_PORT = 0x80, SIMPLE = 6 };

static uint8_t *bitmap; // two pages: A has ports 0000-7FFF, B 8000-FFFF
static uint8_t data[64];

static void clear_ports(void)
{
    memset(bitmap, 0, 8192);
}

static void trap_port(unsigned port)
{
    bitmap[port / 8] |= (uint8_t)(1 << port % 8);
}

static void describe(const struct instruction *i, uint16_t port)
{
    vm_reset();
    vm_run(i->code);
    vm_gpr[2] = port; // RDX
    vm_gpr[1] = 2;    // RCX, for REP
    vm_gpr[6] = vm_gpr[7] = (word_t)data;
}

static void use_bitmaps(bool on)
{
    vm_control(WORD_PRIMARY, PRIMARY_IO_BITMAPS, on);
    vm_control(WORD_PRIMARY, PRIMARY_UNCONDITIONAL_IO_EXITING, false);
    vm_set(IO_BITMAP_A, physical(bitmap));
    vm_set(IO_BITMAP_B, physical(bitmap + 4096));
}

static uint64_t qualification_of(const struct instruction *i, uint16_t port)
{
    return (uint64_t)port << Q_PORT | i->flags | (uint64_t)(i->bytes - 1);
}

// A port in each bitmap that no device of a PC answers, so that what passes hurts nobody.
static const uint16_t quiet[] = {0x0220, 0x9000};

static void trapped_and_passed(const struct instruction *i, uint16_t port)
{
    const char *where = port & 0x8000 ? "b" : "a";
    clear_ports();
    for (unsigned n = 0; n < i->bytes; n++)
        trap_port(port + n);
    describe(i, port);
    use_bitmaps(true);
    expect_exit(name_of("%s-trapped-%s", i->name, where), REASON_IO_INSTRUCTION, qualification_of(i, port));
    clear_ports();
    describe(i, port);
    use_bitmaps(true);
    expect_passed(name_of("%s-passed-%s", i->name, where));
}

static void immediate(const struct instruction *i)
{
    clear_ports();
    for (unsigned n = 0; n < i->bytes; n++)
        trap_port(IMMEDIATE_PORT + n);
    describe(i, 0x9000); // DX is not looked at
    use_bitmaps(true);
    expect_exit(name_of("%s-trapped", i->name), REASON_IO_INSTRUCTION, qualification_of(i, IMMEDIATE_PORT));
}

static void each_instruction(void)
{
    section = "Exit Qualification for I/O Instructions";
    for (unsigned i = 0; i < array_size(instructions); i++)
        if (instructions[i].flags & Q_IMMEDIATE)
            immediate(&instructions[i]);
        else
            for (unsigned p = 0; p < array_size(quiet); p++)
                trapped_and_passed(&instructions[i], quiet[p]);
}

// ---- One trapped byte is enough; the neighbours' bits do not matter ----

static void each_byte(void)
{
    section = "I/O-Bitmap Addresses";
    for (unsigned i = 0; i < SIMPLE; i++)
        for (unsigned n = 0; n < instructions[i].bytes; n++) {
            clear_ports();
            trap_port(quiet[0] + n);
            describe(&instructions[i], quiet[0]);
            use_bitmaps(true);
            expect_exit(name_of("%s-byte-%u-trapped", instructions[i].name, n), REASON_IO_INSTRUCTION,
                        qualification_of(&instructions[i], quiet[0]));
        }
    for (unsigned i = 0; i < SIMPLE; i++) {
        memset(bitmap, 0xff, 8192);
        for (unsigned n = 0; n < instructions[i].bytes; n++)
            bitmap[(quiet[0] + n) / 8] &= (uint8_t) ~(1 << (quiet[0] + n) % 8);
        describe(&instructions[i], quiet[0]);
        use_bitmaps(true);
        expect_passed(name_of("%s-only-others-trapped", instructions[i].name));
    }
}

// ---- Edges: the first and last port of each bitmap, and accesses across them ----

static void edge(const struct instruction *i, uint16_t port, unsigned trapped)
{
    clear_ports();
    trap_port(trapped);
    describe(i, port);
    use_bitmaps(true);
    expect_exit(name_of("%s-at-%04x-byte-%04x-trapped", i->name, port, trapped), REASON_IO_INSTRUCTION,
                qualification_of(i, port));
}

static void edges(void)
{
    static const uint16_t ports[] = {0x0000, 0x7fff, 0x8000, 0xffff};
    section = "I/O-Bitmap Addresses";
    for (unsigned i = 0; i < SIMPLE; i += 3)
        for (unsigned p = 0; p < array_size(ports); p++)
            edge(&instructions[i], ports[p], ports[p]);
    for (unsigned i = 1; i < SIMPLE; i++)
        for (unsigned before = 1; before < instructions[i].bytes; before++)
            for (unsigned n = 0; n < instructions[i].bytes; n++)
                edge(&instructions[i], (uint16_t)(0x8000 - before), 0x8000 - before + n);
}

// An access that runs over port FFFF exits whatever the bitmaps say.
static void overruns(void)
{
    section = "Instructions That Cause VM Exits Conditionally";
    for (unsigned i = 1; i < SIMPLE; i++)
        for (unsigned before = 1; before < instructions[i].bytes; before++) {
            uint16_t port = (uint16_t)(0x10000 - before);
            clear_ports();
            describe(&instructions[i], port);
            use_bitmaps(true);
            expect_exit(name_of("%s-overruns-at-%04x", instructions[i].name, port), REASON_IO_INSTRUCTION,
                        qualification_of(&instructions[i], port));
        }
}

// ---- The two controls ----

static void controls(void)
{
    section = "Primary Processor-Based VM-Execution Controls";
    for (unsigned i = 0; i < SIMPLE; i++) {
        const struct instruction *one = &instructions[i];
        memset(bitmap, 0xff, 8192);
        describe(one, quiet[0]);
        use_bitmaps(false);
        expect_passed(name_of("%s-neither-control", one->name));
        clear_ports();
        describe(one, quiet[0]);
        use_bitmaps(false);
        vm_control(WORD_PRIMARY, PRIMARY_UNCONDITIONAL_IO_EXITING, true);
        expect_exit(name_of("%s-unconditional", one->name), REASON_IO_INSTRUCTION,
                    qualification_of(one, quiet[0]));
        describe(one, quiet[0]);
        use_bitmaps(true);
        vm_control(WORD_PRIMARY, PRIMARY_UNCONDITIONAL_IO_EXITING, true);
        expect_passed(name_of("%s-bitmaps-replace-unconditional", one->name));
    }
}

// ---- What else an exit says ----

static void information(void)
{
    section = "Information for VM Exits Due to Instruction Execution";
    for (unsigned i = 0; i < array_size(instructions); i++) {
        const struct instruction *one = &instructions[i];
        describe(one, quiet[0]);
        const char *why = vm_enter();
        unsigned length = one->flags & Q_IMMEDIATE ? 2 : 1;
        length += one->bytes == 2;
        length += one->flags & Q_REP ? 1 : 0;
        expect_true(name_of("%s-length", one->name), !why && result.length == length,
                    "expected instruction length %u\ngot %u (%s)", length, (unsigned)result.length,
                    result_words());
        if (!(one->flags & Q_STRING))
            continue;
        expect_equal(name_of("%s-linear-address", one->name), "linear address", (word_t)data, result.linear);
        uint64_t address_size = result.information >> 7 & 7, segment = result.information >> 15 & 7;
        expect_equal(name_of("%s-address-size", one->name), "address size (2: 64-bit)", 2, address_size);
        if (!(one->flags & Q_IN))
            expect_equal(name_of("%s-segment", one->name), "segment (3: DS)", 3, segment);
    }
}

BUCKET("I/O bitmaps")
{
    bitmap = pages_take(2);
    each_instruction();
    each_byte();
    edges();
    overruns();
    controls();
    information();
}
