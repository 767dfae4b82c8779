#!/usr/bin/env python3
# Two vCPUs of one machine in the same hypercall at once, on one processor and on several.
from boots import Suite

suite = Suite()
for cpus in (1, 2, 4):
    boot = suite.boot(f"races on {cpus}", "races", cpus=cpus)
    boot.sound()
    boot.unique()
    boot.good("race-witness")
    for point in ("memory-returned", "memory-merged"):
        boot.check((f"micronova/{point}", True) in boot.log.points, point)
suite.done()
