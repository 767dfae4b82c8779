// Bring-up: from the boot code's first call to the end of the machine, as one flat list of steps.
#include "arch/acpi.h"
#include "arch/cpu.h"
#include "arch/descriptors.h"
#include "arch/exception.h"
#include "arch/features.h"
#include "arch/lapic.h"
#include "arch/mtrr.h"
#include "arch/paging.h"
#include "arch/panic.h"
#include "arch/power.h"
#include "arch/screen.h"
#include "arch/smp.h"
#include "arch/string.h"
#include "arch/tsc.h"
#include "boot/multiboot2.h"
#include "kernel/consoles.h"
#include "kernel/options.h"
#include "kernel/dev_host.h"
#include "kernel/fail_alloc.h"
#include "kernel/report.h"
#include "kernel/run.h"
#include "kernel/vm.h"
#include "mm/ept.h"
#include "mm/mm.h"
#include "sched/sched.h"
#include "sched/timeout.h"
#include "sdm/text.h"
#include "vmx/microscope.h"
#include "vmx/probe.h"
#include "vmx/vmx.h"

// For each processor: 16 KiB of log ring, and a heap of timeouts that is never full.
enum { RING_ORDER = 2, HEAP_ORDER = 5, HEAP_BYTES = PAGE_SIZE << HEAP_ORDER };
_Static_assert(HEAP_BYTES / sizeof(struct timeout *) >= TIMEOUTS_MAX, "of all machines that there can be");
enum { CONVENTIONAL_END = 0xa0000, LOW_END = 0x100000 };
// Ranges that the direct map has; and what is the box's memory in use, where firmware may say what it likes of devices.
enum {
    DIRECT = 1 << MEM_RAM | 1 << MEM_BOOT | 1 << MEM_MODULE | 1 << MEM_EARLY,
    IN_USE = DIRECT | 1 << MEM_IMAGE | 1 << MEM_TRAMPOLINE
};

static struct boot_info boot;
static struct memmap map;
static struct acpi_info acpi;

static void warn(const char *sentence)
{
    log_warn("%s", sentence);
}

static _Noreturn void refuse(const char *sentence)
{
    report_bail_out(sentence);
    power_end(options.exit, 1);
}

// Before page tables and consoles: a loader that hands over rubbish is told on COM1.
static void read_boot_info(uint32_t magic, hpa_t info)
{
    enum { BOOT_INFO_MAX = 1 << 20 };
    struct reason why = {"not started by a Multiboot2 loader"};
    if (magic == MULTIBOOT2_MAGIC &&
        multiboot2_parse(hpa_to_virt(info), BOOT_INFO_MAX, &boot, warn, &why) == E_OK) {
        options_parse(boot.cmdline, &options, warn);
        return;
    }
    consoles_open(CONSOLE_COM1, NULL, NULL);
    refuse(why.text);
}

// Conventional memory is RAM on every PC; UEFI's GRUB leaves its information structure there.
static bool can_be_read(hpa_t at, uint64_t bytes)
{
    bool conventional = at.v >= PAGE_SIZE && at.v < CONVENTIONAL_END && bytes <= CONVENTIONAL_END - at.v;
    return conventional || memmap_bytes(&map, at, bytes, DIRECT) == bytes;
}

// What the page tables will lack is never touched. What the loader names outside of RAM was carved: they have that.
static void check_places(hpa_t info)
{
    if (!can_be_read(info, boot.total_bytes)) {
        consoles_open(CONSOLE_COM1, NULL, NULL);
        refuse("the boot loader's information is not in RAM");
    }
    for (uint32_t i = 0; i < boot.module_count; i++) {
        struct boot_module *m = &boot.modules[i];
        if (can_be_read(m->base, m->bytes))
            continue;
        log_warn("module %s: not in RAM at %lx, taken for empty", m->line, m->base.v);
        m->bytes = 0;
    }
}

static void build_memory_map(hpa_t info)
{
    memmap_init(&map);
    for (uint32_t i = 0; i < boot.range_count; i++)
        memmap_add(&map, boot.ranges[i].base.v, boot.ranges[i].bytes, boot.ranges[i].type);
    memmap_carve(&map, image_start_hpa(), image_end_hpa().v - image_start_hpa().v, MEM_IMAGE);
    memmap_carve(&map, info, boot.total_bytes, MEM_BOOT);
    for (uint32_t i = 0; i < boot.module_count; i++)
        if (boot.modules[i].bytes)
            memmap_carve(&map, boot.modules[i].base, boot.modules[i].bytes, MEM_MODULE);
    memmap_seal(&map);
    check_places(info);
}

