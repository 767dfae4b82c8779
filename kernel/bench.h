// What parts of the hypervisor cost that no guest can measure: `# bench` lines (docs/bench.md), with report=bench.
#pragma once

// Before machines are built.
void bench_report(void);
