#!/usr/bin/env python3
# All test guests at once, the hostile ones among them: one harms no other, and the log stays sound. (On one processor:
# tests/boot/tags.t, the default image.)
from boots import Suite

suite = Suite()
boot = suite.boot("test guests on 2", "guests", cpus=2)
boot.sound()
boot.unique()
boot.check(("micronova/memory-returned", True) in boot.log.points, "all memory came back")
suite.done()
