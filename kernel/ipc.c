#include "kernel/ipc.h"
#include "arch/cpu.h"
#include "arch/pcpu.h"
#include "arch/tsc.h"
#include "kernel/hypercall.h"
#include "kernel/peers.h"
#include "kernel/services.h"

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
    static const struct ipc_ops ops = {wake, raise_vector, services_serve, services_tell};
    ipc_ops = &ops;
}

// ---- Coming and going ----

static void set_spaces(struct end *e, struct space *s)
{
    for (unsigned i = 0; i < PORTS; i++) {
        if (e->out[i])
            grants_set_owner(&e->out[i]->grants, s);
        if (e->in[i])
            grants_set_reader(&e->in[i]->grants, s);
    }
}

void ipc_settle(struct cpu *c)
{
    struct end *e = peers_end(c->vcpu.vm->id);
    if (e)
        c->waiter = end_seat(e, c->vcpu.index, c, c->vcpu.sched.home);
}

void ipc_start(struct vm *vm)
{
    static struct end none; // without ports; nobody writes to it
    struct end *e = peers_end(vm->id);
    for (uint32_t i = 0; i < vm->cpu_count; i++) {
        vm->cpus[i]->end = e ? e : &none;
        ipc_settle(vm->cpus[i]);
    }
    if (e) {
        vm->services = services_start(e);
        set_spaces(e, vm->space);
        end_attach(e, vm);
    }
}

