// Machines that send messages to one another. The first word of cmdline= is the role; to= and by= name the others,
// count= says how many messages.
#include "guests/ipc/ipc.h"

// 32 bits each, so that machines of both kinds understand each other.
void fill(struct words *m, word_t who, word_t number)
{
    *m = (struct words){
        {who, number, (uint32_t)~number, (uint32_t)(number * 2654435761u + who)}
    };
}

bool is_filled(const struct words *m, word_t who, word_t number)
{
    struct words expected;
    fill(&expected, who, number);
    return !memcmp(m, &expected, sizeof expected);
}

enum error send_all(word_t port, const struct words *m)
{
    sword_t got;
    while ((got = ipc_send(port, m)) == -E_AGAIN)
        yield();
    return (enum error) - got;
}

static bool find_ports(const char *const *names, unsigned count, sword_t (*find)(const char *), word_t *ports)
{
    bool ok = true;
    for (unsigned i = 0; i < count; i++) {
        sword_t port = find(names[i]);
        ok &= port >= FIRST_PEER && port < PORTS;
        ports[i] = (word_t)port;
    }
    return ok;
}

static const struct {
    const char *word;
    int (*play)(const struct role *r);
    unsigned points; // beside the one that its ports are found
} roles[] = {
    {"ping",        ping,        2 },
    {"serve",       serve,       1 },
    {"source",      source,      1 },
    {"sink",        sink,        2 },
    {"ring",        ring,        1 },
    {"lend-server", lend_server, 1 },
    {"lend-client", lend_client, 8 },
    {"hostile",     hostile,     42},
    {"alone",       alone,       3 },
    {"dies",        dies,        1 },
    {"widow",       widow,       3 },
    {"flood",       flood,       1 },
    {"slow",        slow,        1 },
};

int main(const struct start_info *start)
{
    struct role r = {.line = command_line(start), .start = start};
    r.count = (word_t)word_number(r.line, "count", 1000);
    r.to_count = word_list(r.line, "to", r.to, PEERS_MAX);
    r.by_count = word_list(r.line, "by", r.by, PEERS_MAX);
    for (unsigned i = 0; i < array_size(roles); i++)
        if (word_present(r.line, roles[i].word)) {
            tap_plan(roles[i].points + 1);
            bool found = find_ports(r.to, r.to_count, port_out, r.out);
            found &= find_ports(r.by, r.by_count, port_in, r.in);
            check(found, "ports", "expected a port for each name of to= and by=\ngot none");
            return roles[i].play(&r) | tap_end();
        }
    print("unknown role: %s\n", r.line);
    return 2;
}