// The next run of RAM at or behind frame `at`, neighbours joined so that large pages fit. Looked up anew
// each time: taking frames for the page tables changes the map.
static bool next_run(uint64_t at, struct mem_range *run)
{
    bool found = false;
    for (uint32_t i = 0; i < map.count; i++) {
        const struct mem_range *r = &map.range[i];
        if (!(DIRECT >> r->type & 1) || r->first < at)
            continue;
        if (!found)
            *run = *r, found = true;
        else if (r->first == run->end)
            run->end = r->end;
    }
    return found;
}

static pfn_t early_frame(void)
{
    return memmap_take(&map, 1, 1);
}

static pfn_t late_frame(void)
{
    return buddy_alloc(&frames, 0, OWNER_KERNEL);
}

static void build_page_tables(void)
{
    struct paging *p = &host_paging;
    bool built = paging_create(p, early_frame, cpu_has(FEATURE_PAGE1GB), cpu_has(FEATURE_NX)) &&
                 paging_map_image(p) && paging_map_stacks(p, 0);
    built = built && paging_map_ram(p, hpa(PAGE_SIZE), CONVENTIONAL_END - PAGE_SIZE);
    struct mem_range run = {.end = LOW_END >> PAGE_SHIFT};
    while (built && next_run(run.end, &run))
        built = paging_map_ram(p, pfn_to_hpa(pfn(run.first)), (run.end - run.first) << PAGE_SHIFT);
    if (!built)
        panic("no memory for the page tables");
    paging_load(p);
}

static bool is_device(const char *what, hpa_t at, uint64_t bytes)
{
    bool memory = memmap_bytes(&map, at, bytes, IN_USE);
    if (memory)
        log_warn("%s at %lx would be in RAM: not used", what, at.v);
    return !memory;
}

static void open_consoles(void)
{
    hpa_t at = boot.framebuffer.base;
    uint64_t bytes = framebuffer_bytes(&boot.framebuffer);
    void *base =
        bytes && is_device("screen", at, bytes) ? device_map(at, bytes, CACHE_WRITE_COMBINING) : NULL;
    consoles_open(options.console, base ? &boot.framebuffer : NULL, base);
    log_threshold = options.loglevel;
}

static void check_page_tables(void)
{
    struct paging_check c = paging_check_wx(hpa(read_cr3()), image_start_hpa(), image_end_hpa());
    char detail[120];
    format(detail, sizeof detail, "%s, page %lx, entry %lx", c.flaw, c.va, c.entry);
    report_point(c.flaw ? POINT_NOT_OK : POINT_OK, "micronova", "paging/write-xor-execute",
                 c.flaw ? detail : NULL);
}

static const void *map_table(hpa_t at, size_t bytes)
{
    return device_map(at, bytes, CACHE_WRITE_BACK);
}

static void read_acpi(void)
{
    enum { OEM_ID = 9 }; // in the Root System Description Pointer
    if (!boot.rsdp || acpi_parse(boot.rsdp, boot.rsdp_bytes, map_table, &acpi) != E_OK)
        log_warn("no ACPI tables that can be used: one processor, no power-off");
    power_init(&acpi, boot.rsdp ? (const char *)boot.rsdp + OEM_ID : NULL);
}

static void mask_ioapics(void)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < acpi.ioapic_count; i++) {
        struct acpi_ioapic a = acpi.ioapics[i];
        if (!is_device("I/O APIC", a.base, PAGE_SIZE))
            continue;
        ioapic_mask(a.base);
        acpi.ioapics[kept++] = a;
    }
    acpi.ioapic_count = kept;
}

static void init_interrupts(void)
{
    pic_mask();
    mask_ioapics();
    if (!lapic_init(acpi.lapic_base))
        refuse("no local APIC");
    lapic_timer_calibrate();
}

static bool route_isa(uint8_t irq, uint8_t vector)
{
    struct acpi_override o = acpi_isa_irq(&acpi, irq);
    const struct acpi_ioapic *a = acpi_ioapic_of(&acpi, o.gsi);
    return a && ioapic_route(a->base, o.gsi - a->gsi_base, o.flags, vector);
}

static void log_environment(void)
{
    log_info("Micronova " MICRONOVA_VERSION ", started by %s", boot.loader_name);
    log_info("processor %s, %s family %u model %x stepping %u, below us: %s", features.brand, features.vendor,
             features.family, features.model, features.stepping,
             *features.hypervisor ? features.hypervisor : "hardware");
    log_info("TSC %lu.%06lu MHz by %s, hand-over at %lu ticks", tsc_hz / 1000000, tsc_hz % 1000000,
             tsc_source, tsc_boot.v);
}

static pfn_t zeroed(unsigned order)
{
    pfn_t f = buddy_alloc(&frames, order, OWNER_KERNEL);
    if (!pfn_is_none(f))
        memset(pfn_to_virt(f), 0, PAGE_SIZE << order);
    return f;
}

