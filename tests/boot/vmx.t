#!/usr/bin/env python3
# The tests of VMX on Bochs's models: all buckets on one, on the others those where they are not like it (tests/long/vmx.t
# has the rest).
from boots import Suite
import buckets

TWO = ["launch-state", "signals"]  # a second processor makes Bochs twice as slow: these have one

suite = Suite()
for bucket in TWO:
    buckets.boot(suite, "haswell", [bucket], f"vmx-{bucket}", cpus=2)
buckets.boot(suite, "haswell", [bucket for bucket in buckets.ALL if bucket not in TWO])
for model in ("skylake", "tigerlake"):
    buckets.boot(suite, model, buckets.known(model).own())
suite.done()
