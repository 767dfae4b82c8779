#!/usr/bin/env python3
# A panic while machines run: the sentence, where it came from by name, and silence of all processors behind it.
import re

from boots import Suite

MACHINES = ["hostile.elf loop cmdline=endless-loop", "hostile.elf flood cmdline=console-flood",
            "spin.elf spin", "hello.elf hello"]


def panics(suite, cpus):
    boot = suite.boot(f"panic on {cpus}", modules=MACHINES, cmdline="panic=30ms loglevel=error", cpus=cpus)
    boot.bails("^panic: asked for")
    behind = boot.text.partition("Bail out!")[2].splitlines()[1:]
    boot.check("# on processor 0" in behind, "the processor is named", f"got {behind}")
    trace = [line.split()[-1] for line in behind if re.match(r"# (from|    ) ffffffff8", line)]
    # The compiler sees the whole kernel: timeouts_run() may have become a part of its only caller, which is a root.
    boot.check(len(trace) >= 2 and trace[0].startswith("panic_now+0x")
               and re.match(r"(timeouts_run|wait_for_vcpu)\+0x", trace[1]) and all("+0x" in name for name in trace),
               "the backtrace has names", "expected panic_now, timeouts_run or wait_for_vcpu ...", f"got {trace}")
    boot.check(not any("|" in line for line in behind), "no machine says anything any more", f"got {behind}")


def main():
    suite = Suite()
    for cpus in (1, 4):
        panics(suite, cpus)
    boot = suite.boot("a panic that never comes", modules=["hello.elf hello"], cmdline="panic=100s")
    boot.sound()
    suite.done()


main()
