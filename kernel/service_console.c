// The console and the input of the box by message: abi/services.h.
#include "kernel/input.h"
#include "kernel/services.h"

// Text in words 2 and 3 of a message, lowest byte first: so many bytes of each word.
static unsigned bytes_a_word(const struct service_request *r)
{
    return r->wide ? 8 : 4;
}

int64_t serve_CONSOLE_WRITE(const struct service_request *r)
{
    char text[2 * sizeof(uint64_t)];
    uint64_t n = r->of[1];
    unsigned in_word = bytes_a_word(r);
    if (n > 2 * in_word)
        return -E_TOO_BIG;
    for (unsigned i = 0; i < n; i++)
        text[i] = (char)(r->of[2 + i / in_word] >> i % in_word * 8);
    vm_lock(r->v->vm);
    size_t taken = vm_console_write(r->v->vm, text, n);
    vm_unlock(r->v->vm);
    return taken || !n ? (int64_t)taken : -E_AGAIN;
}

// What waits goes where it is to go from now on.
int64_t serve_CONSOLE_LISTEN(const struct service_request *r)
{
    if (!r->v->vm->machine->input)
        return -E_DENIED;
    int64_t result = services_watch(r, EVENT_INPUT);
    input_tell();
    return result;
}

int64_t serve_CONSOLE_READ(const struct service_request *r)
{
    char text[2 * sizeof(uint64_t)];
    unsigned in_word = bytes_a_word(r);
    if (!services_expects(r->v->vm, EVENT_INPUT))
        return -E_DENIED;
    vm_lock(r->v->vm);
    size_t n = input_take(r->v->vm, text, 2 * in_word);
    vm_unlock(r->v->vm);
    for (unsigned i = 0; i < n; i++)
        r->values[i / in_word] |= (uint64_t)(uint8_t)text[i] << i % in_word * 8;
    return (int64_t)n;
}
