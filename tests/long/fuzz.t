#!/usr/bin/env python3
# Ten million random writes to device registers, from ten seeds, on 1, 2 and 4 vCPUs and processors.
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "boot"))
from boots import Suite  # noqa: E402

COUNT, SEEDS = 10_000_000, 10
suite = Suite()
total = 0
for seed in range(SEEDS):
    vcpus, cpus = (1, 2, 4)[seed % 3], (1, 2, 4)[seed // 3 % 3]
    fuzz = f'fuzz-devices.elf fuzz vcpus={vcpus} mem=1M console=none cmdline="seed={1000 + seed} count={COUNT // SEEDS}"'
    boot = suite.boot(f"seed {1000 + seed}, {vcpus} vCPUs on {cpus}", cpus=cpus, timeout=3600,
                      modules=[fuzz, "interrupts.elf witness vcpus=2 mem=1M cmdline=total=10000", "apic.elf apic mem=1M"])
    boot.sound()
    total += sum(int(count) for count in re.findall(r"^# bench writes (\d+) writes$", boot.text, re.M))
suite.check(total >= COUNT, "ten million writes", f"got {total}")
suite.done()
