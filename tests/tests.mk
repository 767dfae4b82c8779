# Host tests. Every tests/unit/test_*.c and tests/fuzz/fuzz_*.c is a program of its own, linked with the pure
# sources (tests/pure.mk) and the fakes of tests/host, so a test pulls in only what its subject needs.
include tests/pure.mk

HOST_CC ?= gcc
FUZZ_CC ?= clang
FUZZ_SECONDS ?= 5
HOST_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
HOST_CFLAGS := -std=gnu17 -O1 -g -fno-omit-frame-pointer -fno-strict-aliasing -Wall -Wextra -Werror -Wshadow \
	-Wvla -Wstrict-prototypes -I. -DMICRONOVA_HOST -DMICRONOVA_VERSION='"$(VERSION)"'
HOST_SRCS := $(sort $(PURE)) $(wildcard tests/host/*.c)
UNIT_OBJS := $(HOST_SRCS:%.c=$(B)/host/%.o)
FUZZ_OBJS := $(HOST_SRCS:%.c=$(B)/hostfuzz/%.o)
UNITS := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

# What is tested runs often, what tests it is compiled often.
$(B)/host/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(HOST_CC) $(HOST_CFLAGS) $(if $(filter tests/%,$<),-O0) $(HOST_SANITIZE) -MMD -MP -c -o $@ $<

$(B)/hostfuzz/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(FUZZ_CC) $(HOST_CFLAGS) $(HOST_SANITIZE) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

# ar q: members of one name from two rooms both stay.
$(B)/host/pure.a: $(UNIT_OBJS) tests/pure.mk
$(B)/hostfuzz/pure.a: $(FUZZ_OBJS) tests/pure.mk
$(B)/host/pure.a $(B)/hostfuzz/pure.a:
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar qcs $@ $(filter %.o,$^)

$(B)/unit/%: $(B)/host/tests/unit/%.o $(B)/host/pure.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(HOST_CC) $(HOST_SANITIZE) -o $@ $< $(B)/host/pure.a -lcmocka $(LIBS)
$(B)/unit/test_decode: LIBS := -lZydis

$(B)/fuzz/%: $(B)/hostfuzz/tests/fuzz/%.o $(B)/hostfuzz/pure.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(FUZZ_CC) $(HOST_SANITIZE) -fsanitize=fuzzer -o $@ $< $(B)/hostfuzz/pure.a

# Sources of processors that meet in memory, between real threads, under the thread sanitizer.
THREADS := $(patsubst tests/threads/%.c,$(B)/threads/%,$(wildcard tests/threads/*.c))
$(B)/threads/ipc: ipc/port.c ipc/events.c
$(B)/threads/%: tests/threads/%.c $(wildcard ipc/*.h) arch/lock.h
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(HOST_CC) $(HOST_CFLAGS) -O2 -fsanitize=thread -o $@ $(filter %.c,$^) -lpthread
threads: $(THREADS)
.PHONY: threads

units: $(UNITS)
fuzzers: $(FUZZERS)

unit: units ## Run the host unit tests alone
	tools/test $(UNITS)

# The longest first: the end then does not wait for one of them alone.
LONGEST := $(patsubst %,tests/boot/%.t,vmx smp tags memory fuzz matrix ipc guests)
BOOT_TESTS := $(LONGEST) $(filter-out $(LONGEST),$(sort $(wildcard tests/boot/*.t)))
HOST_TESTS := $(sort $(wildcard tests/tools/*.t))

# What is missing is installed before anything is built: `make test` is all that a new machine needs.
JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j"$$(nproc)")

test: ## Unit tests and boot tests; ends with "N passed, N failed"
	$(Q)tools/install-deps test
	$(Q)$(MAKE) --no-print-directory $(JOBS) run-tests
run-tests: all checking units threads debian-guests
	tools/test $(BOOT_TESTS) $(HOST_TESTS) $(UNITS)

LONG_SECONDS ?= 60
LONG_TESTS ?= $(sort $(wildcard tests/long/*.t)) $(BOOT_TESTS) $(HOST_TESTS) $(UNITS)
test-long: ## The same, every combination, and LONG_SECONDS (60) for each fuzzer
	$(Q)tools/install-deps all
	$(Q)$(MAKE) --no-print-directory $(JOBS) all checking units threads fuzzers debian-guests
	$(Q)$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=$(LONG_SECONDS)
	tools/test $(LONG_TESTS)

debian-guests:
	tools/fetch-guests

fuzz: fuzzers ## Run each fuzzer for FUZZ_SECONDS (5)
	@set -e; for f in $(FUZZERS); do \
		corpus=$(B)/corpus/$${f##*/}; mkdir -p $$corpus; echo "fuzz: $${f##*/}, $(FUZZ_SECONDS) s"; \
		$$f -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -print_final_stats=0 \
			-artifact_prefix=$$corpus/../crash-$${f##*/}- $$corpus; \
	done

# Formatting of what this repository wrote in C; findings of the analysers are errors.
CHECKED := $(sort $(C_SRCS) $(wildcard guests/*/*.c tests/*/*.c))
FORMATTED := $(CHECKED) $(sort $(wildcard $(ROOMS:%=%/*.h) abi/*.h guests/*/*.h tests/*/*.h))
TIDIED := $(C_SRCS:%=$(B)/tidy/%.ok)

$(B)/tidy/%.ok: % .clang-tidy
	@mkdir -p $(@D)
	clang-tidy --quiet --warnings-as-errors='*' $< -- $(filter-out -Werror -fno-common -malign-data=% -mpreferred-stack-boundary=% -fno-reorder-blocks-and-partition,$(CFLAGS)) 2>/dev/null
	@touch $@

check: ## clang-format, clang-tidy, cppcheck, shellcheck
	$(Q)tools/install-deps all
	$(Q)$(MAKE) --no-print-directory $(JOBS) check-format check-tidy check-cppcheck check-tools
check-format:
	clang-format --dry-run -Werror $(FORMATTED)
check-tidy: $(TIDIED)
check-cppcheck:
	cppcheck --quiet --std=c11 --enable=warning,portability --error-exitcode=1 --inline-suppr -I. \
		--suppress=preprocessorErrorDirective:sdm/entry_cases_control.h --suppress=nullPointerArithmetic --suppress=arrayIndexOutOfBoundsCond -D__x86_64__ -DMICRONOVA_VERSION='""' -j2 $(C_SRCS)
check-tools:
	shellcheck tools/install-deps tools/usb .ci/run iso/linux-init
	@for f in tools/*; do [ -f $$f ] && head -n 1 $$f | grep -q python3 || continue; \
		python3 -c 'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")' $$f || exit 1; done

.PHONY: test run-tests test-long debian-guests check check-format check-tidy check-cppcheck check-tools
.PHONY: units unit fuzzers fuzz
-include $(wildcard $(UNIT_OBJS:.o=.d) $(FUZZ_OBJS:.o=.d) $(B)/host/tests/unit/*.d $(B)/hostfuzz/tests/fuzz/*.d)
