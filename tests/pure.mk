# Sources that know no processor: they build on the host too and are tested there. One a line, sorted.
PURE += arch/reason.c
PURE += dev/io.c
PURE += sched/timeout.c
PURE += sdm/bits.c
PURE += sdm/cpuid.c
PURE += sdm/msr.c
PURE += sdm/text.c
PURE += sdm/vmcs_fields.c
