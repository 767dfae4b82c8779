#!/usr/bin/env python3
# Buckets of the tests of VMX that say on two of Bochs's models what they say on the first.
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "boot"))
from boots import Suite  # noqa: E402
import buckets  # noqa: E402

suite = Suite()
for model in ("skylake", "tigerlake"):
    own = buckets.known(model).own()
    buckets.boot(suite, model, [bucket for bucket in buckets.ALL if bucket not in own])
suite.done()
