// Requests that make no sense, a port that is full.
#include "guests/services/services.h"

enum { DEPTH = 32, SHORT_US = 2000 };

static sword_t ask_word(word_t word)
{
    struct words m = {
        {word, ~(word_t)0, ~(word_t)0, ~(word_t)0}
    };
    sword_t got = service_ask(&hv, &m);
    return m.w[0] == word ? got : -E_MALFORMED;
}

static void senseless(void)
{
    word_t wild = (word_t)0xffff8001 << SERVICE_TAG_SHIFT;
    result("no-service", -E_UNKNOWN_CALL, ask_word(wild | 0x7f00));
    result("no-operation", -E_UNKNOWN_CALL, ask_word(wild | SERVICE_CLOCK << SERVICE_SHIFT | 0xff));
    result("no-operation-yet", -E_UNKNOWN_CALL, ask_word(SERVICE_CLOCK << SERVICE_SHIFT | (SERVICE_OPS - 1)));
    result("event-asked", -E_UNKNOWN_CALL, ask_word(ASK_CLOCK_NOW | SERVICE_EVENT));
    result("all-ones", -E_UNKNOWN_CALL, ask_word(~(word_t)0));
    result("tag-of-all-ones", 0, ask_word(ASK_CLOCK_NOW | ~(word_t)0 << SERVICE_TAG_SHIFT));
    // More than WAIT_FOREVER is more than a word outside 64-bit mode.
    result("alarm-too-late", sizeof(word_t) > 4 ? -E_INVALID : 0, ask_word(ASK_CLOCK_ALARM));
    service_do(&hv, ASK_CLOCK_CANCEL, 0);
    result("grant", -E_UNSUPPORTED, hypercall(HC_GRANT, GRANT_GIVE, hv.out, 0, 1, MEMORY_READ));
}

// A full port refuses requests, keeps events, and does not concern calls.
static void fills(void)
{
    struct words m;
    unsigned sent = 0, in_order = 0;
    while (sent <= DEPTH && !ipc_send(hv.out, &(struct words){{service_word(ASK_CLOCK_NOW, sent)}}))
        sent++;
    check_equal("full", DEPTH, sent);
    bool refused = ipc_send(hv.out, &(struct words){
                                        {ASK_CLOCK_ALARM, 0}
    }) == -E_AGAIN;
    check(refused && service_do(&hv, ASK_CLOCK_CANCEL, 0) == -E_NOT_FOUND, "full-does-nothing",
          "expected E_AGAIN and no alarm\ngot another");
    ask(ASK_CLOCK_ALARM, 0, NULL);
    spin_us(SHORT_US);
    while (in_order < sent && !(ipc_receive(PORT_ANY, 0, &m) < 0) &&
           m.w[0] == service_word(ASK_CLOCK_NOW, in_order) && !m.w[1])
        in_order++;
    check_equal("in-order", sent, in_order);
    m = (struct words){{service_word(ASK_CLOCK_RATE, 3)}}; // by way of the port, before the event
    sword_t from = ipc_call(hv.out, PORT_ANY, &m);
    check(from == (sword_t)hv.in && m.w[0] == service_word(ASK_CLOCK_RATE, 3), "call-from-any",
          "expected the answer from %lu\ngot %lx from %ld", (unsigned long)hv.in, (unsigned long)m.w[0],
          (long)from);
    bool came = take_event(ASK_CLOCK_ALARM, TAG, 0, &m);
    check(came, "event-behind-them", "expected its event\ngot %lx", (unsigned long)m.w[0]);
}

void hostile(void)
{
    senseless();
    fills();
}
