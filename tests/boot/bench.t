#!/usr/bin/env python3
# What an exit costs, and start-up and memory: exact on Bochs, so each figure has a bound (tests/ceilings).
from boots import Suite
from micronova import bench

suite = Suite()
boots = {name: suite.boot(f"bench, {name}", **options) for name, options in bench.RUNS.items()}
for boot in boots.values():
    boot.sound()
for row in bench.compare(bench.merge(**{name: boot.log.bench for name, boot in boots.items()})):
    if row.bound is not None:
        suite.check(row.good, f"{row.name} within its bound", f"old {row.last}", f"new {bench.text(row.value)}",
                    f"bound {row.bound:g} {row.unit}")
suite.done()
