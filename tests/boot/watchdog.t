#!/usr/bin/env python3
# A processor that hangs is named by its neighbour, with the place where it is; the machines of the others run on.
from boots import Suite

MACHINES = ["hello.elf hello cpu=0", "hostile.elf loop cmdline=endless-loop cpu=0 timeout=4s expect=timeout"]

suite = Suite()
boot = suite.boot("a processor hangs", modules=MACHINES, cmdline="hang=50ms", cpus=2)
boot.says("it is named, with its place", r"# processor 1 does not answer: it is at hang_now\+0x")
boot.good("hello")
boot.good("loop")
boot = suite.boot("none does", modules=MACHINES, cpus=2)
boot.sound()
boot.check("does not answer" not in boot.text, "nobody is named", boot.text)
suite.done()
