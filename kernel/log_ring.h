// One processor's ring of log records, each whole: a record is in the ring entirely or not at all.
// One producer (the processor, and NMI or #MC handlers that interrupt it there: they reserve behind the
// record they interrupted) and one consumer (whoever holds the drain lock). Pure.
// Invariant: the free part of the ring is zero, so a reserved record is not ready before its producer says so.
#pragma once
#include "arch/types.h"

enum record_kind {
    RECORD_LINE,  // text goes out as "# text"
    RECORD_POINT, // text is lines: "machine/name", the reason if it was skipped, and what follows as "# text"
};

enum { RECORD_TEXT_MAX = 800 }; // a point with all its lines, or a guest's 512 bytes and its name
enum { RECORD_ALIGN = 16 };

struct log_record {
    tsc_t at; // when it was made: rings are merged by it
    uint16_t length;
    uint8_t kind;   // enum record_kind
    uint8_t detail; // RECORD_POINT: enum point_result
    uint32_t ready;
};

struct log_ring {
    uint8_t *bytes;
    uint32_t size;    // power of two
    uint32_t head;    // bytes ever reserved (wraps); producer
    uint32_t tail;    // bytes ever consumed (wraps); consumer
    uint32_t dropped; // records that found no room and could not wait (NMI)
};

// `bytes`: size bytes, zero, aligned to RECORD_ALIGN; size a power of two >= 4096.
void log_ring_init(struct log_ring *r, void *bytes, uint32_t size);

// Room for a record of `length` bytes of text? Only the producer may believe the answer.
bool log_ring_has_room(const struct log_ring *r, size_t length);

// Bytes that are free. Only the producer may believe the answer.
uint32_t log_ring_free(const struct log_ring *r);

// Appends a record; text beyond RECORD_TEXT_MAX is cut. False, and nothing happened: no room. Producer only.
bool log_ring_put(struct log_ring *r, tsc_t at, enum record_kind kind, uint8_t detail, const char *text,
                  size_t length);

// The oldest record's header, or false: there is none that is ready. Consumer only.
bool log_ring_peek(const struct log_ring *r, struct log_record *record);

// Copies the text of the record that was peeked into text[RECORD_TEXT_MAX] and frees its room. Consumer only.
void log_ring_take(struct log_ring *r, const struct log_record *record, char *text);
