#include "kernel/ipc.h"
#include "arch/cpu.h"
#include "arch/pcpu.h"
#include "arch/tsc.h"
#include "dev/lapic_impl.h"
#include "kernel/call.h"
#include "kernel/hypercall.h"
#include "kernel/peers.h"

static const int64_t WAITS = 1ll << 32; // no result yet

static struct vm *machine_of(const struct end *e)
{
    return e->machine;
}

static void wake(struct end *e, unsigned cpu)
{
    cpu_look(machine_of(e)->cpus[cpu]);
}

// For the vCPU that runs here, as if it had sent itself an IPI.
static void raise_vector(struct end *e, unsigned cpu, uint8_t vector)
{
    struct cpu *c = machine_of(e)->cpus[cpu];
    if (this_pcpu()->current == &c->vcpu && c->state == CPU_RUNS && c->vcpu.sched.state == SCHED_RUNNABLE) {
        lapic_request(&c->lapic, vector);
        cpu_offer(&c->vcpu);
    } else {
        lapic_post(&c->lapic, vector, false);
    }
}

void ipc_init(void)
{
    static const struct ipc_ops ops = {wake, raise_vector};
    ipc_ops = &ops;
}

// ---- Coming and going ----

void ipc_start(struct vm *vm)
{
    static struct end none; // without ports; nobody writes to it
    struct end *e = peers_end(vm->id);
    vm->end = e ? e : &none;
    if (e)
        end_attach(e, vm);
}

void ipc_forget(struct vm *vm)
{
    if (peers_end(vm->id))
        end_detach(vm->end);
}

void ipc_refuse(uint32_t id)
{
    if (peers_end(id))
        end_detach(peers_end(id));
}

// ---- Messages in registers ----

// Written out: these are the fast ways. The registers are those of call_register(), from the second on.
static inline_always void get_words(const struct vcpu *v, bool wide, struct message *m)
{
    const uint64_t *r = v->gpr;
    if (likely(wide))
        *m = (struct message){
            {r[RSI], r[RDX], r[R10], r[R8]}
        };
    else
        *m = (struct message){
            {(uint32_t)r[RCX], (uint32_t)r[RDX], (uint32_t)r[RSI], (uint32_t)r[RDI]}
        };
}

static inline_always void put_words(struct cpu *c, const struct message *m)
{
    uint64_t *r = c->vcpu.gpr;
    if (likely(c->receive.wide)) {
        r[RSI] = m->word[0];
        r[RDX] = m->word[1];
        r[R10] = m->word[2];
        r[R8] = m->word[3];
    } else {
        r[RCX] = m->word[0];
        r[RDX] = m->word[1];
        r[RSI] = m->word[2];
        r[RDI] = m->word[3];
    }
}

// ---- Receiving ----

// The wait is over, in whatever way.
static inline_always void stop_patience(struct cpu *c)
{
    if (unlikely(c->receive.patience.index != TIMEOUT_IDLE))
        timeout_cancel(c->vcpu.sched.home->timeouts, &c->receive.patience);
}

void ipc_stop(struct cpu *c)
{
    stop_patience(c);
    if (c->state == CPU_RECEIVES)
        end_stop_waiting(c->vcpu.vm->end, c->vcpu.index);
}

void ipc_patience_over(struct timeout *t)
{
    struct cpu *c = container_of(t, struct cpu, receive.patience);
    c->receive.impatient = true;
    cpu_look(c);
}

// The result of receiving from c->receive.from, with the message in the registers, or WAITS: then it is known to wait.
static inline_always int64_t try_receive(struct cpu *c)
{
    struct end *e = c->vcpu.vm->end;
    struct message m;
    do {
        bool open = end_is_open(e, c->receive.from);
        int in = end_take(e, c->receive.from, &m);
        if (in != NOBODY) {
            put_words(c, &m);
            return in;
        }
        if (!open)
            return -E_GONE;
        if (c->receive.impatient)
            return -E_AGAIN;
        if (cpu_is_interrupted(c))
            return -E_INTERRUPTED;
    } while (!end_wait(e, c->vcpu.index, (struct waiter){c->receive.from, this_pcpu(), c}));
    return WAITS;
}

// Who woke it took it out of waiting, or did not know of its waiting, such as an interrupt. While its machine is paused
// it must not wait for messages: one that is given by hand would have it run.
void ipc_look(struct cpu *c)
{
    end_stop_waiting(c->vcpu.vm->end, c->vcpu.index);
    int64_t result = c->vcpu.vm->stops ? WAITS : try_receive(c);
    if (result == WAITS)
        return;
    stop_patience(c);
    c->vcpu.gpr[RAX] = (uint64_t)result;
    c->state = CPU_RUNS;
}

// The ports in that a number means; 0: there is no such port.
static inline_always uint64_t ports_of(const struct end *e, uint64_t number)
{
    if (number < PORTS)
        return e->in[number] ? port_bit((unsigned)number) : 0;
    return number == PORT_ANY ? ~0ull : 0;
}

// ---- Giving a message by hand ----

// Puts the message of `v` into the registers of a vCPU that waits for it on this processor, and returns that vCPU, or
// sends it. NULL: it was sent, or was not: `e`.
static inline_always struct cpu *give_or_send(const struct vcpu *v, bool wide, struct port *p, enum error *e)
{
    struct message m;
    get_words(v, wide, &m);
    struct cpu *to = port_claim(p, this_pcpu());
    if (!to) {
        *e = port_send(p, &m);
        return NULL;
    }
    put_words(to, &m);
    stop_patience(to);
    to->vcpu.gpr[RAX] = p->in;
    to->state = CPU_RUNS;
    *e = E_OK;
    return to;
}

