#!/usr/bin/env python3
# vCPUs that move between processors: seen from inside, and every VM entry against the model of cached translations.
from boots import Suite

KERNEL = "build/checking/micronova.elf"

suite = Suite()
for cpus, scenario in ((2, "move"), (4, "move"), (2, "crowd"), (4, "crowd")):
    boot = suite.boot(f"{scenario} on {cpus}", scenario, cpus=cpus, kernel=KERNEL)
    boot.sound()
    boot.check(("micronova/tags", True) in boot.log.points, "no entry came without an invalidation that it owed")
suite.done()
