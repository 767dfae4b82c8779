// The control sequences are those of ECMA-48: ESC starts one; '[' makes it a control sequence (ends with a
// byte 40H..7EH); ']', 'P', 'X', '^' and '_' start a control string (ends with ST or, as xterm has it, BEL).
#include "kernel/guest_console.h"
#include "kernel/report.h"

enum escape {
    ESC_NONE,
    ESC_STARTED,  // ESC seen
    ESC_SEQUENCE, // inside CSI ...
    ESC_STRING,   // inside a control string
};

// A guest that never ends its control string shall not fall silent for good.
enum { STRING_MAX = 2048 };

// A call's work is bounded: so many control bytes, some 60 instructions each; a line costs as much as eight.
enum { FUEL = 192, LINE_FUEL = 8 };

static const tsc_t NEVER = {~0ull};

void guest_console_init(struct guest_console *c, const char *machine, uint64_t tsc_hz)
{
    *c = (struct guest_console){.machine = machine, .deadline = NEVER};
    c->hold = tsc(tsc_hz / 1000 * GUEST_PARTIAL_MS);
}

static bool send(struct guest_console *c, bool broken)
{
    if (!report_has_room())
        return false;
    report_guest_line(c->machine, c->line, c->length);
    c->length = 0;
    c->deadline = NEVER;
    c->broken = broken;
    return true;
}

static enum escape after_escape(uint8_t byte)
{
    if (byte == '[')
        return ESC_SEQUENCE;
    if (byte == ']' || byte == 'P' || byte == 'X' || byte == '^' || byte == '_')
        return ESC_STRING;
    return byte >= 0x20 && byte <= 0x2f ? ESC_STARTED : ESC_NONE; // intermediate bytes: the final one follows
}

// Is this byte part of an escape sequence, which goes nowhere? Line ends are not: nobody may swallow lines.
static bool dropped(struct guest_console *c, uint8_t byte)
{
    enum escape was = c->state;
    if (byte == '\n' || byte == '\r') {
        c->state = ESC_NONE;
        return false;
    }
    if (byte == 0x1b) {
        c->state = ESC_STARTED; // of what follows, be it the ST that ends a string
        c->skipped = 0;
        return true;
    }
    if (was == ESC_STRING) {
        if (byte == 7 || ++c->skipped > STRING_MAX)
            c->state = ESC_NONE;
        return true;
    }
    if (was == ESC_NONE)
        return false;
    if (byte < 0x20 || byte > 0x7e) { // not a sequence after all
        c->state = ESC_NONE;
        return false;
    }
    if (was == ESC_STARTED)
        c->state = (uint8_t)after_escape(byte);
    else if (byte >= 0x40)
        c->state = ESC_NONE;
    return true;
}

// CR ends a line that has text; the LF behind it, and behind a line that went out early, adds nothing.
static bool take_line_end(struct guest_console *c, char byte)
{
    if (c->length)
        return send(c, byte == '\r');
    if (byte == '\r')
        return true;
    if (!c->broken)
        return send(c, false);
    c->broken = false;
    return true;
}

static void lengthen(struct guest_console *c, size_t by, tsc_t now)
{
    if (!c->length)
        c->deadline = tsc(now.v + c->hold.v);
    c->length = (uint16_t)(c->length + by);
    c->broken = false;
}

// Takes the text before the next control byte, as far as the line has room: most of what guests print.
static size_t take_run(struct guest_console *c, const char *bytes, size_t n, tsc_t now)
{
    size_t run = 0, room = min_u64(n, GUEST_LINE_MAX - c->length);
    if (c->state != ESC_NONE)
        return 0;
    for (char *to = c->line + c->length; run < room && (uint8_t)bytes[run] >= 0x20; run++)
        to[run] = bytes[run];
    if (run)
        lengthen(c, run, now);
    return run;
}

// One byte, whatever it is. False: the ring is full.
static bool take_byte(struct guest_console *c, char byte, tsc_t now)
{
    if (dropped(c, (uint8_t)byte))
        return true;
    if (byte == '\n' || byte == '\r')
        return take_line_end(c, byte);
    if (c->length == GUEST_LINE_MAX && !send(c, true))
        return false;
    c->line[c->length] = byte;
    lengthen(c, 1, now);
    return true;
}

size_t guest_console_write(struct guest_console *c, const char *bytes, size_t n, tsc_t now)
{
    unsigned fuel = FUEL;
    for (size_t i = 0; i < n; i++) {
        i += take_run(c, bytes + i, n - i, now);
        if (i == n)
            break;
        unsigned cost = bytes[i] == '\n' || bytes[i] == '\r' ? LINE_FUEL : 1;
        if (fuel < cost || !take_byte(c, bytes[i], now))
            return i;
        fuel -= cost;
    }
    return n;
}

void guest_console_poll(struct guest_console *c, tsc_t now)
{
    if (now.v >= c->deadline.v && c->length && !send(c, true))
        c->deadline = tsc(now.v + c->hold.v);
}

void guest_console_flush(struct guest_console *c)
{
    if (c->length)
        report_guest_line(c->machine, c->line, c->length);
    c->length = 0;
    c->deadline = NEVER;
}
