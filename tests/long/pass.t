#!/usr/bin/env python3
# memtest86+, both images, until their own screens show a finished pass without errors.
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "boot"))
from boots import Suite  # noqa: E402

suite = Suite()
boot = suite.boot("a whole pass", "pass", timeout=1800)
boot.sound()
for machine in ("memtest64", "memtest32"):
    boot.good(machine)
suite.done()
