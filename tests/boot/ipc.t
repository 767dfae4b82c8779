#!/usr/bin/env python3
# Machines that send messages to one another and to the hypervisor, sharing a processor and not.
import re

from boots import Suite

suite = Suite()
for cpus in (1, 2, 4):
    boot = suite.boot(f"messages on {cpus}", "ipc", cpus=cpus)
    boot.sound()
    boot.unique()
    boot.check(("micronova/memory-returned", True) in boot.log.points, "all memory came back")
    for machine in ("services-console", "console32"):
        # Pieces of a line that others' turns come between for long go out by themselves.
        text = "".join(re.findall(rf"^# {machine}\| (.*)$", boot.text, re.M))
        lines = re.findall(r"by message, line (\d+) of 60, two words a piece", text)
        boot.check(lines == [str(n + 1) for n in range(60)], f"{machine} wrote all by message, in order", lines)
short = suite.boot("memory becomes short", "short", mem=128)
short.sound()
typed = suite.boot("typed at the box", cmdline="console=com1,com2", input="More than two words of it\\n",
                   modules=["services.elf input ipc=micronova mem=1M input=serial timeout=20s cmdline=input"])
typed.sound()
typed.says("it is sent back", r"^# input\| More than two words of it$")
suite.done()
