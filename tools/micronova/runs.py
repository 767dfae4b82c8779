"""Runs of several scenarios, each in a machine of its own, side by side as far as this one has processors."""
import os
import queue
import threading

from . import emulator, tap

SEATS = threading.Semaphore(len(os.sched_getaffinity(0)))
TICK = 0.2  # seconds


class Stopped(BaseException):
    """Its user wants no more of it."""


class Run(threading.Thread):
    """A job: emulated at once, or as soon as there is a processor; for kind, line in run.lines(tick): ..., then
    run.code and run.sentence say how it went, and run.diagnosis why."""

    def __init__(self, job):
        super().__init__()
        self.job, self.log, self.said = job, tap.Log(), queue.SimpleQueue()
        self.seconds, self.code, self.sentence, self.diagnosis, self.failure = 0, None, None, [], None
        self.stopped = threading.Event()
        self.start()

    def stop(self):
        """Ends the emulator and waits for that."""
        self.stopped.set()
        self.join()

    def lines(self, tick=lambda: None):
        """Yields (kind, text) of each line as it comes and calls tick() now and then."""
        while True:
            try:
                item = self.said.get(timeout=TICK)
            except queue.Empty:
                tick()
                continue
            if item is None:
                break
            yield item
            tick()
        if self.failure:
            raise self.failure

    def run(self):
        try:
            while not SEATS.acquire(timeout=TICK):
                self._check()
            try:
                self._emulate()
            finally:
                SEATS.release()
        except Stopped:
            pass
        except Exception as failure:  # whatever it is, it is raised where the lines are read
            self.failure = failure
        finally:
            self.said.put(None)

    def _check(self):
        if self.stopped.is_set():
            raise Stopped

    def _emulate(self):
        with emulator.Emulator(self.job) as machine:
            def tick():
                self.seconds = machine.seconds
                self._check()
            for line in machine.lines(self.log, tick):
                self.said.put(line)
            tick()
            self.code, self.sentence = self.log.verdict()
            if machine.trouble:
                self.code, self.sentence = tap.BROKEN, f"{machine.trouble}; {self.sentence}"
            if self.code == tap.BROKEN:
                self.diagnosis = machine.diagnosis()
