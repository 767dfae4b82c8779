#!/usr/bin/env python3
# A hundred thousand random writes to device registers, and interrupts as fast as they can be asked for: the machines
# that do it live, and others notice nothing.
import re

from boots import Suite

suite = Suite()


def fuzzed(boot, least):
    boot.sound()
    writes = [int(count) for count in re.findall(r"^# bench writes (\d+) writes$", boot.text, re.M)]
    boot.check(sum(writes) >= least, f"{least} writes", f"got {writes}")


fuzzed(suite.boot("fuzzed devices on 1", "fuzz"), 100_000)
few = [f'fuzz-devices.elf fuzz{vcpus} vcpus={vcpus} mem=1M console=none cmdline="seed={vcpus + 10} count=6000"'
       for vcpus in (1, 2, 4)]
fuzzed(suite.boot("fuzzed devices on 4", modules=[*few, "interrupts.elf witness vcpus=2 mem=1M cmdline=total=4000",
                                                  "apic.elf witness-apic mem=1M"], cpus=4), 18_000)
suite.boot("storms on 1", "storm", cpus=1).sound()
suite.boot("storms on 2", "storm", cpus=2).sound()
suite.done()
