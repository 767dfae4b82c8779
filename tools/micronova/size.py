"""Lines of C and assembly of the hypervisor, by what they are for. A line counts that is neither blank nor a whole comment."""
import fnmatch
import re

from . import ROOT, Problem

ROOMS = ("boot", "arch", "kernel", "mm", "vmx", "sched", "ipc", "sdm", "abi", "dev")
# (group, part, patterns): the first part with a pattern that fits has the file.
CORE, AROUND, OUTSIDE = "the micro-hypervisor", "around it", "not in it, for guests and host tests"
PARTS = (
    (OUTSIDE, "cases of VM entry, contradictions of capabilities", "sdm/entry_cases* sdm/entry_mode.* sdm/vmx_caps_check.*"),
    (AROUND, "doctor: rules of VM entry, why one failed", "sdm/entry_* vmx/doctor.* vmx/diagnose.* vmx/dump.*"),
    (AROUND, "the manual as tables", "sdm/*"),
    (AROUND, "probe: VMX for test guests", "vmx/probe* kernel/probe.*"),
    (AROUND, "devices of guests, local APIC", "dev/* kernel/dev_host.* kernel/shared_io.* vmx/apic*"),
    (AROUND, "instructions and tasks emulated", "vmx/decode.* vmx/emulate.* vmx/mmio.* vmx/task_* "
                                                "vmx/guest_* vmx/exit_cr.*"),
    (AROUND, "loaders, module lines, options", "kernel/load* kernel/elf.* kernel/machine.* kernel/machines.* kernel/words.* "
                                               "kernel/options.* kernel/keys.* boot/multiboot2.*"),
    (AROUND, "log, report, screen, panic", "kernel/report* kernel/tap.* kernel/panic.* kernel/backtrace.* kernel/symbols.* "
                                           "kernel/screen.* kernel/regex.* kernel/watch* kernel/ending.* kernel/consoles.* "
                                           "kernel/drain.* kernel/log_ring.* kernel/guest_console.* kernel/input.* "
                                           "kernel/bench.* vmx/microscope.* vmx/exit_words.* arch/screen.* arch/font.* "
                                           "arch/log.* arch/uart.* arch/reason.* arch/panic.*"),
    (CORE, "the box: start, processors, ACPI, clocks", "boot/* arch/* kernel/main.*"),
    (CORE, "memory", "mm/* kernel/memory.* kernel/balloon.*"),
    (CORE, "messages and services", "ipc/* kernel/ipc.* kernel/peers.* kernel/hypercall.* kernel/control.* "
                                    "kernel/service* abi/*"),
    (CORE, "machines, vCPUs, scheduling", "sched/* kernel/*"),
    (CORE, "VMX: entry, exits, controls, events", "vmx/*"),
)


def of(text, assembly):
    """How many lines of `text` count."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    comment = ";" if assembly else "//"
    return sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith(comment))


def part_of(path):
    for row in PARTS:
        if any(fnmatch.fnmatch(path, pattern) for pattern in row[2].split()):
            return row
    raise Problem(f"{path} belongs to no part of tools/micronova/size.py: add a pattern there")


def count():
    """{row of PARTS: lines}"""
    sums = dict.fromkeys(PARTS, 0)
    for path in sorted(ROOT.glob("*/*")):
        if path.parent.name in ROOMS and path.suffix in (".c", ".h", ".asm"):
            sums[part_of(str(path.relative_to(ROOT)))] += of(path.read_text(), path.suffix == ".asm")
    return sums


def hypervisor():
    return sum(lines for row, lines in count().items() if row[0] != OUTSIDE)
