#!/usr/bin/env python3
# What is typed at the box reaches the one machine that asked for it, byte by byte and by interrupts; on 1 and 2 processors.
import re

from boots import ROOT, Suite

text = re.search(r'input=serial .*cmdline="(.*)"', (ROOT / "iso/scenarios/input.scenario").read_text()).group(1)
suite = Suite()
for cpus in (1, 2):
    boot = suite.boot(f"input on {cpus}", "input", cpus=cpus, input=text + "\\n")
    boot.sound()
    boot.says("it is sent back", rf"^# serial\| {re.escape(text)}$")
    boot.check("nobody had asked for" not in boot.text, "no interrupt that nobody asked for", boot.text[-600:])
suite.done()
