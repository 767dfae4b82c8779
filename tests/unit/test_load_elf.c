#include "kernel/loader.h"
#include "abi/micronova.h"
#include "tests/host/load_machine.h"
#include "tests/host/build_elf.h"

static int begin(void **state)
{
    (void)state;
    return begin_with("a b=c", 4 << 20);
}

static enum error load(const struct elf_file *f)
{
    return load_bytes(f->bytes, f->size);
}

static void refused(const struct elf_file *f, enum error e, const char *sentence)
{
    assert_int_equal(load(f), e);
    assert_string_equal(why.text, sentence);
}

static void elf64_starts_as_the_abi_says(void **state)
{
    (void)state;
    struct elf_file f = elf64();
    const struct start_info *info = (const void *)(space->ram + START_AREA);
    const uint64_t *gdt, *tables = (const void *)(space->ram);

    assert_int_equal(load(&f), E_OK);
    assert_int_equal(start.mode, START_LONG);
    assert_int_equal(start.rip, ELF_BASE + 16);
    assert_int_equal(start.gpr[RAX], START_MAGIC);
    assert_int_equal(start.gpr[RDI], START_AREA);
    assert_int_equal(start.gpr[RSP], 0);
    assert_int_equal(info->magic, START_MAGIC);
    assert_int_equal(info->abi_version, ABI_VERSION);
    assert_int_equal(info->size, sizeof(*info));
    assert_int_equal(info->vm_id, 7);
    assert_int_equal(info->mem_bytes, 4 << 20);
    assert_int_equal(info->tsc_hz, 1000000);
    assert_int_equal(info->initrd, 0);
    assert_string_equal(info->name, "guest");
    assert_string_equal((char *)space->ram + info->cmdline, "a b=c");
    assert_memory_equal(space->ram + ELF_BASE, "0123456789", 10);
    gdt = (const void *)(space->ram + start.gdt.v);
    assert_in_range(start.gdt.v, START_AREA, START_AREA_END - 32);
    assert_int_equal(start.gdt_limit, 31);
    assert_int_equal(gdt[2], 0x00af9b000000ffff);
    assert_int_equal(gdt[3], 0x00cf93000000ffff);

    uint64_t pdpt = tables[start.cr3 / 8] & ~0xfffull, directory = tables[pdpt / 8] & ~0xfffull;
    assert_int_equal(tables[start.cr3 / 8] & 0xfff, 3);
    assert_int_equal(tables[pdpt / 8 + 1], 0); // mem= has less than a GiB
    for (uint64_t i = 0; i < 512; i++)
        assert_int_equal(tables[directory / 8 + i], i << 21 | 0x83);
    assert_int_equal(tables[(directory + PAGE_SIZE) / 8], 0);
    assert_in_range(directory, START_AREA, START_AREA_END - PAGE_SIZE);
}

static void elf32_starts_flat(void **state)
{
    (void)state;
    struct elf_file f = elf32();
    assert_int_equal(load(&f), E_OK);
    assert_int_equal(start.mode, START_FLAT32);
    assert_int_equal(start.rip, ELF_BASE + 16);
    assert_int_equal(start.cr3, 0);
    assert_int_equal(((uint64_t *)(space->ram + start.gdt.v))[2], 0x00cf9b000000ffff);
    assert_memory_equal(space->ram + ELF_BASE, "0123456789", 10);
}

static void four_directories_for_four_gib(void **state)
{
    (void)state;
    struct elf_file f = elf64();
    const uint64_t *tables = (const void *)space->ram;
    m.mem = 5ull << 30; // the loader touches low memory only
    assert_int_equal(load(&f), E_OK);
    uint64_t last = tables[(start.cr3 + PAGE_SIZE) / 8 + 3] & ~0xfffull;
    assert_int_equal(last, START_AREA_END - PAGE_SIZE);
    assert_int_equal(tables[last / 8 + 511], 0xffe00083);
    assert_int_equal(tables[(start.cr3 + PAGE_SIZE) / 8 + 4], 0);
}

