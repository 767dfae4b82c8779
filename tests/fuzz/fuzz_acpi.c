// Any bytes as physical memory from 0, with the root pointer at its start; checksums are made right first,
// so that the inside of the tables is reached.
#include "arch/acpi.h"
#include "arch/log.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RSDP_BYTES = 36, BLOCKS_MAX = 4096 };

static uint8_t *ram;
static size_t ram_size;
static void *blocks[BLOCKS_MAX];
static size_t block_count;

static void fix_sum(uint8_t *p, size_t size, size_t at)
{
    uint8_t sum = 0;
    p[at] = 0;
    for (size_t i = 0; i < size; i++)
        sum += p[i];
    p[at] = (uint8_t)-sum;
}

// Each mapping is a block of its own, so that a step beyond it is seen.
static const void *map(hpa_t at, size_t bytes)
{
    if (at.v > ram_size || bytes > ram_size - at.v || block_count == BLOCKS_MAX)
        return NULL;
    uint8_t *copy = blocks[block_count++] = malloc(bytes);
    memcpy(copy, ram + at.v, bytes);
    if (bytes > 36)
        fix_sum(copy, bytes, 9);
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct acpi_info info;
    uint8_t rsdp[RSDP_BYTES];

    if (size < RSDP_BYTES)
        return 0;
    log_threshold = LOG_ERROR;
    ram = (uint8_t *)data;
    ram_size = size;
    memcpy(rsdp, data, sizeof(rsdp));
    memcpy(rsdp, "RSD PTR ", 8);
    fix_sum(rsdp, 20, 8);
    fix_sum(rsdp, RSDP_BYTES, 32);
    acpi_parse(rsdp, sizeof(rsdp), map, &info);
    if (info.cpu_count > ACPI_CPUS_MAX || info.ioapic_count > ACPI_IOAPICS_MAX ||
        info.override_count > ACPI_OVERRIDES_MAX)
        abort();
    while (block_count)
        free(blocks[--block_count]);
    return 0;
}
