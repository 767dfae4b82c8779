#!/usr/bin/env python3
# Memory that runs out: each allocation of a machine fails in turn, while it is built and while it runs. It is told, or not
# built; others do not notice, and all memory comes back.
import re

from boots import Suite

suite = Suite()
for cpus, model, least in ((1, "haswell", 50), (2, "skylake", 50)):
    boot = suite.boot(f"scarce on {cpus}, {model}", "scarce", cpus=cpus, model=model)
    boot.sound()
    boot.unique()
    failed = [int(n) for n in re.findall(r"^# allocation (\d+) fails$", boot.text, re.M)]
    boot.check(failed == list(range(1, len(failed) + 1)) and len(failed) >= least, "each in turn",
               f"expected 1 to {least} and more", f"got {failed}")
    boot.check("is built once more" in boot.text and "reset by another machine" in boot.text.split("allocation")[-1],
               "the last life lacks nothing", boot.text[-1500:])
    for point in ("memory-returned", "memory-merged"):
        boot.check((f"micronova/{point}", True) in boot.log.points, point)
boot = suite.boot("the third allocation of all", modules=["hello.elf a", "hello.elf b", "hello.elf c"], cmdline="fail-alloc=3")
boot.complete()
boot.refuses("a", "no memory left")
boot.good("b")
boot.good("c")
suite.done()
