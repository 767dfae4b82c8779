#include "boot/multiboot2.h"
#include "tests/host/read_file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

// A structure under construction, then parsed from a block of exactly its size.
static struct {
    uint8_t bytes[64 << 10];
    uint32_t used;
} b;
static struct boot_info info;
static struct reason why;
static unsigned complaints;
static char last[256];

static void complain(const char *sentence)
{
    complaints++;
    strncpy(last, sentence, sizeof(last) - 1);
}

static void begin(void)
{
    memset(&b, 0, sizeof(b));
    b.used = 8;
    complaints = 0;
    last[0] = '\0';
}

static uint8_t *tag(uint32_t type, const void *content, uint32_t bytes)
{
    uint8_t *at = b.bytes + b.used;
    uint32_t header[2] = {type, bytes + 8};
    memcpy(at, header, 8);
    if (bytes)
        memcpy(at + 8, content, bytes);
    b.used += (uint32_t)align_up(bytes + 8, 8);
    return at;
}

static void memory_map(void)
{
    static const struct __attribute__((packed)) {
        uint32_t size, version;
        struct {
            uint64_t base, bytes;
            uint32_t type, zero;
        } e[4];
    } map = {
        24,
        0,
        {{0, 0x9fc00, 1, 0}, {0x100000, 0x3f00000, 1, 0}, {0xfffffffffffff000, 0x2000, 9, 0}, {5, 0, 1, 0}}
    };
    tag(6, &map, sizeof(map));
}

static void *parsed; // the copy that strings point into

static enum error parse(void)
{
    memcpy(b.bytes, &b.used, 4);
    free(parsed);
    parsed = malloc(b.used);
    memcpy(parsed, b.bytes, b.used);
    return multiboot2_parse(parsed, b.used, &info, complain, &why);
}

static enum error finish(void)
{
    tag(0, NULL, 0);
    return parse();
}

static void module(uint32_t start, uint32_t end, const char *line)
{
    uint8_t content[600];
    memcpy(content, &start, 4);
    memcpy(content + 4, &end, 4);
    memcpy(content + 8, line, strlen(line) + 1);
    tag(3, content, 8 + (uint32_t)strlen(line) + 1);
}

static void what_grub_hands_over(void **state)
{
    (void)state;
    size_t size;
    void *bytes = read_file("tests/data/grub-2.06-multiboot2.bin", &size);
    assert_non_null(bytes);
    complaints = 0;
    assert_int_equal(multiboot2_parse(bytes, size, &info, complain, &why), E_OK);
    assert_int_equal(complaints, 0);
    assert_int_equal(info.total_bytes, size);
    assert_string_equal(info.cmdline, "console=com1 loglevel=debug \"a b\"");
    assert_string_equal(info.loader_name, "GRUB 2.06-13+deb12u2");
    assert_int_equal(info.module_count, 17);
    assert_string_equal(info.modules[0].line, "linux mem=192M \"cmdline=console=ttyS0 quiet\" initrd=rootfs");
    assert_int_equal(info.modules[0].bytes, 3);
    assert_int_equal(info.modules[11].bytes, 0);
    assert_string_equal(info.modules[13].line, "");
    assert_int_equal(info.range_count, 7);
    assert_int_equal(info.ranges[3].base.v, 0x100000);
    assert_int_equal(info.ranges[3].type, MEMORY_RAM);
    assert_int_equal(info.framebuffer.type, FRAMEBUFFER_RGB);
    assert_int_equal(info.framebuffer.base.v, 0xfd000000);
    assert_int_equal(info.framebuffer.width, 1280);
    assert_int_equal(info.framebuffer.height, 800);
    assert_int_equal(info.framebuffer.pitch, 5120);
    assert_int_equal(info.framebuffer.bits, 32);
    assert_int_equal(info.framebuffer.red_at, 16);
    assert_int_equal(info.framebuffer.green_at, 8);
    assert_int_equal(info.framebuffer.blue_at, 0);
    assert_int_equal(info.rsdp_bytes, 20);
    assert_memory_equal(info.rsdp, "RSD PTR ", 8);
    free(bytes);
}

