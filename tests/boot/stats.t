#!/usr/bin/env python3
# The exit microscope: a table of exits at a machine's end, and the last exits, in words, at one that it did not choose.
import re

from boots import Suite

suite = Suite()
boot = suite.boot("report=stats", modules=["hello.elf hello", "hostile.elf wild cmdline=wild-pointer", "apic.elf apic"],
                  cmdline="report=stats")
boot.complete()
boot.good("hello")
boot.says("a table of exits", r"(?m)^# hello: +\d+ VMCALL, log2 of ticks: .*\b6:\d")
boot.says("the last exits", r"(?m)^# wild: \d+ ticks ago, \d+ long, on at [0-9a-f]+: EPT violation: write to gpa [0-9a-f]+h")
slow = re.findall(r"^# apic: +\d+ EPT violation, .*\b(?:2\d|3\d):.*", boot.text, re.M)
boot.check(not slow, "device memory takes no longer than what is first touched", *slow)
past = [line for line in boot.text.splitlines() if "ticks ago" in line]
boot.check(past and not any("linear address" in line for line in past), "no address that was not kept", *past[:3])
suite.done()
