#!/usr/bin/env python3
# Weights: spinners, a pair that hands its turn to and fro, and sleepers, each on one processor.
from boots import Suite

suite = Suite()
for cpus, scenario in ((1, "share"), (2, "share"), (4, "share"), (1, "pair"), (2, "pair"), (4, "pair")):
    suite.boot(f"{scenario} by weight on {cpus}", scenario, cpus=cpus).sound()
suite.done()
