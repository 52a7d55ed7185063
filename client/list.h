/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring of links that live inside their elements. The head is a link too; an empty ring points to
 * itself, and so does an element that is in no ring. Nothing here can fail.
 */
#ifndef CROSSDOCK_CLIENT_LIST_H
#define CROSSDOCK_CLIENT_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/xassert.h"

struct xd_link {
    struct xd_link *next; /* itself: alone */
    struct xd_link *prev;
};

/* The element of type `type` whose member `member` is the link. */
#define XD_LINK_ELEMENT(link, type, member)                                                        \
    ((type *)(void *)((char *)(uintptr_t)(link)-offsetof(type, member)))

static inline void xd_link_init(struct xd_link *link)
{
    link->next = link;
    link->prev = link;
}

/* In a ring. Of a head: it has elements. */
static inline bool xd_link_used(const struct xd_link *link)
{
    return link->next != link;
}

static inline void xd_link_push_back(struct xd_link *head, struct xd_link *link)
{
    XD_ASSERT(!xd_link_used(link));
    XD_ASSERT(link != head && head->prev->next == head);
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

/* Accepts a link that is in no ring. */
static inline void xd_link_remove(struct xd_link *link)
{
    XD_ASSERT(link->prev->next == link && link->next->prev == link);
    link->prev->next = link->next;
    link->next->prev = link->prev;
    xd_link_init(link);
}

/* First element's link, or NULL. */
static inline struct xd_link *xd_link_first(const struct xd_link *head)
{
    XD_ASSERT(head->next->prev == head);
    return head->next == head ? NULL : head->next;
}

/* The link behind `link`, or NULL at the end. */
static inline struct xd_link *xd_link_next(const struct xd_link *head, const struct xd_link *link)
{
    XD_ASSERT(link->next->prev == link);
    return link->next == head ? NULL : link->next;
}

#endif
