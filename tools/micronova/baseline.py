"""Baselines: what each machine makes of the VMX tests, point by point. docs/vmx-tests.md describes them.

tests/baseline/MACHINE/BUCKET, in the order of the bucket's points:

    # comment
    ok NAME
    skip NAME
    fail NAME: sentence that says what the machine does wrong

tests/baseline/MACHINE/like.txt, where there is one, names another machine; then only what differs from that one
is listed, and `absent NAME` is a point that only the other machine has.
"""
import fnmatch
import pathlib
import re

from . import ROOT, Problem, scenario, tap

FOLDER = ROOT / "tests" / "baseline"
LIKE = "like.txt"
# Which rules its random states happen to break differs by where a build has its pages: a point that is not in both is none.
RANDOM = ("entry-fuzz",)
LINE = re.compile(r"(?:(ok|skip|absent) (\S+)|(fail) ([^\s:]+): (\S.*))$")


def buckets(name="vmx"):
    """The machines of a scenario, in its order: those of vmx have the points that a baseline is about."""
    result = []
    for line in (scenario.FOLDER / f"{name}.scenario").read_text().splitlines():
        if line.startswith("module "):
            result.append(line.split()[2])
        elif line.startswith("include "):
            result += buckets(line.split()[1])
    return result


def bucket_of(point):
    return point.partition("/")[0]


def _may_be_missing(point):
    bucket, _, name = point.partition("/")
    return bucket in RANDOM and name != "end"


def states(log, of):
    """{point: ok, skip or fail} of the buckets `of`."""
    result = {}
    for name, good in log.points:
        if bucket_of(name) in of:
            result[name] = "fail" if not good else "skip" if name in log.skips else "ok"
    return result


def read(path):
    log = tap.judge(pathlib.Path(path).read_text(errors="replace"))
    if not log.versions:
        raise Problem(f"{path} is no log of Micronova: it has no TAP version line")
    return log


class Baseline:
    def __init__(self, name):
        """`name`: a folder, or the name of one in tests/baseline. It need not exist."""
        self.folder = pathlib.Path(name) if "/" in str(name) else FOLDER / name
        self.like = None
        if (self.folder / LIKE).is_file():
            self.like = Baseline(self.folder.parent / (self.folder / LIKE).read_text().strip())
        self.comments = {}   # bucket: the comment lines that begin its file
        self.state = dict(self.like.state) if self.like else {}
        self.sentence = dict(self.like.sentence) if self.like else {}
        for bucket in self.own():
            self._load(self.folder / bucket)

    @property
    def exists(self):
        return self.folder.is_dir()

    def own(self):
        """The buckets that have a file here: all, or those where it is not like the other machine."""
        return sorted(path.name for path in self.folder.glob("*") if path.name != LIKE)

    def _load(self, path):
        self.comments[path.name] = []
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not line or line.startswith("#"):
                self.comments[path.name] += [line]
                continue
            match = LINE.match(line)
            if not match:
                raise Problem(f"{path}, line {number}: expected `ok NAME`, `skip NAME`, `absent NAME` or "
                              f"`fail NAME: sentence`, got {line!r}")
            point = f"{path.name}/{match[2] or match[4]}"
            self._set(point, match[1] or match[3], match[5])

    def _set(self, point, state, sentence=None):
        self.sentence.pop(point, None)
        self.state.pop(point, None)
        if state != "absent":
            self.state[point] = state
        if sentence:
            self.sentence[point] = sentence

    def compare(self, log, of):
        """Lines, one for each point of the buckets `of` that is not as it was."""
        now = states(log, of)
        before = {point: state for point, state in self.state.items() if bucket_of(point) in of}
        known = {bucket_of(point) for point in before}
        unknown = [bucket for bucket in of if bucket not in known and any(bucket_of(p) == bucket for p in now)]
        lines = [f"nothing is known of bucket {bucket}" for bucket in unknown]
        for point in list(before) + [p for p in now if p not in before]:
            was, is_ = before.get(point), now.get(point)
            if is_ != "fail" and None in (was, is_) and _may_be_missing(point):
                continue
            if was != is_ and (is_ == "fail" or bucket_of(point) in known):
                lines.append(f"{WORDS[was, is_]}: {point}{self._because(point, log, is_)}")
        return lines

    def _because(self, point, log, state):
        if state == "fail":
            return "".join(f"\n    {line}" for line in log.details[point])
        if state == "skip":
            return f" ({log.skips[point]})"
        return f" ({self.sentence[point]})" if point in self.sentence else ""

    def record(self, log, of, because=()):
        """Takes over what the log says of the buckets `of`, and writes it. `because`: (pattern, sentence) for
        failures that have none yet. Returns the failures that still have none: those are not taken over."""
        now, refused = states(log, of), []
        for point in [p for p in self.state if bucket_of(p) in of and p not in now]:
            self._set(point, "absent")
        for point, state in now.items():
            sentence = self.sentence.get(point) if state == "fail" else None
            sentence = next((s for pattern, s in because if state == "fail" and fnmatch.fnmatchcase(point, pattern)),
                            sentence)
            if state == "fail" and not sentence:
                refused.append(point)
            else:
                self._set(point, state, sentence)
        self.folder.mkdir(parents=True, exist_ok=True)
        for bucket in of:
            self._write(bucket, [p for p in now if p in self.state])
        return refused

    def _write(self, bucket, order):
        points = [p for p in order if bucket_of(p) == bucket]
        lines = [self._line(p) for p in points if not self._inherited(p)]
        if self.like:
            lines += [f"absent {p.partition('/')[2]}" for p in self.like.state
                      if bucket_of(p) == bucket and p not in self.state]
        path = self.folder / bucket
        if lines or (points and not self.like):
            path.write_text("\n".join(self.comments.get(bucket, []) + lines) + "\n")
        elif path.exists():
            path.unlink()

    def _inherited(self, point):
        return self.like and self.like.state.get(point) == self.state[point] and (
            self.like.sentence.get(point) == self.sentence.get(point))

    def _line(self, point):
        sentence = f": {self.sentence[point]}" if point in self.sentence else ""
        return f"{self.state[point]} {point.partition('/')[2]}{sentence}"


