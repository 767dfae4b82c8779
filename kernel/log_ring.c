#include "kernel/log_ring.h"
#include "arch/string.h"

_Static_assert(sizeof(struct log_record) == RECORD_ALIGN, "a header must never wrap around the ring's end");

static uint32_t span(size_t length)
{
    return (uint32_t)align_up(sizeof(struct log_record) + length, RECORD_ALIGN);
}

static struct log_record *header_at(const struct log_ring *r, uint32_t position)
{
    return (struct log_record *)(r->bytes + (position & (r->size - 1)));
}

void log_ring_init(struct log_ring *r, void *bytes, uint32_t size)
{
    *r = (struct log_ring){.bytes = bytes, .size = size};
}

bool log_ring_has_room(const struct log_ring *r, size_t length)
{
    return span(min_u64(length, RECORD_TEXT_MAX)) <= log_ring_free(r);
}

uint32_t log_ring_free(const struct log_ring *r)
{
    return r->size -
           (__atomic_load_n(&r->head, __ATOMIC_RELAXED) - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE));
}

// Compare and exchange, because an NMI may reserve between the check and the step.
static bool reserve(struct log_ring *r, size_t length, uint32_t *position)
{
    *position = __atomic_load_n(&r->head, __ATOMIC_RELAXED);
    do
        if (*position + span(length) - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) > r->size)
            return false;
    while (!__atomic_compare_exchange_n(&r->head, position, *position + span(length), false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
    return true;
}

// The part of [position, position + length) before the ring's end.
static uint32_t first_part(const struct log_ring *r, uint32_t position, uint32_t length)
{
    return (uint32_t)min_u64(length, r->size - (position & (r->size - 1)));
}

bool log_ring_put(struct log_ring *r, tsc_t at, enum record_kind kind, uint8_t detail, const char *text,
                  size_t length)
{
    uint32_t position, len = (uint32_t)min_u64(length, RECORD_TEXT_MAX);
    if (!reserve(r, len, &position))
        return false;
    struct log_record *header = header_at(r, position);
    uint32_t body = position + sizeof *header, first = first_part(r, body, len);
    memcpy(header_at(r, body), text, first);
    memcpy(r->bytes, text + first, len - first);
    header->at = at;
    header->length = (uint16_t)len;
    header->kind = (uint8_t)kind;
    header->detail = detail;
    __atomic_store_n(&header->ready, 1, __ATOMIC_RELEASE);
    return true;
}

bool log_ring_peek(const struct log_ring *r, struct log_record *record)
{
    if (__atomic_load_n(&r->head, __ATOMIC_RELAXED) == r->tail)
        return false; // also where a full ring's tail meets its head: the difference is its size then, not 0
    const struct log_record *header = header_at(r, r->tail);
    if (!__atomic_load_n(&header->ready, __ATOMIC_ACQUIRE))
        return false;
    *record = *header;
    return true;
}

void log_ring_take(struct log_ring *r, const struct log_record *record, char *text)
{
    uint32_t len =
        (uint32_t)min_u64(record->length, RECORD_TEXT_MAX); // a panic reads rings that may be damaged
    uint32_t body = r->tail + sizeof *record, first = first_part(r, body, len);
    memcpy(text, header_at(r, body), first);
    memcpy(text + first, r->bytes, len - first);

    uint32_t whole = span(len), before_end = first_part(r, r->tail, whole);
    memset(header_at(r, r->tail), 0, before_end);
    memset(r->bytes, 0, whole - before_end);
    __atomic_store_n(&r->tail, r->tail + whole, __ATOMIC_RELEASE);
}
