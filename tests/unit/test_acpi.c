#include "arch/acpi.h"
#include "arch/log.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

// Tables at invented physical addresses; each in a block of exactly its size.
enum {
    TABLES_MAX = 16,
    RSDT = 0x1000,
    XSDT = 0x2000,
    MADT = 0x3000,
    FADT = 0x4000,
    DSDT = 0x5000,
    OTHER = 0x6000
};

static struct {
    uint64_t at;
    uint8_t *bytes;
    size_t size;
} tables[TABLES_MAX];
static size_t table_count;
static struct acpi_info info;
static uint8_t rsdp[36];

static const void *map(hpa_t at, size_t bytes)
{
    for (size_t i = 0; i < table_count; i++)
        if (at.v >= tables[i].at && at.v - tables[i].at <= tables[i].size &&
            bytes <= tables[i].size - (at.v - tables[i].at))
            return tables[i].bytes + (at.v - tables[i].at);
    return NULL;
}

static void put_checksum(uint8_t *p, size_t bytes, uint8_t *where)
{
    uint8_t sum = 0;
    *where = 0;
    for (size_t i = 0; i < bytes; i++)
        sum += p[i];
    *where = (uint8_t)-sum;
}

// A table with a header and `bytes` behind it, whose checksum is right. Returns its start.
static uint8_t *table(uint64_t at, const char *signature, const void *content, size_t bytes)
{
    uint8_t *p = calloc(1, 36 + bytes);
    uint32_t length = (uint32_t)(36 + bytes);
    memcpy(p, signature, 4);
    memcpy(p + 4, &length, 4);
    if (bytes)
        memcpy(p + 36, content, bytes);
    put_checksum(p, length, p + 9);
    tables[table_count].at = at;
    tables[table_count].bytes = p;
    tables[table_count++].size = length;
    return p;
}

static void change(uint8_t *p, size_t at, const void *bytes, size_t n)
{
    uint32_t length;
    memcpy(p + at, bytes, n);
    memcpy(&length, p + 4, 4);
    put_checksum(p, length, p + 9);
}

static void make_rsdp(uint8_t revision, uint32_t rsdt, uint64_t xsdt)
{
    uint32_t length = 36;
    memset(rsdp, 0, sizeof(rsdp));
    memcpy(rsdp, "RSD PTR ", 8);
    rsdp[15] = revision;
    memcpy(rsdp + 16, &rsdt, 4);
    memcpy(rsdp + 20, &length, 4);
    memcpy(rsdp + 24, &xsdt, 8);
    put_checksum(rsdp, 20, rsdp + 8);
    put_checksum(rsdp, 36, rsdp + 32);
}

// clang-format off
static const uint8_t madt[] = {
    0,    0,    0xe0, 0xfe, 1,    0,    0, 0,                               // LAPIC at fee00000h, PIC
    0,    8,    0,    0,    1,    0,    0, 0,                               // LAPIC 0 enabled
    0,    8,    1,    2,    1,    0,    0, 0,                               // LAPIC 2 enabled
    0,    8,    2,    4,    2,    0,    0, 0,                               // LAPIC 4 online capable
    0,    8,    3,    6,    0,    0,    0, 0,                               // LAPIC 6 unusable
    0,    8,    4,    0xff, 1,    0,    0, 0,                               // no LAPIC
    9,    16,   0,    0,    2,    0,    0, 0, 1, 0, 0, 0, 9, 0, 0, 0,       // x2APIC 2: known already
    9,    16,   0,    0,    0,    1,    0, 0, 1, 0, 0, 0, 9, 0, 0, 0,       // x2APIC 256
    77,   4,    0,    0,                                                    // of an unknown kind
    1,    12,   8,    0,    0,    0,    0xc0, 0xfe, 0, 0, 0, 0,             // I/O APIC 8
    2,    10,   0,    0,    2,    0,    0, 0, 0, 0,                         // IRQ 0 is GSI 2
    5,    12,   0,    0,    0,    0,    0, 0, 1, 0, 0, 0,                   // LAPIC at 4 GiB
};
// clang-format on

