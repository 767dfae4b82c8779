#!/usr/bin/env python3
# What must not compile: each tests/compile-fail/*.c compiles as it is, and not with -DWRONG, for the reason that
# its first line gives as "// error: REGEX".
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "boot"))
from boots import ROOT, Suite  # noqa: E402

FLAGS = "-std=gnu17 -O2 -ffreestanding -mgeneral-regs-only -fno-pic -mcmodel=kernel -mno-red-zone -Wall -Wextra -Werror -I.".split()


def compile_it(source, *more):
    return subprocess.run(["gcc", *FLAGS, *more, "-c", "-o", "/dev/null", source], cwd=ROOT, capture_output=True,
                          text=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, check=False)


suite = Suite()
for source in sorted((ROOT / "tests" / "compile-fail").glob("*.c")):
    regex = re.match(r"// error: (.*)", source.read_text())[1]
    right, wrong = compile_it(source), compile_it(source, "-DWRONG")
    suite.check(right.returncode == 0, f"{source.stem}: the right use compiles", right.stderr)
    suite.check(wrong.returncode != 0, f"{source.stem}: the wrong use does not", "expected an error, got none")
    suite.check(re.search(regex, wrong.stderr) is not None, f"{source.stem}: for the right reason",
                f"expected {regex}", f"got {wrong.stderr}")
suite.done()
