#!/usr/bin/env python3
# Local APICs virtualized by the processor and by us: the guests' points are the same, one by one. Bochs delivers
# wrongly when processors interrupt each other (docs/bochs.md), so this has one processor but for what does not mind.
from boots import Suite

MACHINES = ["hello.elf hello", "apic.elf apic mem=1M", "apic32.elf apic32 mem=1M", "modes.elf modes",
            "state.elf state-a cmdline=a cpu=0", "state.elf state-b cmdline=b cpu=0",
            "smp.elf smp2 vcpus=2 mem=1M cmdline=cpus=2", "smp.elf smp4 vcpus=4 mem=1M cmdline=cpus=4",
            'smp.elf smp2-page vcpus=2 mem=1M cmdline="cpus=2 xapic"',
            "interrupts.elf interrupts1 mem=1M cmdline=total=20000",
            "interrupts.elf interrupts2 vcpus=2 mem=1M cmdline=total=20000",
            'fuzz-devices.elf fuzz vcpus=2 mem=1M console=none cmdline="seed=7 count=4000"']
BY = {"on": "by the processor", "off": "at exits: apicv=off"}


def guests(boot):
    return sorted(point for point in boot.log.points if not point[0].startswith("micronova/"))


suite = Suite()
for cpus, machines in ((1, MACHINES), (2, MACHINES[-6:-4]), (4, MACHINES[-6:-4])):
    boots = {how: suite.boot(f"apicv={how} on {cpus}", modules=machines, cpus=cpus, cmdline=f"apicv={how}")
             for how in BY}
    for how, boot in boots.items():
        boot.sound()
        boot.says("it is as asked for", rf"^# local APICs of guests are virtualized {BY[how]}$")
    on, off = (guests(boots[how]) for how in BY)
    suite.check(on == off, f"the same points on {cpus}", f"differ: {sorted(set(on) ^ set(off))[:10]}")
suite.done()
