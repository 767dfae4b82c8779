// Instructions that the hypervisor stands in for, or that it must enable exactly when CPUID offers them.
#include "guests/cpu/cpu.h"

#define CODE(text) (text "\xc3") // with RET behind

// Never there for a guest. Memory operands are [RSP]: a check that came too late would not fault on them.
static const struct {
    const char *name, *code;
} undefined[] = {
    {"ud-vmxon",    CODE("\xf3\x0f\xc7\x34\x24")        },
    {"ud-vmxoff",   CODE("\x0f\x01\xc4")                },
    {"ud-vmclear",  CODE("\x66\x0f\xc7\x34\x24")        },
    {"ud-vmptrld",  CODE("\x0f\xc7\x34\x24")            },
    {"ud-vmptrst",  CODE("\x0f\xc7\x3c\x24")            },
    {"ud-vmlaunch", CODE("\x0f\x01\xc2")                },
    {"ud-vmresume", CODE("\x0f\x01\xc3")                },
    {"ud-vmread",   CODE("\x0f\x78\xc0")                },
    {"ud-vmwrite",  CODE("\x0f\x79\xc0")                },
    {"ud-invept",   CODE("\x66\x0f\x38\x80\x04\x24")    },
    {"ud-invvpid",  CODE("\x66\x0f\x38\x81\x04\x24")    },
    {"ud-getsec",   CODE("\x31\xc0\x0f\x37")            },
    {"ud-vmfunc",   CODE("\x31\xc0\x31\xc9\x0f\x01\xd4")},
    {"ud-ud2",      CODE("\x0f\x0b")                    },
};

// There when CPUID says so, #UD when it does not.
static const struct {
    const char *name, *code;
    struct feature feature;
    bool only_64bit;
} optional[] = {
    {"monitor", CODE("\x89\xe0\x31\xc9\x31\xd2\x0f\x01\xc8"),                      {1, 0, ECX, 3},           false},
    {"rdtscp",  CODE("\x0f\x01\xf9"),                                              {0x80000001, 0, EDX, 27}, false},
    {"rdrand",  CODE("\x0f\xc7\xf0"),                                              {1, 0, ECX, 30},          false},
    {"rdseed",  CODE("\x0f\xc7\xf8"),                                              {7, 0, EBX, 18},          false},
 // INVPCID type 2 (all contexts) with a descriptor of zeros on the stack
    {"invpcid",
     CODE("\x6a\x00\x6a\x00\xb8\x02\x00\x00\x00\x66\x0f\x38\x82\x04\x24\x58\x58"),
     {7, 0, EBX, 10},
     true                                                                                                         },
};

enum { INVD_WBINVD = 2 };

unsigned instructions_points(void)
{
    return array_size(undefined) + array_size(optional) + INVD_WBINVD;
}

// Memory written before is still there after: nothing may throw the caches' contents away.
static void check_cache(const char *name, const char *code)
{
    static volatile uint32_t words[1024];
    unsigned wrong = 0;
    for (uint32_t i = 0; i < array_size(words); i++)
        words[i] = i * 0x9e3779b9;
    struct fault f = try_code(code);
    for (uint32_t i = 0; i < array_size(words); i++)
        wrong += words[i] != i * 0x9e3779b9;
    check(f.vector == VECTOR_NONE && wrong == 0, name,
          "expected no exception, 0 words lost\ngot %s, %u words lost", fault_name(f.vector), wrong);
}

void instructions_test(void)
{
    for (unsigned i = 0; i < array_size(undefined); i++)
        check_fault(undefined[i].name, FAULT_UD, try_code(undefined[i].code));
    for (unsigned i = 0; i < array_size(optional); i++) {
        if (optional[i].only_64bit && !is_64bit()) {
            skip(optional[i].name, "64-bit mode only");
            continue;
        }
        check_fault(optional[i].name, feature_present(optional[i].feature) ? FAULT_NONE : FAULT_UD,
                    try_code(optional[i].code));
    }
    check_cache("invd", CODE("\x0f\x08"));
    check_cache("wbinvd", CODE("\x0f\x09"));
}