static void the_whole_is_unusable(void **state)
{
    (void)state;
    uint64_t words[4] = {32};
    assert_int_equal(multiboot2_parse((char *)words + 4, 28, &info, NULL, &why), E_MALFORMED);
    assert_int_equal(multiboot2_parse(words, 0, &info, NULL, &why), E_MALFORMED);
    assert_int_equal(multiboot2_parse(words, 7, &info, NULL, &why), E_MALFORMED);
    assert_int_equal(multiboot2_parse(words, 31, &info, NULL, &why), E_MALFORMED);
    assert_string_equal(why.text, "Multiboot2 information claims 32 bytes of 31");
    words[0] = 15;
    assert_int_equal(multiboot2_parse(words, 32, &info, NULL, &why), E_MALFORMED);
    begin();
    assert_int_equal(finish(), E_MALFORMED);
    assert_string_equal(why.text, "the boot loader gave no memory map");
    assert_string_equal(info.cmdline, "");
}

static void memory_ranges(void **state)
{
    (void)state;
    begin();
    memory_map();
    assert_int_equal(finish(), E_OK);
    assert_int_equal(info.range_count, 3);
    assert_int_equal(info.ranges[2].type, MEMORY_RESERVED);
    assert_int_equal(info.ranges[2].bytes, 0x1000);
    assert_int_equal(complaints, 0);
}

static void map_entries_of_another_size(void **state)
{
    (void)state;
    struct {
        uint32_t size, version;
        uint64_t e[2][4];
    } map = {
        32, 0, {{0, 0x1000, 1, 0}, {0x2000, 0x1000, 3, 0}}
    };
    begin();
    tag(6, &map, sizeof(map));
    assert_int_equal(finish(), E_OK);
    assert_int_equal(info.range_count, 2);
    assert_int_equal(info.ranges[1].base.v, 0x2000);
    assert_int_equal(info.ranges[1].type, MEMORY_ACPI);
    for (uint32_t size = 0; size < 24; size++) {
        begin();
        map.size = size;
        tag(6, &map, sizeof(map));
        assert_int_equal(finish(), E_MALFORMED);
        assert_int_equal(complaints, 1);
    }
    begin();
    map.size = 0xfffffff8;
    tag(6, &map, sizeof(map));
    assert_int_equal(finish(), E_MALFORMED);
}

static void too_many_ranges(void **state)
{
    (void)state;
    static struct {
        uint32_t size, version;
        struct {
            uint64_t base, bytes, type;
        } e[BOOT_RANGES_MAX + 3];
    } map = {24, 0, {{0}}};
    for (size_t i = 0; i < array_size(map.e); i++)
        map.e[i].base = i << 12, map.e[i].bytes = 4096, map.e[i].type = 1;
    begin();
    tag(6, &map, sizeof(map));
    assert_int_equal(finish(), E_MALFORMED);
    assert_non_null(strstr(why.text, "1027 ranges"));
    begin();
    tag(6, &map, sizeof(map) - 3 * sizeof(map.e[0]));
    assert_int_equal(finish(), E_OK);
    assert_int_equal(info.range_count, BOOT_RANGES_MAX);
}

static void modules(void **state)
{
    (void)state;
    begin();
    memory_map();
    for (uint32_t i = 0; i < 200; i++)
        module(0x100000 + i, 0x100010 + i, "m");
    assert_int_equal(finish(), E_OK);
    assert_int_equal(info.module_count, 200);
    assert_int_equal(info.modules_dropped, 0);
    assert_int_equal(info.modules[199].base.v, 0x100000 + 199);
    assert_int_equal(info.modules[199].bytes, 16);
    begin();
    memory_map();
    for (uint32_t i = 0; i < 300; i++)
        module(i, i, "m");
    assert_int_equal(finish(), E_OK);
    assert_int_equal(info.module_count, BOOT_MODULES_MAX);
    assert_int_equal(info.modules_dropped, 300 - BOOT_MODULES_MAX);
    begin();
    memory_map();
    module(2, 1, "backwards");
    uint8_t *t = tag(3, "\0\0\0\0\1\0\0\0abcd", 12);
    (void)t;
    assert_int_equal(finish(), E_OK);
    assert_int_equal(info.module_count, 0);
    assert_int_equal(info.modules_dropped, 2);
    assert_int_equal(complaints, 2);
    assert_string_equal(last, "Multiboot2 tag 3 of 20 bytes skipped: the module's line does not end");
}

