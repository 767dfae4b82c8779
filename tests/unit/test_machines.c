#include "kernel/machines.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/memory.h"
#include "kernel/peers.h"
#include "mm/buddy.h"

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

static void peers(void **state)
{
    (void)state;
    JUDGE("a ipc=b,a", "b ipc=a,c", "rootfs", "c initrd=rootfs ipc=rootfs", "d ipc=a,e", "b");
    assert_int_equal(v[0].role, MODULE_MACHINE);
    assert_int_equal(v[1].role, MODULE_MACHINE); // c is refused: b is told so when it sends
    refused(3, "c", E_INVALID, "ipc=rootfs: that module is data of another");
    refused(4, "d", E_NOT_FOUND, "ipc=e: no module has that name");
    refused(5, "b", E_EXISTS, "module 2 has the name \"b\" already");
}

static struct end *ends(size_t count)
{
    static struct frame records[256];
    static struct buddy b;
    buddy_init(&b, memset(records, 0, sizeof records), 256);
    buddy_add(&b, pfn(4), pfn(256));
    free(host_ram);
    host_ram = aligned_alloc(PAGE_SIZE, 256 * PAGE_SIZE);
    peers_connect(v, count, &b);
    return peers_end(0);
}

static void the_hypervisor_is_a_peer(void **state)
{
    (void)state;
    JUDGE("a ipc=micronova", "micronova", "b ipc=a,micronova vcpus=2", "c ipc=Micronova");
    assert_int_equal(v[0].role, MODULE_MACHINE);
    refused(1, "micronova", E_EXISTS, "\"micronova\" is the name of the hypervisor");
    assert_int_equal(v[2].role, MODULE_MACHINE);
    refused(3, "c", E_NOT_FOUND, "ipc=Micronova: no module has that name");
    struct end *a = ends(4), *b = peers_end(2);
    assert_int_equal(peers_find(a->out, a, "micronova"), 1);
    assert_int_equal(peers_find(a->in, a, "micronova"), 1);
    assert_int_equal(peers_find(a->in, a, "b"), 2);
    assert_int_equal(peers_find(b->out, b, "micronova"), 2);
    const struct port *p = a->out[1], *q = b->out[2];
    assert_ptr_not_equal(p->to, q->to); // each has its own
    assert_int_equal(end_look(p->to), LOOK_SERVES);
    assert_true(q->many_writers && b->in[1]->many_writers);
    assert_ptr_equal(a->in[1]->from, p->to);
    assert_non_null(a->in[1]->events);
    assert_null(a->in[2]->events);
    free(host_ram);
    host_ram = NULL;
}

static void no_more_peers_than_ports(void **state)
{
    (void)state;
    static char line[MAX][32];
    for (size_t i = 0; i < 70; i++) {
        snprintf(line[i], sizeof line[i], "m%zu ipc=m0", i);
        modules[i].line = line[i];
    }
    machines_judge(modules, 70, MAX, v);
    assert_int_equal(v[62].role, MODULE_MACHINE);
    refused(63, "m63", E_TOO_BIG, "ipc=m0: 63 machines before it do that already");
    modules[0].line = "m0 ipc=micronova,m0";
    machines_judge(modules, 70, MAX, v);
    assert_int_equal(v[61].role, MODULE_MACHINE);
    refused(62, "m62", E_TOO_BIG, "ipc=m0: 62 machines before it do that already");
}

static void ports_of_a_machine(void **state)
{
    (void)state;
    JUDGE("a ipc=b,a", "x", "b vcpus=2 ipc=a");
    struct end *a = ends(3), *b = peers_end(2);
    assert_null(peers_end(1));
    assert_string_equal(a->name, "a");
    assert_true(b->shared && !a->shared);
    assert_int_equal(peers_find(a->out, a, "b"), 1);
    assert_int_equal(peers_find(a->out, a, "a"), 2);
    assert_int_equal(peers_find(a->in, a, "a"), 1);
    assert_int_equal(peers_find(a->in, a, "b"), 2);
    assert_int_equal(peers_find(b->in, b, "a"), 1);
    assert_int_equal(peers_find(b->out, b, "x"), PORTS);
    assert_ptr_equal(a->out[1], b->in[1]);
    assert_null(peers_end(500));
    free(host_ram);
    host_ram = NULL;
}

static void ports_need_memory(void **state)
{
    (void)state;
    JUDGE("a ipc=a", "b");
    static struct buddy none;
    static struct frame record;
    buddy_init(&none, &record, 1);
    peers_connect(v, 2, &none);
    refused(0, "a", E_NO_MEMORY, "no memory left for its ports");
    assert_int_equal(v[1].role, MODULE_MACHINE);
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
        cmocka_unit_test(peers),
        cmocka_unit_test(the_hypervisor_is_a_peer),
        cmocka_unit_test(no_more_peers_than_ports),
        cmocka_unit_test(ports_of_a_machine),
        cmocka_unit_test(ports_need_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
