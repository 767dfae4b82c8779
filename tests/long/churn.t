#!/usr/bin/env python3
# Ten thousand lives of machines leave the free lists as they were.
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "boot"))
from boots import Suite  # noqa: E402

CHURN = [
    "control.elf churn caps=control cmdline=\"churns=lazy,eager times=5000\"",
    "control.elf lazy mem=4M vcpus=2 cmdline=halts expect=destroyed",
    "control.elf eager mem=4M backing=eager cmdline=halts expect=destroyed",
]

suite = Suite()
boot = suite.boot("ten thousand lives", modules=CHURN, cmdline="report=memory", cpus=2, timeout=1800)
boot.sound()
for point in ("memory-returned", "memory-merged"):
    boot.check((f"micronova/{point}", True) in boot.log.points, point)
suite.done()
