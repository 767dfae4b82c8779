#!/usr/bin/env python3
# Bad modules and bad module lines: each is refused in words that name it, and the rest runs. An unbalanced
# quote cannot come through GRUB, which balances them: tests/unit/test_machine.c and tests/tools/run.t have it.
import struct

from boots import ROOT, Suite
from micronova import debian

GUESTS = ROOT / "build" / "guests"
HELLO, HELLO32 = (GUESTS / "hello.elf").read_bytes(), (GUESTS / "hello32.elf").read_bytes()
MEMTEST = debian.find("memtest86+x64.bin").read_bytes()
# Offsets in ELF files and in the Linux setup header.
E_MACHINE, E_ENTRY = 18, 24
PH0, PH1, P_VADDR, P_MEMSZ = 64, 64 + 56, 16, 40
LINUX_MAGIC, LINUX_VERSION = 0x202, 0x206


def patch(data, *changes):
    """changes: (offset, struct format, value...)."""
    copy = bytearray(data)
    for offset, layout, *values in changes:
        struct.pack_into("<" + layout, copy, offset, *values)
    return bytes(copy)


FILES = [  # name of the machine, its file, why it is refused
    ("empty", b"", "is empty"),
    ("text", b"I am no ELF file.\n" * 20, "unknown format"),
    ("header-cut", HELLO[:32], "cut short"),
    ("truncated", HELLO[:0x800], "cut short"),
    ("wrong-class", patch(HELLO32, (E_MACHINE, "H", 62)), "machine type 62"),
    ("wide-entry", patch(HELLO32, (E_ENTRY, "I", 0xffffff00)), "entry 0xffffff00"),
    ("overlap", patch(HELLO, (PH1 + P_VADDR, "QQ", 0x10000, 0x10000)), "overlaps"),
    ("overflow", patch(HELLO, (PH1 + P_VADDR, "QQ", 2**64 - 4096, 2**64 - 4096)), "overflows"),
    ("entry-outside", patch(HELLO, (E_ENTRY, "Q", 0x300000)), "entry 0x300000"),
    ("beyond-mem", patch(HELLO, (PH1 + P_MEMSZ, "Q", 64 << 20)), "beyond mem="),
    ("linux-magic", patch(MEMTEST, (LINUX_MAGIC, "I", 0)), "unknown format"),
    ("linux-old", patch(MEMTEST, (LINUX_VERSION, "H", 0x0202)), "too old"),
    ("linux-cut", MEMTEST[:3000], "cut short"),
]
LINES = [  # name, the rest of the line, why it is refused
    ("unknown-key", "colour=red", 'unknown key "colour"'),
    ("bad-number", "mem=4Q", "mem=4Q"),
    ("no-value", "mem", "key=value"),
    ("too-large", "mem=60G", "does not fit"),
    ("no-initrd", "initrd=nobody", 'no module named "nobody"'),
    ("bad-end", "expect=glory", "expect=glory"),
    ("bad-screen", 'expect=screen:"(a"', r"(?i)group|\("),
]


def bad_modules(suite):
    modules = ["hello.elf first"]
    for name, data, _ in FILES:
        (suite.files / name).write_bytes(data)
        modules.append(f"{suite.files / name} {name}")
    modules += [f"hello.elf {name} {rest}" for name, rest, _ in LINES]
    modules += ["hello.elf twin", "hello.elf twin", "hello.elf", "hello.elf last"]
    boot = suite.boot("bad modules", modules=modules)
    boot.complete()
    boot.unique()
    for name, _, why in FILES + LINES:
        boot.refuses(name, why)
    boot.refuses("twin", 'the name "twin" already')
    boot.refuses(f"module-{len(modules) - 1}", "needs a name")
    boot.good("first")
    boot.good("last")
    named = {name for name, _, _ in FILES + LINES} | {"twin", f"module-{len(modules) - 1}"}
    others = [name for name in boot.log.failed if name.split("/")[0] not in named]
    boot.check(not others, "nothing else failed", f"got {others}")


def short_memory(suite):
    boot = suite.boot("not enough memory for the last", modules=["hello.elf first", "hello.elf big mem=32M",
                                                               "memory.elf bigger mem=48M"], mem=64)
    boot.complete()
    boot.good("first")
    boot.good("big")
    boot.refuses("bigger", "does not fit")


def no_modules(suite):
    boot = suite.boot("no modules", "empty")
    boot.complete()
    boot.says("it says so", r"(?i)no module")


def many_modules(suite):
    count = 80
    boot = suite.boot(f"{count} modules", modules=[f"hello.elf m{i} mem=1M" for i in range(count)], mem=64)
    boot.complete()
    boot.unique()
    boot.good("m0")
    seen = {name.split("/")[0] for name, _ in boot.log.points}
    missing = [f"m{i}" for i in range(count) if f"m{i}" not in seen]
    boot.check(not missing, "every one is run or refused by name", f"nothing of {missing[:10]} ({len(missing)})")
    silent = [name for name in boot.log.failed if not boot.log.details[name]]
    boot.check(not silent, "every refusal gives its reason", f"none for {silent[:10]}")


def quotes(suite):
    lines = ["a b  c", "it's", 'say "so"', "back\\slash $HOME `x` \\n", "--x=y;z&|<>", "{a} [b] *?"]
    modules = []
    for number, line in enumerate(lines):
        quoted = line.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'")
        modules.append(f'hello.elf q{number} cmdline="{quoted}"')
    modules.append("hello.elf inside cm'dline=in'\"side \"out")
    boot = suite.boot("quotes through GRUB", modules=modules)
    boot.sound()
    for number, line in list(enumerate(lines)) + [("inside", "inside out")]:
        name = number if number == "inside" else f"q{number}"
        want = f'command line "{line}"'
        boot.check(any(text.startswith(f"# {name}|") and want in text for text in boot.text.splitlines()),
                   f"{name} arrives as written", f"expected {want}",
                   *[text for text in boot.text.splitlines() if text.startswith(f"# {name}|")])


def bad_options(suite):
    boot = suite.boot("bad kernel options", modules=["hello.elf hello"], cmdline="nosuch=1 loglevel=silly cpus=x")
    boot.sound()
    for word in ("nosuch", "silly", "cpus"):
        boot.says(f"{word} is named", rf"^# .*{word}")


def main():
    suite = Suite()
    for test in (bad_modules, short_memory, no_modules, many_modules, quotes, bad_options):
        test(suite)
    suite.done()


main()
