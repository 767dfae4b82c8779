// Looking into extended page tables.
#pragma once
#include "mm/ept.h"

struct ept_leaf {    // a translation, as found
    hpa_t at;        // of the byte asked for
    uint64_t rights; // EPT_READ | EPT_WRITE | EPT_EXEC
    enum ept_level level;
    enum cache_type type;
    bool accessed, dirty, foreign;
};

// The translation of one byte; false: none.
bool ept_lookup(const struct ept *e, gpa_t at, struct ept_leaf *leaf);
// The 4-KiB entry for `at` if its table exists; NULL otherwise.
uint64_t *ept_peek(const struct ept *e, gpa_t at);
