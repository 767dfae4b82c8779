// Every error code of Micronova, once: its name, its number and its sentence. Functions inside the
// hypervisor return `enum error`; a hypercall returns it negated in RAX. Numbers never change meaning.
#pragma once

#define ERRORS(X)                                             \
    X(OK, 0, "success")                                       \
    X(NO_MEMORY, 1, "out of memory")                          \
    X(INVALID, 2, "invalid argument")                         \
    X(DENIED, 3, "not permitted")                             \
    X(UNKNOWN_CALL, 4, "unknown hypercall")                   \
    X(BAD_ADDRESS, 5, "address outside the machine's memory") \
    X(AGAIN, 6, "busy: try again")                            \
    X(EXISTS, 7, "exists already")                            \
    X(NOT_FOUND, 8, "not found")                              \
    X(TOO_BIG, 9, "too big")                                  \
    X(UNSUPPORTED, 10, "not supported here")                  \
    X(MALFORMED, 11, "malformed")                             \
    X(DOUBLE_FREE, 12, "freed twice")                         \
    X(FOREIGN, 13, "owned by somebody else")                  \
    X(GONE, 14, "the other side has ended")                   \
    X(INTERRUPTED, 15, "an interrupt came first")

enum error {
#define X(name, number, sentence) E_##name = (number),
    ERRORS(X)
#undef X
};

// The sentence for a code; "unknown error" for a number outside the list.
static inline const char *error_text(enum error e)
{
    switch (e) {
#define X(name, number, sentence) \
    case E_##name:                \
        return sentence;
        ERRORS(X)
#undef X
    }
    return "unknown error";
}