// What a processor needs before it runs machines: run queue, timeouts, zeroed frames.
static bool equip_processor(struct pcpu *p)
{
    static struct runq runqs[PCPU_MAX];
    static struct timeouts heaps[PCPU_MAX];
    pfn_t heap = buddy_alloc(&frames, HEAP_ORDER, OWNER_KERNEL);
    if (pfn_is_none(heap))
        return false;
    timeouts_init(&heaps[p->id], pfn_to_virt(heap), HEAP_BYTES / sizeof(struct timeout *));
    runq_init(&runqs[p->id]);
    p->timeouts = &heaps[p->id];
    p->runq = &runqs[p->id];
    p->frames = mm_cpu_init(p->id);
    return true;
}

static bool prepare_processor(struct pcpu *p)
{
    pfn_t ring = zeroed(RING_ORDER);
    if (pfn_is_none(ring))
        return false;
    if (!equip_processor(p)) {
        buddy_free(&frames, ring, OWNER_KERNEL);
        return false;
    }
    report_add_ring(p, pfn_to_virt(ring), PAGE_SIZE << RING_ORDER);
    return true;
}

// The memory type of a leaf, from the MTRRs (SDM, "Memory Type Used for Translated Guest-Physical Addresses").
static bool leaf_type(hpa_t at, enum ept_level level, enum cache_type *type)
{
    uint64_t run;
    *type = mtrr_type(&mtrrs, at, &run);
    return run >= (uint64_t)PAGE_SIZE << 9 * level;
}

// Nearly always all RAM is write-back, and nobody needs to ask again.
static void init_memory_types(void)
{
    mtrr_read(&mtrrs);
    for (uint32_t i = 0; i < map.count; i++) {
        uint64_t at = map.range[i].first << PAGE_SHIFT, run;
        for (; map.range[i].type == MEM_RAM && at < map.range[i].end << PAGE_SHIFT; at += run)
            if (mtrr_type(&mtrrs, hpa(at), &run) != MT_WB) {
                log_info("RAM at %lx is not write-back: memory types by MTRRs, page by page", at);
                ept_features.memory_type = leaf_type;
                return;
            }
    }
}

static void start_processors(void)
{
    smp_start(&(struct smp_plan){
        .apic_ids = acpi.apic_ids,
        .count = acpi.cpu_count,
        .limit = options.cpus,
        .trampoline = map.trampoline,
        .differs = vmx_cpu_differs,
        .prepare = prepare_processor,
        .entry = run_processor,
    });
    run_wait_for_processors();
}

static void log_line(void *context, const char *line)
{
    (void)context;
    log_info("%s", line);
}

// Why the processor is not to virtualize local APICs; NULL: it may. Bochs 2.7 delivers a virtual interrupt to a guest
// that has interrupts off when an interrupt of the box comes in: processors that kick each other bring that about.
static const char *no_apicv(void)
{
    if (options.apicv == APICV_OFF)
        return "apicv=off";
    if (options.apicv == APICV_AUTO && power_on_bochs() && acpi.cpu_count > 1 && options.cpus != 1)
        return "Bochs goes wrong with it on several processors";
    return NULL;
}

static void init_vmx(void)
{
    struct reason why;
    enum error e = vmx_init(no_apicv(), &why);
    if (cpu_has(FEATURE_VMX))
        vmx_caps_text(&vmx_caps, log_line, NULL);
    if (e)
        refuse(why.text);
    enum dirty_method dirty = vmx_choose_dirty(options.dirty);
    log_info("writes are logged by %s%s", dirty_method_word(dirty),
             options.dirty < dirty ? ": this processor has nothing better" : "");
    if (vmx_init_cpu(&why))
        refuse(why.text);
    probe_signal_init(!power_on_bochs());
    microscope_init(options.report & REPORT_STATS);
    if (options.report & REPORT_STATS)
        sched_watch();
}

static void bring_up(void)
{
    open_consoles();
    if (mm_init(&map) != E_OK)
        refuse("no memory for the frame records");
    fail_alloc_init();
    host_paging.frame = late_frame;
    check_page_tables();
    read_acpi();
    tsc_init(acpi.pm_timer.space == ACPI_IO ? (uint16_t)acpi.pm_timer.address : 0);
    dev_host_init();
    log_environment();
    init_interrupts();
    if (!equip_processor(this_pcpu()))
        refuse("no memory for the boot processor's queues");
    init_vmx();
    init_memory_types();
    run_init();
    start_processors();
    report_use_timeouts(tsc_hz);
    log_info("bring-up took %lu ticks", rdtsc().v - tsc_boot.v);
    run_modules(&boot, route_isa);
}

// First C, on the boot stack and the boot page tables (boot/entry.asm).
void boot_main(uint32_t magic, uint32_t info);
void boot_main(uint32_t magic, uint32_t info)
{
    smp_init_boot();
    exception_init();
    report_start();
    features_read(&features);
    features_enable();
    read_boot_info(magic, hpa(info));
    build_memory_map(hpa(info));
    build_page_tables();
    stack_enter(slot_stack_top(0), bring_up);
}
