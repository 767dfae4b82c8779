# Images and runs. What is on an image is said by iso/scenarios/*.scenario; tools/micronova/image.py makes it.
ISO := $(B)/micronova.iso

iso: all ## Build build/micronova.iso: CD, USB stick, BIOS and UEFI
	tools/iso $(ISO)

usb: iso ## Write the image to a stick: make usb DEV=/dev/sdX
	tools/usb $(ISO) $(DEV)

# What needs several processors, or shares one by short turns, has machines of its own beside the default one.
RUN := default move crowd pair
run: ## Install what is missing, build, boot the default image and what it has no place for
	$(Q)tools/install-deps run
	$(Q)$(MAKE) --no-print-directory $(JOBS) all
	$(Q)tools/run $(RUN)

vmx: all ## Boot the tests of VMX, show counts, compare with the baseline (MODEL=skylake)
	$(Q)tools/vmx $(if $(MODEL),--model $(MODEL))

debug: all ## Boot under Bochs's debugger with symbols (ON=qemu: wait for gdb; SCENARIO=NAME)
	tools/debug $(if $(ON),--on $(ON)) $(SCENARIO)

bench: all checking ## Instructions per exit, start-up and memory, beside bounds and peers
	tools/bench

size: ## Lines of the hypervisor, by what they are for
	@tools/size

install-deps: ## Install every Debian package that anything here needs
	tools/install-deps all

.PHONY: iso usb run vmx debug bench size install-deps
