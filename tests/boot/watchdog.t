#!/usr/bin/env python3
# A processor that hangs is named by its neighbour, with the place where it is; the machines of the others run on. NMIs,
# interrupts that nobody asked for, and machine checks are told.
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
boot = suite.boot("what nobody asked for", modules=MACHINES, cmdline="stray=50ms")
boot.sound()
boot.says("an interrupt is counted", r"# 1 interrupts of vector 99h that nobody had asked for$")
boot.says("an NMI is told, with its place", r"# processor 0: 1 NMIs that nobody had asked for, the last at [a-z_.]+\S*\+0x")
boot = suite.boot("a machine check", modules=MACHINES, cmdline="machine-check=50ms")
boot.says("it is decoded", r"# machine check: the program (could|cannot) go on")
boot.says("and ends the run, with its place", r"machine_check_now\+0x")
suite.done()
