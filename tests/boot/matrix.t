#!/usr/bin/env python3
# Processors and memory, each with every medium, on Bochs Haswell; the full product is tests/long/product.t.
from boots import Suite

ROWS = [  # cpus, MB, medium
    (2, 64, "disk"),
    (4, 64, "cd"),
    (1, 512, "disk"),
    (2, 512, "cd"),
    (1, 3072, "cd"),
    (4, 3072, "disk"),
]

suite = Suite()
for cpus, mem, medium in ROWS:
    boot = suite.boot(f"{cpus} processors, {mem} MB, {medium}", "small", cpus=cpus, mem=mem, boot=medium)
    boot.sound()
    boot.says("all processors run", rf"^# {cpus} processors\b")
    boot.good("micronova")
    boot.good("hello")
suite.done()
