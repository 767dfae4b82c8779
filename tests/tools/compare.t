#!/usr/bin/env python3
# Comparison of logs with baselines, and with one another.
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "boot"))
from boots import ROOT, Suite  # noqa: E402

HEAD = """TAP version 13
# processor A box, below us: hardware
# pin-based controls 0000007f00000016: external-interrupt exiting, NMI exiting,
#   VMX preemption timer
# CR0 always 1 0000000080000021: PE, NE, PG
# TSC 20.0 MHz
"""
POINTS = ["ok - b/one", "ok - b/two # SKIP none here", "not ok - b/three", "# expected 1", "# got 2", "ok - b/end",
          "ok - micronova/memory-returned"]
suite = Suite()


def log(name, points, head=HEAD):
    lines, number = [], 0
    for point in points:
        number += not point.startswith("#")
        lines.append(point.replace("ok -", f"ok {number} -"))
    path = suite.files / name
    path.write_text(head + "\n".join(lines) + f"\n1..{number}\n")
    return path


def compare(*args, buckets=("b",)):
    words = [str(word) for word in args] + [word for bucket in buckets for word in ("--bucket", bucket)]
    run = subprocess.run([ROOT / "tools" / "compare", *words], capture_output=True, text=True, check=False)
    return run.returncode, run.stdout, run.stderr


def without(name):
    return [point for point in POINTS if f"b/{name}" not in point]


def changed(name, to):
    return [to if f"b/{name}" in point else point for point in POINTS]


known = suite.files / "known"
for file in known.glob("*"):
    file.unlink()
first = log("first.log", POINTS)

# ---- Recording ----
code, out, err = compare("--record", known, first)
suite.equal("a failure without a sentence is refused: exit code", 1, code, out, err)
suite.check("without a sentence: b/three" in out, "the refused failure is named", out)
suite.equal("the refused failure is not written", "ok one\nskip two\nok end\n", (known / "b").read_text())
code, out, err = compare("--record", known, first, "--because", "b/th*", "says two: it should say one")
suite.equal("with a sentence it is recorded", (0, "", ""), (code, out, err))
suite.equal("the file", "ok one\nskip two\nfail three: says two: it should say one\nok end\n", (known / "b").read_text())
(known / "b").write_text("# About b.\n" + (known / "b").read_text())
suite.equal("once recorded, it is known", 0, compare("--record", known, first)[0])
suite.check((known / "b").read_text().startswith("# About b.\nok one"), "comments stay")
suite.equal("other machines' points are not recorded", ["b"], [p.name for p in known.glob("*")])

# ---- The bucket whose points depend on chance ----
chance = ["ok - entry-fuzz/a", "ok - entry-fuzz/b", "ok - entry-fuzz/end"]
drawn = suite.files / "drawn"
for file in drawn.glob("*"):
    file.unlink()
compare("--record", drawn, log("drawn.log", chance), buckets=("entry-fuzz",))
for name, points, said in (
        ("another rule drawn", ["ok - entry-fuzz/a", "ok - entry-fuzz/c", "ok - entry-fuzz/end"], ""),
        ("a failure drawn", [*chance, "not ok - entry-fuzz/c"], "new failure: entry-fuzz/c\n"),
        ("one drawn fails", [chance[0], "not ok - entry-fuzz/b", chance[2]], "new failure: entry-fuzz/b\n"),
        ("its end is missing", chance[:2], "missing point: entry-fuzz/end\n")):
    code, out, err = compare(drawn, log("chance.log", points), buckets=("entry-fuzz",))
    suite.equal(f"{name}: exit code", 1 if said else 0, code, out, err)
    suite.equal(f"{name}: what is said", said, out)