// ---- The calls ----

static inline_always struct port *port_out(const struct vcpu *v, uint64_t number)
{
    return likely(number < PORTS) ? v->vm->end->out[number] : NULL;
}

static inline void park(struct vcpu *v)
{
    sched_park(&v->sched, rdtsc());
    vcpu_attention(v);
}

// `to` got its message. One that was woken by something else a moment ago is runnable already.
static inline_always void hand_off(struct vcpu *v, struct cpu *to, bool parks)
{
    if (!sched_handoff(&v->sched, &to->vcpu.sched, parks, rdtsc()) && parks)
        sched_park(&v->sched, rdtsc());
    vcpu_attention(v);
}

void hypercall_SEND(struct vcpu *v)
{
    bool wide = vcpu_in_64bit_mode(v);
    struct port *p = port_out(v, wide ? v->gpr[RDI] : (uint32_t)v->gpr[RBX]);
    enum error e = E_NOT_FOUND;
    struct cpu *to = likely(p) ? give_or_send(v, wide, p, &e) : NULL;
    v->gpr[RAX] = (uint64_t) - (int64_t)e;
    if (to)
        hand_off(v, to, false);
}

static inline void prepare(struct cpu *c, uint64_t from, bool wide)
{
    c->receive.from = from;
    c->receive.wide = wide;
    c->receive.impatient = false;
}

void hypercall_CALL(struct vcpu *v)
{
    struct cpu *c = cpu_of(v);
    bool wide = vcpu_in_64bit_mode(v);
    uint64_t numbers = wide ? v->gpr[RDI] : (uint32_t)v->gpr[RBX];
    struct port *p = port_out(v, numbers & 0xff);
    uint64_t from = p && numbers <= 0xffff ? ports_of(v->vm->end, numbers >> 8) : 0;
    enum error e = E_NOT_FOUND;
    struct cpu *to = likely(from) ? give_or_send(v, wide, p, &e) : NULL;
    if (unlikely(e)) {
        v->gpr[RAX] = (uint64_t) - (int64_t)e;
        return;
    }
    prepare(c, from, wide);
    int64_t result = try_receive(c);
    bool waits = result == WAITS;
    if (likely(waits))
        c->state = CPU_RECEIVES;
    else
        v->gpr[RAX] = (uint64_t)result;
    if (to)
        hand_off(v, to, waits);
    else if (waits)
        park(v);
}

// A timeout that finds no place is one that is over at once.
static void be_patient(struct cpu *c, uint64_t us)
{
    if (us == WAIT_FOREVER)
        return;
    tsc_t deadline = tsc(rdtsc().v + tsc_from_us(us).v);
    c->receive.impatient = us == 0 || !timeout_set(this_pcpu()->timeouts, &c->receive.patience, deadline);
}

void hypercall_RECEIVE(struct vcpu *v)
{
    struct cpu *c = cpu_of(v);
    struct call call = {v, vcpu_in_64bit_mode(v)};
    uint64_t from = ports_of(v->vm->end, call_arg(&call, 0)), us = call_arg(&call, 1);
    if (!from || us > WAIT_FOREVER) {
        v->gpr[RAX] = (uint64_t) - (from ? E_INVALID : E_NOT_FOUND);
        return;
    }
    prepare(c, from, call.wide);
    be_patient(c, us);
    int64_t result = try_receive(c);
    if (result == WAITS) {
        c->state = CPU_RECEIVES;
        park(v);
        return;
    }
    stop_patience(c);
    v->gpr[RAX] = (uint64_t)result;
}

// ---- Finding ports, asking for events ----

static int64_t find(const struct call *c, struct port *const ports[PORTS])
{
    char name[MACHINE_NAME_MAX + 1];
    enum error e = call_name(c, call_arg(c, 1), call_arg(c, 2), name, MACHINE_NAME_MAX);
    if (e)
        return -(int64_t)e;
    unsigned port = peers_find(ports, c->v->vm->end, name);
    return port < PORTS ? (int64_t)port : -E_NOT_FOUND;
}

static int64_t op_PORT_OUT(const struct call *c)
{
    return find(c, c->v->vm->end->out);
}

static int64_t op_PORT_IN(const struct call *c)
{
    return find(c, c->v->vm->end->in);
}

static int64_t op_PORT_EVENT(const struct call *c)
{
    struct end *e = c->v->vm->end;
    uint64_t in = call_arg(c, 1), vector = call_arg(c, 2);
    if (in >= PORTS || !e->in[in])
        return -E_NOT_FOUND;
    if (vector > UINT8_MAX || (vector && vector < FIRST_VECTOR))
        return -E_INVALID;
    end_set_event(e, (unsigned)in, c->v->index, (uint8_t)vector);
    return 0;
}

void hypercall_PORT(struct vcpu *v)
{
    static int64_t (*const ops[])(const struct call *c) = {
        [PORT_OUT] = op_PORT_OUT, [PORT_IN] = op_PORT_IN, [PORT_EVENT] = op_PORT_EVENT};
    struct call c = {v, vcpu_in_64bit_mode(v)};
    uint64_t op = call_arg(&c, 0);
    int64_t result = op < array_size(ops) ? ops[op](&c) : -E_INVALID;
    v->gpr[RAX] = (uint64_t)result;
}

bool ipc_can_interrupt(const struct vm *vm)
{
    const struct end *e = vm->end;
    for (unsigned in = 0; in < PORTS; in++)
        if (e->vector[in] && end_is_open(e, port_bit(in)))
            return true;
    return false;
}
