# Host tests. Every tests/unit/test_*.c and tests/fuzz/fuzz_*.c is a program of its own, linked with the pure
# sources (tests/pure.mk) and the fakes of tests/host, so a test pulls in only what its subject needs.
include tests/pure.mk

HOST_CC ?= gcc
FUZZ_CC ?= clang
FUZZ_SECONDS ?= 5
HOST_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
HOST_CFLAGS := -std=gnu17 -O1 -g -fno-omit-frame-pointer -fno-strict-aliasing -Wall -Wextra -Werror -Wshadow \
	-Wvla -Wstrict-prototypes -I. -I$(B)/gen -DMICRONOVA_HOST -DMICRONOVA_VERSION='"$(VERSION)"'
HOST_SRCS := $(sort $(PURE)) $(wildcard tests/host/*.c)
UNIT_OBJS := $(HOST_SRCS:%.c=$(B)/host/%.o)
FUZZ_OBJS := $(HOST_SRCS:%.c=$(B)/hostfuzz/%.o)
UNITS := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

$(B)/host/%.o: %.c
	@mkdir -p $(@D)
	$(HOST_CC) $(HOST_CFLAGS) $(HOST_SANITIZE) -MMD -MP -c -o $@ $<

$(B)/hostfuzz/%.o: %.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(HOST_CFLAGS) $(HOST_SANITIZE) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(B)/host/pure.a: $(UNIT_OBJS)
$(B)/hostfuzz/pure.a: $(FUZZ_OBJS)
$(B)/host/pure.a $(B)/hostfuzz/pure.a:
	@rm -f $@
	ar qcs $@ $^ # q: members of one name from two rooms both stay

$(B)/unit/%: $(B)/host/tests/unit/%.o $(B)/host/pure.a
	@mkdir -p $(@D)
	$(HOST_CC) $(HOST_SANITIZE) -o $@ $< $(B)/host/pure.a -lcmocka

$(B)/fuzz/%: $(B)/hostfuzz/tests/fuzz/%.o $(B)/hostfuzz/pure.a
	@mkdir -p $(@D)
	$(FUZZ_CC) $(HOST_SANITIZE) -fsanitize=fuzzer -o $@ $< $(B)/hostfuzz/pure.a

units: $(UNITS)
fuzzers: $(FUZZERS)

unit: units ## Run the host unit tests
	@CMOCKA_MESSAGE_OUTPUT=tap prove -j2 $(PROVE_FLAGS) --exec '' $(UNITS)

fuzz: fuzzers ## Run each fuzzer for FUZZ_SECONDS (5)
	@set -e; for f in $(FUZZERS); do \
		corpus=$(B)/corpus/$${f##*/}; mkdir -p $$corpus; echo "fuzz: $${f##*/}, $(FUZZ_SECONDS) s"; \
		$$f -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -print_final_stats=0 \
			-artifact_prefix=$$corpus/../crash-$${f##*/}- $$corpus; \
	done

.PHONY: units unit fuzzers fuzz
-include $(wildcard $(UNIT_OBJS:.o=.d) $(FUZZ_OBJS:.o=.d) $(B)/host/tests/unit/*.d $(B)/hostfuzz/tests/fuzz/*.d)
