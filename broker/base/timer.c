/* SPDX-License-Identifier: Apache-2.0
 *
 * Binary heap of timers; see timer.h. Entries carry deadline and sequence, so sifting compares
 * without touching owners; each moved entry writes its new position into its timer.
 */
#include "broker/base/timer.h"

#include "wire/xassert.h"

#include <errno.h>
#include <stddef.h>

/* No two armed timers share a sequence, so of two different entries exactly one is before. */
static bool before(const struct timers_entry *a, const struct timers_entry *b)
{
    if (a->deadline_ns != b->deadline_ns)
        return a->deadline_ns < b->deadline_ns;
    return a->sequence < b->sequence;
}

static void place(struct timers *timers, uint32_t index, struct timers_entry entry)
{
    timers->heap[index] = entry;
    entry.timer->position = index + 1;
}

/* Puts `entry` where it belongs on the path from the free place `index` to the root. */
static void sift_up(struct timers *timers, uint32_t index, struct timers_entry entry)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / 2;

        if (before(&timers->heap[parent], &entry))
            break;
        place(timers, index, timers->heap[parent]);
        index = parent;
    }
    place(timers, index, entry);
}

/* Puts `entry` where it belongs on the path of least children below the free place `index`. */
static void sift_down(struct timers *timers, uint32_t index, struct timers_entry entry)
{
    for (;;) {
        uint32_t child = 2 * index + 1;

        if (child + 1 < timers->count && before(&timers->heap[child + 1], &timers->heap[child]))
            child++;
        if (child >= timers->count || before(&entry, &timers->heap[child]))
            break;
        place(timers, index, timers->heap[child]);
        index = child;
    }
    place(timers, index, entry);
}

void timers_init(struct timers *timers, struct timers_entry *heap, uint32_t capacity)
{
    XD_ASSERT(heap != NULL);
    XD_ASSERT(capacity > 0 && capacity <= INT32_MAX);
    *timers = (struct timers){.heap = heap, .capacity = capacity};
}

int timers_arm(struct timers *timers, struct timer *timer, uint64_t deadline_ns, uint64_t token)
{
    struct timers_entry entry = {.deadline_ns = deadline_ns, .timer = timer};

    XD_ASSERT(deadline_ns < TIMERS_NONE);
    timers_cancel(timers, timer);
    if (timers->count == timers->capacity)
        return -ENOSPC;
    timer->token = token;
    entry.sequence = timers->sequence++;
    sift_up(timers, timers->count++, entry);
    return 0;
}

void timers_cancel(struct timers *timers, struct timer *timer)
{
    uint32_t index = timer->position - 1;
    struct timers_entry last;

    if (!timer_armed(timer))
        return;
    XD_ASSERT(index < timers->count);
    XD_ASSERT(timers->heap[index].timer == timer);
    timer->position = 0;
    last = timers->heap[--timers->count];
    if (last.timer == timer)
        return;
    /* The last entry fills the gap; coming from another branch it may have to go either way. */
    if (before(&last, &timers->heap[index]))
        sift_up(timers, index, last);
    else
        sift_down(timers, index, last);
}

struct timer *timers_pop(struct timers *timers, uint64_t now_ns)
{
    struct timer *timer;

    if (timers->count == 0 || timers->heap[0].deadline_ns > now_ns)
        return NULL;
    timer = timers->heap[0].timer;
    timers_cancel(timers, timer);
    return timer;
}

uint64_t timers_next_ns(const struct timers *timers)
{
    return timers->count > 0 ? timers->heap[0].deadline_ns : TIMERS_NONE;
}

void timers_check(const struct timers *timers)
{
    XD_ASSERT(timers->count <= timers->capacity);
    for (uint32_t i = 0; i < timers->count; i++) {
        const struct timers_entry *entry = &timers->heap[i];

        XD_ASSERT(entry->timer->position == i + 1);
        XD_ASSERT(entry->sequence < timers->sequence);
        if (i > 0)
            XD_ASSERT(before(&timers->heap[(i - 1) / 2], entry));
    }
}
