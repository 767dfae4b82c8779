#!/usr/bin/env python3
# Weights: spinners and a sleeper on one processor, on boxes with 1 and 2 of them.
from boots import Suite

suite = Suite()
for cpus in (1, 2):
    suite.boot(f"shares by weight on {cpus}", "share", cpus=cpus).sound()
suite.done()
