"""Starts an emulator, hands out its serial log line by line, and always ends it."""
import ctypes
import dataclasses
import os
import pathlib
import select
import shutil
import socket
import signal
import subprocess
import tempfile
import time

from . import BUILD, bochs, image, qemu, screen

ON = {"bochs": bochs, "kvm": qemu, "qemu": qemu}
WAITS = "waits for input"  # what a line of the log has in it then
STARTS = 20
GRACE = 4  # seconds between the end of the log and the end of the machine
GATHER = 0.02  # seconds: emulators write a byte at a time, and each read would find one
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


@dataclasses.dataclass
class Job:
    """One run. `scenarios`: the first is booted."""
    scenarios: list
    on: str = "bochs"
    model: str = None
    cpus: int = 1
    mem: int = 512
    boot: str = "cd"
    timeout: float = 60
    kernel: pathlib.Path = BUILD / "micronova.elf"
    screen: pathlib.Path = None
    ips: int = None
    input: str = None  # typed at the second serial port once somebody waits for it
    input_port: int = None


def die_with_parent():
    os.setsid()  # Ctrl-C is for us: Bochs would drop into its debugger
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Emulator:
    """with Emulator(job) as e: for line in e.lines(log): ...; then e.trouble says what went wrong, if anything."""

    def __init__(self, job):
        self.job, self.trouble, self.process = job, None, None
        self.typist, self.keyboard = None, None
        self.start = time.monotonic()

    def __enter__(self):
        runs = BUILD / "run"
        runs.mkdir(parents=True, exist_ok=True)
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=runs, prefix=f"{self.job.on}-"))
        try:
            self._launch()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _launch(self):
        iso = image.build(self.folder / "micronova.iso", self.job.scenarios, self.job.kernel)
        self.pipe, writer = os.pipe()
        if self.job.input is not None:
            self.keyboard = socket.create_server(("127.0.0.1", 0))
            self.job.input_port = self.keyboard.getsockname()[1]
        args = ON[self.job.on].command(self.job, iso, self.folder, f"/dev/fd/{writer}")
        for _ in range(STARTS):
            with open(self.folder / "emulator.log", "wb") as out:
                self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                                pass_fds=[writer], preexec_fn=die_with_parent)
            if ON[self.job.on].started(self.folder, self.process):
                break
        os.close(writer)
        self.start = time.monotonic()

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
        for s in (self.typist, self.keyboard):
            if s:
                s.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def seconds(self):
        return time.monotonic() - self.start

    def _type(self, text):
        """Its port also prints the log: nobody reads that, and Bochs drops what it cannot send."""
        if self.keyboard and not self.typist:
            self.typist, _ = self.keyboard.accept()
            self.typist.setblocking(False)
        if self.typist:
            try:
                self.typist.recv(1 << 16)
            except BlockingIOError:
                pass
        if self.typist and WAITS in text:
            self.typist.sendall(self.job.input.encode())

    def lines(self, log, tick=lambda: None):
        """Yields (kind, text) for each line of serial output, fed to `log`; calls tick() now and then."""
        rest, deadline = b"", self.start + self.job.timeout
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            if select.select([self.pipe], [], [], min(left, 0.2))[0]:
                time.sleep(GATHER)
                block = os.read(self.pipe, 65536)
                if not block:
                    break
                *whole, rest = (rest + block).split(b"\n")
                for raw in whole:
                    text = raw.decode("utf-8", "replace").rstrip("\r")
                    self._type(text)
                    yield log.feed(text), text
                if log.ended and deadline > time.monotonic() + GRACE:
                    self._screen()
                    deadline = time.monotonic() + GRACE
            tick()
        if rest:
            text = rest.decode("utf-8", "replace")
            yield log.feed(text), text
        self._explain(log, left <= 0)

    def _screen(self):
        if self.job.screen and self.job.on != "bochs":
            time.sleep(1)  # the screen is painted in steps
            screen.save(self.folder, self.job.screen)

    def _explain(self, log, timed_out):
        halts = any("exit=halt" in s.cmdline for s in self.job.scenarios)
        if timed_out and log.ended:
            self.trouble = None if halts else f"the log is complete, but the machine did not end within {GRACE} s"
        elif timed_out:
            self.trouble = f"the machine hung, or needs more than {self.job.timeout:g} s (--timeout)"

    def diagnosis(self):
        """Lines from the emulator itself, for a run that went wrong."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        return ON[self.job.on].diagnosis(self.folder)
