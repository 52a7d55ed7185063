/* SPDX-License-Identifier: Apache-2.0
 *
 * Virtual time: a heap of tasks over the timers of broker/base. The token of a timer is the address
 * of its task; it stays inside this file and never reaches the trace.
 */
#include "tests/support/sim_clock.h"

#include "wire/xassert.h"

#include <stdlib.h>

#define CHUNK_TASKS 128u

struct sim_task_chunk {
    struct sim_task_chunk *next; /* older chunk */
    struct sim_task tasks[CHUNK_TASKS];
};

void clock_init(struct sim_clock *clock)
{
    *clock = (struct sim_clock){0};
    list_init(&clock->process);
    list_init(&clock->free);
    clock->entries = malloc(SIM_TASKS_MAX * sizeof(struct timers_entry));
    XD_ASSERT(clock->entries != NULL);
    timers_init(&clock->timers, clock->entries, SIM_TASKS_MAX);
}

void clock_deinit(struct sim_clock *clock)
{
    while (clock->chunks != NULL) {
        struct sim_task_chunk *chunk = clock->chunks;

        clock->chunks = chunk->next;
        free(chunk);
    }
    free(clock->entries);
}

static void clock_grow(struct sim_clock *clock)
{
    struct sim_task_chunk *chunk = calloc(1, sizeof(*chunk));

    XD_ASSERT(chunk != NULL);
    chunk->next = clock->chunks;
    clock->chunks = chunk;
    for (uint32_t i = 0; i < CHUNK_TASKS; i++)
        list_push_back(&clock->free, &chunk->tasks[i].node);
}

struct sim_task *clock_task(struct sim_clock *clock, enum sim_task_kind kind, bool of_process)
{
    struct sim_task *task;

    if (list_empty(&clock->free))
        clock_grow(clock);
    task = LIST_ELEMENT(list_pop_front(&clock->free), struct sim_task, node);
    XD_ASSERT(!timer_armed(&task->timer));
    *task = (struct sim_task){.kind = kind};
    if (of_process)
        list_push_back(&clock->process, &task->node);
    return task;
}

void clock_start(struct sim_clock *clock, struct sim_task *task, uint64_t delay_ns)
{
    int status;

    XD_ASSERT(!timer_armed(&task->timer));
    status = timers_arm(&clock->timers, &task->timer, clock->now_ns + delay_ns,
                        (uint64_t)(uintptr_t)task);
    XD_ASSERT(status == 0);
}

static struct sim_task *timer_task(const struct timer *timer)
{
    return timer == NULL ? NULL : (struct sim_task *)(uintptr_t)timer->token;
}

struct sim_task *clock_pop(struct sim_clock *clock)
{
    return timer_task(timers_pop(&clock->timers, clock->now_ns));
}

void clock_release(struct sim_clock *clock, struct sim_task *task)
{
    XD_ASSERT(!timer_armed(&task->timer));
    if (list_linked(&task->node))
        list_remove(&task->node);
    list_push_front(&clock->free, &task->node);
}

struct sim_task *clock_take_process(struct sim_clock *clock)
{
    struct list_node *node = list_first(&clock->process);
    struct sim_task *task;

    if (node == NULL)
        return NULL;
    task = LIST_ELEMENT(node, struct sim_task, node);
    timers_cancel(&clock->timers, &task->timer);
    return task;
}

struct sim_task *clock_take(struct sim_clock *clock)
{
    return timer_task(timers_pop(&clock->timers, TIMERS_NONE - 1));
}
