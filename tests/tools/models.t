#!/usr/bin/env python3
# tests/models by spin: each holds, and fails as soon as a fence, a locked instruction or a look is left out.
import concurrent.futures
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "tests" / "models"

# (model, what holds, defines); then what has to fail, and by which of them it is found.
ONE, TWO = ("RECEIVERS=1", "MESSAGES=3"), ("RECEIVERS=2", "MESSAGES=3", "STAYS")
END, END_TWO = ("RECEIVERS=1", "MESSAGES=2", "UNTIL_END"), ("RECEIVERS=2", "MESSAGES=1", "UNTIL_END")
EVENTS = ("RECEIVERS=1", "MESSAGES=1", "EVENTS=2", "STAYS")
EVENTS_TWO = ("RECEIVERS=2", "MESSAGES=1", "EVENTS=2", "STAYS")
CASES = [
    ("ipc", "one vCPU receives", ONE, True),
    ("ipc", "two vCPUs receive, the sender stays", TWO, True),
    ("ipc", "one vCPU receives until the end", END, True),
    ("ipc", "two vCPUs receive until the end", END_TWO, True),
    ("ipc", "one vCPU receives events", EVENTS, True),
    ("ipc", "two vCPUs receive events", EVENTS_TWO, True),
    *(("ipc", f"{missing} is found", (*how, missing), False) for missing, how in (
        ("NO_FENCE_SEND", TWO), ("NO_FENCE_END", END), ("NO_FENCE_WAIT", ONE), ("NO_LAST_LOOK", ONE), ("NO_LOOK_OPEN", END),
        ("NO_FENCE_TAKE", ONE), ("NO_SECOND_LOOK", ONE), ("NO_ORDER", ONE), ("NO_CLAIM_LOCK", TWO), ("NO_READER_LOCK", TWO),
        ("NO_WAKE_AGAIN", TWO), ("NO_FENCE_NOTE", EVENTS), ("EARLY_EVENTS", EVENTS), ("NO_SET_AGAIN", EVENTS))),
    ("vector", "who asks for a vector is interrupted or finds the message", (), True),
    *(("vector", f"{missing} is found", (missing,), False) for missing in ("NO_FENCE_VECTOR", "NO_FENCE_SEND", "NO_LOOK")),
    ("halt", "who halts is called stuck when the last peer's end was told", (), True),
    *(("halt", f"{missing} is found", (missing,), False) for missing in ("NO_LOCK", "LATE", "NO_ORDER")),
    ("last", "who halts is judged when the last peer goes", (), True),
    ("last", "EARLY is found", ("EARLY",), False),
]


def run(number, model, defines):
    """What the verifier says."""
    folder = WORK / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    steps = [["spin", "-a", *(f"-D{d}" for d in defines), ROOT / "tests" / "models" / f"{model}.pml"],
             ["gcc", "-O0", "-w", "-DSAFETY", "-DVECTORSZ=2048", "-o", "pan", "pan.c"],
             ["./pan", "-m100000", "-w20"]]
    for step in steps:
        made = subprocess.run(step, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
        if made.returncode and step is not steps[-1]:
            break
    return made.stdout + made.stderr


def main():
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        texts = pool.map(lambda case: run(case[0], case[1][0], case[1][2]), enumerate(CASES))
        for number, ((model, name, _, holds), text) in enumerate(zip(CASES, texts), 1):
            good = ("errors: 0" in text and "Search not completed" not in text) if holds else "errors: 1" in text
            failed += not good
            print(f"{'ok' if good else 'not ok'} {number} - {model}: {name}")
            for line in () if good else text.splitlines():
                print(f"# {line}")
    print(f"1..{len(CASES)}")
    return 1 if failed else 0


sys.exit(main())
