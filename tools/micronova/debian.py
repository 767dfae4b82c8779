"""Guests nobody here wrote, from Debian's packages: as installed, else downloaded and unpacked."""
import fcntl
import os
import pathlib
import shutil
import subprocess

from . import BUILD, ROOT, Problem, becomes

FOLDER = BUILD / "debian"
FILES = {  # file: (package, pattern of its path in it)
    "memtest86+x64.bin": ("memtest86+", "boot/memtest86+x64.bin"),
    "memtest86+ia32.bin": ("memtest86+", "boot/memtest86+ia32.bin"),
    "invaders.exec": ("grub-invaders", "boot/invaders.exec"),
    "linux": ("linux-image-cloud-amd64", "boot/vmlinuz-*-cloud-amd64"),
}
BUSYBOX = ("busybox-static", "bin/busybox")
MADE = {"linux-initrd": lambda: initrd()}  # of what is in packages
NAMES = sorted([*FILES, *MADE])


def find(file):
    if file in MADE:
        return MADE[file]()
    if file not in FILES:
        raise Problem(f"debian:{file} is not known: there are {', '.join(NAMES)}")
    return find_in(*FILES[file], [pathlib.Path("/"), FOLDER])


def find_in(package, pattern, places):
    found = [path for place in places for path in sorted(place.glob(pattern)) if os.access(path, os.R_OK)]
    if found:
        return found[-1]
    fetch(package, pattern)
    found = sorted(FOLDER.glob(pattern))
    if not found:
        raise Problem(f"the package {package} holds no {pattern}: this needs Debian 12")
    return found[-1]


def run(*command, **options):
    return subprocess.run(command, cwd=FOLDER, check=True, capture_output=True, **options).stdout


def real_package(package):
    """A linux-image-KIND has no files: it depends on the newest linux-image-VERSION-KIND."""
    if not package.startswith("linux-image-"):
        return package
    lines = run("apt-cache", "depends", package, env={**os.environ, "LC_ALL": "C"}, text=True).splitlines()
    return next((line.split()[-1] for line in lines if "Depends: linux-image-" in line), package)


def unpack(package, pattern):
    package = real_package(package)
    run("apt-get", "-q", "download", package)
    for deb in FOLDER.glob(f"{package}_*.deb"):
        run("tar", "-x", "--wildcards", f"./{pattern}", input=run("dpkg-deb", "--fsys-tarfile", deb.name))


def update_lists():
    sudo = [] if os.geteuid() == 0 or not shutil.which("sudo") else ["sudo", "-n"]
    subprocess.run([*sudo, "apt-get", "-q", "update"], check=False, capture_output=True)


def fetch(package, pattern):
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs may want the same package
        try:
            try:
                unpack(package, pattern)
            except subprocess.CalledProcessError:  # no package lists yet, or old ones
                update_lists()
                unpack(package, pattern)
        except (OSError, subprocess.CalledProcessError) as error:
            detail = getattr(error, "stderr", None) or str(error).encode()
            detail = detail.decode(errors="replace") if isinstance(detail, bytes) else detail
            raise Problem(f"the package {package} cannot be fetched: run `apt-get update` or "
                          f"`apt-get install {package}`\n{detail.strip()}") from None


def cpio(entries):
    """An archive in the newc format of (name, mode, device, bytes); the same entries give the same bytes."""
    result = bytearray()
    for number, (name, mode, device, data) in enumerate([*entries, ("TRAILER!!!", 0, (0, 0), b"")], 1):
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0]
        result += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        result += bytes(-len(result) % 4) + data
        result += bytes(-len(result) % 4)
    return bytes(result)


def initrd():
    """The file system of scenario linux: iso/linux-init, and busybox to run it."""
    busybox = find_in(*BUSYBOX, [FOLDER])  # an installed one may need libraries
    data = cpio([
        ("bin", 0o040755, (0, 0), b""),
        ("dev", 0o040755, (0, 0), b""),
        ("proc", 0o040755, (0, 0), b""),
        ("dev/console", 0o020600, (5, 1), b""),
        ("bin/busybox", 0o100755, (0, 0), busybox.read_bytes()),
        ("init", 0o100755, (0, 0), (ROOT / "iso" / "linux-init").read_bytes()),
    ])
    target = FOLDER / "linux-initrd.cpio"
    if not target.is_file() or target.read_bytes() != data:
        with becomes(target) as part:
            part.write_bytes(data)
    return target
