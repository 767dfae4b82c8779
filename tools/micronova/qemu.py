"""QEMU: with KVM and nested VMX on an Intel box, else plain (no VMX, so Micronova refuses: that is a test)."""
import os
import pathlib
import shutil

from . import Problem

EXIT_OPTION = "exit=qemu"
OVMF = [("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
        ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd")]


def kvm_lacks():
    """Why this box cannot run Micronova under KVM; None when it can."""
    if not os.path.exists("/dev/kvm"):
        return "there is no /dev/kvm: load kvm_intel, or use --on bochs"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm may not be opened: join the group kvm, or use --on bochs"
    nested = pathlib.Path("/sys/module/kvm_intel/parameters/nested")
    if not nested.exists() or nested.read_text().strip() not in ("Y", "1"):
        return "nested VMX is off: `modprobe -r kvm_intel; modprobe kvm_intel nested=1`, or use --on bochs"
    return None if shutil.which("qemu-system-x86_64") else "qemu-system-x86_64 is missing: run `make install-deps`"


def firmware():
    for code, variables in OVMF:
        if os.path.exists(code) and os.path.exists(variables):
            return ["-machine", "q35", "-drive", f"if=pflash,format=raw,readonly=on,file={code}",
                    "-drive", f"if=pflash,format=raw,snapshot=on,file={variables}"]
    raise Problem("UEFI firmware is missing: run `make install-deps` (package ovmf)")


def drive(boot, image):
    path = str(image).replace(",", ",,")
    if boot == "cd":
        return ["-cdrom", path, "-boot", "d"]
    if boot == "disk":
        return ["-drive", f"if=ide,format=raw,snapshot=on,file={path}", "-boot", "c"]
    return firmware() + ["-drive", f"if=none,id=stick,format=raw,snapshot=on,file={path}", "-device", "qemu-xhci",
                         "-device", "usb-storage,drive=stick,removable=on"]


def command(job, image, folder, serial):
    if not shutil.which("qemu-system-x86_64"):
        raise Problem("qemu-system-x86_64 is missing: run `make install-deps`, or use --on bochs")
    kvm = job.on == "kvm"
    if kvm and (why := kvm_lacks()):
        raise Problem(why)
    accelerator = ["-enable-kvm", "-cpu", job.model or "host"] if kvm else ["-cpu", job.model or "max"]
    return ["qemu-system-x86_64", *accelerator, "-smp", str(job.cpus), "-m", str(job.mem), *drive(job.boot, image),
            "-display", "none", "-no-reboot", "-nodefaults", "-vga", "std", "-net", "none",
            "-chardev", f"file,id=com1,path={serial}", "-serial", "chardev:com1",
            "-qmp", f"unix:{folder}/qmp,server=on,wait=off", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]


def started(_folder, _process):
    """It needs nothing that another one could have taken."""
    return True


def diagnosis(folder):
    text = (folder / "emulator.log").read_text(errors="replace").strip()
    return text.splitlines()[-3:]
