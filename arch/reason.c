#include "arch/reason.h"
#include "arch/format.h"

enum error reason_set(struct reason *why, enum error e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    format_v(why->text, sizeof(why->text), fmt, args);
    va_end(args);
    return e;
}
