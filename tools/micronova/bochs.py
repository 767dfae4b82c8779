"""Bochs 2.7, set up so that a run is a pure function of the image: time is counted in instructions."""
import shutil
import subprocess
import time

from . import Problem

# Instructions a second of emulated time. Each byte of the log takes 87 us of it, and several processors wait at the
# cost of work; what is measured has the time that its bounds were set with.
IPS = 8_000_000
VMX_IPS = 4_000_000  # a long log
BENCH_IPS = 20_000_000
MODELS = {
    "haswell": "corei7_haswell_4770",
    "skylake": "corei7_skylake_x",
    "tigerlake": "tigerlake",
    "broadwell": "broadwell_ult",
    "penryn": "core2_penryn_t9600",
    "lynnfield": "corei5_lynnfield_750",
    "ryzen": "ryzen",
}
EXIT_OPTION = "exit=bochs"
RC = """\
config_interface: textconfig
display_library: rfb, options="timeout=0"
sound: driver=dummy
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/vgabios/vgabios.bin
memory: guest={mem}, host={host}
cpu: model={model}, count={cpus}:1:1, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs=1
clock: sync=none, time0=1767225600
mouse: enabled=0
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
log: {folder}/bochs.log
com1: enabled=1, mode=file, dev={serial}
{com2}
{drive}
"""
DRIVES = {
    "cd": "ata0-master: type=cdrom, path={image}, status=inserted\nboot: cdrom",
    "disk": "ata0-master: type=disk, path={image}, mode=flat, cylinders=0, heads=16, spt=63\nboot: disk",
}


def cpu(model):
    """Bochs's own name of a CPU model."""
    if model in MODELS:
        return MODELS[model]
    text = subprocess.run(["bochs", "--help", "cpu"], capture_output=True, text=True, check=False)
    known = [word for word in (text.stdout + text.stderr).split() if "_" in word or word in MODELS.values()]
    if model not in known:
        raise Problem(f"Bochs knows no CPU model {model!r}: use {', '.join(MODELS)}, or a name from "
                      "`bochs --help cpu`")
    return model


def baseline(model):
    """The folder of tests/baseline that a model's results are held against."""
    short = cpu(model).replace("corei7_", "").replace("_4770", "")
    return f"bochs-2.7-{short}"


def command(job, image, folder, serial):
    """The command line that boots `image`; its serial port writes to the path `serial`."""
    if not shutil.which("bochs"):
        raise Problem("bochs is missing: run `make install-deps`, or use --on qemu or --on kvm")
    if job.boot not in DRIVES:
        raise Problem(f"Bochs does not boot from {job.boot}: use --boot cd or disk, or --on qemu")
    com2 = f"com2: enabled=1, mode=socket-client, dev=127.0.0.1:{job.input_port}" if job.input_port else ""
    rc = RC.format(mem=job.mem, host=min(job.mem, 2048), model=cpu(job.model or "haswell"), cpus=job.cpus, ips=job.ips or IPS,
                   folder=folder, serial=serial, com2=com2, drive=DRIVES[job.boot].format(image=image))
    (folder / "bochsrc").write_text(rc)
    (folder / "commands").write_text("c\n")
    return ["bochs", "-q", "-f", str(folder / "bochsrc"), "-rc", str(folder / "commands")]


def started(folder, process):
    """Waits until it runs. False: it ended without a port for its screen, which it insists on: several that start at the
    same time take one from another."""
    log = folder / "bochs.log"
    for _ in range(100):
        text = log.read_text(errors="replace") if log.exists() else ""
        if "listening for connections" in text:
            return True
        if process.poll() is not None:
            time.sleep(0.2)
            return "could not bind" not in text
        time.sleep(0.02)
    return True


def diagnosis(folder):
    """What Bochs itself has to say about a run that went wrong."""
    log = folder / "bochs.log"
    if not log.exists():
        return ["Bochs wrote no log: " + (folder / "emulator.log").read_text(errors="replace")[-300:].strip()]
    lines = log.read_text(errors="replace").splitlines()
    telling = [l for l in lines if "PANIC" in l or ">>PANIC<<" in l or "3rd (" in l or " EIP=" in l or "| RIP=" in l]
    return telling[-4:]
