#!/usr/bin/env python3
# The first allocation of a run fails, the second, and so on, each in a run of its own, until a run has no more of them.
# Whoever asked for it is told, in words, or does not notice; no other machine does.
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "boot"))
from boots import Suite  # noqa: E402

MACHINES = [
    "hello.elf first",
    "pages.elf pages mem=8M backing=eager cmdline=eager",
    "dirty.elf dirty mem=8M vcpus=2 caps=log",
    "balloon.elf share mem=1M balloon=1280K cmdline='share rounds=1'",
    "interrupts.elf witness vcpus=2 mem=1M cmdline=total=1000",
    "probe-abuse.elf probe caps=probe",
    "hello.elf last",
]
# What a machine says that was refused something.
WORDS = ("no memory", "does not fit", "got 0", "got -", "expected 512", "expected yes")

suite = Suite()
for n in range(1, 400):
    boot = suite.boot(f"allocation {n}", modules=MACHINES, cmdline=f"fail-alloc={n}", cpus=1 + n % 2)
    if not boot.complete():
        break
    guilty = {name.split("/")[0] for name in boot.log.failed}
    boot.check(len(guilty) <= 1 and "micronova" not in guilty, "one machine at most", f"got {sorted(guilty)}")
    said = "\n".join(line for name in boot.log.failed for line in boot.log.details[name])
    boot.check(not guilty or any(word in said for word in WORDS), "it says why", f"got {said}")
    for point in ("memory-returned", "memory-merged"):
        boot.check((f"micronova/{point}", True) in boot.log.points, point)
    if f"allocation {n} fails" not in boot.text:
        break
suite.check(50 < n < 399, "the last run lacks nothing", f"got {n}")
suite.done()
