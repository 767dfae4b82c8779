#!/usr/bin/env python3
# Processors with every medium, and memory, on Bochs Haswell; the full product, with 3 GB, is tests/long/product.t: Bochs
# takes many seconds to begin with so much.
from boots import Suite

ROWS = [  # cpus, MB, medium, scenario
    (2, 64, "disk", "small"),
    (4, 64, "cd", "small"),
    (1, 512, "disk", "small"),
    (2, 512, "cd", "hello"),
    (1, 1024, "cd", "hello"),
    (4, 2048, "disk", "hello"),
]

suite = Suite()
for cpus, mem, medium, scenario in ROWS:
    boot = suite.boot(f"{cpus} processors, {mem} MB, {medium}", scenario, cpus=cpus, mem=mem, boot=medium)
    boot.sound()
    boot.says("all processors run", rf"^# {cpus} processors\b")
    boot.good("micronova")
    boot.good("hello")
suite.done()
