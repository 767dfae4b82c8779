// Any text, line by line, as module lines: an accepted line gives a machine inside its bounds, a refused one
// a sentence.
#include "kernel/machines.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 16 };

static void check(const struct verdict *v)
{
    const struct machine *m = &v->machine;
    size_t length = strnlen(m->name, sizeof(m->name));
    if (length == 0 || length == sizeof(m->name) ||
        strnlen(m->cmdline, sizeof(m->cmdline)) == sizeof(m->cmdline) ||
        strnlen(m->initrd, sizeof(m->initrd)) == sizeof(m->initrd))
        abort();
    if (v->role == MODULE_REFUSED && (v->error == E_OK || !v->why.text[0]))
        abort();
    if (v->role == MODULE_MACHINE &&
        (v->error != E_OK || m->mem == 0 || m->mem % PAGE_SIZE || m->mem > MACHINE_MEM_MAX || m->vcpus < 1 ||
         m->vcpus > MACHINE_VCPUS_MAX || m->expect >= END_COUNT))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct verdict verdicts[LINES_MAX];
    static const uint8_t file[1];
    struct module modules[LINES_MAX];
    size_t count = 0;
    char *text = malloc(size + 1), *next = text;

    memcpy(text, data, size);
    text[size] = '\0';
    while (next && count < LINES_MAX) {
        modules[count++] = (struct module){
            next, {file, sizeof(file)}
        };
        next = strchr(next, '\n');
        if (next)
            *next++ = '\0';
    }
    machines_judge(modules, count, LINES_MAX - 1, verdicts);
    for (size_t i = 0; i < count; i++)
        check(&verdicts[i]);
    free(text);
    return 0;
}
