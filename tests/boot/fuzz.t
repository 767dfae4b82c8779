#!/usr/bin/env python3
# A hundred thousand random writes to device registers, and interrupts as fast as they can be asked for: the machines
# that do it live, and others notice nothing.
import re

from boots import Suite

suite = Suite()
for cpus in (1, 4):
    boot = suite.boot(f"fuzzed devices on {cpus}", "fuzz", cpus=cpus)
    boot.sound()
    writes = [int(count) for count in re.findall(r"^# bench writes (\d+) writes$", boot.text, re.M)]
    boot.check(sum(writes) >= 100_000, "a hundred thousand writes", f"got {writes}")
suite.boot("storms on 1", "storm", cpus=1).sound()
suite.boot("storms on 2", "storm", cpus=2).sound()
suite.done()
