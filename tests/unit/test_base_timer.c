/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/base/timer.h: timers come out by deadline, then by the sequence of arming.
 */
#include <criterion/criterion.h>

#include "broker/base/prng.h"
#include "broker/base/timer.h"

#include <errno.h>
#include <signal.h>

#define COUNT 200u

static struct timers_entry heap[COUNT];
static struct timer all[COUNT];

/* The model: what is known of each timer. */
struct model {
    uint64_t deadline_ns[COUNT];
    uint64_t sequence[COUNT]; /* of its last arming */
    bool armed[COUNT];
    uint64_t armings;
};

/* Number of the timer that is due first, or COUNT. */
static uint32_t model_first(const struct model *model)
{
    uint32_t first = COUNT;

    for (uint32_t i = 0; i < COUNT; i++) {
        if (!model->armed[i])
            continue;
        if (first == COUNT || model->deadline_ns[i] < model->deadline_ns[first] ||
            (model->deadline_ns[i] == model->deadline_ns[first] &&
             model->sequence[i] < model->sequence[first]))
            first = i;
    }
    return first;
}

/* Pops everything that is due, in both. */
static uint32_t pop_due(struct timers *timers, struct model *model, uint64_t now_ns)
{
    uint32_t popped = 0;
    struct timer *timer;

    while ((timer = timers_pop(timers, now_ns)) != NULL) {
        uint32_t first = model_first(model);

        cr_assert_lt(first, COUNT);
        cr_assert_eq(timer, &all[first]);
        cr_assert_eq(timer->token, model->sequence[first]);
        cr_assert_leq(model->deadline_ns[first], now_ns);
        cr_assert(!timer_armed(timer));
        model->armed[first] = false;
        popped++;
    }
    return popped;
}

/* 100,000 random arms, re-arms, cancels and pops; deadlines are coarse, so many are equal. Half of
 * the armings lie in the past. */
Test(base_timer, agrees_with_a_scan_over_random_operations)
{
    static struct model model;
    struct timers timers;
    struct prng prng;
    uint64_t now_ns = 0;
    uint32_t popped = 0;

    prng_seed(&prng, 1);
    timers_init(&timers, heap, COUNT);
    for (uint32_t op = 0; op < 100000; op++) {
        uint32_t i = (uint32_t)prng_below(&prng, COUNT);
        uint32_t first;

        if (prng_chance(&prng, 40000)) {
            model.deadline_ns[i] = now_ns / 2 + prng_below(&prng, now_ns + 50);
            model.sequence[i] = model.armings++;
            model.armed[i] = true;
            cr_assert_eq(timers_arm(&timers, &all[i], model.deadline_ns[i], model.sequence[i]), 0);
        } else if (prng_chance(&prng, 60000)) {
            timers_cancel(&timers, &all[i]);
            model.armed[i] = false;
        } else {
            now_ns += prng_below(&prng, 3);
            popped += pop_due(&timers, &model, now_ns);
        }
        timers_check(&timers);
        first = model_first(&model);
        cr_assert_eq(timer_armed(&all[i]), model.armed[i]);
        cr_assert_eq(timers_next_ns(&timers),
                     first < COUNT ? model.deadline_ns[first] : TIMERS_NONE);
    }
    popped += pop_due(&timers, &model, TIMERS_NONE - 1);
    cr_assert_eq(model_first(&model), COUNT);
    cr_assert_eq(timers_next_ns(&timers), TIMERS_NONE);
    cr_assert_gt(popped, 10000);
}

/* Equal deadlines come out in the sequence of arming; arming again goes to the end. */
Test(base_timer, gives_equal_deadlines_in_the_sequence_of_arming)
{
    struct timers timers;

    timers_init(&timers, heap, COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        cr_assert_eq(timers_arm(&timers, &all[i], 1000, i), 0);
    cr_assert_eq(timers_arm(&timers, &all[0], 1000, 0), 0);
    for (uint32_t i = 1; i < COUNT; i++)
        cr_assert_eq(timers_pop(&timers, 1000), &all[i]);
    cr_assert_eq(timers_pop(&timers, 1000), &all[0]);
    cr_assert_null(timers_pop(&timers, 1000));
}

/* A timer is due at its deadline and not a nanosecond before. */
Test(base_timer, fires_at_the_deadline_and_not_before)
{
    struct timers timers;

    timers_init(&timers, heap, 1);
    cr_assert_eq(timers_arm(&timers, &all[0], 500, 42), 0);
    cr_assert_eq(timers_next_ns(&timers), 500);
    cr_assert_null(timers_pop(&timers, 499));
    cr_assert(timer_armed(&all[0]));
    cr_assert_eq(timers_pop(&timers, 500), &all[0]);
    cr_assert_eq(all[0].token, 42);
}

/* A full heap refuses another timer, which stays unarmed, but moves one that it holds. */
Test(base_timer, refuses_a_timer_beyond_its_capacity)
{
    struct timers timers;

    timers_init(&timers, heap, 2);
    cr_assert_eq(timers_arm(&timers, &all[0], 10, 0), 0);
    cr_assert_eq(timers_arm(&timers, &all[1], 20, 1), 0);
    cr_assert_eq(timers_arm(&timers, &all[2], 5, 2), -ENOSPC);
    cr_assert(!timer_armed(&all[2]));
    cr_assert_eq(timers_arm(&timers, &all[0], 30, 3), 0);
    cr_assert_eq(timers_next_ns(&timers), 20);
    timers_cancel(&timers, &all[1]);
    timers_cancel(&timers, &all[1]);
    cr_assert_eq(timers_arm(&timers, &all[2], 5, 4), 0);
    cr_assert_eq(timers_next_ns(&timers), 5);
}

/* A timer belongs to the set that armed it. */
Test(base_timer, aborts_when_another_set_cancels, .signal = SIGABRT)
{
    static struct timers_entry other_heap[4];
    struct timers timers, other;

    timers_init(&timers, heap, 4);
    timers_init(&other, other_heap, 4);
    cr_assert_eq(timers_arm(&timers, &all[0], 10, 0), 0);
    cr_assert_eq(timers_arm(&other, &all[1], 10, 0), 0);
    timers_cancel(&other, &all[0]);
}

/* The value that means "nothing armed" is no deadline. */
Test(base_timer, aborts_on_the_deadline_that_means_none, .signal = SIGABRT)
{
    struct timers timers;

    timers_init(&timers, heap, 4);
    timers_arm(&timers, &all[0], TIMERS_NONE, 0);
}
