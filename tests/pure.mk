# Sources that know no processor: they build on the host too and are tested there. One a line, sorted.
PURE += arch/reason.c
PURE += dev/bytewise.c
PURE += dev/calendar.c
PURE += dev/debug_exit.c
PURE += dev/devices.c
PURE += dev/io.c
PURE += dev/pit.c
PURE += dev/reset.c
PURE += dev/rtc.c
PURE += dev/uart.c
PURE += sched/timeout.c
PURE += sdm/bits.c
PURE += sdm/cpuid.c
PURE += sdm/msr.c
PURE += sdm/text.c
PURE += sdm/vmcs_fields.c
