#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* A doubly linked ring inside the objects it links: no allocation, removal in O(1). The head is a list_node
 * of its own. An object that is in no list has a node linked to itself. */
typedef struct list_node {
    struct list_node *next;
    struct list_node *previous;
} list_node;

/* The object of `type` whose member `member` is `node`. */
#define LIST_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(list_node *node) {
    node->next = node;
    node->previous = node;
}

static inline bool list_is_empty(const list_node *head) {
    return head->next == head;
}

static inline void list_append(list_node *head, list_node *node) {
    node->previous = head->previous;
    node->next = head;
    head->previous->next = node;
    head->previous = node;
}

/* Harmless for a node that is in no list. */
static inline void list_remove(list_node *node) {
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

/* NULL if empty. */
static inline list_node *list_first(const list_node *head) {
    return head->next == head ? NULL : head->next;
}

#endif
