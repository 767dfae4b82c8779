"""Serial logs for eyes: colours and a progress line on a terminal, plain TAP in a pipe."""
import sys

COLOURS = {"fail": "31;1", "bail": "31;1", "point": "32", "skip": "33", "version": "1", "plan": "1", "comment": "2",
           "noise": "2"}


class Painter:
    def __init__(self, out=sys.stdout):
        self.out, self.terminal, self.shown = out, out.isatty(), False

    def line(self, kind, text):
        if not self.terminal:
            if kind != "noise":
                self.out.write(text + "\n")
                self.out.flush()
            return
        self.clear()
        if kind != "noise":
            self.out.write(f"\033[{COLOURS[kind]}m{text}\033[0m\n")

    def progress(self, log, seconds):
        if self.terminal:
            good = len(log.points) - len(log.failed)
            self.out.write(f"\r\033[K[{good} ok, {len(log.failed)} not ok, {seconds:.0f} s]")
            self.out.flush()
            self.shown = True

    def clear(self):
        if self.shown:
            self.out.write("\r\033[K")
            self.out.flush()
            self.shown = False
