# Micronova. `make help` lists what can be made; README.md says what it is.
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all
B := build
CROSS_COMPILE ?= $(if $(shell command -v x86_64-elf-gcc),x86_64-elf-,)
CC := $(CROSS_COMPILE)gcc
LD := $(CROSS_COMPILE)ld
NM := $(CROSS_COMPILE)nm
OBJDUMP := $(CROSS_COMPILE)objdump
STRIP := $(CROSS_COMPILE)strip
NASM ?= nasm
VERSION := $(shell cat VERSION)

ROOMS := sdm boot arch mm vmx dev sched ipc kernel
# Small by default, fast where exits go. Padding before functions, loops and branch targets is for long-running loops, which
# there are none of; without vector registers, stacks need no more than 8-byte alignment.
HOT := vmx/decode vmx/emulate kernel/cpu vmx/event vmx/mmio vmx/guest_% vmx/exit vmx/exit_% vmx/cpuid vmx/msr vmx/state vmx/vcpu mm/space mm/frame_cache mm/buddy mm/dirty mm/balloon mm/tidy dev/io dev/uart \
	dev/lapic dev/lapic_bus dev/pic sched/% ipc/% arch/string kernel/hypercall kernel/ipc kernel/turn kernel/log_ring vmx/probe vmx/probe_template
CFLAGS := -std=gnu17 -Oz -g -flto -ffreestanding -mgeneral-regs-only -mno-red-zone -fno-pic -mcmodel=kernel \
	-falign-functions=1 -fno-reorder-blocks-and-partition -falign-loops=1 -falign-jumps=1 -falign-labels=1 -malign-data=abi -mpreferred-stack-boundary=3 \
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-fno-omit-frame-pointer -fno-common -ffunction-sections -fdata-sections -fno-strict-aliasing -Wall -Wextra -Werror -Wshadow -Wvla \
	-Wmissing-prototypes -Wno-override-init -Wstrict-prototypes -I. -I$(B)/gen -DMICRONOVA_VERSION='"$(VERSION)"' $(CFLAGS_MORE)
NASMFLAGS := -f elf64 -g -F dwarf -Werror -I$(B)/gen/ -I./

C_SRCS := $(wildcard $(ROOMS:%=%/*.c))
ASM_SRCS := $(wildcard $(ROOMS:%=%/*.asm))
OBJS := $(C_SRCS:%.c=$(B)/%.o) $(ASM_SRCS:%.asm=$(B)/%.asm.o)
KERNEL := $(B)/micronova.elf

all: hypervisor guests ## Build the hypervisor and the guests

# V=1 shows whole commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf "  %-5s %s\n" $(1) $(2))

# Structure offsets for assembly are generated from C, never typed.
$(B)/gen/offsets.inc: arch/offsets.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS) -fno-lto -MMD -MF $(B)/gen/offsets.d -MT $@ -S -o $(B)/gen/offsets.s $<
	$(Q)sed -n 's/^.*@@ \([A-Z0-9_]*\) \$$*\(-\?[0-9]*\).*$$/%define \1 \2/p' $(B)/gen/offsets.s > $@

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS) $(if $(filter $(HOT),$*),-O2) $(if $(filter $(FRAMELESS),$*),-fomit-frame-pointer) -MMD -MP -c -o $@ $<

$(B)/%.asm.o: %.asm $(B)/gen/offsets.inc
	@mkdir -p $(@D)
	$(call say,NASM,$@)
	$(Q)$(NASM) $(NASMFLAGS) -MD $(@:.o=.d) -o $@ $<

# The exit path is the root of every stack: it has no caller whose frame a backtrace would miss.
FRAMELESS := kernel/cpu dev/lapic% vmx/event vmx/mmio vmx/decode vmx/emulate vmx/guest_% vmx/exit vmx/exit_% vmx/cpuid vmx/msr vmx/state vmx/vcpu vmx/vmcs kernel/turn kernel/ipc ipc/% sched/sched dev/io mm/space mm/buddy mm/dirty

LINK := -n -nostdlib -static --gc-sections --build-id=none -T linker.ld
DEBUG_OBJS := $(C_SRCS:%.c=$(B)/%.o.debug.temp.o)
WHOLE := $(B)/whole.o

# The compiler sees the whole hypervisor at once: smaller, and shorter ways through it. Each file's own warnings came
# when it was compiled. What it makes of them is $(WHOLE), and debug information in the $(DEBUG_OBJS). A compiler that
# has this done by a make of its own would take what is left of the last time for done.
$(WHOLE): $(OBJS) $(B)/symbols0.o linker.ld
	$(call say,CC,$@)
	$(Q)rm -f $(B)/whole.elf.ltrans*
	$(Q)$(CC) $(CFLAGS) -flto-partition=one -Wno-maybe-uninitialized -save-temps -nostdlib -static $(LINK:%=-Xlinker %) \
		-o $(B)/whole.elf $(OBJS) $(B)/symbols0.o
	$(Q)mv $(B)/whole.elf.ltrans0.ltrans.o $@

# Linked twice: the symbol table that panic() prints from stands behind all text and data, so that filling
# it moves nothing (tools/symbols.py). No code may be compiled with its contents in sight.
$(B)/symbols0.o $(B)/symbols1.o: $(B)/%.o: $(B)/%.c
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS) -fno-lto -c -o $@ $<
$(B)/symbols0.c: tools/symbols.py
	@mkdir -p $(@D)
	$(Q)python3 tools/symbols.py < /dev/null > $@
$(B)/symbols1.c: $(B)/micronova0.elf tools/symbols.py
	$(Q)$(NM) -n $< | python3 tools/symbols.py > $@
$(B)/micronova0.elf $(KERNEL).unstripped: $(WHOLE) linker.ld
	$(call say,LD,$@)
	$(Q)$(LD) $(LINK) -o $@ $(WHOLE) $(ASM_SRCS:%.asm=$(B)/%.asm.o) $(filter %/symbols0.o %/symbols1.o,$^) $(DEBUG_OBJS)
$(B)/micronova0.elf: $(B)/symbols0.o
$(KERNEL).unstripped: $(B)/symbols1.o
$(KERNEL): $(KERNEL).unstripped
	$(Q)$(OBJDUMP) -d --no-show-raw-insn $< > $(B)/micronova.lst
	$(Q)$(NM) -n $< > $(B)/micronova.sym
	$(Q)$(STRIP) -o $@ $<

# Each by a make of its own: it is optimized, which takes one processor long, while others compile the rest.
hypervisor:
	$(Q)$(MAKE) --no-print-directory kernel
# The same hypervisor, counting its VMREADs and VMWRITEs, and comparing every VM entry with what may be cached of its
# guest's translations (vmx/tags.h), for `make bench` and the tests.
checking:
	$(Q)$(MAKE) --no-print-directory B=build/checking CFLAGS_MORE=-DCHECKING kernel
kernel: $(KERNEL)
	@:
.PHONY: hypervisor checking kernel

-include guests/guests.mk iso/iso.mk tests/tests.mk

clean: ## Remove everything that was built
	rm -rf $(B)

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: all clean help guests
.SECONDARY:
-include $(wildcard $(OBJS:.o=.d)) $(wildcard $(B)/gen/offsets.d)
