"""For boot tests: boots by tools/run, checks properties of the log, reports TAP.

    suite = Suite()
    boot = suite.boot("two processors", "small", cpus=2)
    boot.sound()                              # complete, every point ok
    boot.says("processors", r"# 2 processors")
    suite.done()
"""
import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from micronova import tap  # noqa: E402

TIMEOUT = 240  # seconds; a busy machine is no failure


class Suite:
    def __init__(self):
        self.count, self.failed = 0, 0
        self.files = ROOT / "build" / "tests" / pathlib.Path(sys.argv[0]).stem
        self.files.mkdir(parents=True, exist_ok=True)
        sys.stdout.reconfigure(line_buffering=True)

    def check(self, good, name, *details):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}")
        for detail in () if good else details:
            for line in str(detail).splitlines():
                print(f"# {line}")
        return good

    def equal(self, name, expected, got, *details):
        return self.check(expected == got, name, f"expected {expected}", f"got {got}", *details)

    def boot(self, name, scenario=None, modules=(), cmdline="", **options):
        """options: on, model, cpus, mem, boot, screen; see tools/run."""
        log = self.files / f"{len(list(self.files.glob('*.log')))}.log"
        args = ["--timeout", str(options.pop("timeout", TIMEOUT)), "--on", options.pop("on", "bochs"), "--log", log]
        args += ["--cmdline", cmdline]
        for key, value in options.items():
            args += [f"--{key}", value]
        for module in modules:
            args += ["--module", module]
        run = subprocess.run([ROOT / "tools" / "run", *map(str, args), *([scenario] if scenario else [])], cwd=ROOT,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        text = log.read_text(errors="replace") if log.exists() else ""
        return Boot(self, name, run.returncode, run.stderr, text)

    def done(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.failed else 0)


class Boot:
    def __init__(self, suite, name, code, stderr, text):
        self.suite, self.name, self.code, self.stderr, self.text = suite, name, code, stderr, text
        self.log = tap.judge(text)

    def _tail(self):
        return "the log ends:\n" + "\n".join(self.text.splitlines()[-15:]) + "\n" + self.stderr

    def check(self, good, name, *details):
        return self.suite.check(good, f"{self.name}: {name}", *details)

    def sound(self):
        """The log is complete and every point ok."""
        failed = [line for name in self.log.failed for line in [f"not ok {name}", *self.log.details[name]]]
        return self.check(self.code == 0, "complete, all ok", self.stderr, *failed[:20], self._tail())

    def complete(self):
        """All points and the plan are there, whatever they say."""
        return self.check(self.code in (0, 1) and not self.log.bail, "the log is complete", self.stderr, self._tail())

    def unique(self):
        counts = collections.Counter(name for name, _ in self.log.points)
        twice = [name for name, count in counts.items() if count > 1]
        return self.check(not twice, "every point has a name of its own", f"twice: {twice[:10]}")

    def says(self, what, regex):
        """Some line matches."""
        return self.check(re.search(regex, self.text, re.M) is not None, what, f"expected a line like {regex}",
                          self._tail())

    def bails(self, regex):
        """The hypervisor refuses this machine in one sentence that matches, and ends cleanly."""
        self.check(self.code == 1 and self.log.bail is not None, "refuses and ends", self.stderr, self._tail())
        self.check(re.search(regex, self.log.bail or "") is not None, "the refusal names the reason",
                   f"expected {regex}", f"got {self.log.bail}")
        self.check(self.log.plan is None, "no plan behind a refusal", self._tail())

    def good(self, machine):
        """The machine delivered points, all ok."""
        mine = [(name, good) for name, good in self.log.points if name.startswith(machine + "/")]
        return self.check(mine and all(good for _, good in mine), f"{machine} is ok",
                          f"expected points of {machine}, all ok", f"got {mine}", self._tail())

    def refuses(self, machine, regex):
        """A point of `machine` is not ok, and the lines behind it say why."""
        mine = [name for name in self.log.failed if name.startswith(machine + "/")]
        if not self.check(bool(mine), f"{machine} is not ok", f"expected a failed point of {machine}",
                          f"got {[n for n, _ in self.log.points if n.startswith(machine + '/')]}", self._tail()):
            return False
        said = "\n".join(line for name in mine for line in self.log.details[name])
        return self.check(re.search(regex, said) is not None, f"{machine}: the reason is given",
                          f"expected {regex}", f"got {said}")
