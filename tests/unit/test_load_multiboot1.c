#include "kernel/loader.h"
#include "kernel/load.h"
#include "tests/host/build_elf.h"
#include "tests/host/load_machine.h"
#include "tests/host/read_file.h"

enum { FLAGS = 4, HEADER_ADDR = 12, LOAD_ADDR = 16, LOAD_END = 20, BSS_END = 24, ENTRY = 28 };
enum { ADDRESSES = 1 << 16, IMAGE_BYTES = 256, HEADER_AT = 64 };

static uint8_t image[IMAGE_BYTES];

static int begin(void **state)
{
    (void)state;
    return begin_with("a b=c", 4 << 20);
}

static uint32_t at32(uint64_t at)
{
    uint32_t v;
    memcpy(&v, space->ram + at, 4);
    return v;
}

static uint64_t at64(uint64_t at)
{
    return at32(at) | (uint64_t)at32(at + 4) << 32;
}

static void put_header(uint8_t *p, uint32_t flags)
{
    uint32_t words[3] = {0x1badb002, flags, -(0x1badb002 + flags)};
    memcpy(p, words, sizeof(words));
}

static void put(uint32_t field, uint32_t v)
{
    memcpy(image + HEADER_AT + field, &v, 4);
}

// An image whose header gives addresses; it is loaded from 16 bytes before the header.
static void make_image(uint32_t flags)
{
    for (size_t i = 0; i < IMAGE_BYTES; i++)
        image[i] = (uint8_t)i;
    put_header(image + HEADER_AT, flags);
    put(HEADER_ADDR, 0x100010);
    put(LOAD_ADDR, 0x100000);
    put(LOAD_END, 0x100080);
    put(BSS_END, 0x101000);
    put(ENTRY, 0x100030);
}

static void refused(enum error e, const char *sentence)
{
    assert_int_equal(load_bytes(image, sizeof(image)), e);
    assert_string_equal(why.text, sentence);
}

static void an_image_with_addresses(void **state)
{
    (void)state;
    make_image(ADDRESSES | 3);
    assert_int_equal(load_bytes(image, sizeof(image)), E_OK);
    assert_int_equal(start.mode, START_FLAT32);
    assert_int_equal(start.rip, 0x100030);
    assert_int_equal(start.gpr[RAX], 0x2badb002);
    assert_memory_equal(space->ram + 0x100000, image + HEADER_AT - 16, 0x80);
    assert_int_equal(space->ram[0x100080], 0);
}

static void the_boot_information(void **state)
{
    (void)state;
    make_image(ADDRESSES | 3);
    initrd = (struct blob){(const uint8_t *)"initial", 7};
    strcpy(m.initrd, "data");
    assert_int_equal(load_bytes(image, sizeof(image)), E_OK);
    uint64_t info = start.gpr[RBX];
    assert_int_equal(at32(info), 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9 | 1 << 12);
    assert_int_equal(at32(info + 4), 639);
    assert_int_equal(at32(info + 8), 3072);
    assert_string_equal((char *)space->ram + at32(info + 16), "guest a b=c");
    assert_string_equal((char *)space->ram + at32(info + 64), "Micronova");
    assert_int_equal(at32(info + 20), 1);
    uint32_t module = at32(info + 24);
    assert_int_equal(at32(module + 4) - at32(module), 7);
    assert_memory_equal(space->ram + at32(module), "initial", 7);
    assert_string_equal((char *)space->ram + at32(module + 8), "data");
    assert_int_equal(at32(info + 44), 3 * 24);
    uint64_t map = at32(info + 48);
    static const uint64_t expected[3][3] = {
        {0,        0x9fc00,  1},
        {0x9fc00,  0x60400,  2},
        {0x100000, 0x300000, 1}
    };
    for (size_t i = 0; i < 3; i++, map += 24) {
        assert_int_equal(at32(map), 20);
        assert_int_equal(at64(map + 4), expected[i][0]);
        assert_int_equal(at64(map + 12), expected[i][1]);
        assert_int_equal(at32(map + 20), expected[i][2]);
    }
    assert_int_equal(at64(info + 88), 0xb8000);
    assert_int_equal(at32(info + 96), 160);
    assert_int_equal(at32(info + 100), 80);
    assert_int_equal(at32(info + 104), 25);
}

