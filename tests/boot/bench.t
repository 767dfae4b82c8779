#!/usr/bin/env python3
# What an exit costs, and start-up and memory: exact on Bochs, so each figure has a bound (tests/ceilings).
from boots import Suite
from micronova import bench

suite = Suite()
boot = suite.boot("bench", "bench")
boot.sound()
counted = suite.boot("bench, counting", "bench", **bench.COUNTING)
counted.sound()
for row in bench.compare(bench.merge(boot.log.bench, counted.log.bench)):
    if row.bound is not None:
        suite.check(row.good, f"{row.name} within its bound", f"old {row.last}", f"new {bench.text(row.value)}",
                    f"bound {row.bound:g} {row.unit}")
suite.done()
