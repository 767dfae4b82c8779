#!/usr/bin/env python3
# docs/deviations.md: each failure in the baselines of Bochs and each point stepped over there is in one section of the
# page, and the page names nothing else.
import fnmatch
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "boot"))
from boots import ROOT, Suite  # noqa: E402
from micronova import baseline, scenario  # noqa: E402


def sections(text):
    """{title: patterns} of the paragraphs that begin in bold."""
    of = tuple(bucket + "/" for bucket in baseline.buckets())
    result = {}
    for paragraph in re.split(r"\n\s*\n", text):
        title = re.match(r"\*\*(.+?)\*\*", paragraph, re.S)
        if title:
            words = re.findall(r"`([^`\s]+)`", paragraph)
            result[" ".join(title[1].split())] = [word for word in words if word.startswith(of)]
    return result


def failures():
    for folder in sorted(baseline.FOLDER.glob("bochs-2.7-*")):
        known = baseline.Baseline(folder.name)
        yield from (point for point, state in known.state.items() if state == "fail")


def stepped_over():
    for line in (scenario.FOLDER / "vmx.scenario").read_text().splitlines():
        if line.startswith("on bochs "):
            bucket, *words = line.split()[2:]
            yield from (f"{bucket}/{word.removeprefix('skip=')}" for word in words if word.startswith("skip="))


def titles(page, point):
    return [title for title, patterns in page.items() if any(fnmatch.fnmatchcase(point, p) for p in patterns)]


suite = Suite()
page = sections((ROOT / "docs" / "deviations.md").read_text())
points = sorted(set(failures()) | set(stepped_over()))
suite.check(len(points) > 100, "there are points to look for", len(points))
found = {point: titles(page, point) for point in points}
suite.equal("points in no section", [], [point for point in points if not found[point]])
suite.equal("points in two sections", {}, {point: found[point] for point in points if len(found[point]) > 1})
suite.equal("sections without points", [], [title for title, patterns in page.items() if not patterns])
suite.equal("patterns that match nothing", [],
            [p for patterns in page.values() for p in patterns if not fnmatch.filter(points, p)])
suite.done()
