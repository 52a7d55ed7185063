/* SPDX-License-Identifier: Apache-2.0
 *
 * All that readers were served, laid over each other: one log per partition, every offset once.
 *
 * Normal path: the runs of a partition come by offset; what overlaps what is there already must be
 * the same, the rest is added. A gap begins a new stretch. Each run is also judged by itself: what
 * was asked for, what may not be served, whether it skips.
 */
#include "tests/support/history_judge.h"

#include "wire/xassert.h"

#include <errno.h>
#include <stdlib.h>

static const struct history_run *run_at(const struct judge *judge, uint32_t index)
{
    return &judge->history->runs[judge->runs[index].run];
}

/* ---- one run by itself ----------------------------------------------------------------------- */

/* A run that goes on in a reply begins where the one before it ended. */
static void judge_continuation(struct judge *judge, uint32_t partition,
                               const struct history_run *run)
{
    const struct history_run *before = run - 1;
    uint64_t due = before->base_offset + before->entry_count;
    XD_ASSERT(before->entry_count > 0);
    if (run->base_offset > due &&
        judge_quarantined_whole(judge, partition, due, run->base_offset - 1, run->reply.start_ns))
        return;
    JUDGE_VIOLATE(judge, HISTORY_DENSE,
                  "partition %u: a reply goes on at offset %" PRIu64 " where %" PRIu64 " is due",
                  run->reply.partition, run->base_offset, due);
}

/* A reply holds the offset that was asked for, or the first one behind it that may be served. */
static void judge_request(struct judge *judge, uint32_t partition, const struct history_run *run)
{
    const struct history_reply *reply = &run->reply;
    if (reply->requested == HISTORY_NONE || run->entry_count == 0)
        return;
    uint64_t floor = reply->first_offset != HISTORY_NONE ? reply->first_offset
                                                         : judge->partitions[partition].floor;
    uint64_t due = reply->requested > floor ? reply->requested : floor;
    if (run->base_offset > due &&
        !judge_quarantined_whole(judge, partition, due, run->base_offset - 1, reply->start_ns))
        JUDGE_VIOLATE(judge, HISTORY_P5,
                      "partition %u: reader %u asked for offset %" PRIu64
                      " and was led past it to %" PRIu64,
                      reply->partition, reply->reader, reply->requested, run->base_offset);
    if (run->base_offset + run->entry_count <= reply->requested)
        JUDGE_VIOLATE(judge, HISTORY_P5,
                      "partition %u: reader %u asked for offset %" PRIu64
                      " and was led back to %" PRIu64 "..%" PRIu64,
                      reply->partition, reply->reader, reply->requested, run->base_offset,
                      run->base_offset + run->entry_count - 1);
}

static void judge_run(struct judge *judge, uint32_t partition, const struct history_run *run)
{
    const struct history_reply *reply = &run->reply;
    if (run->continues)
        judge_continuation(judge, partition, run);
    else
        judge_request(judge, partition, run);
    if (run->entry_count == 0)
        return;
    uint64_t last = run->base_offset + run->entry_count - 1;
    if (reply->first_offset != HISTORY_NONE && run->base_offset < reply->first_offset)
        JUDGE_VIOLATE(judge, HISTORY_FLOOR,
                      "partition %u: offset %" PRIu64 " is served, the oldest kept is %" PRIu64,
                      reply->partition, run->base_offset, reply->first_offset);
    if (judge_quarantined(judge, partition, run->base_offset, last, reply->start_ns))
        JUDGE_VIOLATE(judge, HISTORY_QUARANTINE,
                      "partition %u: of the offsets %" PRIu64 "..%" PRIu64
                      " served, some had been reported as damaged",
                      reply->partition, run->base_offset, last);
    if (reply->end_offset != HISTORY_NONE && last >= reply->end_offset)
        JUDGE_VIOLATE(judge, HISTORY_P5,
                      "partition %u: offset %" PRIu64 " is served, the end is told as %" PRIu64,
                      reply->partition, last, reply->end_offset);
}

/* ---- runs laid over each other --------------------------------------------------------------- */

/* An offset that was read before must show the same record. */
static void judge_again(struct judge *judge, uint32_t partition, uint64_t offset, uint32_t place,
                        uint32_t entry)
{
    const struct history_entry *one = &judge->history->entries[judge->places[place]];
    const struct history_entry *two = &judge->history->entries[entry];
    if (one->id != two->id || one->sequence != two->sequence ||
        one->append_time_us != two->append_time_us || one->key != two->key ||
        one->content != two->content)
        JUDGE_VIOLATE(judge, HISTORY_P4,
                      "partition %u offset %" PRIu64 ": read as id %" PRIu64 " sequence %" PRIu64
                      ", and as id %" PRIu64 " sequence %" PRIu64,
                      judge->partitions[partition].number, offset, one->id, one->sequence, two->id,
                      two->sequence);
}

