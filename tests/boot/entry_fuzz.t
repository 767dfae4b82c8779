#!/usr/bin/env python3
# VM entries at random: doctor and processor agree but for what is known of Bochs (docs/deviations.md, "VM entries"); what
# a disagreement is reported with repeats it; an attempt costs what it may.
import os
import re

from boots import Suite

KNOWN = {"event-type", "entry-to-smm-outside-smm", "host-perf-global-ctrl", "guest-debugctl-reserved", "long-guest-cr0-pg",
         "guest-perf-global-ctrl", "guest-cs-dpl-nonconforming", "guest-rip-linear", "guest-rflags-vm-real",
         "pending-debug-reserved", "pending-debug-bs-missing", "pending-debug-bs-undue", "activity-hlt-event",
         "blocking-nmi-nmi", "entry-msr-smm", "obeys"} | {f"guest-{s}s-dpl" for s in "defg"} | {
             f"guest-ss-{rule}" for rule in ("type", "s", "p", "reserved-low", "reserved-high", "g-low", "g-high",
                                             "base-high")}
TICKS_MAX = 6000
COUNT, SEED = os.environ.get("ENTRY_FUZZ_COUNT", "6000"), os.environ.get("ENTRY_FUZZ_SEED", "2")


def bucket(words):
    return [f'vmx-entry-fuzz.elf entry-fuzz caps=probe mem=4M cmdline="{words}"']


suite = Suite()
boot = suite.boot(f"{COUNT} entries", modules=bucket(f"seed={SEED} count={COUNT}"), timeout=3000)
boot.complete()
boot.unique()
failed = {name.partition("/")[2] for name in boot.log.failed}
boot.check(failed <= KNOWN, "no disagreement that is not known", f"new: {sorted(failed - KNOWN)}", boot.text[-20000:])
boot.check(len(boot.log.points) > 100, "a hundred rules are broken", f"got {len(boot.log.points)} points")
ticks = re.search(r"(\d+) ticks an attempt", boot.text)
boot.check(ticks and int(ticks[1]) <= TICKS_MAX, f"an attempt costs at most {TICKS_MAX} instructions",
           f"got {ticks and ticks[1]}")

found = re.findall(r"\| (try=\S+)\n# entry-fuzz\|   doctor: (.*)\n# entry-fuzz\|   processor: (.*)\n", boot.text)
if boot.check(bool(found), "disagreements have a line that repeats them"):
    recipe, doctor, processor = found[0]
    again = suite.boot("once more", modules=bucket(recipe))
    again.says("the doctor says the same", re.escape(doctor))
    again.says("so does the processor", re.escape(processor))
    again.check("entry-fuzz/agrees" in again.log.failed, "and they disagree")
for words, answer in (("try=long,GUEST_RFLAGS=0x2", "an entry"), ("try=nowhere", "no such mode"),
                      ("try=long,NO_FIELD=1", "no such field")):
    suite.boot(words, modules=bucket(words)).says("is answered", answer)
suite.done()
