#include "kernel/regex.h"
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static bool finds(const char *pattern, const char *text)
{
    struct regex re;
    struct reason why = {""};
    if (regex_compile(&re, pattern, &why) != E_OK)
        fail_msg("%s", why.text);
    return regex_search(&re, text, strlen(text));
}

static void texts_that_match(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"a",                     "a"                                       },
        {"a",                     "bab"                                     },
        {"abc",                   "ababc"                                   },
        {".",                     "x"                                       },
        {"a.c",                   "a\xb0"
                "c"                                          },
        {"Pass: *[1-9]",          "Using:     | Pass:   1         Errors: 0"},
        {"Errors: *0",            "Errors: 0      "                         },
        {"ab*c",                  "ac"                                      },
        {"ab*c",                  "abbbc"                                   },
        {"ab+c",                  "abc"                                     },
        {"ab?c",                  "ac"                                      },
        {"ab?c",                  "abc"                                     },
        {"[a-c]+$",               "xxabc"                                   },
        {"[^a-c]",                "abcd"                                    },
        {"[^a]",                  "\xff"                                    },
        {"[]x]",                  "]"                                       },
        {"[^]x]",                 "a"                                       },
        {"[a-]",                  "-"                                       },
        {"[\\]]",                 "]"                                       },
        {"^ab",                   "abc"                                     },
        {"bc$",                   "abc"                                     },
        {"^$",                    ""                                        },
        {"a*",                    ""                                        },
        {"x|",                    "abc"                                     },
        {"cat|dog",               "hotdog"                                  },
        {"^a|b$",                 "xb"                                      },
        {"^a|b$",                 "ax"                                      },
        {"\\(\\)\\.\\*\\^\\$\\|", "().*^$|"                                 },
        {"a*a*a*a*b",             "aaaab"                                   },
        {"]",                     "]"                                       },
        {"-",                     "a-b"                                     },
        {"a\\-b",                 "a-b"                                     },
    };
    for (unsigned i = 0; i < array_size(rows); i++)
        if (!finds(rows[i][0], rows[i][1]))
            fail_msg("\"%s\" should match \"%s\"", rows[i][0], rows[i][1]);
}

static void texts_that_do_not_match(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"a",            ""         },
        {"a",            "b"        },
        {"abc",          "abab"     },
        {"a.c",          "ac"       },
        {"Pass: *[1-9]", "Pass:   0"},
        {"ab+c",         "ac"       },
        {"ab?c",         "abbc"     },
        {"[a-c]",        "d"        },
        {"[^a-c]",       "abc"      },
        {"^b",           "ab"       },
        {"b$",           "ba"       },
        {"^$",           "a"        },
        {"cat|dog",      "do cag"   },
        {"^a|b$",        "xax"      },
        {"\\.",          "x"        },
        {"[^x]",         "x"        },
        {".",            ""         },
    };
    for (unsigned i = 0; i < array_size(rows); i++)
        if (finds(rows[i][0], rows[i][1]))
            fail_msg("\"%s\" should not match \"%s\"", rows[i][0], rows[i][1]);
}

static void refusals_say_where_and_why(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        enum error error;
        const char *where;
    } rows[] = {
        {"",      E_MALFORMED,   "nothing to look for"          },
        {"*a",    E_MALFORMED,   "nothing to repeat at column 1"},
        {"a**",   E_MALFORMED,   "column 3"                     },
        {"a|+",   E_MALFORMED,   "column 3"                     },
        {"^*",    E_MALFORMED,   "column 2"                     },
        {"[a",    E_MALFORMED,   "unexpected end"               },
        {"[",     E_MALFORMED,   "unexpected end"               },
        {"[]",    E_MALFORMED,   "unexpected end"               },
        {"[a-",   E_MALFORMED,   "unexpected end"               },
        {"[^",    E_MALFORMED,   "unexpected end"               },
        {"ab\\",  E_MALFORMED,   "unexpected end at column 4"   },
        {"[z-a]", E_MALFORMED,   "backwards"                    },
        {"a(b)",  E_UNSUPPORTED, "column 2"                     },
        {"a{2}",  E_UNSUPPORTED, "column 2"                     },
        {"\\d",   E_UNSUPPORTED, "unknown escape"               },
        {"a^b",   E_MALFORMED,   "anchor"                       },
        {"a$b",   E_MALFORMED,   "anchor"                       },
        {"\xe4",  E_UNSUPPORTED, "ASCII"                        },
    };
    for (unsigned i = 0; i < array_size(rows); i++) {
        struct regex re;
        struct reason why = {""};
        assert_int_equal(regex_compile(&re, rows[i].pattern, &why), rows[i].error);
        if (!strstr(why.text, rows[i].where))
            fail_msg("\"%s\": want \"%s\", got \"%s\"", rows[i].pattern, rows[i].where, why.text);
    }
}

static void sixty_three_items_fit_and_no_more(void **state)
{
    (void)state;
    char pattern[80] = "", text[64];
    struct regex re;
    struct reason why;
    memset(pattern, 'a', 63);
    memset(text, 'a', 64);
    assert_int_equal(regex_compile(&re, pattern, &why), E_OK);
    assert_true(regex_search(&re, text, 63));
    assert_false(regex_search(&re, text, 62));
    memset(pattern, 'a', 64);
    assert_int_equal(regex_compile(&re, pattern, &why), E_TOO_BIG);
    for (unsigned i = 0; i < 31; i++)
        memcpy(pattern + 2 * i, "b?", 3);
    strcat(pattern, "c");
    assert_int_equal(regex_compile(&re, pattern, &why), E_OK);
    assert_true(regex_search(&re, "c", 1));
    assert_true(regex_search(&re, "bbc", 3));
    assert_false(regex_search(&re, "bbb", 3));
}

// Patterns and texts over a few characters, against the C library's extended regular expressions.
static void random_patterns_agree_with_posix(void **state)
{
    (void)state;
    static const char alphabet[] = "aabbc..**++??[]^$||-";
    unsigned compared = 0, matched = 0;
    srand(3);
    for (unsigned round = 0; round < 30000; round++) {
        char pattern[13], text[9];
        unsigned n = 1 + (unsigned)rand() % 12, m = (unsigned)rand() % 9;
        for (unsigned i = 0; i < n; i++)
            pattern[i] = alphabet[(unsigned)rand() % (sizeof(alphabet) - 1)];
        for (unsigned i = 0; i < m; i++)
            text[i] = "abc-"[rand() % 4];
        pattern[n] = text[m] = '\0';
        struct regex re;
        struct reason why;
        regex_t posix;
        if (strstr(pattern, "[.") || regex_compile(&re, pattern, &why) != E_OK)
            continue;
        if (regcomp(&posix, pattern, REG_EXTENDED | REG_NOSUB) != 0)
            continue;
        bool want = regexec(&posix, text, 0, NULL, 0) == 0, got = regex_search(&re, text, m);
        regfree(&posix);
        if (want != got)
            fail_msg("\"%s\" on \"%s\": expected %d, got %d", pattern, text, want, got);
        compared++;
        matched += got;
    }
    assert_true(compared > 3000 && matched > 500 && matched < compared - 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_that_match),
        cmocka_unit_test(texts_that_do_not_match),
        cmocka_unit_test(refusals_say_where_and_why),
        cmocka_unit_test(sixty_three_items_fit_and_no_more),
        cmocka_unit_test(random_patterns_agree_with_posix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
