#!/usr/bin/env python3
# The names that a panic prints: every function of the linked hypervisor is found in the table that
# tools/symbols.py makes of it, at its first and at its last byte, as tools/symbolise finds it in the list of nm.
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "boot"))
from boots import ROOT, Suite  # noqa: E402

HARNESS = """
#include <stdio.h>
#include "kernel/symbols.h"
int main(void)
{
    unsigned long address;
    struct symbol symbol;
    while (scanf("%lx", &address) == 1)
        if (symbol_find(address, &symbol))
            printf("%016lx [%s+0x%lx]\\n", address, symbol.name, symbol.offset);
        else
            printf("%016lx\\n", address);
}
"""


def run(*command, text=None):
    return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=True).stdout


suite = Suite()
(suite.files / "harness.c").write_text(HARNESS)
listing = (ROOT / "build" / "micronova.sym").read_text()
(suite.files / "table.c").write_text(run("python3", "tools/symbols.py", text=listing))
run("gcc", "-I.", "-o", suite.files / "harness", suite.files / "harness.c", suite.files / "table.c", "kernel/symbols.c")

starts = {int(at, 16) for at in re.findall(r"^(ffffffff\w{8}) \w", listing, re.M)}
addresses = "".join(f"{address:016x}\n" for start in sorted(starts) for address in (start - 1, start))
expected = run("tools/symbolise", text=addresses).splitlines()
got = run(suite.files / "harness", text=addresses).splitlines()
suite.check(sum("[" in line for line in expected) > 500, "the hypervisor has its functions", expected[:10])
wrong = [pair for pair in zip(expected, got) if pair[0] != pair[1]]
suite.check(not wrong, "each is named", *[f"expected {a}, got {b}" for a, b in wrong[:10]])
suite.done()
