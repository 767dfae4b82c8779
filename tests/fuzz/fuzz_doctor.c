// Random VMCS images before the entry doctor: whatever they hold, it comes to a verdict that is sound in itself, the
// same one again, and has words for it.
#include "vmx/doctor.h"
#include <assert.h>
#include <string.h>
#include "sdm/entry_cases.h"
#include "tests/host/entry_machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t left;
};

static uint64_t take(struct input *in, size_t bytes)
{
    uint64_t value = 0;
    if (bytes > in->left)
        bytes = in->left;
    memcpy(&value, in->data, bytes);
    in->data += bytes;
    in->left -= bytes;
    return value;
}

enum { CHANGES_MAX = 64 };

static void make_image(struct vmcs_image *im, struct entry_env *env, struct input *in)
{
    static void (*const processors[])(struct entry_env *) = {entry_westmere, entry_haswell, entry_newest};
    uint8_t what = (uint8_t)take(in, 1);
    processors[what % 3](env);
    if (!entry_valid_image(im, env, (enum entry_mode)(what / 3 % MODE_COUNT)) || what > 240)
        memset(im->value, what & 1 ? 0xff : 0, sizeof(im->value));
    im->known = (uint32_t)take(in, 1) & (KNOWN_PDPTES | KNOWN_VTPR | KNOWN_LINK | KNOWN_MSRS);
    for (unsigned n = 0; in->left && n < CHANGES_MAX; n++) {
        unsigned at = (unsigned)take(in, 2) % IMAGE_VALUES;
        uint64_t value = take(in, 8);
        image_set(im,
                  at < VMCS_FIELD_COUNT ? vmcs_fields[at].encoding : FACT_FIRST + 2 * (at - VMCS_FIELD_COUNT),
                  im->value[at] ^ value);
    }
}

static unsigned lines;
static void count_line(void *context, const char *line)
{
    (void)context;
    assert(strlen(line) > 10 && strlen(line) < 400);
    lines++;
}

static void check_verdict(const struct entry_verdict *v)
{
    static const struct entry_outcome entered = {.end = ENTRY_ENTERED};
    bool broken = entry_next_broken(v, 0) < RULE_COUNT;
    assert((v->kind == VERDICT_OBEYS) == (!broken && !v->open));
    assert(v->kind != VERDICT_BREAKS || broken);
    assert(entry_agrees(v, entered) == (v->kind != VERDICT_BREAKS));
}

static unsigned broken_rules(const struct entry_verdict *v)
{
    unsigned n = 0;
    for (enum entry_rule r = entry_next_broken(v, 0); r < RULE_COUNT; r = entry_next_broken(v, r + 1))
        n++;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { FEW = 8 };
    struct input in = {data, size};
    struct entry_env env;
    struct vmcs_image im;
    struct entry_verdict v, again;
    make_image(&im, &env, &in);
    entry_judge(&v, &im, &env);
    entry_judge(&again, &im, &env);
    assert(memcmp(&v, &again, sizeof(v)) == 0);
    check_verdict(&v);
    if (broken_rules(&v) > FEW && size && data[size - 1] % 16)
        return 0; // hundreds of lines take as long as hundreds of images
    lines = 0;
    assert(doctor_tell(&im, &env, count_line, NULL) == (entry_next_broken(&v, 0) < RULE_COUNT));
    assert(lines >= broken_rules(&v));
    assert(lines > 0);
    return 0;
}
