/* SPDX-License-Identifier: Apache-2.0
 *
 * The two rings of outcomes. Numbers of entries and runs only rise; their places are modulo the
 * ring. Nothing fails but a push without room.
 */
#include "client/outcomes.h"

#include "client/memory.h"
#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

#define ENTRIES_MIN 1024u
#define ENTRIES_MAX (1u << 20) /* 16 MiB, of which only what is used is touched */
#define RUNS_MAX (1u << 16)

int xd_outcomes_init(struct xd_outcomes *outcomes, uint64_t entry_count)
{
    memset(outcomes, 0, sizeof(*outcomes));
    outcomes->entries_max = ENTRIES_MIN;
    while (outcomes->entries_max < entry_count && outcomes->entries_max < ENTRIES_MAX)
        outcomes->entries_max *= 2;
    XD_ASSERT((outcomes->entries_max & (outcomes->entries_max - 1)) == 0);
    outcomes->runs_max = outcomes->entries_max < RUNS_MAX ? outcomes->entries_max : RUNS_MAX;
    outcomes->entries = xd_memory_acquire_array(outcomes->entries_max, sizeof(*outcomes->entries));
    outcomes->runs = xd_memory_acquire_array(outcomes->runs_max, sizeof(*outcomes->runs));
    return outcomes->entries != NULL && outcomes->runs != NULL ? 0 : -ENOMEM;
}

void xd_outcomes_deinit(struct xd_outcomes *outcomes)
{
    xd_memory_release(outcomes->entries);
    xd_memory_release(outcomes->runs);
    memset(outcomes, 0, sizeof(*outcomes));
}

bool xd_outcomes_push(struct xd_outcomes *outcomes, const struct xd_outcome_run *run,
                      const struct xd_entry *entries)
{
    XD_ASSERT(run->count > 0 && run->taken == 0);
    uint64_t used = outcomes->entry_end - outcomes->entry_first;
    XD_ASSERT(used <= outcomes->entries_max);
    XD_ASSERT(outcomes->run_end - outcomes->run_first <= outcomes->runs_max);
    if (run->count > outcomes->entries_max - used ||
        outcomes->run_end - outcomes->run_first == outcomes->runs_max)
        return false;
    outcomes->runs[outcomes->run_end++ & (outcomes->runs_max - 1)] = *run;
    uint32_t at = (uint32_t)(outcomes->entry_end & (outcomes->entries_max - 1));
    uint32_t before_wrap = outcomes->entries_max - at;
    uint32_t first = run->count < before_wrap ? run->count : before_wrap;
    memcpy(outcomes->entries + at, entries, first * sizeof(*entries));
    memcpy(outcomes->entries, entries + first, (run->count - first) * sizeof(*entries));
    outcomes->entry_end += run->count;
    return true;
}

xdock_ack_t xd_outcome_ack(const struct xd_outcome_run *run, const struct xd_entry *entry,
                           uint32_t index)
{
    XD_ASSERT(index < run->count);
    return (xdock_ack_t){.user = entry->user,
                         .sequence = entry->sequence,
                         .offset = run->status >= 0 ? run->base_offset + index : 0,
                         .log_index = run->log_index,
                         .status = run->status,
                         .partition = run->partition,
                         .durability = run->durability};
}

size_t xd_outcomes_take(struct xd_outcomes *outcomes, xdock_ack_t *ret_acks, size_t acks_max)
{
    size_t count = 0;
    while (count < acks_max && !xd_outcomes_empty(outcomes)) {
        struct xd_outcome_run *run =
            &outcomes->runs[outcomes->run_first & (outcomes->runs_max - 1)];
        const struct xd_entry *entry =
            &outcomes->entries[outcomes->entry_first & (outcomes->entries_max - 1)];
        XD_ASSERT(outcomes->entry_first < outcomes->entry_end);
        XD_ASSERT(run->taken < run->count);
        ret_acks[count++] = xd_outcome_ack(run, entry, run->taken);
        outcomes->entry_first++;
        if (++run->taken == run->count)
            outcomes->run_first++;
    }
    return count;
}
