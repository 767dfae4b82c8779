#!/usr/bin/env python3
# A VM entry that is broken on purpose ends its machine alone, with a sentence that names the rule.
from boots import Suite

ROWS = (
    # field and bits, the sentence
    ("GUEST_RFLAGS,2", r"VM-entry failure due to invalid guest state: guest-rflags-must-be-1: bit 1 is 1; "
                       r'GUEST_RFLAGS=0h \(exit reason 33; SDM, "Checks on Guest RIP, RFLAGS, and SSP"\)'),
    ("GUEST_CS_ACCESS_RIGHTS,0x80", r"guest-cs-p: P is 1; GUEST_CS_ACCESS_RIGHTS=a01bh \(exit reason 33; "),
    ("PIN_BASED_CONTROLS,2", r"VM entry failed: error 7, .*: pin-controls-must-be-1: .*; PIN_BASED_CONTROLS=[0-9a-f]+h "),
    ("HOST_CR4,0x2000", r"VM entry failed: error 8, .*: host-cr4-must-be-1: .*; HOST_CR4=[0-9a-f]+h "),
)

suite = Suite()
modules = [f"hello.elf m{i} break={field}" for i, (field, _) in enumerate(ROWS)]
boot = suite.boot("broken entries", modules=[*modules, "hello.elf well"])
boot.complete()
boot.good("well")
for i, (field, sentence) in enumerate(ROWS):
    boot.refuses(f"m{i}", rf"got entry-failed: .*{sentence}")
    boot.says(f"{field}: the rule among the registers", rf"^# m{i}: breaks {sentence.split(': ')[-2]}: ")
boot.check(("micronova/memory-returned", True) in boot.log.points, "all memory came back")

boot = suite.boot("declared", modules=["hello.elf m break=GUEST_RFLAGS,2 expect=entry-failed",
                                       "hello.elf n break=NO_SUCH_FIELD,1"])
boot.says("the sentence of an end that is expected", r"^# m ended: .*guest-rflags-must-be-1")
boot.refuses("n", "NO_SUCH_FIELD")

# Bochs refuses a legal state (docs/deviations.md, the DPL of CS): then the whole VMCS is shown.
boot = suite.boot("nothing is broken", modules=["hello.elf m break=GUEST_CS_SELECTOR,1"])
boot.refuses("m", "got entry-failed: .*: no rule that is known is broken")
boot.says("innocence is said", r"^# m: of the \d+ rules of VM entry that are known none is broken")
for title in ("guest registers and state", "guest segments", "controls", "host state", "exit information"):
    boot.says(f"the block of {title}", rf"^# m: VMCS: {title}")
boot.says("bits in words", r"^# m:   CR0 80000031h: PE, ET, NE, PG")
suite.done()
