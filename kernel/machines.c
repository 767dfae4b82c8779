#include "kernel/machines.h"
#include "abi/services.h"
#include "arch/string.h"
#include "kernel/words.h"
#include "sdm/text.h"

static void refuse(struct verdict *v, enum error e)
{
    v->role = MODULE_REFUSED;
    v->error = e;
}

static void judge_line(const struct module *module, size_t index, struct verdict *v)
{
    v->role = MODULE_MACHINE;
    v->error = E_OK;
    v->why.text[0] = '\0';
    v->initrd = (struct blob){NULL, 0};
    enum error e = machine_parse(&v->machine, module->line, &v->why);
    if (e != E_OK)
        refuse(v, e);
    if (!v->machine.name[0])
        format(v->machine.name, sizeof(v->machine.name), "module-%zu", index + 1);
}

size_t machines_find(const struct verdict *verdicts, size_t count, const char *name)
{
    size_t i = 0;
    while (i < count && !text_is(verdicts[i].machine.name, name))
        i++;
    return i;
}

static void judge_name(struct verdict *verdicts, size_t index)
{
    struct verdict *v = &verdicts[index];
    if (v->role != MODULE_REFUSED && text_is(v->machine.name, HYPERVISOR_PEER))
        refuse(v, reason_set(&v->why, E_EXISTS, "\"%s\" is the name of the hypervisor", HYPERVISOR_PEER));
    size_t first = machines_find(verdicts, index, v->machine.name);
    if (v->role == MODULE_REFUSED || first == index)
        return;
    refuse(v, reason_set(&v->why, E_EXISTS, "module %zu has the name \"%s\" already", first + 1,
                         v->machine.name));
}

// A module that another names becomes data, whatever else its line says: a key that makes no sense for data
// is no reason to refuse the bytes. Only a chain (data that has data of its own) would leave no machine. Also what a
// refused machine names is data: it would make no sense as a machine.
static void judge_data(const struct module *modules, size_t count, struct verdict *verdicts, size_t index)
{
    struct verdict *v = &verdicts[index];
    const char *name = v->machine.initrd;
    size_t data = machines_find(verdicts, count, name);

    if (!name[0])
        return;
    const bool usable = data < count && data != index && !verdicts[data].machine.initrd[0];
    if (usable)
        verdicts[data].role = MODULE_DATA;
    if (v->role == MODULE_REFUSED)
        return;
    if (usable)
        v->initrd = modules[data].file;
    else if (data == count)
        refuse(v, reason_set(&v->why, E_NOT_FOUND, "no module named \"%s\"", name));
    else if (data == index)
        refuse(v, reason_set(&v->why, E_INVALID, "initrd=%s names its own module", name));
    else
        refuse(v, reason_set(&v->why, E_INVALID, "initrd=%s is a machine with an initrd= of its own", name));
}

static bool has_peer(const struct machine *m, const char *name)
{
    char peer[MACHINE_NAME_MAX + 1];
    for (unsigned n = 0; machine_peer(m, n, peer); n++)
        if (text_is(peer, name))
            return true;
    return false;
}

// How many of the machines before `index` send to the one named `name`.
static unsigned senders_before(const struct verdict *verdicts, size_t index, const char *name)
{
    unsigned n = 0;
    for (size_t i = 0; i < index; i++)
        n += verdicts[i].role == MODULE_MACHINE && has_peer(&verdicts[i].machine, name);
    return n;
}

// A peer may have been refused: whoever sends to it is told that it is gone.
static enum error judge_peer(const struct verdict *verdicts, size_t count, size_t index, const char *name,
                             struct reason *why)
{
    size_t peer = machines_find(verdicts, count, name);
    if (text_is(name, HYPERVISOR_PEER))
        return E_OK;
    if (peer == count)
        return reason_set(why, E_NOT_FOUND, "ipc=%s: no module has that name", name);
    if (verdicts[peer].role == MODULE_DATA)
        return reason_set(why, E_INVALID, "ipc=%s: that module is data of another", name);
    unsigned most = PORTS - FIRST_PEER - has_peer(&verdicts[peer].machine, HYPERVISOR_PEER);
    if (senders_before(verdicts, index, name) >= most)
        return reason_set(why, E_TOO_BIG, "ipc=%s: %u machines before it do that already", name, most);
    return E_OK;
}

static void judge_peers(struct verdict *verdicts, size_t count, size_t index)
{
    struct verdict *v = &verdicts[index];
    char name[MACHINE_NAME_MAX + 1];
    for (unsigned n = 0; v->role == MODULE_MACHINE && machine_peer(&v->machine, n, name); n++) {
        enum error e = n >= PORTS - FIRST_PEER
                           ? reason_set(&v->why, E_TOO_BIG, "ipc= has more than %u names", PORTS - FIRST_PEER)
                           : judge_peer(verdicts, count, index, name, &v->why);
        if (e != E_OK)
            refuse(v, e);
    }
}

void machines_judge(const struct module *modules, size_t count, size_t machines_max, struct verdict *verdicts)
{
    for (size_t i = 0; i < count; i++)
        judge_line(&modules[i], i, &verdicts[i]);
    for (size_t i = 0; i < count; i++)
        judge_name(verdicts, i);
    for (size_t i = 0; i < count; i++)
        judge_data(modules, count, verdicts, i);
    for (size_t i = 0; i < count; i++)
        judge_peers(verdicts, count, i);

    size_t machines = 0;
    for (size_t i = 0; i < count; i++) {
        struct verdict *v = &verdicts[i];
        if (v->role == MODULE_MACHINE && ++machines > machines_max)
            refuse(v, reason_set(&v->why, E_TOO_BIG, "more than %zu machines", machines_max));
    }
}