WORDS = {
    (None, "ok"): "new point",
    (None, "skip"): "new SKIP",
    (None, "fail"): "new failure",
    ("ok", "skip"): "new SKIP",
    ("ok", "fail"): "new failure",
    ("ok", None): "missing point",
    ("skip", "ok"): "vanished SKIP",
    ("skip", "fail"): "new failure",
    ("skip", None): "missing point (a SKIP before)",
    ("fail", "ok"): "vanished failure",
    ("fail", "skip"): "new SKIP (a failure before)",
    ("fail", None): "missing point (a failure before)",
}


def counts(log, of):
    """A table: how many points of each bucket passed, failed, were skipped."""
    now = states(log, of)
    rows = [("bucket", "ok", "not ok", "skipped")]
    for bucket in of:
        mine = [state for point, state in now.items() if bucket_of(point) == bucket]
        rows.append((bucket, *(str(mine.count(s)) for s in ("ok", "fail", "skip"))))
    rows.append(("together", *(str(list(now.values()).count(s)) for s in ("ok", "fail", "skip"))))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join("  ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths)))
                     for row in rows)


# ---- Two machines ----

CAPABILITY = re.compile(r"# (\S.*?) ([0-9a-f]{16})(?:: (.*))?$")
FACTS = re.compile(r"# (processor) (.*)$")


def environment(log):
    """({title: (value, [names])}, {title: text}) from the lines before the first machine's."""
    capabilities, facts, title = {}, {}, None
    for line in log.lines:
        if match := CAPABILITY.match(line):
            title = match[1]
            capabilities[title] = (match[2], names_in(match[3] or ""))
        elif title and line.startswith("#   "):
            capabilities[title][1].extend(names_in(line[1:]))
        elif match := FACTS.match(line):
            facts[match[1]], title = match[2], None
        else:
            title = None
    return capabilities, facts


def names_in(text):
    return [name.strip() for name in text.split(",") if name.strip()]


def differences(a, b):
    """Lines: where two logs differ, control by control and point by point. `a`, `b`: (title, log)."""
    (title_a, log_a), (title_b, log_b) = a, b
    lines = environment_differences(title_a, environment(log_a), title_b, environment(log_b))
    points_a, points_b = (states(log, {bucket_of(name) for name, _ in log.points}) for log in (log_a, log_b))
    for point in list(points_a) + [p for p in points_b if p not in points_a]:
        one, other = points_a.get(point), points_b.get(point)
        if one != other:
            lines.append(f"{point}: {STATES[one]} on {title_a}, {STATES[other]} on {title_b}")
            lines += [f"    {title}: {line}" for title, log, state in ((title_a, log_a, one), (title_b, log_b, other))
                      if state == "fail" for line in log.details[point]]
    return lines


STATES = {"ok": "ok", "fail": "not ok", "skip": "skipped", None: "not there"}


def environment_differences(title_a, env_a, title_b, env_b):
    lines = []
    (caps_a, facts_a), (caps_b, facts_b) = env_a, env_b
    for name in [n for n in facts_a if facts_a[n] != facts_b.get(n)]:
        lines += [f"{name} of {title_a}: {facts_a[name]}", f"{name} of {title_b}: {facts_b.get(name, 'not said')}"]
    for name in list(caps_a) + [n for n in caps_b if n not in caps_a]:
        value_a, names_a = caps_a.get(name, ("-", []))
        value_b, names_b = caps_b.get(name, ("-", []))
        if value_a == value_b:
            continue
        lines.append(f"{name}: {value_a} on {title_a}, {value_b} on {title_b}")
        for title, only in ((title_a, [n for n in names_a if n not in names_b]),
                            (title_b, [n for n in names_b if n not in names_a])):
            lines += [f"    only {title}: {what}" for what in only]
    return lines
