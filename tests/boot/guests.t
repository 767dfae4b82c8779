#!/usr/bin/env python3
# All test guests at once, the hostile ones among them: one harms no other, and the log stays sound.
from boots import Suite

suite = Suite()
for cpus in (1, 2):
    boot = suite.boot(f"test guests on {cpus}", "guests", cpus=cpus)
    boot.sound()
    boot.unique()
    boot.says("nothing is lost: all memory came back", r"^# memory: (\d+) of \1 pages free|^# .*memory.*returned")
suite.done()
