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
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"


class Problem(Exception):
    """Something the user can put right; the text says what and how."""
