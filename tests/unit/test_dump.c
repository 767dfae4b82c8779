#include "vmx/dump.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "sdm/exit_reason.h"
#include "sdm/vmcs_fields.h"

static char text[32768];
static uint64_t fields[VMCS_FIELD_COUNT];
static bool absent[VMCS_FIELD_COUNT];
static unsigned reads[VMCS_FIELD_COUNT];

static unsigned index_of(uint32_t encoding)
{
    const struct vmcs_field *f = vmcs_field_find(encoding);
    if (!f)
        fail_msg("%x is read and is no field", encoding);
    return (unsigned)(f - vmcs_fields);
}

static bool read_field(void *context, uint32_t encoding, uint64_t *value)
{
    assert_ptr_equal(context, fields);
    unsigned i = index_of(encoding);
    reads[i]++;
    *value = fields[i];
    return !absent[i];
}

static void set(uint32_t encoding, uint64_t value)
{
    fields[index_of(encoding)] = value;
}

static void keep(void *context, const char *line)
{
    assert_ptr_equal(context, text);
    assert_true(strlen(line) < 240);
    assert_true(strlen(text) + strlen(line) + 2 < sizeof(text));
    strcat(strcat(text, line), "\n");
}

static int start(void **state)
{
    (void)state;
    text[0] = 0;
    memset(fields, 0, sizeof(fields));
    memset(absent, 0, sizeof(absent));
    memset(reads, 0, sizeof(reads));
    return 0;
}

static void dump(void)
{
    for (unsigned part = 0; part < VMCS_DUMP_PARTS; part++)
        vmcs_dump(part, read_field, fields, keep, text);
}

static void expect_line(const char *line)
{
    char whole[300];
    snprintf(whole, sizeof(whole), "\n%s\n", line);
    if (!strstr(text, whole))
        fail_msg("no line \"%s\" in\n%s", line, text);
}

static void blocks_and_bits(void **state)
{
    (void)state;
    set(GUEST_CR0, 0x80000031);
    set(GUEST_CS_SELECTOR, 0x10);
    set(GUEST_CS_LIMIT, 0xffffffff);
    set(GUEST_CS_ACCESS_RIGHTS, 0xa0fb);
    set(PIN_BASED_CONTROLS, 0x49);
    set(EXIT_REASON, REASON_TRIPLE_FAULT);
    dump();
    expect_line("  CR0 80000031h: PE, ET, NE, PG");
    expect_line("  CS 10h base 0h limit ffffffffh rights a0fbh: type bh DPL 3 S P L G");
    expect_line("  PIN_BASED_CONTROLS 49h: external-interrupt exiting, NMI exiting, VMX preemption timer");
    expect_line("VMCS: host state");
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++)
        if (!reads[i])
            fail_msg("%s is not in the dump", vmcs_field_name(vmcs_fields[i].encoding));
}

static void absent_fields_are_left_out(void **state)
{
    (void)state;
    memset(absent, 1, sizeof(absent));
    memset(fields, 0xff, sizeof(fields));
    dump();
    assert_null(strstr(text, "ffff"));
    assert_null(strstr(text, "CR0"));
}

static void any_value_can_be_printed(void **state)
{
    (void)state;
    memset(fields, 0xff, sizeof(fields));
    dump();
    expect_line("VMCS: guest segments");
}

static size_t words_of(char *buf, size_t size, const struct exit_info *info)
{
    struct text t = text_in(buf, size);
    exit_words(&t, info);
    return t.len;
}

