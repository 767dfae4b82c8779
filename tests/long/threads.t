#!/usr/bin/env python3
# tests/tools/threads.t with ten million messages.
import os
import pathlib
import sys

os.execv(sys.executable, [sys.executable, pathlib.Path(__file__).resolve().parents[1] / "tools" / "threads.t", "10000000"])
