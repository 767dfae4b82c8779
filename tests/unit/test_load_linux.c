#include "kernel/loader.h"
#include "kernel/load.h"
#include "tests/host/load_machine.h"
#include "tests/host/read_file.h"

enum { IMAGE_BYTES = 0x2000, SETUP = 0x600, MIB = 1 << 20 };

static uint8_t image[IMAGE_BYTES];

static int begin(void **state)
{
    (void)state;
    return begin_with("console=ttyS0,115200", 8 * MIB);
}

static void put(size_t at, uint64_t v, size_t bytes)
{
    memcpy(image + at, &v, bytes);
}

static void make_kernel(void)
{
    for (size_t i = 0; i < IMAGE_BYTES; i++)
        image[i] = (uint8_t)(i * 7);
    memset(image + 0x1f1, 0, 0x290 - 0x1f1);
    put(0x1f1, 2, 1);
    put(0x1f4, (IMAGE_BYTES - SETUP) / 16, 4);
    put(0x1fe, 0xaa55, 2);
    put(0x201, 0x66, 1);
    memcpy(image + 0x202, "HdrS", 4);
    put(0x206, 0x20f, 2);
    put(0x211, 1, 1);
    put(0x214, MIB, 4);
    put(0x22c, 0x7fffffff, 4);
    put(0x234, 1, 1);
    put(0x236, 1, 2);
    put(0x238, 255, 4);
    put(0x258, 2 * MIB, 8);
    put(0x260, MIB, 4);
}

static enum error load(void)
{
    return load_bytes(image, sizeof(image));
}

static void refused(enum error e, const char *sentence)
{
    assert_int_equal(load(), e);
    assert_string_equal(why.text, sentence);
}

static uint32_t zero32(size_t at)
{
    uint32_t v;
    memcpy(&v, space->ram + start.gpr[RSI] + at, 4);
    return v;
}

static void sixty_four_bit_entry(void **state)
{
    (void)state;
    make_kernel();
    assert_int_equal(load(), E_OK);
    assert_int_equal(start.mode, START_LONG);
    assert_int_equal(start.rip, 2 * MIB + 0x200);
    assert_true(start.cr3 != 0);
    assert_memory_equal(space->ram + 2 * MIB, image + SETUP, IMAGE_BYTES - SETUP);
    assert_int_equal(((uint64_t *)(space->ram + start.gdt.v))[2], 0x00af9b000000ffff);
}

static void thirty_two_bit_entry(void **state)
{
    (void)state;
    make_kernel();
    put(0x236, 0, 2);
    assert_int_equal(load(), E_OK);
    assert_int_equal(start.mode, START_FLAT32);
    assert_int_equal(start.rip, 2 * MIB);
    assert_int_equal(start.gpr[RBP] | start.gpr[RDI] | start.gpr[RBX], 0);
    make_kernel();
    put(0x234, 0, 1); // not relocatable: loaded at code32_start, and it moves itself
    put(0x236, 0, 2);
    assert_int_equal(load(), E_OK);
    assert_int_equal(start.rip, MIB);
    make_kernel();
    put(0x206, 0x206, 2); // before pref_address, init_size and xloadflags
    assert_int_equal(load(), E_OK);
    assert_int_equal(start.mode, START_FLAT32);
    assert_int_equal(start.rip, MIB);
}

static void the_zero_page(void **state)
{
    (void)state;
    make_kernel();
    initrd = (struct blob){(const uint8_t *)"initial", 7};
    assert_int_equal(load(), E_OK);
    const uint8_t *z = space->ram + start.gpr[RSI];
    assert_int_equal(z[6], 3);     // orig_video_mode
    assert_int_equal(z[7], 80);    // orig_video_cols
    assert_int_equal(z[14], 25);   // orig_video_lines
    assert_int_equal(z[15], 1);    // orig_video_isVGA
    assert_int_equal(z[0x1ef], 0); // sentinel
    assert_memory_equal(z + 0x1f1, image + 0x1f1, 0x1fa - 0x1f1);
    assert_memory_equal(z + 0x22c, image + 0x22c, 0x268 - 0x22c);
    assert_int_equal(z[0x268], 0); // the header ends where its jump goes
    assert_int_equal(z[0x210], 0xff);
    assert_int_equal(zero32(0x214), 2 * MIB);
    assert_string_equal((char *)space->ram + zero32(0x228), "console=ttyS0,115200");
    assert_int_equal(zero32(0x218), 8 * MIB - PAGE_SIZE);
    assert_int_equal(zero32(0x21c), 7);
    assert_memory_equal(space->ram + zero32(0x218), "initial", 7);
    assert_int_equal(z[0x1e8], 3);
    static const uint64_t expected[3][3] = {
        {0,        0x9fc00,  1},
        {0x9fc00,  0x60400,  2},
        {0x100000, 0x700000, 1}
    };
    for (size_t i = 0; i < 3; i++) {
        assert_memory_equal(z + 0x2d0 + i * 20, expected[i], 16);
        assert_int_equal(zero32(0x2d0 + i * 20 + 16), expected[i][2]);
    }
    assert_int_equal(zero32(0x1e0), 7 * 1024);
}

