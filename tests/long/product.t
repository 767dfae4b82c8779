#!/usr/bin/env python3
# All of processors x memory x medium on Bochs Haswell, and the guests on every model that has what it takes.
import itertools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "boot"))
from boots import Suite  # noqa: E402

suite = Suite()
for cpus, mem, medium in itertools.product((1, 2, 4), (64, 512, 3072), ("cd", "disk")):
    boot = suite.boot(f"{cpus} processors, {mem} MB, {medium}", "small" if mem < 512 else "guests", cpus=cpus,
                      mem=mem, boot=medium, timeout=600)
    boot.sound()
    boot.says("all processors run", rf"^# {cpus} processors\b")
for model in ("broadwell", "skylake", "tigerlake"):
    suite.boot(f"guests on {model}", "guests", model=model, timeout=600).sound()
suite.done()
