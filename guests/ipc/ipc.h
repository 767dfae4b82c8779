// Roles of the guest `ipc`, by the first word of cmdline=.
#pragma once
#include "guests/lib/apic.h"
#include "guests/lib/guest.h"
#include "guests/lib/ipc.h"

enum { PEERS_MAX = PORTS };

// What every role finds.
struct role {
    const char *line; // cmdline=
    const struct start_info *start;
    word_t count;                              // count=: messages, or what the role counts
    const char *to[PEERS_MAX], *by[PEERS_MAX]; // to=: whom it sends to; by=: who sends to it
    unsigned to_count, by_count;
    word_t out[PEERS_MAX], in[PEERS_MAX]; // their ports
};

// Each returns what main() does.
int ping(const struct role *r);
int serve(const struct role *r);
int source(const struct role *r);
int sink(const struct role *r);
int ring(const struct role *r);
int lend_server(const struct role *r);
int lend_client(const struct role *r);
int hostile(const struct role *r);
int alone(const struct role *r);
int dies(const struct role *r);
int widow(const struct role *r);
int flood(const struct role *r);
int slow(const struct role *r);

// ---- Messages that can be checked: {who, number, what follows from both} ----

void fill(struct words *m, word_t who, word_t number);
bool is_filled(const struct words *m, word_t who, word_t number);

// Sends, and yields while the port is full. E_OK, or the error.
enum error send_all(word_t port, const struct words *m);