# ---- Comparing ----
CASES = [  # name, points, what is said
    ("the same", POINTS, ""),
    ("a new failure", changed("one", "not ok - b/one"), "new failure: b/one\n"),
    ("a new failure where a SKIP was", changed("two", "not ok - b/two"), "new failure: b/two\n"),
    ("a vanished failure", changed("three", "ok - b/three"),
     "vanished failure: b/three (says two: it should say one)\n"),
    ("a missing point", without("one"), "missing point: b/one\n"),
    ("a missing failure", without("three"), "missing point (a failure before): b/three (says two: it should say one)\n"),
    ("a missing SKIP", without("two"), "missing point (a SKIP before): b/two\n"),
    ("a new SKIP", changed("one", "ok - b/one # SKIP lazy"), "new SKIP: b/one (lazy)\n"),
    ("a failure skipped", changed("three", "ok - b/three # SKIP lazy"), "new SKIP (a failure before): b/three (lazy)\n"),
    ("a vanished SKIP", changed("two", "ok - b/two"), "vanished SKIP: b/two\n"),
    ("a new point", POINTS + ["ok - b/four"], "new point: b/four\n"),
    ("a new point that fails", POINTS + ["not ok - b/four", "# expected 3"], "new failure: b/four\n    expected 3\n"),
    ("a bucket that is not asked for", POINTS + ["not ok - c/one"], ""),
]
for name, points, expected in CASES:
    code, out, err = compare(known, log("case.log", points))
    suite.equal(f"{name}: what is said", expected, out, err)
    suite.equal(f"{name}: exit code", 1 if expected else 0, code)
code, out, _ = compare(known, log("new.log", POINTS + ["ok - c/one", "ok - c/two", "not ok - c/three"]), buckets=("b", "c"))
suite.equal("a new bucket: its failures, and one line", (1, "nothing is known of bucket c\nnew failure: c/three\n"),
            (code, out))
code, out, _ = compare(known, log("dead.log", ["not ok - b/end"]))
suite.equal("each missing point in a line of its own", 3, out.count("missing point"), out)

# ---- A machine like another ----
other = suite.files / "other"
other.mkdir(exist_ok=True)
for file in other.glob("*"):
    file.unlink()
(other / "like.txt").write_text("known\n")
suite.equal("like the other: the same log is fine", 0, compare(other, first)[0])
suite.equal("recording the same writes nothing", (0, False), (compare("--record", other, first)[0],
                                                             (other / "b").exists()))
better = log("better.log", ["ok - b/one", "ok - b/three", "ok - b/five", "ok - b/end"])
suite.equal("recording a difference", 0, compare("--record", other, better)[0])
suite.equal("only differences are written", {"ok three", "ok five", "absent two"},
            set((other / "b").read_text().splitlines()))
suite.equal("and compare as equal", (0, ""), compare(other, better)[:2])
suite.equal("while the other machine differs", 1, compare(known, better)[0])

# ---- Wrong usage ----
(suite.files / "bad").mkdir(exist_ok=True)
(suite.files / "bad" / "b").write_text("ok one\nfail two\n")
for name, args, word in [("no such baseline", ("no-such", first), "there are"),
                         ("a bad line", (suite.files / "bad", first), "bad/b, line 2"),
                         ("not a log", (known, known / "b"), "no TAP version line"),
                         ("no file", (known, suite.files / "none.log"), "none.log"),
                         ("one argument", (first,), "two logs")]:
    code, _, err = compare(*args, buckets=())
    suite.equal(f"{name}: exit code", 2, code)
    suite.check(word in err, f"{name}: sentence", err)

# ---- Two logs ----
suite.equal("a log with itself", (0, ""), compare(first, first, buckets=())[:2])
head = HEAD.replace("0000007f00000016", "000000bf00000016").replace("VMX preemption timer", "posted interrupts")
head = head.replace("A box", "Another").replace("# CR0 always 1 0000000080000021: PE, NE, PG\n", "")
second = log("second.log", changed("two", "ok - b/two") + ["ok - c/one"], head)
code, out, _ = compare(first, second, buckets=())
suite.equal("two machines: exit code", 1, code)
suite.equal("two machines: control by control, point by point", """\
processor of first: A box, below us: hardware
processor of second: Another, below us: hardware
pin-based controls: 0000007f00000016 on first, 000000bf00000016 on second
    only first: VMX preemption timer
    only second: posted interrupts
CR0 always 1: 0000000080000021 on first, - on second
    only first: PE
    only first: NE
    only first: PG
b/two: skipped on first, ok on second
c/one: not there on first, ok on second
""", out)
code, out, _ = compare(first, log("third.log", changed("three", "ok - b/three")), buckets=())
suite.check("b/three: not ok on first, ok on third\n    first: expected 1\n    first: got 2\n" in out,
            "what was expected and got is shown", out)

# ---- Counts ----
code, out, _ = compare("--counts", first)
suite.equal("counts", [["bucket", "ok", "not", "ok", "skipped"], ["b", "2", "1", "1"], ["together", "2", "1", "1"]],
            [line.split() for line in out.splitlines()])
suite.done()
