/* SPDX-License-Identifier: Apache-2.0
 *
 * Doubly linked list whose nodes live inside the elements. Every operation is O(1).
 *
 * Normal path: an element embeds a `struct list_node`; zeroed memory is a node in no list. The
 * list is a ring of nodes through its own root, so no operation has a special case for the ends.
 * Failure path: none that a caller could handle. Linking a linked node, removing an unlinked one,
 * or neighbours that do not point back to each other are bugs and abort.
 *
 * A list and its nodes must not be moved while linked. Must not own elements or allocate.
 */
#ifndef CROSSDOCK_BROKER_BASE_LIST_H
#define CROSSDOCK_BROKER_BASE_LIST_H

#include "wire/xassert.h"

#include <stdbool.h>
#include <stddef.h>

/* Embedded in an element, once per list that the element can be in. */
struct list_node {
    struct list_node *next; /* towards the back; the root behind the last; NULL = in no list */
    struct list_node *prev; /* towards the front; the root before the first; NULL = in no list */
};

struct list {
    struct list_node root; /* next is the first node, prev the last; itself when empty */
};

/* The element of `type` whose field `member` is `node`, which must not be NULL. */
#define LIST_ELEMENT(node, type, member) ((type *)list_element((node), offsetof(type, member)))

static inline void *list_element(struct list_node *node, size_t member_offset)
{
    XD_ASSERT(node != NULL);
    return (char *)node - member_offset;
}

static inline void list_init(struct list *list)
{
    list->root.next = &list->root;
    list->root.prev = &list->root;
}

/* Whether the node is in some list. */
static inline bool list_linked(const struct list_node *node)
{
    return node->next != NULL;
}

static inline bool list_empty(const struct list *list)
{
    XD_ASSERT(list_linked(&list->root));
    return list->root.next == &list->root;
}

/* Links `node` between two neighbours; the part that both pushes share. */
static inline void list_link(struct list_node *node, struct list_node *prev, struct list_node *next)
{
    XD_ASSERT(node->next == NULL && node->prev == NULL);
    XD_ASSERT(prev->next == next && next->prev == prev);
    node->prev = prev;
    node->next = next;
    prev->next = node;
    next->prev = node;
}

static inline void list_push_front(struct list *list, struct list_node *node)
{
    XD_ASSERT(list_linked(&list->root));
    list_link(node, &list->root, list->root.next);
}

static inline void list_push_back(struct list *list, struct list_node *node)
{
    XD_ASSERT(list_linked(&list->root));
    list_link(node, list->root.prev, &list->root);
}

/* Takes a linked node out of whichever list holds it. */
static inline void list_remove(struct list_node *node)
{
    XD_ASSERT(list_linked(node));
    XD_ASSERT(node->prev->next == node && node->next->prev == node);
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = NULL;
    node->prev = NULL;
}

/* First node, or NULL when the list is empty. */
static inline struct list_node *list_first(const struct list *list)
{
    return list_empty(list) ? NULL : list->root.next;
}

/* The node behind `node`, or NULL behind the last. To remove while walking, fetch the next node
 * before removing this one. */
static inline struct list_node *list_next(const struct list *list, const struct list_node *node)
{
    XD_ASSERT(list_linked(node));
    XD_ASSERT(node != &list->root);
    return node->next == &list->root ? NULL : node->next;
}

/* Takes out and gives the first node, or NULL when the list is empty. */
static inline struct list_node *list_pop_front(struct list *list)
{
    struct list_node *node = list_first(list);

    if (node != NULL)
        list_remove(node);
    return node;
}

/* Asserts all links, O(n). Ends on any input: as long as each next node points back, the walk is
 * one cycle, and a cycle that began at the root comes back to it. */
static inline void list_check(const struct list *list)
{
    const struct list_node *node = &list->root;

    do {
        XD_ASSERT(node->next != NULL);
        XD_ASSERT(node->next->prev == node);
        node = node->next;
    } while (node != &list->root);
}

#endif
