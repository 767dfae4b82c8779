#include "arch/reason.h"
#include "sdm/text.h"

enum error reason_set(struct reason *why, enum error e, const char *fmt, ...)
{
    struct text t = text_in(why->text, sizeof(why->text));
    va_list args;
    va_start(args, fmt);
    text_add_v(&t, fmt, args);
    va_end(args);
    return e;
}
