"""Judges a serial log: TAP version 13 as docs/log.md describes it."""
import re

COMPLETE, FAILED, BROKEN = 0, 1, 3  # the exit codes of tools/run

POINT = re.compile(r"(not )?ok\b(?: +(\d+))?(?: +- +(\S+))?(.*)$")
SKIP = "# SKIP"
PLAN = re.compile(r"1\.\.(\d+)\b")
BENCH = re.compile(r"# bench (\S+) (-?\d+(?:\.\d+)?) (\S+)$")


class Log:
    """Fed line by line; `lines` holds what follows the version line."""

    def __init__(self):
        self.lines, self.points, self.failed = [], [], []
        self.plan = self.bail = self.defect = None
        self.versions = 0
        self.skips = {}  # point: the reason
        self.bench = {}
        self.details = {}  # point: the "# " lines right behind it

    def feed(self, line):
        """Takes a line and says what it is: noise version point fail skip plan bail comment."""
        line = line.rstrip("\r\n")
        if line.endswith("TAP version 13") and (not self.versions or line == "TAP version 13"):
            self.versions += 1
            line = "TAP version 13"
        if not self.versions:
            return "noise"  # firmware's, GRUB's
        self.lines.append(line)
        return self._classify(line)

    def _classify(self, line):
        if line == "TAP version 13":
            return "version"
        if line.startswith("#"):
            if match := BENCH.match(line):
                self.bench[match[1]] = (float(match[2]), match[3])
            if self.points:
                self.details[self.points[-1][0]].append(line[1:].strip())
            return "comment"
        if line.startswith("Bail out!"):
            self.bail = self.bail or line[len("Bail out!"):].strip() or "no reason given"
            return "bail"
        if match := PLAN.match(line):
            if self.plan is not None:
                self._defect("two plans")
            self.plan = int(match[1])
            return "plan"
        if match := POINT.match(line):
            return self._point(match)
        if line:
            self._defect(f"a line that is not TAP: {line[:80]!r}")
        return "comment"

    def _point(self, match):
        if self.plan is not None:
            self._defect("a point after the plan")
        number = len(self.points) + 1
        if match[2] and int(match[2]) != number and not self.defect:
            self._defect(f"point {match[2]} where {number} was due")
        name = match[3] or f"point-{number}"
        self.points.append((name, not match[1]))
        self.details.setdefault(name, [])
        if match[1]:
            self.failed.append(name)
            return "fail"
        if SKIP in match[4]:
            self.skips[name] = match[4].partition(SKIP)[2].strip()
            return "skip"
        return "point"

    def _defect(self, text):
        self.defect = self.defect or text

    @property
    def skipped(self):
        return len(self.skips)

    @property
    def ended(self):
        """Nothing that matters can follow."""
        return self.plan is not None or self.bail is not None

    def verdict(self):
        """(exit code, sentence)."""
        count = len(self.points)
        if not self.versions:
            return BROKEN, "no TAP version line: the hypervisor never spoke (did GRUB load it?)"
        if self.versions > 1:
            return BROKEN, f"the machine rebooted: {self.versions} TAP version lines in one log"
        if self.bail:
            return FAILED, f"the hypervisor gave up: {self.bail}"
        if self.plan is None:
            return BROKEN, f"the log is cut short: {count} points and no plan"
        if count < self.plan:
            return BROKEN, f"the log is cut short: {count} of {self.plan} points"
        if self.defect:
            return BROKEN, f"the log is not clean TAP: {self.defect}"
        if count > self.plan:
            return FAILED, f"{count} points, but the plan says {self.plan}"
        if self.failed:
            return FAILED, f"{len(self.failed)} of {count} points not ok: {', '.join(self.failed[:5])}" + (
                " ..." if len(self.failed) > 5 else "")
        return COMPLETE, f"{count} points, all ok" + (f" ({self.skipped} skipped)" if self.skipped else "")


def judge(text):
    log = Log()
    for line in text.splitlines():
        log.feed(line)
    return log
