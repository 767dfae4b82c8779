#!/usr/bin/env python3
# The probe misused, by machines that share a processor and by one on another: refused, and the neighbours notice nothing.
from boots import Suite

suite = Suite()
for cpus in (1, 2):
    boot = suite.boot(f"the probe misused on {cpus}", "probe", cpus=cpus)
    boot.sound()
    boot.unique()
suite.done()
