#include "kernel/input.h"
#include "arch/lock.h"
#include "kernel/services.h"

static struct {
    struct lock lock; // guards `listener` against its end
    struct vm *listener;
    uint32_t head, tail, lost; // free-running; head is the taker's, the others the putter's
    char ring[INPUT_RING];
} input;

static uint32_t waiting(void)
{
    return __atomic_load_n(&input.tail, __ATOMIC_ACQUIRE) - input.head;
}

// It is told in one way, by message only of something.
void input_tell(void)
{
    lock_take(&input.lock);
    struct vm *vm = input.listener;
    if (vm && !services_expects(vm, EVENT_INPUT))
        vm_want_input(vm);
    else if (vm && waiting())
        services_note(vm, EVENT_INPUT);
    lock_release(&input.lock);
}

void input_put(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (input.tail - __atomic_load_n(&input.head, __ATOMIC_ACQUIRE) == INPUT_RING) {
            input.lost += (uint32_t)(n - i);
            break;
        }
        input.ring[input.tail % INPUT_RING] = bytes[i];
        __atomic_store_n(&input.tail, input.tail + 1, __ATOMIC_RELEASE);
    }
    input_tell();
}

uint32_t input_lost(void)
{
    return input.lost;
}

void input_start(struct vm *vm)
{
    if (!vm->machine->input)
        return;
    lock_take(&input.lock);
    if (!input.listener)
        input.listener = vm;
    lock_release(&input.lock);
    input_tell(); // something may have arrived before
}

void input_forget(struct vm *vm)
{
    lock_take(&input.lock);
    if (input.listener == vm)
        input.listener = NULL;
    lock_release(&input.lock);
}

bool input_is_for(const struct vm *vm)
{
    return __atomic_load_n(&input.listener, __ATOMIC_RELAXED) == vm;
}

size_t input_take(const struct vm *vm, char *bytes, size_t n)
{
    size_t taken = 0;
    for (; input_is_for(vm) && taken < n && waiting(); taken++) {
        bytes[taken] = input.ring[input.head % INPUT_RING];
        __atomic_store_n(&input.head, input.head + 1, __ATOMIC_RELEASE);
    }
    return taken;
}

// In two pieces where it goes round the ring's end.
void input_deliver(struct vm *vm)
{
    while (!services_expects(vm, EVENT_INPUT)) {
        uint32_t at = input.head % INPUT_RING;
        size_t n = min_u64(waiting(), INPUT_RING - at);
        size_t taken = n ? uart_input(&vm->devices->uart, input.ring + at, n) : 0;
        __atomic_store_n(&input.head, input.head + (uint32_t)taken, __ATOMIC_RELEASE);
        if (!n || taken < n)
            return;
    }
}
