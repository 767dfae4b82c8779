#!/usr/bin/env python3
# A machine whose first GiB is one leaf: rights of a page and a log of writes split it, and it becomes one again, in portions
# no longer than a handler.
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "boot"))
from boots import Suite  # noqa: E402

suite = Suite()
for method, model in (("pml", "skylake"), ("bits", "haswell"), ("protect", "haswell")):
    boot = suite.boot(f"a GiB logged by {method}", cmdline=f"dirty={method}", model=model, mem=2112,
                      modules=["dirty.elf gib mem=1G backing=eager caps=log cmdline=gib"])
    boot.sound()
    gap = re.search(r"^# bench longest-gap (\d+) ticks$", boot.text, re.M)
    boot.check(gap and int(gap[1]) <= 20000, "leaves go together in short portions", f"got {gap and gap[1]} ticks")
suite.done()
