#!/usr/bin/env python3
# The judge of serial logs: complete, failed, cut short, rebooted, given up.
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "boot"))
from boots import Suite  # noqa: E402
from micronova import tap  # noqa: E402

HEAD = "TAP version 13\n# console\n"
LOGS = [  # name, log, exit code, word of the sentence
    ("complete", HEAD + "ok 1 - a/b\nok 2 - a/c\n# detail\n1..2\n# 2 passed\n", 0, "2 points, all ok"),
    ("skipped", HEAD + "ok 1 - a/b # SKIP none here\n1..1\n", 0, "1 skipped"),
    ("no points", HEAD + "1..0\n", 0, "0 points"),
    ("noise before", "\x1b[2JSeaBIOS\nWelcome to GRUB!\nTAP version 13\nok 1 - a/b\n1..1\n", 0, "all ok"),
    ("version behind an escape", "\x1b[01;01HTAP version 13\nok 1 - a/b\n1..1\n", 0, "all ok"),
    ("carriage returns", "TAP version 13\r\nok 1 - a/b\r\n1..1\r\n", 0, "all ok"),
    ("guest forges", HEAD + "# m| not ok 9 - x\n# m| TAP version 13\nok 1 - a/b\n1..1\n", 0, "all ok"),
    ("failed", HEAD + "ok 1 - a/b\nnot ok 2 - a/c\n# expected 1\n1..2\n", 1, "a/c"),
    ("too many", HEAD + "ok 1 - a/b\nok 2 - a/c\n1..1\n", 1, "plan says 1"),
    ("bail out", HEAD + "ok 1 - a/b\nBail out! no VT-x\n", 1, "no VT-x"),
    ("nothing", "", 3, "never spoke"),
    ("only noise", "Booting from DVD\n", 3, "never spoke"),
    ("cut short", HEAD + "ok 1 - a/b\n", 3, "no plan"),
    ("cut within a line", HEAD + "ok 1 - a/b\nok 2 -", 3, "no plan"),
    ("points lost", HEAD + "ok 1 - a/b\n1..2\n", 3, "1 of 2"),
    ("numbers lost", HEAD + "ok 1 - a/b\nok 3 - a/c\n1..2\n", 3, "point 3"),
    ("two plans", HEAD + "ok 1 - a/b\n1..1\n1..1\n", 3, "two plans"),
    ("rebooted", HEAD + "ok 1 - a/b\n" + HEAD + "ok 1 - a/b\n1..1\n", 3, "rebooted"),
    ("rebooted at the end", HEAD + "ok 1 - a/b\n1..1\n" + HEAD, 3, "rebooted"),
    ("torn line", HEAD + "ok 1 - a/bgarbage on\nthe wire\n1..1\n", 3, "not TAP"),
]

suite = Suite()
for name, text, code, word in LOGS:
    got_code, sentence = tap.judge(text).verdict()
    suite.equal(f"{name}: exit code", code, got_code, sentence)
    suite.check(word in sentence, f"{name}: sentence", f"expected {word}", f"got {sentence}")
bench = tap.judge(HEAD + "# bench cpuid 117 ticks\n# bench x\n# m| bench y 1 ticks\n1..0\n").bench
suite.equal("bench lines", {"cpuid": (117.0, "ticks")}, bench)
log = tap.judge(HEAD + "not ok 1 - a/b\n# expected 1\n# got 2\nok 2 - a/c\n1..2\n")
suite.equal("details", ["expected 1", "got 2"], log.details["a/b"])
suite.done()
