#include "arch/acpi.h"
#include "arch/bytes.h"
#include "arch/log.h"

// ACPI specification, "System Description Table Header".
enum { HEADER_BYTES = 36, TABLE_BYTES_MAX = 4 << 20, TABLES_MAX = 256 };

struct table { // one whose length and checksum are right
    const uint8_t *at;
    uint32_t bytes;
};

static bool checksum_ok(const uint8_t *p, size_t bytes)
{
    uint8_t sum = 0;
    while (bytes--)
        sum += *p++;
    return sum == 0;
}

// A signature is hostile bytes: only what prints goes into a log line.
static void signature_text(const uint8_t *signature, char text[5])
{
    for (int i = 0; i < 4; i++)
        text[i] = signature[i] >= '!' && signature[i] <= '~' ? (char)signature[i] : '?';
    text[4] = '\0';
}

static bool skip_table(struct acpi_info *out, const uint8_t *header, uint64_t at, const char *what)
{
    char name[5] = "?";
    if (header)
        signature_text(header, name);
    log_warn("ACPI table %s at %lx skipped: %s", name, at, what);
    out->skipped++;
    return false;
}

static const uint8_t *map_header(uint64_t at, acpi_map map, struct acpi_info *out)
{
    const uint8_t *header = at <= UINT64_MAX - TABLE_BYTES_MAX ? map(hpa(at), HEADER_BYTES) : NULL;
    if (!header)
        skip_table(out, NULL, at, "its address cannot be read");
    return header;
}

// Maps and checks the table at `at`.
static bool table_open(uint64_t at, const char *signature, acpi_map map, struct acpi_info *out,
                       struct table *t)
{
    const uint8_t *header = map_header(at, map, out);
    if (!header)
        return false;
    uint32_t bytes = get32(header + 4);
    if (memcmp(header, signature, 4) != 0)
        return skip_table(out, header, at, "it has another signature than it should");
    if (bytes < HEADER_BYTES || bytes > TABLE_BYTES_MAX)
        return skip_table(out, header, at, "its length is impossible");
    const uint8_t *all = map(hpa(at), bytes);
    if (!all)
        return skip_table(out, NULL, at, "it cannot be read to its end");
    if (!checksum_ok(all, bytes))
        return skip_table(out, all, at, "its checksum is wrong");
    *t = (struct table){all, bytes};
    return true;
}

static void add_cpu(struct acpi_info *out, uint32_t apic_id, uint32_t flags)
{
    enum { ENABLED = 1 };
    if (!(flags & ENABLED) || out->cpu_count == ACPI_CPUS_MAX)
        return;
    for (uint32_t i = 0; i < out->cpu_count; i++)
        if (out->apic_ids[i] == apic_id)
            return; // firmware may list one processor in both forms
    out->apic_ids[out->cpu_count++] = apic_id;
}

// ACPI specification, "Multiple APIC Description Table (MADT)": entries by type.
static void madt_lapic(const uint8_t *e, struct acpi_info *out)
{
    enum { ID_NONE = 0xff };
    if (e[3] != ID_NONE)
        add_cpu(out, e[3], get32(e + 4));
}

static void madt_x2apic(const uint8_t *e, struct acpi_info *out)
{
    if (get32(e + 4) != UINT32_MAX)
        add_cpu(out, get32(e + 4), get32(e + 8));
}

static void madt_ioapic(const uint8_t *e, struct acpi_info *out)
{
    if (out->ioapic_count < ACPI_IOAPICS_MAX)
        out->ioapics[out->ioapic_count++] =
            (struct acpi_ioapic){.id = e[2], .base = hpa(get32(e + 4)), .gsi_base = get32(e + 8)};
}

static void madt_override(const uint8_t *e, struct acpi_info *out)
{
    if (out->override_count < ACPI_OVERRIDES_MAX)
        out->overrides[out->override_count++] =
            (struct acpi_override){.irq = e[3], .gsi = get32(e + 4), .flags = get16(e + 8)};
}

static void madt_lapic_address(const uint8_t *e, struct acpi_info *out)
{
    out->lapic_base = hpa(get64(e + 4));
}

// clang-format off
static const struct {
    uint8_t bytes;
    void (*read)(const uint8_t *entry, struct acpi_info *out);
} madt_entries[] = {
    [0] = {8,  madt_lapic},
    [1] = {12, madt_ioapic},
    [2] = {10, madt_override},
    [5] = {12, madt_lapic_address},
    [9] = {16, madt_x2apic},
};
// clang-format on

