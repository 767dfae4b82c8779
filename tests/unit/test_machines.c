#include "kernel/machines.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum { MAX = 256 };
static struct verdict v[MAX];
static struct module modules[MAX];

#define JUDGE(...) \
    judge((const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

static void judge(const char *const *lines, size_t count)
{
    static uint8_t bytes[MAX];
    for (size_t i = 0; i < count; i++)
        modules[i] = (struct module){
            lines[i], {&bytes[i], i + 1}
        };
    memset(v, 0xa5, sizeof(v));
    machines_judge(modules, count, MAX, v);
}

static void refused(size_t i, const char *name, enum error e, const char *sentence)
{
    assert_int_equal(v[i].role, MODULE_REFUSED);
    assert_string_equal(v[i].machine.name, name);
    assert_int_equal(v[i].error, e);
    assert_string_equal(v[i].why.text, sentence);
}

static void machines_and_data(void **state)
{
    (void)state;
    JUDGE("rootfs", "linux initrd=rootfs", "hello");
    assert_int_equal(v[0].role, MODULE_DATA);
    assert_int_equal(v[1].role, MODULE_MACHINE);
    assert_ptr_equal(v[1].initrd.bytes, modules[0].file.bytes);
    assert_int_equal(v[1].initrd.size, 1);
    assert_int_equal(v[2].role, MODULE_MACHINE);
    assert_int_equal(v[2].initrd.size, 0);
    assert_int_equal(v[2].error, E_OK);
}

static void data_may_have_two_users_and_odd_keys(void **state)
{
    (void)state;
    JUDGE("rootfs what=ever", "a initrd=rootfs", "b initrd=rootfs");
    assert_int_equal(v[0].role, MODULE_DATA);
    assert_int_equal(v[1].role, MODULE_MACHINE);
    assert_int_equal(v[2].role, MODULE_MACHINE);
    assert_ptr_equal(v[2].initrd.bytes, modules[0].file.bytes);
}

static void refusals(void **state)
{
    (void)state;
    JUDGE("a", "b frob=1", "a mem=8M", "linux initrd=rootfs", "", "mem=4M", "self initrd=self");
    assert_int_equal(v[0].role, MODULE_MACHINE);
    refused(1, "b", E_MALFORMED, "unknown key \"frob\"");
    refused(2, "a", E_EXISTS, "module 1 has the name \"a\" already");
    refused(3, "linux", E_NOT_FOUND, "no module named \"rootfs\"");
    refused(4, "module-5", E_MALFORMED, "the module line is empty: it needs a name");
    refused(5, "module-6", E_MALFORMED, "the line has no name before \"mem=4M\"");
    refused(6, "self", E_INVALID, "initrd=self names its own module");
}

static void rings_of_data(void **state)
{
    (void)state;
    JUDGE("a initrd=b", "b initrd=a", "c initrd=a", "d");
    refused(0, "a", E_INVALID, "initrd=b is a machine with an initrd= of its own");
    refused(1, "b", E_INVALID, "initrd=a is a machine with an initrd= of its own");
    refused(2, "c", E_INVALID, "initrd=a is a machine with an initrd= of its own");
    assert_int_equal(v[3].role, MODULE_MACHINE);
}

static void data_of_a_refused_machine_stays_data(void **state)
{
    (void)state;
    JUDGE("a frob=1 initrd=data", "data");
    assert_int_equal(v[0].role, MODULE_REFUSED);
    assert_int_equal(v[1].role, MODULE_DATA);
}

static void two_hundred_modules_and_one_too_many(void **state)
{
    (void)state;
    static char lines[200][16];
    for (size_t i = 0; i < 200; i++) {
        snprintf(lines[i], sizeof(lines[i]), "m%zu", i);
        modules[i] = (struct module){
            lines[i], {(const uint8_t *)lines[i], 1}
        };
    }
    machines_judge(modules, 200, 200, v);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(v[i].role, MODULE_MACHINE);
    machines_judge(modules, 200, 199, v);
    assert_int_equal(v[198].role, MODULE_MACHINE);
    refused(199, "m199", E_TOO_BIG, "more than 199 machines");
    machines_judge(modules, 0, 199, v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machines_and_data),
        cmocka_unit_test(data_may_have_two_users_and_odd_keys),
        cmocka_unit_test(refusals),
        cmocka_unit_test(rings_of_data),
        cmocka_unit_test(data_of_a_refused_machine_stays_data),
        cmocka_unit_test(two_hundred_modules_and_one_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
