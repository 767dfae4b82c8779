"""What tools/run, tools/bench, tools/debug and the boot tests share.

tap       judges a serial log
size      counts lines of the hypervisor
words     module lines into words, words into grub.cfg
scenario  iso/scenarios/*.scenario and where guests are found
debian    guests from Debian's packages
image     the hybrid ISO
bochs, qemu  how each emulator is started
emulator  starts one, hands out its serial log, ends it
"""
import contextlib
import pathlib
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"


class Problem(Exception):
    """Something the user can put right; the text says what and how."""


@contextlib.contextmanager
def becomes(path):
    """Yields where to write what is to be `path`, which it becomes at the end, whole: several may make it at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = pathlib.Path(folder) / path.name
        yield part
        part.rename(path)