static void framebuffers(void **state)
{
    (void)state;
    struct __attribute__((packed)) {
        uint64_t base;
        uint32_t pitch, width, height;
        uint8_t bits, type;
        uint16_t zero;
        uint8_t colours[6];
    } f = {0xb8000, 160, 80, 25, 16, 2, 0, {0}};
    begin();
    memory_map();
    tag(8, &f, 24);
    assert_int_equal(finish(), E_OK);
    assert_int_equal(info.framebuffer.type, FRAMEBUFFER_TEXT);
    assert_int_equal(info.framebuffer.width, 80);
    f.type = 0, f.bits = 8;
    begin();
    memory_map();
    tag(8, &f, 24);
    assert_int_equal(finish(), E_OK);
    assert_int_equal(info.framebuffer.type, FRAMEBUFFER_INDEXED);

    typeof(f) bad[6];
    for (size_t i = 0; i < array_size(bad); i++)
        bad[i] = f;
    bad[0].type = 3;
    bad[1].type = 1; // the colours do not follow
    bad[2].width = 0;
    bad[3].pitch = 79;
    bad[4].base = UINT64_MAX - 100;
    bad[5].width = bad[5].pitch = bad[5].height = UINT32_MAX, bad[5].bits = 255;
    for (size_t i = 0; i < array_size(bad); i++) {
        begin();
        memory_map();
        tag(8, &bad[i], 24);
        assert_int_equal(finish(), E_OK);
        assert_int_equal(info.framebuffer.type, FRAMEBUFFER_NONE);
        assert_int_equal(complaints, 1);
    }
}

static void the_newer_rsdp_wins(void **state)
{
    (void)state;
    char old[20] = "old", new[36] = "new";
    begin();
    memory_map();
    tag(15, new, 36);
    tag(14, old, 20);
    assert_int_equal(finish(), E_OK);
    assert_int_equal(info.rsdp_bytes, 36);
    assert_string_equal(info.rsdp, "new");
    begin();
    memory_map();
    tag(14, old, 20);
    tag(15, new, 35);
    assert_int_equal(finish(), E_OK);
    assert_string_equal(info.rsdp, "old");
    assert_int_equal(complaints, 1);
}

// Every known type with every small size: nothing may be read beyond the tag (the sanitizer watches the
// last).
static void tags_of_every_size(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    for (uint32_t type = 1; type < 24; type++)
        for (uint32_t bytes = 0; bytes < 48; bytes++) {
            begin();
            memory_map();
            tag(type, zeros, bytes);
            b.used -= (uint32_t)align_up(bytes + 8, 8) - (bytes + 8);
            assert_int_equal(parse(), E_OK);
            assert_true(complaints >= 1); // there is no end tag at the least
        }
}

static void impossible_tag_sizes(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, 7, 0x7fffffff, 0xffffffff, 0xfffffff8, 0xfffffffc};
    for (size_t i = 0; i < array_size(sizes); i++) {
        begin();
        memory_map();
        uint8_t *t = tag(1, "x", 2);
        memcpy(t + 4, &sizes[i], 4);
        tag(2, "lost", 5);
        assert_int_equal(finish(), E_OK);
        assert_int_equal(info.range_count, 3);
        assert_string_equal(info.loader_name, "");
        assert_int_equal(info.bad_tags, 1);
    }
}

static void strings_without_an_end(void **state)
{
    (void)state;
    begin();
    memory_map();
    tag(1, "abc", 3);
    tag(2, "abc", 3);
    assert_int_equal(finish(), E_OK);
    assert_string_equal(info.cmdline, "");
    assert_string_equal(info.loader_name, "");
    assert_int_equal(info.bad_tags, 2);
}

static void truncated_anywhere(void **state)
{
    (void)state;
    size_t size;
    uint8_t *whole = read_file("tests/data/grub-2.06-multiboot2.bin", &size);
    assert_non_null(whole);
    for (uint32_t cut = 0; cut < size; cut++) {
        uint8_t *part = malloc(cut ? cut : 1);
        memcpy(part, whole, cut);
        if (cut >= 4)
            memcpy(part, &cut, 4);
        enum error e = multiboot2_parse(part, cut, &info, NULL, &why);
        assert_true(e == E_MALFORMED || info.bad_tags >= 1);
        free(part);
    }
    free(whole);
}

static int end(void **state)
{
    (void)state;
    free(parsed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_grub_hands_over),   cmocka_unit_test(the_whole_is_unusable),
        cmocka_unit_test(memory_ranges),          cmocka_unit_test(map_entries_of_another_size),
        cmocka_unit_test(too_many_ranges),        cmocka_unit_test(modules),
        cmocka_unit_test(framebuffers),           cmocka_unit_test(the_newer_rsdp_wins),
        cmocka_unit_test(tags_of_every_size),     cmocka_unit_test(impossible_tag_sizes),
        cmocka_unit_test(strings_without_an_end), cmocka_unit_test(truncated_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
