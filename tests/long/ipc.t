#!/usr/bin/env python3
# A million messages through one queue, and a hundred thousand calls and answers, on 1, 2 and 4 processors.
from boots import Suite

suite = Suite()
for cpus in (1, 2, 4):
    boot = suite.boot(f"a million messages on {cpus}", cpus=cpus, timeout=1200, modules=[
        'ipc.elf sink mem=1M cmdline="sink by=source count=1000000"',
        'ipc.elf source ipc=sink mem=1M cmdline="source to=sink count=1000000"',
        'ipc.elf ping ipc=pong mem=1M cmdline="ping to=pong by=pong count=100000"',
        'ipc.elf pong ipc=ping mem=1M cmdline="serve to=ping by=ping count=100000"',
    ])
    boot.sound()
suite.done()