void ipc_forget(struct vm *vm)
{
    struct end *e = peers_end(vm->id);
    if (e) {
        set_spaces(e, NULL);
        end_detach(e);
    }
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

static inline_always void put_words(struct cpu *c, bool wide, const struct message *m)
{
    uint64_t *r = c->vcpu.gpr;
    if (likely(wide)) {
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

static inline_always void set_result(struct vcpu *v, int64_t result)
{
    v->gpr[RAX] = (uint64_t)result;
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
        end_stop_waiting(c->end, c->vcpu.index);
}

void ipc_patience_over(struct timeout *t)
{
    struct cpu *c = container_of(t, struct cpu, receive.patience);
    c->receive.how |= RECEIVE_IMPATIENT;
    cpu_look(c);
}

// The result of receiving from one of the ports in `from`, with the message in the registers, or WAITS: then it is
// known to wait.
static int64_t try_receive(struct cpu *c, uint64_t from)
{
    struct end *e = c->end;
    struct message m;
    do {
        bool open = end_open(e, from);
        int in = end_take(e, from, &m);
        if (in != NOBODY) {
            put_words(c, !(c->receive.how & RECEIVE_NARROW), &m);
            return in;
        }
        if (!open)
            return -E_GONE;
        if (c->receive.how & RECEIVE_IMPATIENT)
            return -E_AGAIN;
        if (cpu_is_interrupted(c))
            return -E_INTERRUPTED;
    } while (!end_wait(e, c->waiter, from));
    return WAITS;
}

// Who woke it took it out of waiting, or did not know of its waiting, such as an interrupt. While its machine is paused
// it must not wait for messages: one that is given by hand would have it run.
void ipc_look(struct cpu *c)
{
    end_stop_waiting(c->end, c->vcpu.index);
    int64_t result = c->vcpu.vm->stops ? WAITS : try_receive(c, c->waiter->from);
    if (result == WAITS)
        return;
    stop_patience(c);
    set_result(&c->vcpu, result);
    c->state = CPU_RUNS;
}

// The ports in that a number means; 0: there is no such port.
static inline_always uint64_t ports_of(const struct end *e, uint64_t number)
{
    uint64_t ports = likely(number < PORTS) ? port_bit((unsigned)number) : number == PORT_ANY ? ~0ull : 0;
    return ports & e->ins;
}

static void park(struct vcpu *v)
{
    sched_park(&v->sched, rdtsc());
    vcpu_attention(v);
}

// ---- Sending ----

static inline_always struct port *port_out(const struct end *e, uint64_t number)
{
    return likely(number < PORTS) ? e->out[number] : NULL;
}

// The number of ports, by the first register of arguments.
static inline_always uint64_t first_argument(const struct vcpu *v, bool wide)
{
    return wide ? v->gpr[RDI] : (uint32_t)v->gpr[RBX];
}

static inline_always void put_message(const struct vcpu *v, bool wide, const struct port *p, struct cpu *to,
                                      bool to_wide)
{
    struct message m;
    get_words(v, wide, &m);
    put_words(to, to_wide, &m);
    set_result(&to->vcpu, p->in);
    to->state = CPU_RUNS;
}

// Puts the message of `v` into the registers of a vCPU that waits for it on this processor: that one, or NULL.
static struct cpu *give(const struct vcpu *v, bool wide, struct port *p)
{
    uint32_t look = end_look(p->to);
    struct cpu *to = look & LOOK_WAITERS ? port_waiter(p, look, v->sched.home) : NULL;
    if (!to || !end_take_waiter(p->to, to->vcpu.index))
        return NULL;
    put_message(v, wide, p, to, !(to->receive.how & RECEIVE_NARROW));
    stop_patience(to);
    return to;
}

// The same between two in 64-bit mode, of which the other waits without a limit and for nothing else.
static inline_always struct cpu *give_fast(const struct vcpu *v, struct port *p, uint32_t look)
{
    struct cpu *to;
    if (unlikely(!(look & LOOK_WAITERS)) || !(to = port_waiter(p, look, v->sched.home)) ||
        unlikely(to->receive.how || to->vcpu.sched.state != SCHED_PARKED ||
                 !end_take_waiter(p->to, (unsigned)__builtin_ctz(look))))
        return NULL;
    put_message(v, true, p, to, true);
    return to;
}

// `to` got its message, and waits no more: it runs on.
static inline_always void hand_off_fast(struct vcpu *v, struct cpu *to, bool parks)
{
    tsc_t now = rdtsc();
    sched_handoff(&v->sched, &to->vcpu.sched, parks, now);
    vcpu_hand_over(v, &to->vcpu, now);
}

// The same for one that may have been woken by something else a moment ago, and is runnable then.
static void hand_off(struct vcpu *v, struct cpu *to, bool parks)
{
    if (to->vcpu.sched.state == SCHED_PARKED)
        hand_off_fast(v, to, parks);
    else if (parks)
        park(v);
}

// ---- SEND ----

// In whatever mode, to whomever.
static noinline_cold void send(struct vcpu *v)
{
    bool wide = vcpu_has_64bit_code(v);
    struct port *p = port_out(cpu_of(v)->end, first_argument(v, wide));
    struct message m;
    struct cpu *to;
    if (!p) {
        set_result(v, -E_NOT_FOUND);
    } else if ((to = give(v, wide, p))) {
        set_result(v, 0);
        hand_off(v, to, false);
    } else {
        get_words(v, wide, &m);
        set_result(v, -(int64_t)port_send(p, &m));
    }
}

// To the own machine, where nobody waits: the vector, if it is this vCPU that wants to be interrupted, is delivered
// as a self-IPI would be. The end needs no lock, for the machine is there.
static __attribute__((noinline)) void send_to_self(struct vcpu *v, struct port *p)
{
    struct end *e = p->to;
    struct message m;
    get_words(v, true, &m);
    bool done = port_put_any(p, &m);
    set_result(v, done ? 0 : -E_AGAIN);
    if (unlikely(!done))
        return;
    uint8_t vector = __atomic_load_n(&e->vector[p->in], __ATOMIC_RELAXED);
    if (unlikely(port_arrives(p) & LOOK_WAITERS ||
                 __atomic_load_n(&e->vector_cpu[p->in], __ATOMIC_RELAXED) != v->index))
        port_tell(p);
    else if (vector)
        cpu_self_ipi(v, vector, vcpu_interrupts_on(v));
}

// To a machine of which somebody waits, that wants events, or that has ended.
static __attribute__((noinline)) void send_awake(struct vcpu *v, struct port *p, uint32_t look)
{
    struct cpu *to = give_fast(v, p, look);
    if (likely(to)) {
        set_result(v, 0);
        hand_off_fast(v, to, false);
    } else if (look == LOOK_EVENTS && p->to == cpu_of(v)->end) {
        send_to_self(v, p);
    } else {
        send(v);
    }
}

// What most messages need comes first: nobody looks out for one.
void hypercall_SEND(struct vcpu *v)
{
    struct message m;
    struct port *p = port_out(cpu_of(v)->end, first_argument(v, true));
    uint32_t look;
    if (unlikely(!vcpu_has_64bit_code(v) || !p)) {
        send(v);
    } else if ((look = end_look(p->to))) {
        send_awake(v, p, look);
    } else {
        get_words(v, true, &m);
        bool done = port_put_any(p, &m);
        set_result(v, done ? 0 : -E_AGAIN);
        if (likely(done))
            port_arrived(p);
    }
}

// ---- CALL ----

// To the hypervisor, whose answer alone it waits for: there that is, whatever else waits in the port.
static bool is_answered(struct vcpu *v, bool wide, struct port *p, uint64_t from)
{
    struct message m;
    if (!(end_look(p->to) & LOOK_SERVES) || from != services_answers(p)->bit)
        return false;
    get_words(v, wide, &m);
    services_call(v, p, &m);
    put_words(cpu_of(v), wide, &m);
    set_result(v, services_answers(p)->in);
    return true;
}

// The message is sent, or given to `to`: receives what is there, or waits.
static noinline_cold void await_answer(struct vcpu *v, uint64_t from, struct cpu *to)
{
    struct cpu *c = cpu_of(v);
    int64_t result = try_receive(c, from);
    if (result == WAITS)
        c->state = CPU_RECEIVES;
    else
        set_result(v, result);
    if (to)
        hand_off(v, to, result == WAITS);
    else if (result == WAITS)
        park(v);
}

// In whatever mode, to whomever.
static noinline_cold void call(struct vcpu *v)
{
    struct cpu *c = cpu_of(v), *to;
    bool wide = vcpu_has_64bit_code(v);
    uint64_t numbers = first_argument(v, wide), from = ports_of(c->end, numbers >> 8);
    struct port *p = port_out(c->end, numbers & 0xff);
    enum error e = E_OK;
    if (!p || !from) {
        set_result(v, -E_NOT_FOUND);
        return;
    }
    if (is_answered(v, wide, p, from))
        return;
    if (!(to = give(v, wide, p))) {
        struct message m;
        get_words(v, wide, &m);
        e = port_send(p, &m);
    }
    c->receive.how = wide ? 0 : RECEIVE_NARROW;
    if (e)
        set_result(v, -(int64_t)e);
    else
        await_answer(v, from, to);
}

// The way of an answered call: to who waits here, and then waiting for one port.
void hypercall_CALL(struct vcpu *v)
{
    enum { OUT = PORTS - 1, IN = OUT << 8 };
    struct cpu *c = cpu_of(v), *to;
    struct end *e = c->end;
    uint64_t numbers = first_argument(v, true), from = end_open(e, port_bit(numbers >> 8 & OUT));
    struct port *p = e->out[numbers & OUT];
    if (unlikely(!vcpu_has_64bit_code(v) || numbers & ~(uint64_t)(OUT | IN) || !p || !from ||
                 !(to = give_fast(v, p, end_look(p->to))))) {
        call(v);
        return;
    }
    c->receive.how = 0;
    if (likely(!cpu_may_be_interrupted(c) && end_wait(e, c->waiter, from))) {
        c->state = CPU_RECEIVES;
        hand_off_fast(v, to, true);
    } else {
        await_answer(v, from, to);
    }
}

// ---- RECEIVE ----

static void be_patient(struct cpu *c, uint64_t us)
{
    timeout_set(this_pcpu()->timeouts, &c->receive.patience, tsc(rdtsc().v + tsc_from_us(us).v));
    c->receive.how = (c->receive.how & ~RECEIVE_IMPATIENT) | RECEIVE_TIMED;
}

void hypercall_RECEIVE(struct vcpu *v)
{
    struct cpu *c = cpu_of(v);
    struct call call = {v, vcpu_has_64bit_code(v)};
    uint64_t from = ports_of(c->end, call_arg(&call, 0)), us = call_arg(&call, 1);
    if (unlikely(!from || us > WAIT_FOREVER)) {
        set_result(v, from ? -E_INVALID : -E_NOT_FOUND);
        return;
    }
    c->receive.how = (call.wide ? 0 : RECEIVE_NARROW) | (us == WAIT_FOREVER ? 0 : RECEIVE_IMPATIENT);
    int64_t result = try_receive(c, from);
    if (result == -E_AGAIN && us) {
        be_patient(c, us);
        result = try_receive(c, from);
    }
    if (result == WAITS) {
        c->state = CPU_RECEIVES;
        park(v);
        return;
    }
    stop_patience(c);
    set_result(v, result);
}

// ---- Finding ports, asking for events ----

static int64_t find(const struct call *c, struct port *const ports[PORTS])
{
    char name[MACHINE_NAME_MAX + 1];
    enum error e = call_name(c, call_arg(c, 1), call_arg(c, 2), name, MACHINE_NAME_MAX);
    if (e)
        return -(int64_t)e;
    unsigned port = peers_find(ports, cpu_of(c->v)->end, name);
    return port < PORTS ? (int64_t)port : -E_NOT_FOUND;
}

static int64_t op_PORT_OUT(const struct call *c)
{
    return find(c, cpu_of(c->v)->end->out);
}

static int64_t op_PORT_IN(const struct call *c)
{
    return find(c, cpu_of(c->v)->end->in);
}

static int64_t op_PORT_EVENT(const struct call *c)
{
    struct end *e = cpu_of(c->v)->end;
    uint64_t in = call_arg(c, 1), vector = call_arg(c, 2);
    if (in >= PORTS || !e->in[in])
        return -E_NOT_FOUND;
    if (vector > UINT8_MAX || (vector && vector < LAPIC_FIRST_VECTOR))
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
    set_result(v, op < array_size(ops) ? ops[op](&c) : -E_INVALID);
}

// ---- Grants ----

static int64_t op_GRANT_WINDOW(const struct call *c)
{
    const struct machine *m = c->v->vm->machine;
    return m->window ? (int64_t)machine_window(m).v : -E_NOT_FOUND;
}

static int64_t op_GRANT_GIVE(const struct call *c)
{
    struct port *p = port_out(cpu_of(c->v)->end, call_arg(c, 1));
    if (p && end_look(p->to) & LOOK_SERVES)
        return -E_UNSUPPORTED;
    return p ? grants_give(&p->grants, call_arg(c, 2), call_arg(c, 3), call_arg(c, 4)) : -E_NOT_FOUND;
}

static int64_t op_GRANT_REVOKE(const struct call *c)
{
    struct port *p = port_out(cpu_of(c->v)->end, call_arg(c, 1));
    return p ? grants_revoke(&p->grants, call_arg(c, 2)) : -E_NOT_FOUND;
}

static struct port *port_in(const struct call *c)
{
    uint64_t number = call_arg(c, 1);
    return number < PORTS ? cpu_of(c->v)->end->in[number] : NULL;
}

static int64_t op_GRANT_MAP(const struct call *c)
{
    struct port *p = port_in(c);
    return p ? grants_map(&p->grants, call_arg(c, 2), call_arg(c, 3)) : -E_NOT_FOUND;
}

static int64_t op_GRANT_UNMAP(const struct call *c)
{
    struct port *p = port_in(c);
    vcpu_attention(c->v); // it runs in the space that the pages leave
    return p ? grants_unmap(&p->grants, call_arg(c, 2)) : -E_NOT_FOUND;
}

void hypercall_GRANT(struct vcpu *v)
{
    static int64_t (*const ops[])(const struct call *c) = {
        [GRANT_WINDOW] = op_GRANT_WINDOW, [GRANT_GIVE] = op_GRANT_GIVE,   [GRANT_REVOKE] = op_GRANT_REVOKE,
        [GRANT_MAP] = op_GRANT_MAP,       [GRANT_UNMAP] = op_GRANT_UNMAP,
    };
    struct call c = {v, vcpu_in_64bit_mode(v)};
    uint64_t op = call_arg(&c, 0);
    set_result(v, op < array_size(ops) ? ops[op](&c) : -E_INVALID);
}

bool ipc_can_interrupt(const struct vm *vm, uint32_t events)
{
    return end_awaits_interrupt(vm->cpus[0]->end, events);
}
