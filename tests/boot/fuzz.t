#!/usr/bin/env python3
# A hundred thousand random writes to device registers: the machines that make them live, and others notice nothing.
import re

from boots import Suite

suite = Suite()
boot = suite.boot("fuzzed devices", "fuzz", cpus=2)
boot.sound()
writes = [int(count) for count in re.findall(r"^# bench writes (\d+) writes$", boot.text, re.M)]
boot.check(sum(writes) >= 100_000, "a hundred thousand writes", f"got {writes}")
suite.done()
