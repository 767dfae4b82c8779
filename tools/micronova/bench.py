"""Figures of scenario bench against tests/ceilings and the peers."""
import dataclasses

from . import BUILD, ROOT, Problem, bochs, size

CEILINGS = ROOT / "tests" / "ceilings"
# Instructions per round trip on the same Bochs Haswell model. Floor: the least that an exit costs in this
# shape, registers saved, cleared and restored, RIP advanced with its side effects.
COLUMNS = ("floor", "NOVA", "Xen 4.17", "KVM 6.1")
PEERS = {
    "cpuid": ("81", "572", "815", "979"),
    "vmcall": ("81", "561", "756", "966"),
    "rdmsr": ("81", "569", "715", "1095"),
    "xsetbv": ("81", "527", "782", "960"),
    "out-unclaimed": ("81", "563", "", "3082"),
    "pic-in": ("81", "586", "1266", "1239"),
    "x2apic-self-ipi": ("", "597", "", "2043"),
    "x2apic-eoi": ("81", "566", "", "1627"),
    "hlt-wake": ("", "583", "1240", "2766"),
    "apic-mmio-read": ("", "575", "6966", "5977"),
    "touch-4k": ("81", "1479", "", "2785"),
    "touch-4k-zeroing": ("596", "1479", "", "6104"),
    "vmreads-cpuid": ("", "5", "10", "6"),
    "vmwrites-cpuid": ("", "3", "3", "1"),
    "first-guest": ("", "5300000", "189000000", "1845000000"),
    "vm-create": ("", "66000-101000", "", "580000"),
    "vm-bytes": ("", "33792-39936", "", "274432-393216"),
    "kernel-elf": ("", "90 kB", "2.6 MB", "15.5 MB"),
    "source-lines": ("", "13970", "", ""),
}


@dataclasses.dataclass
class Row:
    name: str
    bound: float
    last: str
    unit: str
    value: float = None

    @property
    def good(self):
        return self.value is not None and (self.bound is None or self.value <= self.bound)


# Rows are measured without APIC virtualization by the processor, but those whose name says otherwise. Beside the plain
# run: with it, a machine with two vCPUs, under the exit microscope, and with a kernel that counts VMCS accesses. Of these
# only NAMES count, under the name behind the colon: other figures carry the cost of looking.
RUNS = {
    "plain": {"scenario": "bench", "cmdline": "apicv=off"},
    "apicv": {"scenario": "bench"},
    "ipi": {"scenario": "ipi", "cmdline": "apicv=off", "cpus": 2},
    "far": {"scenario": "bench-far", "cmdline": "apicv=off", "cpus": 2},
    "memory": {"scenario": "bench-memory", "cmdline": "dirty=protect report=bench"},
    "bits": {"scenario": "bench-memory", "cmdline": "dirty=bits"},
    "pml": {"scenario": "bench-memory", "cmdline": "dirty=pml", "model": "skylake"},
    "watched": {"scenario": "bench", "cmdline": "apicv=off report=stats"},
    "counted": {"scenario": "bench", "cmdline": "apicv=off", "kernel": BUILD / "checking" / "micronova.elf"},
}
for options in RUNS.values():
    options["ips"] = bochs.BENCH_IPS
NAMES = {
    "apicv": [f"{name}:apicv-{name}" for name in ("cpuid", "vm-bytes", "x2apic-exits", "x2apic-self-ipi", "x2apic-eoi",
                                                  "apic-mmio-read", "hlt-wake", "timer", "ipc-round-trip", "event")],
    "ipi": ["ipi"],
    "far": [f"{name}:far-{name}" for name in ("ipc-send", "ipc-round-trip", "event")] + ["grant-map-2m"],
    "memory": ["balloon-take", "balloon-give", "dirty-read", "buddy-4k-alloc", "buddy-4k-free", "buddy-2m-alloc",
               "buddy-2m-free", "buddy-4k-beside-free", "buddy-4k-alloc-mean", "buddy-4k-free-mean"],
    "bits": ["dirty-read-bits"],
    "pml": ["dirty-read:dirty-read-pml"],
    "watched": ["max-handler"],
    "counted": ["vmreads-cpuid", "vmwrites-cpuid"],
}


def merge(plain, **others):
    """Figures of the RUNS."""
    figures = dict(plain)
    for run, names in NAMES.items():
        for name, _, row in (entry.partition(":") for entry in names):
            if name in others[run]:
                figures[row or name] = others[run][name]
    if "cpuid" in plain and "cpuid" in others["watched"]:
        figures["microscope"] = (others["watched"]["cpuid"][0] - plain["cpuid"][0], "ticks")
    return figures


def ceilings():
    rows = {}
    for number, line in enumerate(CEILINGS.read_text().splitlines(), 1):
        fields = line.split("#")[0].split()
        if not fields:
            continue
        try:
            name, bound, last, unit = fields
            rows[name] = Row(name, float(bound), last, unit)
        except ValueError:
            raise Problem(f"tests/ceilings, line {number}: expected NAME BOUND LAST UNIT") from None
    return rows


def compare(figures):
    """figures: {name: (value, unit)} from a log; rows with a bound first, then the rest."""
    rows = ceilings()
    figures = figures | {"kernel-elf": ((BUILD / "micronova.elf").stat().st_size, "bytes"),
                         "source-lines": (size.hypervisor(), "lines")}
    for name, (value, unit) in figures.items():
        rows.setdefault(name, Row(name, None, "-", unit)).value = value
    return list(rows.values())


def table(rows):
    head = ("", "now", "bound", "last", *COLUMNS, "unit")
    lines = [head] + [(("  " if r.good else "! ") + r.name, text(r.value), text(r.bound), r.last,
                       *PEERS.get(r.name, ("",) * len(COLUMNS)), r.unit) for r in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) if i in (0, len(head) - 1) else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in lines)


def text(value):
    return "-" if value is None else f"{value:g}" if value < 1e5 else f"{value:.0f}"


def record(rows):
    """Writes what was seen into the LAST column of tests/ceilings."""
    seen = {row.name: row for row in rows}
    lines = []
    for line in CEILINGS.read_text().splitlines():
        fields = line.split()
        if len(fields) == 4 and not line.startswith("#"):
            fields[2] = text(seen[fields[0]].value)
            line = f"{fields[0]:<18} {fields[1]:<8} {fields[2]:<8} {fields[3]}"
        lines.append(line)
    CEILINGS.write_text("\n".join(lines) + "\n")