static uint8_t *make_madt(void)
{
    return table(MADT, "APIC", madt, sizeof(madt));
}

static uint8_t *make_fadt(size_t bytes)
{
    uint8_t f[300] = {0};
    uint32_t dsdt = DSDT, pm1a = 0x604, timer = 0x608, flags = 1 << 10;
    memcpy(f + 40, &dsdt, 4);
    memcpy(f + 64, &pm1a, 4);
    memcpy(f + 76, &timer, 4);
    memcpy(f + 112, &flags, 4);
    f[116] = 1, f[117] = 8, f[120] = 0xf9, f[121] = 0x0c; // port cf9h
    f[128] = 6;
    return table(FADT, "FACP", f + 36, bytes - 36);
}

static uint8_t *make_dsdt(void)
{
    static const uint8_t aml[] = {0x10, 0x20, 0x5c, 0x08, 0x5f, 0x53, 0x33, 0x5f, 0x12, 4,    1,    1, 0x08,
                                  0x5f, 0x53, 0x35, 0x5f, 0x12, 8,    4,    0x0a, 0x05, 0x0a, 0x07, 0, 0};
    return table(DSDT, "DSDT", aml, sizeof(aml));
}

static uint8_t *make_root(unsigned width)
{
    static const uint64_t wide[] = {MADT, FADT};
    static const uint32_t narrow[] = {MADT, FADT};
    return width == 8 ? table(XSDT, "XSDT", wide, sizeof(wide)) : table(RSDT, "RSDT", narrow, sizeof(narrow));
}

static int begin(void **state)
{
    (void)state;
    table_count = 0;
    log_threshold = LOG_ERROR;
    make_rsdp(2, RSDT, XSDT);
    return 0;
}

static int end(void **state)
{
    (void)state;
    while (table_count)
        free(tables[--table_count].bytes);
    return 0;
}

static void all_is_well(void **state)
{
    (void)state;
    make_root(8), make_madt(), make_fadt(244), make_dsdt();
    assert_int_equal(acpi_parse(rsdp, sizeof(rsdp), map, &info), E_OK);
    assert_int_equal(info.skipped, 0);
    assert_int_equal(info.cpu_count, 3);
    assert_int_equal(info.apic_ids[1], 2);
    assert_int_equal(info.apic_ids[2], 256);
    assert_int_equal(info.lapic_base.v, 0x100000000);
    assert_int_equal(info.ioapic_count, 1);
    assert_int_equal(info.ioapics[0].id, 8);
    assert_int_equal(info.ioapics[0].base.v, 0xfec00000);
    assert_int_equal(info.override_count, 1);
    assert_int_equal(info.overrides[0].gsi, 2);
    assert_int_equal(acpi_isa_irq(&info, 0).gsi, 2);
    assert_int_equal(acpi_isa_irq(&info, 4).gsi, 4); // no override: itself
    assert_ptr_equal(acpi_ioapic_of(&info, 4), &info.ioapics[0]);
    info.ioapics[info.ioapic_count++] = (struct acpi_ioapic){.gsi_base = 24};
    assert_ptr_equal(acpi_ioapic_of(&info, 23), &info.ioapics[0]);
    assert_ptr_equal(acpi_ioapic_of(&info, 24), &info.ioapics[1]);
    info.ioapic_count = 0;
    assert_null(acpi_ioapic_of(&info, 4));
    info.ioapic_count = 1;
    assert_int_equal(info.pm_timer.space, ACPI_IO);
    assert_int_equal(info.pm_timer.address, 0x608);
    assert_int_equal(info.pm1a_control.address, 0x604);
    assert_int_equal(info.pm1b_control.address, 0);
    assert_int_equal(info.reset.space, ACPI_IO);
    assert_int_equal(info.reset.address, 0xcf9);
    assert_int_equal(info.reset_value, 6);
    assert_true(info.has_s5);
    assert_int_equal(info.s5_a, 5);
    assert_int_equal(info.s5_b, 7);
}

