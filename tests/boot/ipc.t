#!/usr/bin/env python3
# Machines that send messages to one another, sharing a processor and not.
from boots import Suite

suite = Suite()
for cpus in (1, 2, 4):
    boot = suite.boot(f"messages on {cpus}", "ipc", cpus=cpus)
    boot.sound()
    boot.unique()
    boot.check(("micronova/memory-returned", True) in boot.log.points, "all memory came back")
suite.done()
