#!/usr/bin/env python3
# Machines with several vCPUs on 1, 2 and 4 processors; a hundred thousand interrupts where some share and some spread.
from boots import Suite

suite = Suite()
for cpus in (1, 2, 4):
    boot = suite.boot(f"several vCPUs on {cpus}", "smp", cpus=cpus)
    boot.sound()
    boot.unique()
for cpus, vcpus in ((1, 1), (1, 4), (2, 2)):
    machine = f"interrupts.elf interrupts vcpus={vcpus} mem=1M cmdline=total=100000"
    suite.boot(f"100,000 interrupts on {cpus}, {vcpus} vCPUs", modules=[machine], cpus=cpus).sound()
suite.done()
