// Whatever a machine prints, and however its bytes are cut up: each line on the wire starts with "# NAME| ",
// holds 20H..7EH only, is bounded, and no byte of plain text is lost while the ring fills and empties.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "kernel/guest_console.h"
#include "kernel/report.h"
#include "kernel/tap.h"

static struct tap tap;
static unsigned room, lines, plain_out;

static void check(bool holds)
{
    if (!holds)
        abort();
}

bool report_has_room(void)
{
    return room > 0;
}

static unsigned count_plain(const char *text, size_t n)
{
    unsigned count = 0;
    for (size_t i = 0; i < n; i++)
        count += text[i] == '\t'; // a control byte that no sequence can hold
    return count;
}

void report_guest_line(const char *machine, const char *text, size_t len)
{
    static const char prefix[] = "# fuzz| ";
    char record_text[RECORD_TEXT_MAX] = "fuzz| ", out[TAP_LINE_MAX];
    check(!strcmp(machine, "fuzz") && len <= GUEST_LINE_MAX);
    room -= room > 0;
    memcpy(record_text + 6, text, len);
    struct log_record record = {.kind = RECORD_LINE, .length = (uint16_t)(6 + len)};
    size_t n = tap_render(&tap, &record, record_text, out);
    check(n <= TAP_LINE_MAX && n >= sizeof prefix && !memcmp(out, prefix, sizeof prefix - 1) &&
          out[n - 1] == '\n');
    for (size_t i = 0; i + 1 < n; i++)
        check(out[i] >= 0x20 && out[i] <= 0x7e);
    plain_out += count_plain(text, len);
    lines++;
}

// Without ESC nothing is dropped: every tab arrives.
static void check_tabs(const uint8_t *data, size_t size)
{
    if (!size || !memchr(data, 0x1b, size))
        check(plain_out == count_plain((const char *)data, size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guest_console c;
    uint64_t now = 0;
    tap = (struct tap){0};
    lines = plain_out = 0;
    guest_console_init(&c, "fuzz", 1000);
    for (size_t at = 0; at < size;) {
        size_t chunk = min_u64(size - at, data[at] % 32 + 1u);
        room = data[at] % 5;
        size_t taken = guest_console_write(&c, (const char *)data + at, chunk, tsc(now));
        check(taken == chunk || !room || taken >= 24); // a call's work is bounded: 24 line ends
        if (taken < chunk)
            room = 1;
        at += taken;
        if (taken < chunk)
            at += guest_console_write(&c, (const char *)data + at, 1, tsc(now));
        now += data[at % size];
        guest_console_poll(&c, tsc(now));
    }
    room = 1;
    guest_console_flush(&c);
    check_tabs(data, size);
    check(tap.points == 0);
    return 0;
}
