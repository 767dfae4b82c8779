"""For boot tests: buckets of the tests of VMX, held against what is known of each machine (docs/vmx-tests.md)."""
from micronova import baseline, bochs

ALL = baseline.buckets()


def known(model):
    return baseline.Baseline(bochs.baseline(model))


def boot(suite, model, of, scenario="vmx", cpus=1):
    """Boots the buckets `of` of a scenario. Their log is long: it goes to the serial port alone."""
    machine = suite.boot(f"{scenario} on {model}", scenario, model=model, cpus=cpus, ips=bochs.VMX_IPS, only=",".join(of),
                         cmdline="console=com1", timeout=600)
    machine.complete()
    machine.unique()
    lines = known(model).compare(machine.log, of)
    machine.check(not lines, f"as tests/baseline/{bochs.baseline(model)} says", *lines)
    machine.check(("micronova/memory-returned", True) in machine.log.points, "all memory came back")
