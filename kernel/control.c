#include "kernel/control.h"
#include "arch/cpu.h"
#include "arch/pcpu.h"
#include "arch/string.h"
#include "kernel/home.h"
#include "kernel/services.h"

static struct place {
    struct vm *vm; // NULL: none
    const struct verdict *verdict;
    struct blob image;
    bool again, ready; // is to be built once more; its memory is on its way back
} places[VM_MAX + 1];  // by id

static struct lock lock;                    // guards all of it
static uint32_t controllers;                // machines with RIGHT_CONTROL
static uint32_t waiting;                    // places that are `ready`; read without the lock
static struct control_end ends[VM_MAX + 1]; // of machines, each once and constant from then on
static uint32_t ended;                      // how many; read without the lock

void control_init(void)
{
    memset(places, 0, sizeof(places));
    controllers = waiting = ended = 0;
}

void control_lock(void)
{
    lock_take(&lock);
}

void control_unlock(void)
{
    lock_release(&lock);
}

struct vm *control_next(uint32_t *id)
{
    while (*id <= VM_MAX && !places[*id].vm)
        ++*id;
    return *id <= VM_MAX ? places[(*id)++].vm : NULL;
}

// ---- Coming and going ----

// First vCPUs last: they start the others.
void control_start(struct vm *vm, const struct verdict *verdict, struct blob image)
{
    lock_take(&lock);
    places[vm->id] = (struct place){.vm = vm, .verdict = verdict, .image = image};
    controllers += !!(vm->machine->rights & RIGHT_CONTROL);
    for (uint32_t i = vm->cpu_count; i-- > 0;)
        home_give(vm->cpus[i]);
    lock_release(&lock);
}

static void look_all(struct vm *vm)
{
    for (uint32_t i = 0; i < vm->cpu_count; i++)
        cpu_look(vm->cpus[i]);
}

static void resume(struct vm *vm)
{
    __atomic_fetch_and(&vm->stops, ~(uint32_t)STOP_PAUSED, __ATOMIC_RELEASE);
    look_all(vm);
}

static void resume_all(void)
{
    struct vm *vm;
    for (uint32_t id = 0; (vm = control_next(&id));)
        if (vm->stops == STOP_PAUSED)
            resume(vm);
}

static void note_end(uint32_t id, enum ending how, uint64_t code)
{
    if (ended == array_size(ends)) // each id once, but for tests that build a machine anew
        return;
    ends[ended] = (struct control_end){id, how, code};
    __atomic_store_n(&ended, ended + 1, __ATOMIC_RELEASE);
    struct vm *other;
    for (uint32_t i = 0; controllers && (other = control_next(&i));)
        services_note(other, EVENT_ENDED);
}

const struct control_end *control_end(uint32_t n)
{
    return n < __atomic_load_n(&ended, __ATOMIC_ACQUIRE) ? &ends[n] : NULL;
}

void control_refuse(uint32_t id)
{
    lock_take(&lock);
    if (id <= VM_MAX)
        note_end(id, END_LOAD, 0);
    lock_release(&lock);
}

void control_forget(struct vm *vm)
{
    lock_take(&lock);
    places[vm->id].vm = NULL;
    places[vm->id].again = vm->how == END_AGAIN;
    if (vm->how != END_AGAIN)
        note_end(vm->id, vm->how, vm->code);
    if (vm->machine->rights & RIGHT_CONTROL && --controllers == 0)
        resume_all();
    lock_release(&lock);
}

void control_again(uint32_t id)
{
    lock_take(&lock);
    places[id].ready = true;
    __atomic_add_fetch(&waiting, 1, __ATOMIC_RELEASE);
    lock_release(&lock);
    this_pcpu()->kick = 1;
}

// The place of one that is to be built again, its mark taken off; NULL: there is none.
static struct place *take_ready(void)
{
    struct place *found = NULL;
    lock_take(&lock);
    for (uint32_t id = 0; !found && id <= VM_MAX; id++)
        if (places[id].ready) {
            places[id].ready = false;
            __atomic_sub_fetch(&waiting, 1, __ATOMIC_RELAXED);
            found = &places[id];
        }
    lock_release(&lock);
    return found;
}

bool control_step(void)
{
    struct place *p = __atomic_load_n(&waiting, __ATOMIC_ACQUIRE) ? take_ready() : NULL;
    if (!p)
        return false;
    if (!vm_create_again(p->verdict, p->image, (uint32_t)(p - places)))
        p->again = false;
    return true;
}

// ---- Requests ----

// One that is about to start again is not gone.
struct vm *control_find(uint64_t id, int64_t *error)
{
    const struct place *p = id <= VM_MAX ? &places[id] : NULL;
    if (p && p->vm && !(p->vm->stops & STOP_ENDED))
        return p->vm;
    *error = p && (p->again || (p->vm && p->vm->how == END_AGAIN)) ? -E_AGAIN : -E_NOT_FOUND;
    return NULL;
}

static int64_t ticks(const struct vm *vm)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < vm->cpu_count; i++)
        sum += sched_run_ticks(&vm->cpus[i]->vcpu.sched, rdtsc());
    return (int64_t)sum;
}

// Under the lock.
static int64_t serve(struct vm *vm, enum control_op op)
{
    switch (op) {
    case CONTROL_PAUSE:
        __atomic_fetch_or(&vm->stops, STOP_PAUSED, __ATOMIC_RELEASE);
        look_all(vm);
        return 0;
    case CONTROL_RESUME:
        resume(vm);
        return 0;
    case CONTROL_RESET:
        vm_end(vm, END_AGAIN, 0, "reset by another machine");
        return 0;
    case CONTROL_DESTROY:
        vm_end(vm, END_DESTROYED, 0, NULL);
        return 0;
    case CONTROL_TICKS:
        return ticks(vm);
    case CONTROL_NAME:
        return 0; // it is there
    }
    return -E_INVALID;
}

static int64_t tell_name(struct space *to, const char *name, uint64_t at, uint64_t bytes)
{
    size_t length = strlen(name);
    if (bytes < length)
        return -E_TOO_BIG;
    enum error e = guest_write(to, gpa(at), name, length);
    return e ? -(int64_t)e : (int64_t)length;
}

int64_t control_call(struct vcpu *v, uint64_t op, uint64_t id, uint64_t at, uint64_t bytes)
{
    int64_t result;
    if (!(v->rights & RIGHT_CONTROL))
        return -E_DENIED;
    if (op > CONTROL_TICKS || (id == v->vm_id && op != CONTROL_NAME && op != CONTROL_TICKS))
        return -E_INVALID;
    control_lock();
    struct vm *vm = control_find(id, &result);
    if (vm)
        result = serve(vm, (enum control_op)op);
    control_unlock();
    if (op == CONTROL_NAME && vm)
        return tell_name(v->space, places[id].verdict->machine.name, at, bytes);
    return result;
}
