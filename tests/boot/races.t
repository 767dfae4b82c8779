#!/usr/bin/env python3
# Two vCPUs of one machine in the same hypercall at once, and in any two at random, on one processor and on several.
from boots import Suite


def wild(me, other, seed, rest):
    return (f"wild.elf {me} ipc={other},{me},micronova vcpus=2 {rest} window=4M caps=log console=none "
            f'cmdline="of={other} seed={seed} count=3000"')


WILD = [wild("wild-a", "wild-b", 1, "mem=1M balloon=1536K"), wild("wild-b", "wild-a", 2, "mem=4M backing=eager balloon=5M")]

suite = Suite()
for cpus in (1, 2, 4):
    boot = suite.boot(f"races on {cpus}", "races", modules=WILD, cpus=cpus)
    boot.sound()
    boot.unique()
    boot.good("race-witness")
    for point in ("memory-returned", "memory-merged"):
        boot.check((f"micronova/{point}", True) in boot.log.points, point)
suite.done()
