// Other machines by message: those that cmdline= names. `runs` runs until it is destroyed; `exits` ends with 42,
// whenever that is; `broken` could not be loaded; `reborn` is reset and then destroyed.
#include "guests/services/services.h"
#include "abi/ending.h"

enum { IDS = 256, NAME_MAX = 31, PATIENCE_US = 20000000, CODE = 42 };

static struct {
    bool told;
    word_t how, code;
} ends[IDS];

// Takes what there is of events.
static void note_ends(word_t us)
{
    struct words m;
    while (take_event(ASK_CONTROL_WATCH, TAG, us, &m))
        if (m.w[1] < IDS) {
            ends[m.w[1]].told = true;
            ends[m.w[1]].how = m.w[2];
            ends[m.w[1]].code = m.w[3];
            us = 0;
        }
}

// Machines are built one after the other, so they may not be there yet.
static word_t find(const char *name)
{
    char text[NAME_MAX + 1];
    for (uint64_t end = rdtsc() + ticks_of_us(PATIENCE_US); rdtsc() < end; yield())
        for (word_t id = 0; id < IDS; id++) {
            struct words m = {
                {ASK_CONTROL_NAME, id, (word_t)text, NAME_MAX}
            };
            sword_t length = service_ask(&hv, &m);
            text[length > 0 ? length : 0] = '\0';
            if (length > 0 && !strcmp(text, name))
                return id;
        }
    return IDS;
}

static bool ends_so(word_t id, enum ending how, word_t code)
{
    for (uint64_t end = rdtsc() + ticks_of_us(PATIENCE_US); !ends[id].told && rdtsc() < end;)
        note_ends(10000);
    return ends[id].told && ends[id].how == how && ends[id].code == code;
}

// Which, by the ending: `exits` and `broken` may have ended before they could be found.
static bool one_ends_so(enum ending how, word_t code)
{
    for (uint64_t end = rdtsc() + ticks_of_us(PATIENCE_US); rdtsc() < end; note_ends(10000))
        for (word_t id = 0; id < IDS; id++)
            if (ends[id].told && ends[id].how == how && ends[id].code == code)
                return true;
    return false;
}

static void yes(const char *name, bool ok)
{
    check(ok, name, "expected yes\ngot no");
}

// It runs for a while, is built again, and has run for less then.
static bool is_reborn(word_t id)
{
    sword_t before = 0, after = -E_AGAIN;
    uint64_t end = rdtsc() + ticks_of_us(PATIENCE_US);
    while (before < (sword_t)ticks_of_us(20000) && rdtsc() < end)
        before = ask(ASK_CONTROL_TICKS, id, NULL);
    if (ask(ASK_CONTROL_PAUSE, id, NULL) || ask(ASK_CONTROL_RESET, id, NULL))
        return false;
    for (; after == -E_AGAIN && rdtsc() < end; yield())
        after = ask(ASK_CONTROL_TICKS, id, NULL);
    return after >= 0 && after < before;
}

void control(void)
{
    word_t runs = find("runs"), reborn = find("reborn");
    result("watch", 0, ask(ASK_CONTROL_WATCH, 1, NULL));
    yes("found", runs < IDS && reborn < IDS);
    yes("reset", is_reborn(reborn) && is_reborn(reborn));
    note_ends(0);
    yes("reset-is-no-end", !ends[reborn].told);
    result("pause", 0, ask(ASK_CONTROL_PAUSE, runs, NULL));
    result("resume", 0, ask(ASK_CONTROL_RESUME, runs, NULL));
    result("destroy", 0, ask(ASK_CONTROL_DESTROY, runs, NULL));
    yes("end-destroyed", ends_so(runs, END_DESTROYED, 0));
    yes("end-exit", one_ends_so(END_EXIT, CODE));
    yes("end-load", one_ends_so(END_LOAD, 0));
    result("watch-no-more", 0, ask(ASK_CONTROL_WATCH, 0, NULL));
    result("destroy-reborn", 0, ask(ASK_CONTROL_DESTROY, reborn, NULL));
    result("no-event", -E_AGAIN, ipc_receive(hv.in, 100000, &(struct words){{0}}));
    ends[runs].told = false; // of all that have ended, once more
    result("watch-again", 0, ask(ASK_CONTROL_WATCH, 1, NULL));
    yes("end-again", ends_so(runs, END_DESTROYED, 0) && ends_so(reborn, END_DESTROYED, 0));
    result("watch-oddly", -E_INVALID, ask(ASK_CONTROL_WATCH, 2, NULL));
    result("not-oneself", -E_INVALID, ask(ASK_CONTROL_DESTROY, start_info->vm_id, NULL));
    result("no-machine", -E_NOT_FOUND, ask(ASK_CONTROL_PAUSE, IDS + 1, NULL));
}

// Its port has to be empty in each life, whatever was on its way in the last one. It leaves answers and alarms behind.
int reborn(void)
{
    struct words m;
    if (ipc_receive(PORT_ANY, 0, &m) != -E_AGAIN)
        return 3;
    for (word_t us = 1;; us = us % 5000 + 1) {
        ask(ASK_CLOCK_ALARM, us, NULL);
        ipc_send(hv.out, &(struct words){{ASK_CLOCK_NOW}});
        if (us % 64 == 0)
            while (ipc_receive(hv.in, 0, &m) >= 0)
                ;
    }
}

// Watches whatever others do until there is nobody else: then nothing can end its halt any more.
int outlives(void)
{
    struct words m;
    start_events();
    ask(ASK_CONTROL_WATCH, 1, NULL);
    ask(ASK_MEMORY_WATCH, 1, NULL);
    ask(ASK_BALLOON_WATCH, 1, NULL);
    for (;;) {
        while (ipc_receive(hv.in, 0, &m) > 0)
            ;
        __asm__ volatile("sti; hlt; cli");
    }
}
