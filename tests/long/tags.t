#!/usr/bin/env python3
# tests/boot/tags.t on other numbers of processors.
import os
import pathlib
import sys

os.execv(sys.executable, [sys.executable, pathlib.Path(__file__).resolve().parents[1] / "boot" / "tags.t", "long"])
