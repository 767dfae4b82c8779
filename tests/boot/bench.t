#!/usr/bin/env python3
# What an exit costs, and start-up and memory: exact on Bochs, so each figure has a bound (tests/ceilings).
from boots import Suite
from micronova import bench

suite = Suite()
boots = [suite.boot(f"bench, {name}", "bench", **options) for name, options in bench.RUNS.items()]
for boot in boots:
    boot.sound()
for row in bench.compare(bench.merge(*(boot.log.bench for boot in boots))):
    if row.bound is not None:
        suite.check(row.good, f"{row.name} within its bound", f"old {row.last}", f"new {bench.text(row.value)}",
                    f"bound {row.bound:g} {row.unit}")
suite.done()