static int begin_stretch(struct judge *judge, uint64_t *max, uint32_t partition, uint64_t offset)
{
    int status =
        judge_reserve(&judge->stretches, max, judge->stretch_count, sizeof *judge->stretches);
    if (status < 0)
        return status;
    struct judge_partition *own = &judge->partitions[partition];
    if (own->stretch_count++ == 0)
        own->first_stretch = judge->stretch_count;
    judge->stretches[judge->stretch_count++] = (struct judge_stretch){
        .first_offset = offset, .first_place = judge->place_count, .partition = partition};
    return 0;
}

static int lay_run(struct judge *judge, uint64_t *stretch_max, uint32_t partition,
                   const struct history_run *run)
{
    const struct judge_partition *own = &judge->partitions[partition];
    struct judge_stretch *stretch =
        own->stretch_count > 0 ? &judge->stretches[judge->stretch_count - 1] : NULL;
    if (stretch == NULL || run->base_offset > stretch->first_offset + stretch->count) {
        int status = begin_stretch(judge, stretch_max, partition, run->base_offset);
        if (status < 0)
            return status;
        stretch = &judge->stretches[judge->stretch_count - 1];
    }
    XD_ASSERT(run->base_offset >= stretch->first_offset);
    for (uint32_t i = 0; i < run->entry_count; i++) {
        uint64_t offset = run->base_offset + i, at = offset - stretch->first_offset;
        if (at < stretch->count) {
            judge_again(judge, partition, offset, stretch->first_place + (uint32_t)at,
                        run->first_entry + i);
            continue;
        }
        judge->places[judge->place_count++] = run->first_entry + i;
        stretch->count++;
    }
    return 0;
}

/* From the oldest offset to the end all must have been read, but for what is damaged. */
static void judge_coverage(struct judge *judge, uint32_t index)
{
    const struct judge_partition *partition = &judge->partitions[index];
    uint64_t due = partition->floor;
    for (uint32_t i = 0; i <= partition->stretch_count; i++) {
        uint64_t next = partition->end, read = next;
        if (i < partition->stretch_count) {
            const struct judge_stretch *stretch = &judge->stretches[partition->first_stretch + i];
            next = stretch->first_offset;
            read = next + stretch->count;
        }
        if (next > due && !judge_quarantined_whole(judge, index, due, next - 1, UINT64_MAX))
            JUDGE_VIOLATE(judge, HISTORY_UNREAD,
                          "partition %u: nobody has read the offsets %" PRIu64 "..%" PRIu64,
                          partition->number, due, next - 1);
        due = read > due ? read : due;
    }
}

int judge_log(struct judge *judge)
{
    uint64_t stretch_max = 0;
    judge->places = malloc((judge->history->entry_count + 1) * sizeof *judge->places);
    if (judge->places == NULL)
        return -ENOMEM;
    for (uint32_t index = 0; index < judge->partition_count; index++) {
        const struct judge_partition *partition = &judge->partitions[index];
        for (uint32_t i = 0; i < partition->run_count; i++) {
            const struct history_run *run = run_at(judge, partition->first_run + i);
            judge_run(judge, index, run);
            int status = run->entry_count > 0 ? lay_run(judge, &stretch_max, index, run) : 0;
            if (status < 0)
                return status;
        }
        judge_coverage(judge, index);
    }
    XD_ASSERT(judge->place_count <= judge->history->entry_count);
    return 0;
}

/* ---- look-ups -------------------------------------------------------------------------------- */

const struct judge_stretch *judge_find_stretch(const struct judge *judge, uint32_t partition,
                                               uint64_t offset)
{
    const struct judge_partition *own = &judge->partitions[partition];
    uint32_t low = 0, high = own->stretch_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const struct judge_stretch *stretch = &judge->stretches[own->first_stretch + middle];
        if (stretch->first_offset + stretch->count <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == own->stretch_count)
        return NULL;
    const struct judge_stretch *stretch = &judge->stretches[own->first_stretch + low];
    return stretch->first_offset <= offset ? stretch : NULL;
}

const struct judge_stretch *judge_stretch_of(const struct judge *judge, uint32_t place)
{
    uint32_t low = 0, high = judge->stretch_count;
    XD_ASSERT(place < judge->place_count);
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (judge->stretches[middle].first_place <= place)
            low = middle;
        else
            high = middle;
    }
    return &judge->stretches[low];
}
