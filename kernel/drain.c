#include "kernel/drain.h"

enum { STEPS_PER_REFRESH = 8, UNITS_PER_BYTE = 6 };

static struct log_ring *oldest(struct drain *d, struct log_record *record)
{
    struct log_ring *found = NULL;
    for (uint32_t i = 0; i < d->ring_count; i++) {
        struct log_record candidate;
        if (!log_ring_peek(d->rings[i], &candidate) || (found && candidate.at.v >= record->at.v))
            continue;
        found = d->rings[i];
        *record = candidate;
    }
    return found;
}

// Makes the next record the line in transit. False: no ring has one.
static bool fetch(struct drain *d)
{
    struct log_record record;
    char text[RECORD_TEXT_MAX];
    struct log_ring *r = oldest(d, &record);
    if (!r)
        return false;
    log_ring_take(r, &record, text);
    d->length = tap_render(&d->tap, &record, text, d->line);
    for (uint32_t i = 0; i < d->sink_count; i++)
        d->taken[i] = 0;
    return true;
}

static bool line_is_out(const struct drain *d)
{
    for (uint32_t i = 0; i < d->sink_count; i++)
        if (d->taken[i] < d->length)
            return false;
    return true;
}

// Offers the line in transit to each sink. Returns the most that one of them took.
static size_t offer(struct drain *d, size_t max_bytes)
{
    size_t most = 0;
    for (uint32_t i = 0; i < d->sink_count; i++) {
        const struct sink *s = &d->sinks[i];
        size_t n = min_u64(d->length - d->taken[i], max_bytes);
        if (n)
            n = s->put(s->self, d->line + d->taken[i], n);
        d->taken[i] += n;
        most = max_u64(most, n);
    }
    return most;
}

static bool refresh(struct drain *d, uint32_t units)
{
    bool left = false;
    for (uint32_t i = 0; i < d->sink_count; i++)
        if (d->sinks[i].refresh)
            left |= d->sinks[i].refresh(d->sinks[i].self, units);
    return left;
}

// Text that flows scrolls each row away soon after it was painted: then a screen is served now and then only.
static bool refresh_is_due(struct drain *d, bool flowing)
{
    return !flowing || d->steps++ % STEPS_PER_REFRESH == 0;
}

// Returns whether text is left.
static bool move(struct drain *d, size_t max_bytes)
{
    while (max_bytes) {
        if (line_is_out(d) && !fetch(d))
            return false;
        size_t moved = offer(d, max_bytes);
        if (!moved)
            break;
        max_bytes -= moved;
    }
    return true;
}

bool drain_step(struct drain *d, size_t max_bytes)
{
    bool flowing = move(d, max_bytes);
    bool unpainted = refresh_is_due(d, flowing) && refresh(d, (uint32_t)max_bytes * UNITS_PER_BYTE);
    return flowing || unpainted;
}

static void put_all(const struct sink *s, const char *text, size_t length)
{
    while (length) {
        size_t n = s->put(s->self, text, length);
        text += n;
        length -= n;
        if (length)
            s->settle(s->self);
    }
}

// Waits for the lines in transit to leave.
static void finish(struct drain *d)
{
    for (uint32_t i = 0; i < d->sink_count; i++) {
        size_t from = d->taken[i];
        d->taken[i] = d->length;
        put_all(&d->sinks[i], d->line + from, d->length - from);
    }
}

void drain_text(struct drain *d, const char *text, size_t length)
{
    for (uint32_t i = 0; i < d->sink_count; i++)
        put_all(&d->sinks[i], text, length);
}

void drain_all(struct drain *d)
{
    do
        finish(d);
    while (fetch(d));
}

void drain_settle(struct drain *d)
{
    for (uint32_t i = 0; i < d->sink_count; i++)
        d->sinks[i].settle(d->sinks[i].self);
}

void drain_for_room(struct drain *d, const struct log_ring *r, size_t length)
{
    do
        finish(d);
    while (!log_ring_has_room(r, length) && fetch(d));
}
