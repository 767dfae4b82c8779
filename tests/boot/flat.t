#!/usr/bin/env python3
# A switch costs the same, however many machines take turns on a processor.
import re

from boots import Suite


def modules(count):
    others = [f"ring.elf m{i} mem=192K cpu=0 slice=10s console=none" for i in range(1, count)]
    return [f"ring.elf measures mem=192K cpu=0 slice=10s cmdline=machines={count}", *others]


suite = Suite()
cost = {}
for machines in (2, 255):
    boot = suite.boot(f"{machines} machines", modules=modules(machines), timeout=600)
    boot.sound()
    found = re.search(r"^# bench vcpu-switch-among (\d+) ticks", boot.text, re.M)
    cost[machines] = int(found[1]) if found else 0
suite.check(0 < cost[255] <= cost[2] + 2, "flat", f"with 2 machines {cost[2]} ticks, with 255 {cost[255]}")
print(f"# with 2 machines {cost[2]} ticks, with 255 {cost[255]}")
suite.done()
