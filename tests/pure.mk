# Sources that know no processor: they build on the host too and are tested there. One a line, sorted.
PURE += arch/reason.c
PURE += sched/timeout.c
