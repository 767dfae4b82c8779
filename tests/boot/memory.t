#!/usr/bin/env python3
# Memory management: the dirty log says the same however it is kept; machines that ask for more than the box has share it;
# four hundred lives of machines leave the free lists as they were.
import re

from boots import Suite

suite = Suite()
answers = {}
restarted = "dirty.elf dirty-restart mem=8M vcpus=2 caps=log cmdline=restart"
for method, model, cpus in (("pml", "skylake", 2), ("bits", "haswell", 1), ("protect", "haswell", 4)):
    boot = suite.boot(f"dirty log by {method}", "dirty", [restarted], cmdline=f"dirty={method}", model=model, cpus=cpus)
    boot.sound()
    boot.says("this method was used", rf"^# writes are logged by {method}$")
    answers[method] = sorted(boot.log.points)
suite.check(len(set(map(str, answers.values()))) == 1, "the three say the same", answers)
boot = suite.boot("a wish that cannot be", "small", cmdline="dirty=pml")
boot.says("the next best is taken", "^# writes are logged by bits: this processor has nothing better$")
for cpus in (1, 2, 4):
    boot = suite.boot(f"balloons on {cpus}", "balloon", mem=64, cpus=cpus)
    boot.sound()
    boot.check(("micronova/memory-returned", True) in boot.log.points, "all memory came back")
GIVERS = [f'balloon.elf giver{i} mem=1M balloon=2M vcpus=2 cmdline="revoke giver={i} beside"' for i in (0, 1)]
suite.boot("pages go while the other vCPU runs", modules=GIVERS, cpus=4).sound()
boot = suite.boot("four hundred lives", "churn", cmdline="report=memory")
boot.sound()
boot.check(("micronova/memory-merged", True) in boot.log.points, "free lists are as before")
reports = re.findall(r"^# memory: free blocks, order:count:.*$", boot.text, re.M)
suite.equal("the free lists are reported twice", 2, len(reports), boot.text[-2000:])
suite.done()