static void initrd_below_its_limit(void **state)
{
    (void)state;
    make_kernel();
    put(0x22c, 5 * MIB - 1, 4);
    initrd = (struct blob){(const uint8_t *)"initial", 7};
    assert_int_equal(load(), E_OK);
    assert_int_equal(zero32(0x218), 5 * MIB - PAGE_SIZE);
    put(0x22c, 3 * MIB, 4); // would lie in the kernel
    assert_int_equal(load(), E_TOO_BIG);
}

static void kernels_that_lie(void **state)
{
    (void)state;
    make_kernel(), put(0x202, 0, 1);
    refused(E_UNSUPPORTED, "unknown format: neither an ELF file nor a Linux (HdrS) nor a Multiboot image");
    make_kernel(), put(0x206, 0x205, 2);
    refused(E_UNSUPPORTED, "Linux boot protocol 2.05 is too old: 2.06 is the oldest supported");
    make_kernel(), put(0x1fe, 0, 2);
    refused(E_MALFORMED, "the Linux setup header has no boot flag (AA55H)");
    make_kernel(), put(0x211, 0, 1);
    refused(E_UNSUPPORTED, "this is a zImage, which loads low: a bzImage is needed");
    make_kernel(), put(0x1f4, (IMAGE_BYTES - SETUP) / 16 + 1, 4);
    refused(E_MALFORMED, "the kernel is cut short: 8192 bytes of 8208");
    make_kernel(), put(0x1f4, UINT32_MAX, 4);
    assert_int_equal(load(), E_MALFORMED);
    make_kernel(), put(0x1f1, 0xff, 1);
    assert_int_equal(load(), E_MALFORMED);
    make_kernel(), put(0x258, 0x9000, 8);
    refused(E_MALFORMED, "the kernel wants to run at 0x9000, outside 1M to 4G");
    make_kernel(), put(0x258, UINT64_MAX, 8);
    refused(E_MALFORMED, "the kernel wants to run at 0xffffffffffffffff, outside 1M to 4G");
    make_kernel(), put(0x260, 54 * MIB, 4);
    refused(E_TOO_BIG, "the kernel needs mem= of at least 57344K");
    make_kernel(), put(0x260, 6 * MIB + 1, 4);
    refused(E_TOO_BIG, "the kernel needs mem= of at least 8193K");
    make_kernel(), put(0x260, 6 * MIB, 4);
    assert_int_equal(load(), E_OK);
    make_kernel(), put(0x258, 1ull << 32, 8);
    refused(E_MALFORMED, "the kernel wants to run at 0x100000000, outside 1M to 4G");
    make_kernel(), put(0x260, UINT32_MAX, 4);
    assert_int_equal(load(), E_TOO_BIG);
    make_kernel(), put(0x238, 19, 4);
    refused(E_TOO_BIG, "cmdline= has 20 bytes, and this kernel takes 19");
    make_kernel(), put(0x201, 0xff, 1); // a header beyond its place in the zero page
    assert_int_equal(load(), E_OK);
    assert_int_equal(zero32(0x290), 0);
}

static void truncated_anywhere(void **state)
{
    (void)state;
    make_kernel();
    for (size_t size = 0; size < IMAGE_BYTES - 15; size++)
        assert_true(load_bytes(image, size) != E_OK);
}

static void no_payload_for_the_64_bit_entry(void **state)
{
    (void)state;
    make_kernel();
    put(0x1f4, 1, 4);
    assert_int_equal(load_bytes(image, SETUP + 0x200), E_MALFORMED);
    assert_string_equal(why.text, "the kernel is cut short: its 64-bit entry is missing");
    assert_int_equal(load_bytes(image, SETUP + 0x201), E_OK);
    assert_int_equal(load_bytes(image, SETUP), E_MALFORMED);
}

// Debian's images, where they are installed or a boot test has fetched them.
static uint8_t *read_image(const char *name, size_t *size)
{
    static const char *const places[] = {"", "build/debian"};
    char path[128];
    uint8_t *bytes = NULL;
    for (size_t i = 0; i < array_size(places) && !bytes; i++) {
        snprintf(path, sizeof(path), "%s/boot/%s", places[i], name);
        bytes = read_file(path, size);
    }
    return bytes;
}

static void check_memtest(const char *name, enum start_mode mode, uint64_t entry)
{
    size_t size;
    uint8_t *bytes = read_image(name, &size);
    if (!bytes)
        return; // cmocka's skip() reads as a failure to prove
    m.mem = 2 * MIB;
    assert_int_equal(load_bytes(bytes, size), E_OK);
    assert_int_equal(start.mode, mode);
    assert_int_equal(start.rip, entry);
    assert_memory_equal(space->ram + MIB, bytes + 0x600, size - 0x600);
    assert_true(space->writes <= 2);
    m.mem = MIB + 0x10000;
    assert_int_equal(load_bytes(bytes, size), E_TOO_BIG);
    free(bytes);
}

static void memtest86_64_bit(void **state)
{
    (void)state;
    check_memtest("memtest86+x64.bin", START_LONG, MIB + 0x200);
}

static void memtest86_32_bit(void **state)
{
    (void)state;
    check_memtest("memtest86+ia32.bin", START_FLAT32, MIB);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sixty_four_bit_entry),   TEST(thirty_two_bit_entry), TEST(the_zero_page),
        TEST(initrd_below_its_limit), TEST(kernels_that_lie),     TEST(truncated_anywhere),
        TEST(memtest86_64_bit),       TEST(memtest86_32_bit),     TEST(no_payload_for_the_64_bit_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
