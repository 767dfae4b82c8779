// What is written and read, and how a write is kept from ending the machine: INIT never reaches the first processor,
// which would start firmware that there is not, and SIPI leads to pages that begin with a jump back.
#include "guests/fuzz-devices/fuzz.h"

enum {
    DELIVERY = 7 << 8,
    DELIVERY_INIT = 5 << 8,
    DELIVERY_SIPI = 6 << 8,
    DELIVERY_BIT = 1 << 8,
    RTC_INDEX_MASK = 0x7f
};
enum { LAPIC_REGISTERS = 0x40, X2APIC_MSRS = 0x100, PAGE_BYTES = 4096, RARELY = 64 };

// Values that mean something more often than chance has it.
static uint32_t value(struct fuzzer *f)
{
    uint32_t r = random_of(&f->random);
    switch (random_of(&f->random) % 8) {
    case 0:
        return 0;
    case 1:
        return 1u << r % 32;
    case 2:
        return r & 0xff;
    case 3:
        return r % 4; // a timer of period 1
    case 4:
        return r & 0x7ffff; // an LVT entry
    case 5:
        return ~0u << r % 32;
    }
    return r;
}

static uint32_t no_init(uint32_t entry)
{
    return (entry & DELIVERY) == DELIVERY_INIT ? entry ^ DELIVERY_BIT : entry;
}

// Nor an NMI, that one could get on its way from SIPI to where it has handlers.
static uint32_t no_signal(uint32_t entry)
{
    entry = no_init(entry);
    return cpus > 1 && (entry & DELIVERY) == ICR_NMI ? entry ^ ICR_NMI : entry;
}

// ---- Local APIC ----

// INIT goes to one that is not the first, which may be this one, or to an absent one; SIPIs lead back.
static void write_icr(struct fuzzer *f, enum apic_mode mode)
{
    uint32_t icr = value(f), to = random_of(&f->random), delivery = icr & DELIVERY;
    if (to % 4)
        to %= cpus + 1;
    if (delivery == DELIVERY_INIT || (delivery == ICR_NMI && cpus > 1)) {
        icr &= ~(uint32_t)(ICR_OTHERS | ICR_LOGICAL);
        to = delivery == ICR_NMI ? 0 : 1 + to % (CPUS_MAX - 1);
    }
    if (delivery == DELIVERY_SIPI)
        icr |= RESTART_PAGES;
    local_send(mode, to, icr);
}

// By several instructions and widths.
static void write_page(struct fuzzer *f, volatile void *at, uint32_t v)
{
    const uint32_t *from = &v;
    switch (random_of(&f->random) % 12) {
    case 0:
        *(volatile uint8_t *)at = (uint8_t)v;
        break;
    case 1:
        *(volatile uint16_t *)at = (uint16_t)v;
        break;
    case 2:
        __asm__ volatile("xchgl %0, %1" : "+r"(v), "+m"(*(volatile uint32_t *)at));
        break;
    case 3:
        __asm__ volatile("stosl" : "+D"(at) : "a"(v) : "memory");
        break;
    case 4:
        __asm__ volatile("lock; btcl %1, %0" : "+m"(*(volatile uint32_t *)at) : "r"(v & 31) : "cc");
        break;
    case 5:
        __asm__ volatile("movsl" : "+D"(at), "+S"(from) : : "memory");
        break;
    default:
        *(volatile uint32_t *)at = v;
    }
}

static void write_lapic(struct fuzzer *f)
{
    enum apic_mode mode = apic_mode();
    uint32_t r = random_of(&f->random), reg = r % LAPIC_REGISTERS, v = value(f);
    if (r / 64 % 8 == 0)
        reg = APIC_ICR;
    if (mode == MODE_OFF || r / 512 % RARELY == 0)
        apic_change_mode(v);
    else if (reg == APIC_ICR)
        write_icr(f, mode);
    else if (reg == APIC_LVT_LINT0 || reg == APIC_LVT_LINT1)
        local_write(mode, reg, no_init(v));
    else if (mode == MODE_X2APIC)
        wrmsr(MSR_X2APIC + reg, r >> 20 & 15 ? v : (uint64_t)v << 32 | r);
    else
        write_page(f, (volatile uint8_t *)apic_at((enum apic_register)reg) + (r >> 20 & 7 ? 0 : r >> 24 & 15),
                   v);
}

