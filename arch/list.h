// Intrusive doubly linked circular lists. A head is a node that points to itself when the list is empty.
// No locking here: whoever owns the head says what guards it.
#pragma once
#include "arch/types.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_insert(struct list *node, struct list *after)
{
    struct list *next = after->next;
    node->next = next;
    node->prev = after;
    next->prev = node;
    after->next = node;
}

static inline void list_push_front(struct list *head, struct list *node)
{
    list_insert(node, head);
}

static inline void list_push_back(struct list *head, struct list *node)
{
    list_insert(node, head->prev);
}

// Takes a node out and leaves its pointers as they are: it must not be taken out again.
static inline void list_unlink(struct list *node)
{
    struct list *next = node->next, *prev = node->prev;
    prev->next = next;
    next->prev = prev;
}

// Takes a node out and leaves it pointing to itself, so that a second removal is harmless.
static inline void list_remove(struct list *node)
{
    list_unlink(node);
    list_init(node);
}

#define list_entry(node, type, member) container_of(node, type, member)
