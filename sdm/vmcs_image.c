#include "sdm/vmcs_image.h"
#include "sdm/text.h"

#define FACT_TO_NAME(name, encoding, known) #name "\0"
static const char fact_names[] = IMAGE_FACTS(FACT_TO_NAME);

_Static_assert((unsigned)AT_ATTEMPT == VMCS_FIELD_COUNT, "facts follow the fields");

enum { FACT_COUNT = IMAGE_VALUES - VMCS_FIELD_COUNT };

unsigned image_at(uint32_t encoding)
{
    if (encoding >= FACT_FIRST) {
        unsigned n = (encoding - FACT_FIRST) / 2;
        return encoding % 2 || n >= FACT_COUNT ? (unsigned)IMAGE_NONE : VMCS_FIELD_COUNT + n;
    }
    const struct vmcs_field *field = vmcs_field_find(encoding);
    return field ? (unsigned)(field - vmcs_fields) : (unsigned)IMAGE_NONE;
}

const char *image_name(uint32_t encoding)
{
    unsigned at = image_at(encoding);
    return at >= VMCS_FIELD_COUNT && at != IMAGE_NONE ? text_nth(fact_names, at - VMCS_FIELD_COUNT)
                                                      : vmcs_field_name(encoding);
}

static uint64_t mask_of(uint32_t encoding)
{
    static const uint64_t masks[] = {[VMCS_WIDTH_16] = 0xffff,
                                     [VMCS_WIDTH_32] = 0xffffffff,
                                     [VMCS_WIDTH_64] = ~0ull,
                                     [VMCS_WIDTH_NAT] = ~0ull};
    return encoding >= FACT_FIRST ? ~0ull : masks[vmcs_width(encoding)];
}

void image_set(struct vmcs_image *im, uint32_t encoding, uint64_t value)
{
    unsigned at = image_at(encoding);
    if (at != IMAGE_NONE)
        im->value[at] = value & mask_of(encoding);
}

void image_read(struct vmcs_image *im, image_read_fn read, void *context)
{
    *im = (struct vmcs_image){0};
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++)
        if (!read(context, vmcs_fields[i].encoding, &im->value[i]))
            im->value[i] = 0;
}
