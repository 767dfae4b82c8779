#!/usr/bin/env python3
# A switch and a message cost the same, however many machines want the processor. All but bench-peer, which waits for
# messages, take turns; one measures that, then bench measures messages.
import re

from boots import Suite

ROWS = ["vcpu-switch-among", "ipc-send", "ipc-round-trip", "ipc-queue", "event"]


def modules(count):
    others = [f"ring.elf m{i} mem=192K cpu=0 slice=10s console=none" for i in range(count - 3)]
    return [f"ring.elf measures mem=192K cpu=0 slice=10s cmdline=machines={count - 1}",
            "bench.elf bench mem=1M cpu=0 slice=10s ipc=bench-peer,bench cmdline=messages",
            "bench-peer.elf bench-peer mem=1M cpu=0 slice=10s ipc=bench cmdline=yields=0", *others]


suite = Suite()
cost = {}
for machines in (3, 255):
    boot = suite.boot(f"{machines} machines", modules=modules(machines), cmdline="apicv=off", timeout=600)
    boot.sound()
    for row in ROWS:
        found = re.search(rf"^# bench {row} (\d+) ticks", boot.text, re.M)
        cost[machines, row] = int(found[1]) if found else 0
for row in ROWS:
    few, many = cost[3, row], cost[255, row]
    suite.check(0 < many <= few + 2, f"{row} is flat", f"with 3 machines {few} ticks, with 255 {many}")
    print(f"# {row}: with 3 machines {few} ticks, with 255 {many}")
suite.done()