static void exits_in_words(void **state)
{
    (void)state;
    static const struct {
        struct exit_info info;
        const char *words;
    } rows[] = {
        {{.reason = 2},                                                                               "triple fault"                                          },
        {{.reason = 0, .interruption = 0x80000b0d, .interruption_error = 0x10},
         "exception or NMI: #GP (general protection), error code 10h"                                                                                         },
        {{.reason = 0, .interruption = 0x80000b0e, .interruption_error = 2, .qualification = 0x1234},
         "exception or NMI: #PF (page fault), error code 2h, address 1234h"                                                                                   },
        {{.reason = 0, .interruption = 0x80000202},                                                   "exception or NMI: NMI"                                 },
        {{.reason = 0, .interruption = 0x800003ff},                                                   "exception or NMI: vector ffh"                          },
        {{.reason = 1, .interruption = 0x80000030},                                                   "external interrupt, vector 30h"                        },
        {{.reason = 1},                                                                               "external interrupt"                                    },
        {{.reason = 9, .qualification = 0x40000028},                                                  "task switch by IRET to selector 28h"                   },
        {{.reason = 28, .qualification = 0x0f04},                                                     "control-register access: MOV to CR4, source R15"       },
        {{.reason = 28, .qualification = 0x318},                                                      "control-register access: MOV from CR8, destination RBX"},
        {{.reason = 28, .qualification = 0x20},                                                       "control-register access: CLTS"                         },
        {{.reason = 29, .qualification = 0x917},                                                      "MOV DR from DR7, destination R9"                       },
        {{.reason = 30, .qualification = 0x03f80008},                                                 "I/O instruction: IN of 1 byte, port 3f8h"              },
        {{.reason = 30, .qualification = 0xffff0033},                                                 "I/O instruction: REP OUTS of 4 bytes, port ffffh"      },
        {{.reason = 32, .rcx = 0xffffffffc0000080},                                                   "WRMSR of IA32_EFER (c0000080h)"                        },
        {{.reason = 0x80000021},                                                                      "VM-entry failure due to invalid guest state"           },
        {{.reason = 0x80000021, .qualification = 4, .idt_vectoring = 0x80000b0e},
         "VM-entry failure due to invalid guest state: VMCS link pointer"                                                                                     },
        {{.reason = 0x80000021, .qualification = 77},
         "VM-entry failure due to invalid guest state, qualification 4dh"                                                                                     },
        {{.reason = 0x80000022, .qualification = 3},                                                  "VM-entry failure due to MSR loading: entry 3"          },
        {{.reason = 44, .qualification = 0x10b0},                                                     "APIC access: write at offset b0h"                      },
        {{.reason = 48, .qualification = 0x182, .physical = 0x1234000, .linear = 0xffff800000000000},
         "EPT violation: write to gpa 1234000h, where nothing is mapped, linear address ffff800000000000h"                                                    },
        {{.reason = 48, .qualification = 0x81 | 4 << 3, .physical = 0x5000, .linear = 0x7000},
         "EPT violation: read of gpa 5000h, where one may execute, page walk for linear address 7000h"                                                        },
        {{.reason = 48,
          .qualification = 4 | 3 << 3,
          .physical = 1,
          .idt_vectoring = 0x80000b0e,
          .idt_error = 4},
         "EPT violation: instruction fetch from gpa 1h, where one may read and write, while delivering #PF "
         "(page "
         "fault), error code 4h"                                                                                                                              },
        {{.reason = 49, .physical = 0x5000},                                                          "EPT misconfiguration at gpa 5000h"                     },
        {{.reason = 35},                                                                              "unknown exit reason 35"                                },
        {{.reason = 80},                                                                              "unknown exit reason 80"                                },
    };
    for (unsigned i = 0; i < array_size(rows); i++) {
        char buf[240], cut[8];
        size_t n = words_of(buf, sizeof(buf), &rows[i].info);
        assert_string_equal(buf, rows[i].words);
        assert_int_equal(n, strlen(buf));
        assert_int_equal(words_of(cut, sizeof(cut), &rows[i].info), n);
        assert_true(strlen(cut) < sizeof(cut));
    }
}

// A hostile or broken level below may hand over anything.
static void no_information_breaks_the_words(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252ull;
    for (unsigned i = 0; i < 200000; i++) {
        struct exit_info info;
        uint8_t *bytes = (uint8_t *)&info;
        for (unsigned k = 0; k < sizeof(info); k++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            bytes[k] = (uint8_t)x;
        }
        info.reason = i % 96 | (i & 1 ? REASON_ENTRY_FAILURE : 0);
        char buf[240];
        assert_true(words_of(buf, sizeof(buf), &info) < sizeof(buf));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(blocks_and_bits, start),
        cmocka_unit_test_setup(absent_fields_are_left_out, start),
        cmocka_unit_test_setup(any_value_can_be_printed, start),
        cmocka_unit_test(exits_in_words),
        cmocka_unit_test(no_information_breaks_the_words),
    };
    return cmocka_run_group_tests_name("dump", tests, NULL, NULL);
}