static void the_old_root_will_do(void **state)
{
    (void)state;
    make_root(4), make_madt(), make_fadt(116), make_dsdt();
    make_rsdp(0, RSDT, 0xdead);
    assert_int_equal(acpi_parse(rsdp, 20, map, &info), E_OK);
    assert_int_equal(info.cpu_count, 3);
    assert_int_equal(info.pm1a_control.address, 0x604);
    assert_int_equal(info.reset.address, 0);
    make_rsdp(2, RSDT, XSDT); // its XSDT is not there
    assert_int_equal(acpi_parse(rsdp, 36, map, &info), E_OK);
    assert_int_equal(info.cpu_count, 3);
    assert_int_equal(info.skipped, 1);
    make_rsdp(2, RSDT, 0xdead);
    rsdp[33]++; // extended checksum
    assert_int_equal(acpi_parse(rsdp, 36, map, &info), E_OK);
    assert_int_equal(info.skipped, 0);
}

static void extended_registers_win(void **state)
{
    (void)state;
    make_root(8);
    uint8_t *f = make_fadt(244);
    static const uint8_t mmio[12] = {0, 32, 0, 3, 0, 0, 0, 0xfe, 1}, strange[12] = {2, 32, 0, 3, 8};
    change(f, 208, mmio, 12);
    change(f, 172, strange, 12);
    assert_int_equal(acpi_parse(rsdp, sizeof(rsdp), map, &info), E_OK);
    assert_int_equal(info.pm_timer.space, ACPI_MEMORY);
    assert_int_equal(info.pm_timer.address, 0x1fe000000);
    assert_int_equal(info.pm1a_control.space, ACPI_IO);
    assert_int_equal(info.pm1a_control.address, 0x604);
}

static void bad_root_pointers(void **state)
{
    (void)state;
    make_root(8), make_madt();
    assert_int_equal(acpi_parse(NULL, 0, map, &info), E_MALFORMED);
    assert_int_equal(acpi_parse(rsdp, 19, map, &info), E_MALFORMED);
    rsdp[0] = 'X';
    assert_int_equal(acpi_parse(rsdp, 36, map, &info), E_MALFORMED);
    make_rsdp(2, 0, 0);
    assert_int_equal(acpi_parse(rsdp, 36, map, &info), E_MALFORMED);
    make_rsdp(2, UINT32_MAX, UINT64_MAX);
    assert_int_equal(acpi_parse(rsdp, 36, map, &info), E_MALFORMED);
    assert_int_equal(info.skipped, 2);
    assert_int_equal(info.cpu_count, 0);
    make_rsdp(2, MADT, MADT); // not a root table
    assert_int_equal(acpi_parse(rsdp, 36, map, &info), E_MALFORMED);
    make_rsdp(2, RSDT, XSDT);
    rsdp[8]++;
    assert_int_equal(acpi_parse(rsdp, 36, map, &info), E_MALFORMED);
}

static void a_wrong_checksum_skips_that_table(void **state)
{
    (void)state;
    make_root(8);
    uint8_t *m = make_madt();
    make_fadt(244), make_dsdt();
    m[40]++;
    assert_int_equal(acpi_parse(rsdp, sizeof(rsdp), map, &info), E_OK);
    assert_int_equal(info.skipped, 1);
    assert_int_equal(info.cpu_count, 0);
    assert_int_equal(info.pm_timer.address, 0x608);
}

static void wrong_lengths_skip_that_table(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {0, 8, 35, 0x7fffffff, 0xffffffff, 4096};
    for (size_t i = 0; i < array_size(lengths); i++) {
        begin(NULL);
        make_root(8);
        uint8_t *m = make_madt();
        make_fadt(244), make_dsdt();
        memcpy(m + 4, &lengths[i], 4);
        assert_int_equal(acpi_parse(rsdp, sizeof(rsdp), map, &info), E_OK);
        assert_int_equal(info.skipped, 1);
        assert_int_equal(info.cpu_count, 0);
        assert_true(info.has_s5);
        end(NULL);
    }
}

