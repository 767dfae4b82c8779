#!/usr/bin/env python3
# The tests of VMX, held against what is known of each machine (docs/vmx-tests.md).
from boots import Suite
from micronova import baseline, bochs

suite = Suite()
# One bucket has two vCPUs that have to be on two processors; what the others check does not depend on that.
for model, cpus in (("haswell", 2), ("skylake", 1), ("tigerlake", 1)):
    known = baseline.Baseline(bochs.baseline(model))
    boot = suite.boot(f"VMX on {model}", "vmx", model=model, cpus=cpus, ips=bochs.VMX_IPS, timeout=600)
    boot.complete()
    boot.unique()
    lines = known.compare(boot.log, baseline.buckets())
    boot.check(not lines, f"as tests/baseline/{known.folder.name} says", *lines)
    boot.check(("micronova/memory-returned", True) in boot.log.points, "all memory came back")
suite.done()
