#pragma once

// How a machine can end, once for dispatch, the word that `expect=` takes, and the sentence of the report.
#define ENDINGS(X)                                                 \
    X(EXIT, "exit", "of its own accord")                           \
    X(TRIPLE_FAULT, "triple-fault", "triple fault")                \
    X(OUTSIDE, "outside-memory", "access outside its memory")      \
    X(UNHANDLED, "unhandled-exit", "VM exit that nobody handles")  \
    X(ENTRY_FAILED, "entry-failed", "VM entry failed")             \
    X(RESET, "reset", "asked for a reset")                         \
    X(TIMEOUT, "timeout", "ran past its timeout=")                 \
    X(SCREEN, "screen", "screen shows what expect= awaits")        \
    X(SCREEN_FAIL, "screen-fail", "screen shows what fail= names") \
    X(STUCK, "stuck", "halted, and nothing can wake it")           \
    X(DESTROYED, "destroyed", "destroyed by another machine")      \
    X(NO_MEMORY, "no-memory", "the box has no memory left")        \
    X(LOAD, "load-error", "could not be loaded")

enum ending {
#define X(name, word, sentence) END_##name,
    ENDINGS(X)
#undef X
        END_COUNT
};
