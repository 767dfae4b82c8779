#!/usr/bin/env python3
# Real software, unmodified: memtest86+, 64 and 32 bit, up to test 3, beside the test guests; grub-invaders;
# and a memtest86+ whose memory has a bit that flips, which must not pass.
from boots import Suite

suite = Suite()
boot = suite.boot("real software", "real")
boot.sound()
for machine in ("memtest64", "memtest32", "invaders", "hello"):
    boot.good(machine)

boot = suite.boot("a flipped bit", "flip")
boot.complete()
boot.refuses("flipped", r"(?i)errors|screen")
boot.good("hello")
suite.done()
