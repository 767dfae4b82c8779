#!/usr/bin/env python3
# Machines with several vCPUs on 1, 2 and 4 processors; a hundred thousand interrupts where some share and some spread.
from boots import Suite

suite = Suite()
for cpus in (1, 2, 4):
    boot = suite.boot(f"several vCPUs on {cpus}", "smp", cpus=cpus)
    boot.sound()
    boot.unique()
suite.boot("100,000 interrupts", "interrupts", cpus=2).sound()
suite.done()