static void skip_entry(struct acpi_info *out, unsigned type, unsigned bytes, uint32_t at)
{
    log_warn("ACPI MADT entry at +%x, type %u, %u bytes skipped: wrong length", at, type, bytes);
    out->skipped++;
}

static void read_madt(struct table t, struct acpi_info *out)
{
    enum { ENTRIES = 44 };
    if (t.bytes < ENTRIES) {
        skip_table(out, t.at, 0, "it is too short");
        return;
    }
    out->lapic_base = hpa(get32(t.at + 36));
    for (uint32_t at = ENTRIES; at + 2 <= t.bytes;) {
        const uint8_t *entry = t.at + at;
        unsigned type = entry[0], bytes = entry[1];
        if (bytes < 2 || bytes > t.bytes - at)
            return skip_entry(out, type, bytes, at); // where the next one starts is unknown
        if (type < array_size(madt_entries) && madt_entries[type].read) {
            if (bytes < madt_entries[type].bytes)
                skip_entry(out, type, bytes, at);
            else
                madt_entries[type].read(entry, out);
        }
        at += bytes;
    }
}

// A register of the FADT: the extended form where the table has it and it is set, else the old port.
static struct acpi_register fadt_register(struct table t, uint32_t old, uint32_t extended)
{
    enum { GAS_BYTES = 12 };
    if (extended + GAS_BYTES <= t.bytes) {
        const uint8_t *gas = t.at + extended;
        uint64_t address = get64(gas + 4);
        bool usable = gas[0] == ACPI_MEMORY || (gas[0] == ACPI_IO && address <= UINT16_MAX);
        if (address && usable)
            return (struct acpi_register){gas[0], address};
    }
    if (old && old + 4 <= t.bytes && get32(t.at + old) <= UINT16_MAX)
        return (struct acpi_register){ACPI_IO, get32(t.at + old)};
    return (struct acpi_register){ACPI_IO, 0};
}

// One element of the \_S5 package: ZeroOp, OneOp or a BytePrefix constant.
static const uint8_t *aml_small(const uint8_t *p, const uint8_t *end, uint8_t *value)
{
    enum { ZERO_OP = 0x00, ONE_OP = 0x01, BYTE_PREFIX = 0x0a };
    if (p < end && (*p == ZERO_OP || *p == ONE_OP)) {
        *value = *p;
        return p + 1;
    }
    if (end - p >= 2 && *p == BYTE_PREFIX) {
        *value = p[1];
        return p + 2;
    }
    return NULL;
}

// `p` stands behind the name _S5_: PackageOp, PkgLength, NumElements, elements.
static bool read_s5_package(const uint8_t *p, const uint8_t *end, struct acpi_info *out)
{
    enum { PACKAGE_OP = 0x12 };
    uint8_t a, b;
    if (end - p < 3 || *p != PACKAGE_OP)
        return false;
    p += 2 + (p[1] >> 6) + 1; // PkgLength says in its top bits how many bytes follow its first
    if (p >= end || !(p = aml_small(p, end, &a)) || !aml_small(p, end, &b) || a > 7 || b > 7)
        return false;
    out->has_s5 = true;
    out->s5_a = a;
    out->s5_b = b;
    return true;
}

// AML is not interpreted: every table in the field states \_S5 as Name(_S5, Package(){a, b, ...}) with
// constants, which its bytes show.
static void read_dsdt(struct table t, struct acpi_info *out)
{
    enum { NAME_OP = 0x08 };
    const uint8_t *end = t.at + t.bytes;
    for (const uint8_t *p = t.at + HEADER_BYTES; end - p >= 6; p++) {
        if (*p != NAME_OP)
            continue;
        const uint8_t *name = p[1] == '\\' ? p + 2 : p + 1;
        if (end - name >= 4 && memcmp(name, "_S5_", 4) == 0 && read_s5_package(name + 4, end, out))
            return;
    }
}

