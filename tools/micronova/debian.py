"""Guests nobody here wrote, from Debian's packages: as installed, else downloaded and unpacked."""
import fcntl
import pathlib
import subprocess

from . import BUILD, Problem

FILES = {  # file: (package, path in it)
    "memtest86+x64.bin": ("memtest86+", "boot/memtest86+x64.bin"),
    "memtest86+ia32.bin": ("memtest86+", "boot/memtest86+ia32.bin"),
    "invaders.exec": ("grub-invaders", "boot/invaders.exec"),
}


def find(file):
    if file not in FILES:
        raise Problem(f"debian:{file} is not known: there are {', '.join(sorted(FILES))}")
    package, inside = FILES[file]
    for place in (pathlib.Path("/"), BUILD / "debian"):
        if (place / inside).is_file():
            return place / inside
    fetch(package)
    if not (BUILD / "debian" / inside).is_file():
        raise Problem(f"the package {package} holds no {inside}: this needs Debian 12")
    return BUILD / "debian" / inside


def fetch(package):
    folder = BUILD / "debian"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs may want the same package
        try:
            subprocess.run(["apt-get", "-q", "download", package], cwd=folder, check=True, capture_output=True)
            for deb in folder.glob(f"{package}_*.deb"):
                subprocess.run(["dpkg", "-x", deb, folder], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            detail = getattr(error, "stderr", None) or str(error).encode()
            raise Problem(f"the package {package} cannot be fetched: run `apt-get update` or "
                          f"`apt-get install {package}`\n{detail.decode(errors='replace').strip()}") from None