static void defaults_of_the_header(void **state)
{
    (void)state;
    make_image(ADDRESSES);
    put(LOAD_END, 0); // to the end of the file
    put(BSS_END, 0);  // no bss
    assert_int_equal(load_bytes(image, sizeof(image)), E_OK);
    assert_memory_equal(space->ram + 0x100000, image + HEADER_AT - 16, IMAGE_BYTES - HEADER_AT + 16);
}

static void headers_that_lie(void **state)
{
    (void)state;
    make_image(ADDRESSES | 8);
    refused(E_UNSUPPORTED, "Multiboot header requires unknown features (flags 0x8)");
    make_image(0);
    refused(E_MALFORMED, "Multiboot image without addresses is no ELF file either");
    make_image(ADDRESSES), put(HEADER_ADDR, 0xfffff);
    refused(E_MALFORMED, "Multiboot header_addr does not fit load_addr");
    make_image(ADDRESSES), put(HEADER_ADDR, 0x100000 + HEADER_AT + 1);
    refused(E_MALFORMED, "Multiboot header_addr does not fit load_addr");
    make_image(ADDRESSES), put(LOAD_END, 0xfffff);
    refused(E_MALFORMED, "Multiboot load_end_addr is beyond the file: it is cut short");
    make_image(ADDRESSES), put(LOAD_END, 0x100000 + IMAGE_BYTES);
    refused(E_MALFORMED, "Multiboot load_end_addr is beyond the file: it is cut short");
    make_image(ADDRESSES), put(BSS_END, 0x10007f);
    refused(E_MALFORMED, "Multiboot bss_end_addr is below load_end_addr");
    make_image(ADDRESSES), put(BSS_END, 0xffffffff);
    refused(E_TOO_BIG, "the image ends at 0xffffffff, beyond mem= (0x400000)");
    make_image(ADDRESSES), put(ENTRY, 0x101000);
    refused(E_MALFORMED, "entry 0x101000 is outside the image");
    make_image(ADDRESSES), put(ENTRY, 0);
    refused(E_MALFORMED, "entry 0x0 is outside the image");
    make_image(ADDRESSES), put(HEADER_ADDR, 0x1010), put(LOAD_ADDR, 0x1000), put(LOAD_END, 0x1080),
        put(BSS_END, 0), put(ENTRY, 0x1030);
    refused(E_INVALID, "the image touches 0x1000-0x1fff, which is for boot information");
    make_image(ADDRESSES), put(FLAGS, ADDRESSES | 1); // the checksum is wrong now
    refused(E_UNSUPPORTED, "unknown format: neither an ELF file nor a Linux (HdrS) nor a Multiboot image");
}

static void no_room_for_boot_information(void **state)
{
    (void)state;
    make_image(ADDRESSES), put(HEADER_ADDR, 0x10), put(LOAD_ADDR, 0), put(LOAD_END, 0x80), put(BSS_END, 0),
        put(ENTRY, 0x30);
    m.mem = PAGE_SIZE;
    refused(E_NO_MEMORY, "start information needs the page at 0x1000, which mem= or the box cannot give");
    m.mem = 2 * PAGE_SIZE;
    assert_int_equal(load_bytes(image, sizeof(image)), E_OK);
}

static void truncated_anywhere(void **state)
{
    (void)state;
    make_image(ADDRESSES);
    for (size_t size = 0; size < HEADER_AT - 16 + 0x80; size++)
        assert_true(load_bytes(image, size) != E_OK);
}

