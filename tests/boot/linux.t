#!/usr/bin/env python3
# Debian's Linux, unmodified, through the 64-bit entry of its boot protocol to user space and back.
from boots import Suite

suite = Suite()
# It has 250 timer interrupts in each second of 20 million instructions.
boot = suite.boot("Linux", "linux", ips=20_000_000)
boot.sound()
boot.good("linux")
boot.says("its init runs", r"^# linux\| init: Linux 6\.1\S* x86_64$")
boot.says("its timer interrupts", r"^# linux\| init: [1-9]\d* timer interrupts while a second was slept$")
boot.says("its serial port interrupts", r"^# linux\| +4: +[1-9]\d* +XT-PIC +ttyS0$")
boot.says("what it prints last is not lost", r"^# linux\| init: all is well$")
suite.done()
