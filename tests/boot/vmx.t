#!/usr/bin/env python3
# The tests of VMX, held against what is known of each machine (docs/vmx-tests.md).
from boots import Suite
from micronova import baseline, bochs

suite = Suite()
TWO = ["launch-state", "signals"]
ALL = baseline.buckets()
# A second processor makes Bochs twice as slow: those alone have one that need it. Without, their points are SKIPs.
for model, scenario, cpus, of in (*(("haswell", f"vmx-{bucket}", 2, [bucket]) for bucket in TWO),
                                  ("haswell", "vmx", 1, [bucket for bucket in ALL if bucket not in TWO]),
                                  ("skylake", "vmx", 1, ALL), ("tigerlake", "vmx", 1, ALL)):
    known = baseline.Baseline(bochs.baseline(model))
    boot = suite.boot(f"{scenario} on {model}", scenario, model=model, cpus=cpus, ips=bochs.VMX_IPS, timeout=600)
    boot.complete()
    boot.unique()
    lines = known.compare(boot.log, of)
    boot.check(not lines, f"as tests/baseline/{known.folder.name} says", *lines)
    boot.check(("micronova/memory-returned", True) in boot.log.points, "all memory came back")
suite.done()