static void tables_of_every_length(void **state)
{
    (void)state;
    for (size_t bytes = 36; bytes < 260; bytes++) {
        begin(NULL);
        make_root(8), make_fadt(bytes), make_dsdt();
        table(MADT, "APIC", madt, bytes - 36 < sizeof(madt) ? bytes - 36 : sizeof(madt));
        assert_int_equal(acpi_parse(rsdp, sizeof(rsdp), map, &info), E_OK);
        end(NULL);
    }
}

static void bad_madt_entries(void **state)
{
    (void)state;
    make_root(8);
    uint8_t *m = make_madt();
    change(m, 44 + 8 + 1, "\7", 1); // too short for its type; the next entry is out of step, and that is told
    assert_int_equal(acpi_parse(rsdp, sizeof(rsdp), map, &info), E_OK);
    assert_int_equal(info.cpu_count, 1);
    assert_true(info.skipped >= 2);
    change(m, 44 + 8 + 1, "\0", 1); // would never end
    assert_int_equal(acpi_parse(rsdp, sizeof(rsdp), map, &info), E_OK);
    assert_int_equal(info.cpu_count, 1);
    change(m, 44 + 8 + 1, "\xff", 1); // ends beyond the table
    assert_int_equal(acpi_parse(rsdp, sizeof(rsdp), map, &info), E_OK);
    assert_int_equal(info.cpu_count, 1);
}

static void more_processors_than_fit(void **state)
{
    (void)state;
    static uint8_t many[8 + 300 * 16];
    for (uint32_t i = 0; i < 300; i++) {
        uint8_t *e = many + 8 + i * 16;
        e[0] = 9, e[1] = 16, e[8] = 1;
        memcpy(e + 4, &i, 4);
    }
    make_root(8);
    table(MADT, "APIC", many, sizeof(many));
    assert_int_equal(acpi_parse(rsdp, sizeof(rsdp), map, &info), E_OK);
    assert_int_equal(info.cpu_count, ACPI_CPUS_MAX);
    assert_int_equal(info.apic_ids[ACPI_CPUS_MAX - 1], ACPI_CPUS_MAX - 1);
}

static void s5_packages(void **state)
{
    (void)state;
    static const struct {
        uint8_t aml[16];
        size_t bytes;
        bool found;
    } rows[] = {
        {{8, '_', 'S', '5', '_', 0x12, 6, 4, 0, 0, 0, 0},       12, true },
        {{8, '\\', '_', 'S', '5', '_', 0x12, 6, 4, 1, 0x0a, 5}, 12, true },
        {{8, '_', 'S', '5', '_', 0x12, 0x46, 0, 4, 0x0a, 5, 0}, 12, true },
        {{8, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 5, 0x0a},    11, false},
        {{8, '_', 'S', '5', '_', 0x12, 0xc6, 4, 0},             9,  false},
        {{8, '_', 'S', '5', '_', 0x12},                         6,  false},
        {{8, '_', 'S', '5', '_'},                               5,  false},
        {{8, '_', 'S', '5'},                                    4,  false},
        {{8, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 9, 0, 0},    12, false}, // SLP_TYP has three bits
        {{8, '_', 'S', '5', '_', 0x14, 6, 4, 0, 0, 0, 0},       12, false}, // a method
    };
    for (size_t i = 0; i < array_size(rows); i++) {
        begin(NULL);
        make_root(8), make_fadt(244);
        table(DSDT, "DSDT", rows[i].aml, rows[i].bytes);
        assert_int_equal(acpi_parse(rsdp, sizeof(rsdp), map, &info), E_OK);
        assert_int_equal(info.has_s5, rows[i].found);
        end(NULL);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_is_well),
        TEST(the_old_root_will_do),
        TEST(extended_registers_win),
        TEST(bad_root_pointers),
        TEST(a_wrong_checksum_skips_that_table),
        TEST(wrong_lengths_skip_that_table),
        TEST(tables_of_every_length),
        TEST(bad_madt_entries),
        TEST(more_processors_than_fit),
        TEST(s5_packages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
