#!/usr/bin/env python3
# The guests that README.md and docs/abi.md show: built and run as those pages say.
import re
import shutil
import subprocess

from boots import ROOT, Suite


def first_code(page):
    return re.search(r"```c\n(.*?)```", (ROOT / page).read_text(), re.S).group(1)


def with_library(suite):
    """README.md: a new folder of guests/, in a tree that is this one but for that folder."""
    tree = suite.files / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "guests" / "greet").mkdir(parents=True)
    for place, to in ((ROOT, tree), (ROOT / "guests", tree / "guests")):
        for entry in place.iterdir():
            if entry.name not in (".git", "build", "guests"):
                (to / entry.name).symlink_to(entry)
    (tree / "guests" / "greet" / "greet.c").write_text(first_code("README.md"))
    return run(["make", "-s", "build/guests/greet.elf"], tree), tree / "build" / "guests" / "greet.elf"


def alone(suite):
    """docs/abi.md: one file and the command that is shown."""
    page = (ROOT / "docs" / "abi.md").read_text()
    command = re.search(r"^    (gcc (?:.*\\\n)*.*)$", page, re.M).group(1).replace("\\\n", " ")
    (suite.files / "answer.c").write_text(first_code("docs/abi.md"))
    return run(command.replace("-I.", f"-I{ROOT}").split(), suite.files), suite.files / "answer.elf"


def run(command, folder):
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return made.returncode, made.stdout + made.stderr


def main():
    suite = Suite()
    (code, text), greet = with_library(suite)
    suite.check(code == 0, "README.md's guest builds", text)
    (code, text), answer = alone(suite)
    suite.check(code == 0, "docs/abi.md's guest builds", text)
    boot = suite.boot("guests of the documentation", modules=[f'{greet} greet mem=1M cmdline="good day"',
                                                              f"{answer} answer mem=1M expect=exit:42"])
    boot.sound()
    boot.says("greet", r'^# greet\| Hello from greet, 1024 KiB, "good day"$')
    boot.says("answer", r"^# answer\| Nothing but VMCALL\.$")
    suite.done()


main()
