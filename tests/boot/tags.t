#!/usr/bin/env python3
# Every VM entry against the model of what a processor may have cached of its guests' translations (vmx/tags.h).
import sys

from boots import Suite

KERNEL = "build/checking/micronova.elf"

suite = Suite()
# `guests` has every way to a control register in it; `control` resets machines, which use VPIDs, EPT roots and
# frames again.
RUNS = ((1, "guests"), (2, "control"), (4, "small"))
LONG_RUNS = ((2, "small"), (4, "control"))
for cpus, scenario in LONG_RUNS if "long" in sys.argv else RUNS:
    boot = suite.boot(f"{scenario} on {cpus}", scenario, cpus=cpus, kernel=KERNEL)
    boot.sound()
    boot.says("entries were looked at", r"^# [1-9]\d{2,} VM entries looked at, 0 with stale translations")
    boot.check(("micronova/tags", True) in boot.log.points, "none came without an invalidation that it owed")
suite.done()
