#!/usr/bin/env python3
# Wrong usage of the tools ends with exit code 2 and a line that helps; words survive quoting.
import concurrent.futures
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "boot"))
from boots import ROOT, Suite  # noqa: E402
from micronova import BUILD, Problem, emulator, image, runs, scenario, words  # noqa: E402

USAGE = [  # command line, what the message must hold
    ("tools/run --on moon", "invalid choice"),
    ("tools/run --cpus 0", "from 1 to 64"),
    ("tools/run --mem lots", "number of MB"),
    ("tools/run --timeout -1", "from 1 to 86400"),
    ("tools/run --nosuch", "tools/run --help"),
    ("tools/run nosuch", "there are"),
    ("tools/run small nosuch", "there are"),
    ("tools/run --log x small hello", "--log"),
    ("tools/run --module", "expected one argument"),
    ("tools/run --module xyzzy.bin", "make guests"),
    ("tools/run --module helo.elf", "hello.elf"),
    ("tools/run --module /nosuch/file", "existing module"),
    ("tools/run --module debian:nosuch", "memtest86+x64.bin"),
    ("tools/run --module 'hello.elf \"x'", "is not closed"),
    ("tools/run --on bochs --boot uefi", "--on qemu"),
    ("tools/run --on bochs --screen x.txt", "--on qemu"),
    ("tools/run --on bochs --model z80 small", "haswell"),
    ("tools/run --kernel /nosuch small", "make"),
    ("tools/run --only helo small", "hello"),
    ("tools/run --log /nosuch/log small", "/nosuch/log"),
    ("tools/iso", "usage"),
    ("tools/usb", "make usb DEV="),
    ("tools/usb VERSION /dev/null", "is not a disk"),
    ("tools/install-deps", "usage"),
    ("tools/bench --nosuch", "tools/bench"),
    ("tools/debug nosuch", "there are"),
]
SPLIT = [
    ("", []),
    ("a  b\tc", ["a", "b", "c"]),
    ("k=\"a b\" 'c d'e", ["k=a b", "c de"]),
    (r"\"a\" b\\c \n", ['"a"', "b\\c", "\\n"]),
    ("x='\"' y=\"'\"", ['x="', "y='"]),
    ("'' a", ["", "a"]),
]

suite = Suite()
for command, word in USAGE:
    run = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                         check=False)
    suite.equal(f"{command}: exit code", 2, run.returncode, run.stderr)
    suite.check(word in run.stderr, f"{command}: says what to do", f"expected {word}", f"got {run.stderr}")
for line, expected in SPLIT:
    suite.equal(f"words of {line!r}", expected, words.split(line))
for line in ("'a", '"a', "a\"b'c\""[:-1]):
    try:
        suite.check(False, f"{line}: refused", f"got {words.split(line)}")
    except Problem as problem:
        suite.check("not closed" in str(problem), f"{line}: refused", problem)
machines = [scenario.Module(None, ["a", "mem=4M"]), scenario.Module(None, ["b", "cmdline=seed=1"])]
scenario.add_text(machines, "a", "skip=x")
scenario.add_text(machines, "b", "skip=y skip=z")
suite.equal("text for some emulators alone", [["a", "mem=4M", "cmdline=skip=x"], ["b", "cmdline=seed=1 skip=y skip=z"]],
            [machine.words for machine in machines])
for on, expected in (("bochs", True), ("kvm", False), (None, False)):
    names = [word for machine in scenario.load("vmx", on).modules for word in machine.words if "skip=" in word]
    suite.equal(f"scenario vmx on {on} steps over what kills Bochs", expected, bool(names))
for name, size in (("hello", (1, 512)), ("crowd", (2, 512)), ("balloon", (1, 64))):
    what = scenario.load(name)
    suite.equal(f"processors and memory of scenario {name}", size, (what.cpus, what.mem))
with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(4) as pool:
    image.BUILD = pathlib.Path(folder)
    several = [pool.submit(image.efi_partition) for _ in range(4)]
    errors = [error for run in several if (error := run.exception())]
    suite.equal("several runs in a new clone make GRUB's parts of an image at a time", [], errors)
    left = sorted(path.suffix for path in (image.BUILD / "iso").iterdir())
    suite.equal("nothing half done stays behind", [".fat", ".img"], left)
image.BUILD = BUILD
what = scenario.load("vmx", "bochs")
scenario.keep(what, ["apicv", "signals"])
suite.equal("some of a scenario's machines", ["signals", "apicv"], [machine.words[0] for machine in what.modules])
try:
    got = list(runs.Run(emulator.Job([], on="moon")).lines())
except KeyError as error:
    got = error
suite.check(isinstance(got, KeyError), "a run that goes wrong in itself is no run that went well", f"got {got}")
suite.equal("a quote for GRUB", r"'it'\''s $x \y'", words.grub("it's $x \\y"))
suite.done()
