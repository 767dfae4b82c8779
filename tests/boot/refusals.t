#!/usr/bin/env python3
# A box that lacks something gets one sentence that names it, on serial and screen, and the log ends cleanly.
from boots import Suite, ROOT
import sys

sys.path.insert(0, str(ROOT / "tools"))
from micronova import screen  # noqa: E402

suite = Suite()
suite.boot("penryn: VMX without EPT", "small", model="penryn").bails(r"\bEPT\b")
suite.boot("ryzen: AMD", "small", model="ryzen").bails(r"VT-x|VMX")
suite.boot("ryzen, 2 processors, disk", "small", model="ryzen", cpus=2, boot="disk").bails(r"VT-x|VMX")

text = suite.files / "bios.txt"
boot = suite.boot("QEMU, BIOS", "small", on="qemu", cmdline="exit=halt", screen=text)
boot.bails(r"VT-x|VMX")
shown = text.read_text() if text.exists() else "no screen"
boot.check("Bail out!" in shown, "the refusal is on the text screen", "expected Bail out!", "got:", shown)

boot = suite.boot("QEMU, BIOS, disk", "small", on="qemu", boot="disk", cpus=2, mem=256)
boot.bails(r"VT-x|VMX")

picture = suite.files / "uefi.ppm"
boot = suite.boot("QEMU, UEFI from a stick", "small", on="qemu", boot="uefi", cmdline="exit=halt", screen=picture)
boot.bails(r"VT-x|VMX")
shown = screen.read(screen.picture(picture)) if picture.exists() else "no picture"
boot.check("Bail out!" in shown, "the refusal is on the framebuffer", "expected Bail out!", "got:",
           "\n".join(line for line in shown.splitlines() if line.strip()))
suite.done()
