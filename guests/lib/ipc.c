#include "guests/lib/ipc.h"
#include "guests/lib/string.h"

static sword_t find(enum port_op op, const char *name)
{
    return hypercall(HC_PORT, op, (word_t)name, strlen(name), 0, 0);
}

sword_t port_out(const char *name)
{
    return find(PORT_OUT, name);
}

sword_t port_in(const char *name)
{
    return find(PORT_IN, name);
}