static void initrd_goes_high(void **state)
{
    (void)state;
    struct elf_file f = elf64();
    const struct start_info *info = (const void *)(space->ram + START_AREA);
    initrd = (struct blob){(const uint8_t *)"initial", 7};
    assert_int_equal(load(&f), E_OK);
    assert_int_equal(info->initrd, (4 << 20) - PAGE_SIZE);
    assert_int_equal(info->initrd_bytes, 7);
    assert_memory_equal(space->ram + info->initrd, "initial", 7);
    static uint8_t big[4 << 20];
    initrd = (struct blob){big, (4 << 20) - ELF_BASE - 0x3000}; // all there is behind the segments
    assert_int_equal(load(&f), E_OK);
    assert_int_equal(info->initrd, ELF_BASE + 0x3000);
    initrd.size++;
    assert_int_equal(load(&f), E_TOO_BIG);
    initrd.size = (4 << 20) - ELF_BASE;
    assert_int_equal(load(&f), E_TOO_BIG);
    assert_string_equal(why.text, "mem= leaves no room for the initrd of 3145728 bytes");
}

static void no_elf_at_all(void **state)
{
    (void)state;
    assert_int_equal(load_bytes("", 0), E_MALFORMED);
    assert_string_equal(why.text, "the file is empty");
    assert_int_equal(load_bytes("#!/bin/sh\n", 10), E_UNSUPPORTED);
    assert_string_equal(why.text,
                        "unknown format: neither an ELF file nor a Linux (HdrS) nor a Multiboot image");
    assert_int_equal(load_bytes("\177ELF", 4), E_MALFORMED);
}

static void truncated_anywhere(void **state)
{
    (void)state;
    struct elf_file files[2] = {elf64(), elf32()};
    for (size_t i = 0; i < array_size(files); i++)
        for (size_t size = 0; size < files[i].size; size++) {
            struct elf_file cut = files[i];
            cut.size = size;
            assert_true(load(&cut) != E_OK);
        }
}

static void headers_that_lie(void **state)
{
    (void)state;
    struct elf_file f = elf64();
    f.bytes[4] = 3;
    refused(&f, E_MALFORMED, "ELF header is cut short or of unknown class");
    f = elf64(), f.bytes[5] = 2;
    refused(&f, E_UNSUPPORTED, "ELF file is big-endian");
    f = elf64(), elf_put16(&f, 16, 3);
    refused(&f, E_UNSUPPORTED, "ELF file of type 3 is no executable (2): link it at fixed addresses");
    f = elf32(), elf_put16(&f, 18, 62);
    refused(&f, E_UNSUPPORTED, "32-bit ELF file for machine type 62 instead of 3");
    f = elf64(), elf_put16(&f, 18, 3);
    refused(&f, E_UNSUPPORTED, "64-bit ELF file for machine type 3 instead of 62");
    f = elf64(), elf_put16(&f, 54, 55);
    refused(&f, E_MALFORMED, "ELF segment headers of 55 bytes are too small");
    f = elf64(), elf_put16(&f, 56, 0xffff);
    refused(&f, E_MALFORMED, "ELF segment headers end beyond the file: it is cut short");
    f = elf64(), elf_put64(&f, 32, UINT64_MAX - 8);
    refused(&f, E_MALFORMED, "ELF segment headers end beyond the file: it is cut short");
    f = elf64(), elf_put16(&f, 56, 0);
    refused(&f, E_MALFORMED, "ELF file has no segment to load");
    f = elf64(), elf_put64(&f, 24, ELF_BASE + 0x3000);
    refused(&f, E_MALFORMED, "entry 0x103000 is outside its segments");
    f = elf64(), elf_put64(&f, 24, ELF_BASE - 1);
    refused(&f, E_MALFORMED, "entry 0xfffff is outside its segments");
}