// ACPI specification, "Fixed ACPI Description Table (FADT)".
static void read_fadt(struct table t, acpi_map map, struct acpi_info *out)
{
    enum { DSDT = 40, PM1A_CNT = 64, PM1B_CNT = 68, PM_TMR = 76, FLAGS = 112, RESET_REG = 116 };
    enum { RESET_VALUE = 128, X_DSDT = 140, X_PM1A_CNT = 172, X_PM1B_CNT = 184, X_PM_TMR = 208 };
    enum { RESET_REG_SUP = 1 << 10 };
    struct table dsdt;

    if (t.bytes < FLAGS + 4) {
        skip_table(out, t.at, 0, "it is too short");
        return;
    }
    out->pm1a_control = fadt_register(t, PM1A_CNT, X_PM1A_CNT);
    out->pm1b_control = fadt_register(t, PM1B_CNT, X_PM1B_CNT);
    out->pm_timer = fadt_register(t, PM_TMR, X_PM_TMR);
    if ((get32(t.at + FLAGS) & RESET_REG_SUP) && t.bytes > RESET_VALUE) {
        out->reset = fadt_register(t, 0, RESET_REG);
        out->reset_value = t.at[RESET_VALUE];
    }
    uint64_t at = t.bytes >= X_DSDT + 8 ? get64(t.at + X_DSDT) : 0;
    if (!at)
        at = get32(t.at + DSDT);
    if (at && table_open(at, "DSDT", map, out, &dsdt))
        read_dsdt(dsdt, out);
}

// Whether `at` has a table of this signature, the first that is sound.
static bool is_wanted(uint64_t at, const uint8_t *header, const char *signature, acpi_map map,
                      struct acpi_info *out, struct table *t)
{
    return !t->at && memcmp(header, signature, 4) == 0 && table_open(at, signature, map, out, t);
}

static void read_root(struct table root, unsigned width, acpi_map map, struct acpi_info *out)
{
    struct table madt = {0}, fadt = {0};
    uint32_t count = (root.bytes - HEADER_BYTES) / width;
    for (uint32_t i = 0; i < count && i < TABLES_MAX; i++) {
        const uint8_t *entry = root.at + HEADER_BYTES + (size_t)i * width;
        uint64_t at = width == 8 ? get64(entry) : get32(entry);
        const uint8_t *header = at ? map_header(at, map, out) : NULL;
        if (!header)
            continue;
        if (is_wanted(at, header, "APIC", map, out, &madt))
            read_madt(madt, out);
        else if (is_wanted(at, header, "FACP", map, out, &fadt))
            read_fadt(fadt, map, out);
    }
}

// ACPI specification, "Root System Description Pointer (RSDP)".
enum error acpi_parse(const void *rsdp, size_t bytes, acpi_map map, struct acpi_info *out)
{
    enum { OLD_BYTES = 20, NEW_BYTES = 36, REVISION = 15, RSDT = 16, LENGTH = 20, XSDT = 24 };
    const uint8_t *p = rsdp;
    struct table root;

    memset(out, 0, sizeof(*out));
    if (!p || bytes < OLD_BYTES || memcmp(p, "RSD PTR ", 8) != 0 || !checksum_ok(p, OLD_BYTES)) {
        log_warn("ACPI root pointer skipped: %s",
                 p ? "wrong length, signature or checksum" : "none was given");
        out->skipped++;
        return E_MALFORMED;
    }
    uint32_t length = p[REVISION] >= 2 && bytes >= NEW_BYTES ? get32(p + LENGTH) : 0;
    bool extended = length >= NEW_BYTES && length <= bytes && checksum_ok(p, length);
    if (extended && get64(p + XSDT) && table_open(get64(p + XSDT), "XSDT", map, out, &root))
        read_root(root, 8, map, out);
    else if (get32(p + RSDT) && table_open(get32(p + RSDT), "RSDT", map, out, &root))
        read_root(root, 4, map, out);
    else
        return E_MALFORMED;
    return E_OK;
}

struct acpi_override acpi_isa_irq(const struct acpi_info *info, uint8_t irq)
{
    for (uint32_t i = 0; i < info->override_count; i++)
        if (info->overrides[i].irq == irq)
            return info->overrides[i];
    return (struct acpi_override){.irq = irq, .gsi = irq};
}

const struct acpi_ioapic *acpi_ioapic_of(const struct acpi_info *info, uint32_t gsi)
{
    const struct acpi_ioapic *best = NULL;
    for (uint32_t i = 0; i < info->ioapic_count; i++) {
        const struct acpi_ioapic *a = &info->ioapics[i];
        if (a->gsi_base <= gsi && (!best || a->gsi_base > best->gsi_base))
            best = a;
    }
    return best;
}
