"""One hybrid ISO: CD under BIOS, raw on a disk or stick under BIOS, and UEFI from its FAT partition.

Small on purpose: GRUB unpacks its core for BIOS bit by bit, so that one only finds the image; the modules behind it
lie on the image, not packed. Bochs then boots in some 35 M ticks, half of what it takes with all modules in the core.
"""
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

from . import BUILD, ROOT, Problem, becomes, words

GRUB = pathlib.Path("/usr/lib/grub")
FIND_ROOT = "search.file /boot/micronova.elf root\nset prefix=($root)/boot/grub\n"
CORES = {  # format: (folder, package, modules)
    "i386-pc-eltorito": ("i386-pc", "grub-pc-bin", "biosdisk iso9660 part_msdos search_fs_file"),
    "x86_64-efi": ("x86_64-efi", "grub-efi-amd64-bin",
                   "iso9660 fat part_msdos search_fs_file multiboot2 normal efi_gop efi_uga"),
}
ON_IMAGE = ["normal", "multiboot2"]  # and what they need; normal is loaded by the core, multiboot2 by grub.cfg
# Bochs wants whole cylinders of 16 heads and 63 sectors.
CYLINDER = 16 * 63 * 512


def command(*args, package, **kwargs):
    try:
        return subprocess.run([str(a) for a in args], check=True, capture_output=True, text=True, **kwargs)
    except FileNotFoundError:
        raise Problem(f"{args[0]} is missing: run `make install-deps` (package {package})") from None
    except subprocess.CalledProcessError as error:
        raise Problem(f"{args[0]} failed:\n{error.stderr.strip()}") from None


def core(target):
    """GRUB's core image for `target`; made once."""
    folder, package, modules = CORES[target]
    key = hashlib.sha1((FIND_ROOT + modules).encode()).hexdigest()[:8]
    path = BUILD / "iso" / f"core-{target}-{key}.img"
    if not path.exists():
        if not (GRUB / folder).is_dir():
            raise Problem(f"no GRUB for {folder}: run `make install-deps` (package {package})")
        with tempfile.NamedTemporaryFile("w", suffix=".cfg") as config, becomes(path) as part:
            config.write(FIND_ROOT)
            config.flush()
            command("grub-mkimage", "-O", target, "-p", "/boot/grub", "-c", config.name, "-o", part,
                    *modules.split(), package="grub-common")
    return path


def modules(folder):
    """{path on the image: file} of ON_IMAGE and all that they need, by GRUB's own list."""
    needs = dict(line.split(":") for line in (folder / "moddep.lst").read_text().splitlines())
    found, new = set(), ON_IMAGE
    while new:
        found.update(new)
        new = {need for name in new for need in needs[name].split()} - found
    return {f"/boot/grub/{folder.name}/{name}.mod": folder / f"{name}.mod" for name in sorted(found)}


def efi_partition():
    """A FAT image that holds GRUB as \\EFI\\BOOT\\BOOTX64.EFI; made once."""
    grub = core("x86_64-efi")
    path = grub.with_name(grub.stem + ".fat")
    if not path.exists():
        with becomes(path) as part:
            with open(part, "wb") as image:
                image.truncate(1440 * 1024)
            command("mformat", "-i", part, "-f", "1440", "::", package="mtools")
            command("mmd", "-i", part, "::/EFI", "::/EFI/BOOT", package="mtools")
            command("mcopy", "-i", part, grub, "::/EFI/BOOT/BOOTX64.EFI", package="mtools")
    return path


def entry(scenario, names):
    """A menu entry of grub.cfg; `names` maps files to their path on the image."""
    lines = ["multiboot2 /boot/micronova.elf" + words.grub_line(scenario.cmdline)]
    lines += [f"module2 {words.grub(names[m.path])}" + words.grub_line(m.words) for m in scenario.modules]
    return f"menuentry {words.grub(scenario.name)} {{\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


def place(scenarios):
    """Each file once, under a name that is unique on the image."""
    names, taken = {}, set()
    for module in (m for s in scenarios for m in s.modules):
        if module.path not in names:
            name = module.path.name
            while name in taken:
                name = f"{len(taken)}-{module.path.name}"
            taken.add(name)
            names[module.path] = f"/modules/{name}"
    return names


def build(path, scenarios, kernel):
    """Writes the image to `path`: the first scenario boots at once, the others are in the menu (Esc)."""
    if not kernel.is_file():
        raise Problem(f"no {kernel}: run `make`")
    if not shutil.which("xorriso"):
        raise Problem("xorriso is missing: run `make install-deps`")
    names = place(scenarios)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        config = pathlib.Path(folder) / "grub.cfg"
        head = (ROOT / "iso" / "grub.cfg").read_text()
        config.write_text(head + "".join(entry(s, names) for s in scenarios))
        files = {"/boot/grub/core.img": core("i386-pc-eltorito"), "/boot/grub/grub.cfg": config,
                 "/boot/micronova.elf": kernel} | {v: k for k, v in names.items()} | modules(GRUB / "i386-pc")
        grafts = [f"{k}={v}" for k, v in ((escape(k), escape(v)) for k, v in files.items())]
        command("xorriso", "-report_about", "FAILURE", "-as", "mkisofs", "-R", "-V", "MICRONOVA", "-o", path,
                "-graft-points", "-b", "boot/grub/core.img", "-no-emul-boot", "-boot-load-size", "4",
                "-boot-info-table", "--grub2-boot-info", "--grub2-mbr", GRUB / "i386-pc" / "boot_hybrid.img",
                "-append_partition", "2", "0xef", efi_partition(), "-eltorito-alt-boot", "-e",
                "--interval:appended_partition_2:all::", "-no-emul-boot", *grafts, package="xorriso")
    os.truncate(path, -(-path.stat().st_size // CYLINDER) * CYLINDER)
    return path


def escape(path):
    return str(path).replace("\\", "\\\\").replace("=", "\\=")
