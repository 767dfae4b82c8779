// Little-endian numbers at any alignment, in firmware tables, file headers and start information. Pure.
#pragma once
#include "arch/string.h"
#include "arch/types.h"

static inline uint16_t get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}
static inline uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}
static inline uint64_t get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}
static inline void put16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}
static inline void put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}
static inline void put64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof(v));
}