static void segments_that_lie(void **state)
{
    (void)state;
    struct elf_file f = elf64();
    elf_segment(&f, 1, ELF_BASE + 0xfff, 0, 1, 1);
    refused(&f, E_MALFORMED, "segment 1 overlaps another one");
    f = elf64(), elf_segment(&f, 1, ELF_BASE + 0x2000, 0, 2, 1);
    refused(&f, E_MALFORMED, "segment 1 has more bytes in the file than in memory");
    f = elf64(), elf_segment(&f, 1, ELF_BASE + 0x2000, f.size, 1, 1);
    refused(&f, E_MALFORMED, "segment 1 ends beyond the file: it is cut short");
    f = elf64(), elf_segment(&f, 1, ELF_BASE + 0x2000, UINT64_MAX, 2, 2);
    refused(&f, E_MALFORMED, "segment 1 ends beyond the file: it is cut short");
    f = elf64(), elf_segment(&f, 1, UINT64_MAX - 1, 0, 0, 3);
    refused(&f, E_MALFORMED, "segment 1 overflows the address space");
    f = elf64(), elf_segment(&f, 1, ELF_BASE + 0x2000, 0, 0, UINT64_MAX);
    refused(&f, E_MALFORMED, "segment 1 overflows the address space");
    f = elf64(), elf_segment(&f, 1, 0x3ff000, 0, 0, 0x1001);
    refused(&f, E_TOO_BIG, "segment 1 ends at 0x400001, beyond mem= (0x400000)");
    f = elf64(), elf_segment(&f, 1, START_AREA_END - 1, 0, 0, 1);
    refused(&f, E_INVALID, "a segment touches 0x1000-0x7fff, which is for start information");
    f = elf64(), elf_segment(&f, 1, 0, 0, 0, START_AREA + 1);
    refused(&f, E_INVALID, "a segment touches 0x1000-0x7fff, which is for start information");
    f = elf64(), elf_put64(&f, 64 + 56 + 16, 0xffff800000200000);
    refused(&f, E_UNSUPPORTED,
            "virtual and physical addresses differ: link the guest to run where it is loaded");
    f = elf64(), elf_segment(&f, 1, 0, 0, 0, START_AREA);
    assert_int_equal(load(&f), E_OK);
    f = elf64(), elf_segment(&f, 1, START_AREA_END, f.size - 1, 1, 1); // the file's last byte
    assert_int_equal(load(&f), E_OK);
    f = elf64(), elf_segment(&f, 1, START_AREA_END, 0, 0, 0); // an empty one
    assert_int_equal(load(&f), E_OK);
}

static void too_many_segments(void **state)
{
    (void)state;
    static uint8_t bytes[64 + 40 * 56];
    struct elf_file f = elf64();
    memcpy(bytes, f.bytes, 64);
    bytes[56] = 40;
    for (size_t i = 0; i < 40; i++) {
        uint64_t at = ELF_BASE + i * 16, one = 1;
        memcpy(bytes + 64 + i * 56, f.bytes + 64, 56);
        memcpy(bytes + 64 + i * 56 + 24, &at, 8);
        memcpy(bytes + 64 + i * 56 + 32, &one, 8);
        memcpy(bytes + 64 + i * 56 + 40, &one, 8);
    }
    assert_int_equal(load_bytes(bytes, sizeof(bytes)), E_TOO_BIG);
    assert_string_equal(why.text, "more than 32 segments");
}

static void mem_too_small_for_the_start_area(void **state)
{
    (void)state;
    struct elf_file f = elf64();
    elf_segment(&f, 0, 0, 0, 16, 0x1000);
    elf_segment(&f, 1, 0, 0, 0, 0);
    elf_put64(&f, 24, 0);
    m.mem = 0x7000;
    refused(&f, E_TOO_BIG, "mem= is too small: start information alone needs 32K");
    m.mem = 0x8000;
    assert_int_equal(load(&f), E_OK);
}

static void the_box_runs_out_of_memory(void **state)
{
    (void)state;
    struct elf_file f = elf64();
    space->bytes = ELF_BASE + 10; // less than mem= says
    assert_true(load(&f) != E_OK);
    space->bytes = 0;
    assert_true(load(&f) != E_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(elf64_starts_as_the_abi_says),
        TEST(elf32_starts_flat),
        TEST(four_directories_for_four_gib),
        TEST(initrd_goes_high),
        TEST(no_elf_at_all),
        TEST(truncated_anywhere),
        TEST(headers_that_lie),
        TEST(segments_that_lie),
        TEST(too_many_segments),
        TEST(mem_too_small_for_the_start_area),
        TEST(the_box_runs_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
