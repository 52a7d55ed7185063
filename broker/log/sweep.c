/* SPDX-License-Identifier: Apache-2.0
 *
 * Keeps the waits for the disk and chooses among them. See sweep.h.
 */
#include "broker/log/sweep.h"

#include "broker/log/log_state.h"

static struct log_wait *wait_of(struct list_node *node)
{
    return LIST_ELEMENT(node, struct log_wait, link);
}

void sweep_init(struct sweep *sweep)
{
    *sweep = (struct sweep){.loads = 0};
    list_init(&sweep->waiting);
    list_init(&sweep->over);
}

/* ---- waiting --------------------------------------------------------------------------------- */

void log_wait(struct log *log, struct log_wait *wait, uint32_t partition, uint64_t offset)
{
    struct sweep *sweep = &log->extents.sweep;
    struct index_cursor cursor;
    const struct index_entry *entry;
    int status = index_find(&log->index, partition, offset, &cursor);

    XD_ASSERT(status == 0); /* log_read has just found it */
    XD_ASSERT(!list_linked(&wait->link));
    entry = index_at(&log->index, cursor);
    *wait = (struct log_wait){.position = index_position(entry),
                              .offset = offset,
                              .loads = sweep->loads,
                              .bytes = index_block_bytes(entry),
                              .partition = partition,
                              .extent = SWEEP_NO_EXTENT,
                              .waiting = true};
    list_push_back(&sweep->waiting, &wait->link);
    sweep->waiting_count++;
    extent_turn(log);
}

/* Takes a wait out of its list; its extent may go when it was the last to come for it. */
static void wait_remove(struct log *log, struct log_wait *wait)
{
    struct extents *x = &log->extents;

    list_remove(&wait->link);
    if (wait->waiting) {
        XD_ASSERT(x->sweep.waiting_count > 0 && wait->extent == SWEEP_NO_EXTENT);
        x->sweep.waiting_count--;
        wait->waiting = false;
    }
    if (wait->extent != SWEEP_NO_EXTENT) {
        XD_ASSERT(wait->extent < x->count && x->extents[wait->extent].expected > 0);
        x->extents[wait->extent].expected--;
        wait->extent = SWEEP_NO_EXTENT;
    }
}

struct log_wait *log_wait_next(struct log *log)
{
    struct list_node *node = list_first(&log->extents.sweep.over);

    if (!node)
        return NULL;
    wait_remove(log, wait_of(node));
    return wait_of(node);
}

bool log_wait_over(const struct log *log)
{
    return !list_empty(&log->extents.sweep.over);
}

void log_wait_cancel(struct log *log, struct log_wait *wait)
{
    if (list_linked(&wait->link))
        wait_remove(log, wait);
}

/* ---- choosing -------------------------------------------------------------------------------- */

/* The wait that is next; NULL when there is none whose block is not on its way already. */
static const struct log_wait *next_wait(const struct extents *x)
{
    const struct sweep *sweep = &x->sweep;
    const struct log_wait *best = NULL;
    struct list_node *node;

    for (node = list_first(&sweep->waiting); node; node = list_next(&sweep->waiting, node)) {
        const struct log_wait *wait = wait_of(node);

        if ((best && wait->position >= best->position) || extent_coming(x, wait->position))
            continue;
        /* Only the oldest can be the first that is looked at. */
        if (!best && sweep->loads - wait->loads >= SWEEP_PASSED_MAX + sweep->waiting_count)
            return wait;
        best = wait;
    }
    return best;
}

const struct log_wait *sweep_pick(const struct log *log, uint64_t *ret_end)
{
    const struct sweep *sweep = &log->extents.sweep;
    const struct log_wait *best = next_wait(&log->extents);
    struct list_node *node;
    uint64_t end;

    if (!best)
        return NULL;
    end = best->position + best->bytes;
    for (node = list_first(&sweep->waiting); node; node = list_next(&sweep->waiting, node)) {
        const struct log_wait *wait = wait_of(node);
        uint64_t wait_end = wait->position + wait->bytes;

        if (wait->position > best->position && wait_end > end &&
            wait_end <= best->position + EXTENT_BYTES)
            end = wait_end;
    }
    XD_ASSERT(end - best->position <= EXTENT_BYTES);
    *ret_end = end;
    return best;
}

/* ---- ending ---------------------------------------------------------------------------------- */

/* Ends the waits for blocks in the range, by an extent or by none. */
static void waits_end(struct log *log, uint64_t position, uint64_t bytes, uint32_t extent)
{
    struct extents *x = &log->extents;
    struct list_node *next;

    for (struct list_node *node = list_first(&x->sweep.waiting); node; node = next) {
        struct log_wait *wait = wait_of(node);

        next = list_next(&x->sweep.waiting, node);
        if (wait->position < position || wait->position + wait->bytes > position + bytes)
            continue;
        wait_remove(log, wait);
        wait->extent = extent;
        if (extent != SWEEP_NO_EXTENT)
            x->extents[extent].expected++;
        list_push_back(&x->sweep.over, node);
    }
}

void sweep_loaded(struct log *log, uint32_t extent)
{
    const struct extent *e = &log->extents.extents[extent];

    XD_ASSERT(extent < log->extents.count && e->state == EXTENT_VALID && e->expected == 0);
    waits_end(log, e->position, e->bytes, extent);
}

void sweep_failed(struct log *log, uint64_t position, uint64_t bytes)
{
    struct sweep *sweep = &log->extents.sweep;

    for (struct list_node *node = list_first(&sweep->over); node;
         node = list_next(&sweep->over, node)) {
        struct log_wait *wait = wait_of(node);

        if (wait->extent == SWEEP_NO_EXTENT || wait->position < position ||
            wait->position >= position + bytes)
            continue;
        XD_ASSERT(log->extents.extents[wait->extent].expected > 0);
        log->extents.extents[wait->extent].expected--;
        wait->extent = SWEEP_NO_EXTENT;
    }
    waits_end(log, position, bytes, SWEEP_NO_EXTENT);
}
