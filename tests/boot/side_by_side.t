#!/usr/bin/env python3
# Several scenarios in one run: each whole, in the order of the command line; the worst of them is the exit code.
import re
import subprocess

from boots import ROOT, Suite

suite = Suite()
for more, code in (((), 0), (("--module", "hello.elf wrong mem=1M expect=exit:9"), 1)):
    run = subprocess.run(["tools/run", "--on", "bochs", "--timeout", "120", *more, "hello", "pair", "empty"], cwd=ROOT,
                         capture_output=True, text=True, check=False)
    name = "one goes wrong" if more else "all go right"
    suite.equal(f"{name}: exit code", code, run.returncode, run.stdout[-2000:], run.stderr)
    suite.equal(f"{name}: in order", ["hello", "pair", "empty"], re.findall(r"^# scenario (\S+) on 1 processor$", run.stdout, re.M))
    parts = re.split(r"^# scenario .*\n", run.stdout, flags=re.M)[1:]
    suite.equal(f"{name}: each is whole", [(1, 1)] * 3,
                [(part.count("TAP version 13"), len(re.findall(r"^1\.\.\d+$", part, re.M))) for part in parts], run.stdout[-2000:])
    suite.equal(f"{name}: each says how it went", 3, run.stderr.count("s on bochs)"), run.stderr)
suite.done()
