#!/usr/bin/env python3
# The same as tests/boot/entry_fuzz.t with a million attempts.
import os
import pathlib
import runpy
import sys

boot = pathlib.Path(__file__).resolve().parents[1] / "boot"
sys.path.insert(0, str(boot))
os.environ |= {"ENTRY_FUZZ_COUNT": "1000000", "ENTRY_FUZZ_SEED": "1000"}
runpy.run_path(str(boot / "entry_fuzz.t"))
