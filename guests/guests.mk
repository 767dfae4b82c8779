# The test guests: every folder but lib is one guest, build/guests/NAME.elf; those in GUESTS32 are also built
# for 32 bit, build/guests/NAME32.elf (task-switch and paging only so). They see abi/ and sdm/ only.
GUESTS64 := $(filter-out lib vmx task-switch paging,$(patsubst guests/%/,%,$(wildcard guests/*/)))
GUESTS32 := hello ipc services cpu memory beyond task-switch paging apic

GUEST_CFLAGS := -std=gnu17 -O2 -g -ffreestanding -mgeneral-regs-only -mno-red-zone -fno-pic -fno-pie \
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-common \
	-fno-strict-aliasing -Wall -Wextra -Werror -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes -I.
GUEST_CFLAGS64 := -m64
GUEST_CFLAGS32 := -m32 -mno-sse
GUEST_LDFLAGS64 := -m elf_x86_64 -z max-page-size=0x1000
GUEST_LDFLAGS32 := -m elf_i386
GUEST_LIB_SRCS := $(wildcard guests/lib/*.c)
GUEST_ELFS := $(GUESTS64:%=$(B)/guests/%.elf) $(GUESTS32:%=$(B)/guests/%32.elf)

# $(1): 64 or 32
define guest_rules
$(B)/guests/obj$(1)/%.o: guests/%.c
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$(CC) $(GUEST_CFLAGS) $(GUEST_CFLAGS$(1)) -MMD -MP -c -o $$@ $$<
$(B)/guests/obj$(1)/%.asm.o: guests/%.asm
	@mkdir -p $$(@D)
	$$(call say,NASM,$$@)
	$$(Q)$(NASM) -f elf$(1) -g -F dwarf -Werror -I./ -MD $$(@:.o=.d) -o $$@ $$<
GUEST_LIB$(1) := $$(patsubst guests/%.asm,$$(B)/guests/obj$(1)/%.asm.o,$$(wildcard guests/lib/*$(1).asm)) \
	$$(GUEST_LIB_SRCS:guests/%.c=$$(B)/guests/obj$(1)/%.o)
endef
$(foreach bits,64 32,$(eval $(call guest_rules,$(bits))))

# $(1): folder, $(2): 64 or 32, $(3): name of the ELF file
define guest_link
$(B)/guests/$(3).elf: $(patsubst guests/%.c,$(B)/guests/obj$(2)/%.o,$(wildcard guests/$(1)/*.c)) \
		$(patsubst guests/%.asm,$(B)/guests/obj$(2)/%.asm.o,$(if $(filter 64,$(2)),$(wildcard guests/$(1)/*.asm))) \
		$(GUEST_LIB$(2)) guests/lib/guest.ld
	$$(call say,LD,$$@)
	$$(Q)$(LD) $(GUEST_LDFLAGS$(2)) -n -z noexecstack -T guests/lib/guest.ld -o $$@.unstripped $$(filter %.o,$$^)
	$$(Q)$(STRIP) -o $$@ $$@.unstripped
endef
$(foreach g,$(GUESTS64),$(eval $(call guest_link,$(g),64,$(g))))
$(foreach g,$(GUESTS32),$(eval $(call guest_link,$(g),32,$(g)32)))

# Buckets of VMX tests: each guests/vmx/NAME.c is one guest, build/guests/vmx-NAME.elf, with guests/vmx/lib and what it
# needs of sdm/ (docs/probe.md).
VMX_BUCKETS := $(patsubst guests/vmx/%.c,%,$(wildcard guests/vmx/*.c))
VMX_CFLAGS := $(GUEST_CFLAGS) $(GUEST_CFLAGS64) -DGUEST_WITH_SDM
VMX_OBJS := $(patsubst %.c,$(B)/guests/objvmx/%.o,$(wildcard sdm/*.c guests/vmx/lib/*.c guests/lib/*.c))
$(B)/guests/objvmx/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(VMX_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/guests/objvmx/lib.a: $(VMX_OBJS)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar qcs $@ $^
$(B)/guests/vmx-%.elf: $(B)/guests/objvmx/guests/vmx/%.o $(patsubst guests/%.asm,$(B)/guests/obj64/%.asm.o,$(wildcard guests/lib/*64.asm)) \
		$(B)/guests/objvmx/lib.a guests/lib/guest.ld
	$(call say,LD,$@)
	$(Q)$(LD) $(GUEST_LDFLAGS64) -n -z noexecstack -T guests/lib/guest.ld -o $@.unstripped $(filter %.o %.a,$^)
	$(Q)$(STRIP) -o $@ $@.unstripped
GUEST_ELFS += $(VMX_BUCKETS:%=$(B)/guests/vmx-%.elf)

guests: $(GUEST_ELFS) ## Build the test guests

-include $(wildcard $(B)/guests/obj*/*/*.d $(B)/guests/objvmx/*/*.d $(B)/guests/objvmx/*/*/*.d $(B)/guests/objvmx/*/*/*/*.d)