static void read_lapic(struct fuzzer *f)
{
    enum apic_mode mode = apic_mode();
    uint32_t r = random_of(&f->random);
    volatile uint8_t *page = (volatile uint8_t *)apic_at((enum apic_register)0);
    if (mode == MODE_X2APIC)
        (void)rdmsr(MSR_X2APIC + r % X2APIC_MSRS);
    else if (mode == MODE_XAPIC && r & 1)
        (void)page[r / 2 % PAGE_BYTES];
    else if (mode == MODE_XAPIC)
        (void)*(volatile uint32_t *)(page + r / 2 % (PAGE_BYTES - 3));
}

static void write_deadline(struct fuzzer *f)
{
    wrmsr(MSR_TSC_DEADLINE, rdtsc() + (int32_t)value(f));
}

static void write_task_priority(struct fuzzer *f)
{
    uint64_t v = value(f) & 15;
    __asm__ volatile("mov %0, %%cr8" : : "r"(v) : "memory");
}

// ---- I/O APIC ----

static volatile uint32_t *ioapic(uint32_t offset)
{
    return (volatile uint32_t *)(word_t)((uint32_t)IOAPIC_PAGE + offset);
}

static void write_ioapic(struct fuzzer *f)
{
    uint32_t r = random_of(&f->random), v = no_signal(value(f));
    if (r % 8 == 0) {
        write_page(f, (volatile uint8_t *)ioapic(0) + IOAPIC_WINDOW + 1 + r / 8 % (PAGE_BYTES - 64), v);
        return;
    }
    *ioapic(0) = r & 8 ? IOAPIC_ENTRIES + r / 16 % (2 * IOAPIC_PINS) : v;
    *ioapic(IOAPIC_WINDOW) = v;
    f->writes++;
}

static void read_ioapic(struct fuzzer *f)
{
    (void)*(volatile uint32_t *)((volatile uint8_t *)ioapic(0) + random_of(&f->random) % (PAGE_BYTES - 3));
}

// ---- Ports ----

// The more often a port stands here, the more often it is tried.
static const uint16_t ports[] = {
    PIC1,    PIC1 + 1, PIC1 + 1, PIC2,     PIC2 + 1, ELCR,     ELCR + 1, PIT,
    PIT + 1, PIT + 2,  PIT + 3,  PIT + 3,  PORT_B,   RTC,      RTC + 1,  RTC + 1,
    UART,    UART + 1, UART + 2, UART + 3, UART + 4, UART + 5, UART + 6, UART + 7,
};

static void write_port(struct fuzzer *f)
{
    uint32_t r = random_of(&f->random), v = value(f);
    uint16_t port = ports[r % array_size(ports)];
    if (r / 64 % 16 == 0)
        outl(port, v);
    else if (r / 64 % 16 == 1)
        outw(port, (uint16_t)v);
    else
        outb(port, (uint8_t)v);
}

static void write_clock(struct fuzzer *f)
{
    uint32_t r = random_of(&f->random);
    outb(RTC, r % 4 ? 10 + r / 4 % 4 : r & RTC_INDEX_MASK);
    outb(RTC + 1, (uint8_t)value(f));
    f->writes++;
}

static void read_port(struct fuzzer *f)
{
    uint32_t r = random_of(&f->random);
    uint16_t port = ports[r % array_size(ports)];
    if (r / 64 % 16 == 0)
        (void)inl(port);
    else
        (void)inb(port);
}

static void (*const writers[])(struct fuzzer *) = {
    write_lapic, write_lapic, write_lapic, write_ioapic, write_port,          write_port,
    write_port,  write_port,  write_clock, write_lapic,  write_task_priority, write_deadline,
};
static void (*const readers[])(struct fuzzer *) = {read_lapic, read_ioapic, read_port, read_port};

void fuzz_step(struct fuzzer *f)
{
    uint32_t r = random_of(&f->random);
    if (r % 4 == 0) {
        readers[r / 4 % array_size(readers)](f);
        f->reads++;
        return;
    }
    writers[r / 4 % array_size(writers)](f);
    f->writes++;
}
