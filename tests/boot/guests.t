#!/usr/bin/env python3
# All test guests at once, the hostile ones among them: one harms no other, and the log stays sound.
from boots import Suite

suite = Suite()
for cpus in (1, 2):
    boot = suite.boot(f"test guests on {cpus}", "guests", cpus=cpus)
    boot.sound()
    boot.unique()
    boot.check(("micronova/memory-returned", True) in boot.log.points, "all memory came back")
suite.done()
