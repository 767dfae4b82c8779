#!/usr/bin/env python3
# Two machines with Debian's Linux at once, beside test guests: one without a local APIC, one that has its interrupts
# from the PIC by way of it (virtual wire; more than that takes ACPI tables).
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "boot"))
from boots import ROOT, Suite  # noqa: E402

line = next(text for text in (ROOT / "iso/scenarios/linux.scenario").read_text().splitlines() if " linux " in text)
pic = line.removeprefix("module ").replace(" linux ", " by-pic ").replace("timeout=100s", "timeout=300s")
apic = pic.replace(" by-pic ", " by-apic ").replace(" nolapic acpi=off", "").replace(" quiet", "")

suite = Suite()
for cpus in (1, 2):
    boot = suite.boot(f"two of Linux on {cpus}", "small", modules=[pic, apic, "debian:linux-initrd rootfs"], cpus=cpus,
                      timeout=900, ips=20_000_000)  # as tests/boot/linux.t
    boot.sound()
    for machine in ("by-pic", "by-apic"):
        boot.good(machine)
        boot.says(f"init of {machine} is content", rf"^# {machine}\| init: all is well$")
    boot.says("by-apic uses its local APIC", r"^# by-apic\| .* APIC: Switch to virtual wire mode")
    boot.says("by-apic need not measure its TSC", r"^# by-apic\| .* clocksource: Switched to clocksource tsc$")
suite.done()
