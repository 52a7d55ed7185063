/* SPDX-License-Identifier: Apache-2.0
 *
 * Timers of one shard: a binary heap over the caller's memory, arm and cancel in O(log n).
 *
 * Normal path: an owner embeds a `struct timer` (zeroed = not armed) and arms it with a deadline
 * and a token that tells the shard whose it is. The shard sleeps until timers_next_ns, then takes
 * expired timers out one by one with timers_pop. Equal deadlines come out in the sequence in which
 * they were armed, so a run is the same each time it is repeated.
 *
 * Failure path: -ENOSPC when as many timers are armed as the heap has entries.
 * Must not read a clock (time comes in as a number of any one clock) and must not call anyone.
 * A heap and not a wheel: deadlines are exact, there is no tick to choose, and the next deadline
 * is always at hand for the shard's sleep.
 */
#ifndef CROSSDOCK_BROKER_BASE_TIMER_H
#define CROSSDOCK_BROKER_BASE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

/* What timers_next_ns says when nothing is armed; no valid deadline. */
#define TIMERS_NONE UINT64_MAX

/* Embedded in its owner; must not be moved or freed while armed. */
struct timer {
    uint64_t token;    /* as given at arming; the set never looks at it */
    uint32_t position; /* 1 + index of its heap entry; 0 = not armed */
};

/* One entry of the heap; the set's own, named here so that the caller can size the memory. */
struct timers_entry {
    uint64_t deadline_ns;
    uint64_t sequence;   /* of arming, decides between equal deadlines */
    struct timer *timer; /* the owner's, armed */
};

struct timers {
    struct timers_entry *heap; /* the caller's; entry i is not later than 2i+1 and 2i+2 */
    uint64_t sequence;         /* of the next arming */
    uint32_t count;            /* timers armed */
    uint32_t capacity;         /* entries in heap */
};

/* Takes `heap` of `capacity` > 0 entries, below 2^31. It is the set's until its end, which needs
 * no call. */
void timers_init(struct timers *timers, struct timers_entry *heap, uint32_t capacity);

/* Arms a timer for `deadline_ns` < TIMERS_NONE; one that is armed already is moved and counts as
 * newly armed. 0, or -ENOSPC. */
int timers_arm(struct timers *timers, struct timer *timer, uint64_t deadline_ns, uint64_t token);

/* Disarms; nothing happens when it is not armed. */
void timers_cancel(struct timers *timers, struct timer *timer);

/* Takes out the first timer with a deadline <= now_ns, disarmed, or NULL. A caller that arms while
 * popping bounds its loop itself: a timer armed for the past is due at once. */
struct timer *timers_pop(struct timers *timers, uint64_t now_ns);

/* The earliest deadline, or TIMERS_NONE. */
uint64_t timers_next_ns(const struct timers *timers);

static inline bool timer_armed(const struct timer *timer)
{
    return timer->position != 0;
}

/* Asserts all invariants, O(n). */
void timers_check(const struct timers *timers);

#endif
