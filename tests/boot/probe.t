#!/usr/bin/env python3
# The probe misused, by machines that share a processor and by one on another: refused, and the neighbours notice nothing.
from boots import Suite

suite = Suite()
for cpus in (1, 2):
    boot = suite.boot(f"the probe misused on {cpus}", "probe", cpus=cpus)
    boot.sound()
    boot.unique()
    boot.check("nobody had asked for" not in boot.text, "what the probe raises is no stray", boot.text[-2000:])
# With IF=0 Bochs lets no interrupt through (docs/deviations.md): the watchdog's NMI ends the run.
boot = suite.boot("a subject that loops", modules=["probe-abuse.elf loops cpu=0 caps=probe mem=2M cmdline=endless"], cpus=2)
boot.sound()
suite.done()