static void the_header_stands_in_the_first_8_kib(void **state)
{
    (void)state;
    static uint8_t big[16384];
    for (size_t at = 8192 - 40; at < 8192 + 8; at += 4) {
        make_image(ADDRESSES);
        memset(big, 0, sizeof(big));
        memcpy(big + at, image + HEADER_AT, 32);
        assert_int_equal(load_bytes(big, sizeof(big)), at + 12 <= 8192 ? E_OK : E_UNSUPPORTED);
    }
    memset(big, 0, sizeof(big));
    memcpy(big + 66, image + HEADER_AT, 32); // not aligned
    assert_int_equal(load_bytes(big, sizeof(big)), E_UNSUPPORTED);
}

static void elf_files_with_a_header(void **state)
{
    (void)state;
    struct elf_file f = elf32();
    put_header(f.bytes + 84, 3);
    assert_int_equal(load_bytes(f.bytes, f.size), E_OK);
    assert_int_equal(start.gpr[RAX], 0x2badb002);
    assert_int_equal(start.rip, ELF_BASE + 16);
    elf_put32(&f, 60, 0xc0000000), elf_put32(&f, 24, 0xc0000010); // virtual addresses of its own
    assert_int_equal(load_bytes(f.bytes, f.size), E_OK);
    assert_int_equal(start.rip, ELF_BASE + 16);
    assert_memory_equal(space->ram + ELF_BASE + 12, "2345", 4);
    f = elf64();
    put_header(f.bytes + 64 + 2 * 56, 3);
    assert_int_equal(load_bytes(f.bytes, f.size), E_OK);
    assert_int_equal(start.mode, START_FLAT32);
    for (size_t size = 0; size < f.size; size++)
        assert_true(load_bytes(f.bytes, size) != E_OK);
}

static void an_entry_beyond_32_bits(void **state)
{
    (void)state;
    struct elf_file f = elf64();
    put_header(f.bytes + 64 + 2 * 56, 3);
    m.mem = 8ull << 30;
    elf_segment(&f, 0, 1ull << 32, 64 + 2 * 56, ELF_CONTENT, 0x1000);
    elf_put64(&f, 24, 1ull << 32);
    assert_int_equal(load_bytes(f.bytes, f.size), E_MALFORMED);
    assert_string_equal(why.text,
                        "entry 0x100000000 is a 64-bit address, and Multiboot starts in 32-bit mode");
}

// The game as Debian packages it.
static void grub_invaders(void **state)
{
    (void)state;
    size_t size;
    void *bytes = read_file("/boot/invaders.exec", &size);
    if (!bytes)
        bytes = read_file("build/debian/boot/invaders.exec", &size);
    if (!bytes)
        return; // cmocka's skip() reads as a failure to prove
    m.mem = 2 << 20;
    assert_int_equal(load_bytes(bytes, size), E_OK);
    assert_int_equal(start.rip, 0x100024);
    assert_memory_equal(space->ram + 0x100000, (uint8_t *)bytes + 0x80, 0x19d8);
    assert_int_equal(space->ram[0x1019d8], 0);
    m.mem = 1 << 20;
    assert_int_equal(load_bytes(bytes, size), E_TOO_BIG);
    free(bytes);
}

static void memory_maps(void **state)
{
    (void)state;
    struct pc_range map[PC_RANGES_MAX];
    assert_int_equal(load_pc_map(0x1000, map), 1);
    assert_int_equal(map[0].bytes, 0x1000);
    assert_int_equal(load_pc_map(0x9fc00, map), 1);
    assert_int_equal(load_pc_map(0xa0000, map), 2);
    assert_int_equal(map[1].bytes, 0x400);
    assert_int_equal(load_pc_map(0x100000, map), 2);
    assert_int_equal(load_pc_map(0x101000, map), 3);
    assert_int_equal(map[2].bytes, 0x1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_image_with_addresses),
        TEST(the_boot_information),
        TEST(defaults_of_the_header),
        TEST(headers_that_lie),
        TEST(no_room_for_boot_information),
        TEST(truncated_anywhere),
        TEST(the_header_stands_in_the_first_8_kib),
        TEST(elf_files_with_a_header),
        TEST(an_entry_beyond_32_bits),
        TEST(grub_invaders),
        TEST(memory_maps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
