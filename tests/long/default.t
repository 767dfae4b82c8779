#!/usr/bin/env python3
# What `make run` shows, on one, two and four processors.
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "boot"))
from boots import Suite  # noqa: E402

suite = Suite()
for cpus in (1, 2, 4):
    boot = suite.boot(f"default on {cpus}", "default", cpus=cpus, timeout=600)
    boot.sound()
    boot.unique()
suite.done()
