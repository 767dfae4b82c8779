#!/usr/bin/env python3
# The tests of VMX, held against what is known of each machine (docs/vmx-tests.md).
from boots import Suite
from micronova import baseline, bochs

suite = Suite()
for model in ("haswell",):
    known = baseline.Baseline(bochs.baseline(model))
    boot = suite.boot(f"VMX on {model}", "vmx", model=model, cpus=2, ips=bochs.VMX_IPS, timeout=600)
    boot.complete()
    boot.unique()
    lines = known.compare(boot.log, baseline.buckets())
    boot.check(not lines, f"as tests/baseline/{known.folder.name} says", *lines)
    boot.check(("micronova/memory-returned", True) in boot.log.points, "all memory came back")
suite.done()
