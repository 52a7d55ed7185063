/* SPDX-License-Identifier: Apache-2.0
 *
 * The local part of a checkpoint: comes back as it was, and malformed bytes are refused.
 */
#include "tests/support/log_run.h"

#include <criterion/criterion.h>

/* A log with some FULL segments, and its local part. */
static uint8_t *saved_local(struct run *run, uint64_t *ret_bytes)
{
    run_begin(run, 1);
    run->checkpoints = false;
    cr_assert_eq(run_open(run), 0, "%s", run->why);
    run_fill(run, 14u << 20, 70000);
    uint64_t max = local_bytes_max(run->log->index.chunk_count, RUN_PARTITIONS);
    uint8_t *bytes = malloc(max);
    *ret_bytes = local_save(run->log, bytes);
    cr_assert_leq(*ret_bytes, max);
    return bytes;
}

/* Empties what restore fills. */
static void forget(struct run *run)
{
    struct index *index = &run->log->index;

    for (uint32_t i = 0; i < run->log->table.slot_count; i++) {
        struct segment *segment = &run->log->table.slots[i];
        segment->first_index = 0;
        segment->last_index = 0;
        segment->first_time_us = 0;
        segment->last_time_us = 0;
        segment->used_bytes = 0;
    }
    index_init(index, index->chunks, index->chunk_count, index->partitions, index->partition_count);
}

/* Segments and index are what they were. */
Test(log_local, restores_segments_and_index)
{
    struct run run;
    uint64_t bytes;
    uint8_t *saved = saved_local(&run, &bytes);
    struct segment before[16];
    uint64_t entries = run.log->index.entry_count;
    uint64_t first_no = 0;

    cr_assert_leq(run.log->table.slot_count, 16);
    memcpy(before, run.log->table.slots, run.log->table.slot_count * sizeof(before[0]));
    forget(&run);
    cr_assert_eq(local_restore(run.log, saved, bytes, &first_no), 0);
    cr_assert_eq(first_no, 1);
    cr_assert_eq(run.log->index.entry_count, entries);
    for (uint32_t i = 0; i < run.log->table.slot_count; i++) {
        const struct segment *segment = &run.log->table.slots[i];
        if (before[i].state != SEGMENT_FULL && before[i].state != SEGMENT_ACTIVE)
            continue;
        cr_assert_eq(segment->first_index, before[i].first_index);
        cr_assert_eq(segment->last_index, before[i].last_index);
        cr_assert_eq(segment->first_time_us, before[i].first_time_us);
        cr_assert_eq(segment->last_time_us, before[i].last_time_us);
        cr_assert_eq(segment->used_bytes, before[i].used_bytes);
    }
    run_check(&run);
    free(saved);
    run_close(&run);
    run_end(&run);
}

/* Of the segments that a checkpoint lists only the oldest may be gone, because slots are used again
 * in their sequence: a file missing behind another one was lost, and the start says so. */
Test(log_local, a_segment_missing_behind_an_older_one_stops_the_start)
{
    struct run run;

    run_begin(&run, 1);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 18u << 20, 70000);
    run_close(&run);
    run.env = run.engine->start(&run);
    cr_assert_eq(env_file_rename(run.env, "wal.01", "lost"), 0);
    run_crash(&run, SIM_CRASH_KEEP_ALL);
    cr_assert_eq(run_open(&run), XD_LOG_CORRUPT);
    cr_assert(strstr(run.why, "segment 2 is missing") != NULL, "%s", run.why);
    cr_assert(strstr(run.why, "the checkpoint lists it") != NULL, "%s", run.why);
    run_crash(&run, SIM_CRASH_KEEP_ALL);
    run.env = run.engine->start(&run);
    cr_assert_eq(env_file_rename(run.env, "lost", "wal.01"), 0);
    run_crash(&run, SIM_CRASH_KEEP_ALL);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* What was appended behind the fold's point is left out. */
Test(log_local, ends_at_the_folded_point)
{
    struct run run;
    uint64_t bytes;
    uint8_t *saved = saved_local(&run, &bytes);
    uint64_t folded = run.log->append.folded.index;

    for (uint32_t i = 0; i < 6; i++)
        (void)run_append(&run, 0, 900000); /* closes blocks that nobody folds, and rolls */
    uint64_t again_bytes = local_save(run.log, saved);
    const struct local_header *header = (const struct local_header *)(void *)saved;
    const struct local_segment *segments = (const struct local_segment *)(void *)(header + 1);
    const struct local_segment *last = &segments[header->segment_count - 1];
    cr_assert_eq(again_bytes, bytes);
    cr_assert_eq(last->last_index, folded);
    cr_assert_eq(last->segment_no * SEGMENT_BYTES_MIN + last->used_bytes,
                 run.log->append.folded.position);
    free(saved);
    run_crash(&run, SIM_CRASH_KEEP_ALL);
    run_end(&run);
}

/* Every length is checked, and so is what the fields say. */
Test(log_local, refuses_malformed_bytes)
{
    struct run run;
    uint64_t bytes, first_no;
    uint8_t *saved = saved_local(&run, &bytes);

    for (uint64_t cut = 0; cut < bytes; cut += 4) {
        uint8_t *part = malloc(cut ? cut : 1);
        memcpy(part, saved, cut);
        forget(&run);
        cr_assert_eq(local_restore(run.log, part, cut, &first_no), XD_CHECKPOINT_CORRUPT,
                     "%lu bytes", (unsigned long)cut);
        free(part);
    }
    struct local_header *header = (struct local_header *)(void *)saved;
    struct local_segment *segments = (struct local_segment *)(void *)(header + 1);
    for (int bend = 0; bend < 7; bend++) {
        struct local_header old_header = *header;
        struct local_segment old_segment = segments[1], first = segments[0];
        if (bend == 0)
            header->magic++;
        if (bend == 1)
            header->segment_count = UINT32_MAX;
        if (bend == 2)
            header->index_bytes--;
        if (bend == 3)
            segments[1].segment_no++;
        if (bend == 4)
            segments[1].used_bytes = SEGMENT_BYTES_MIN + 1;
        if (bend == 5)
            header->segment_count = 0;
        if (bend == 6)
            segments[0].segment_no = 0;
        forget(&run);
        cr_assert_eq(local_restore(run.log, saved, bytes, &first_no), XD_CHECKPOINT_CORRUPT,
                     "bend %d", bend);
        *header = old_header;
        segments[0] = first;
        segments[1] = old_segment;
    }
    free(saved);
    run_crash(&run, SIM_CRASH_KEEP_ALL);
    run_end(&run);
}

/* The oldest segment listed is told without trusting anything: 0 when the bytes are no list. */
Test(log_local, tells_the_oldest_segment_listed)
{
    struct run run;
    uint64_t bytes;
    uint8_t *saved = saved_local(&run, &bytes);
    struct local_header *header = (struct local_header *)(void *)saved;
    const uint32_t count = header->segment_count;

    cr_assert_eq(local_first_no(saved, bytes), 1);
    cr_assert_eq(local_first_no(saved, sizeof(*header) + sizeof(struct local_segment) - 1), 0);
    header->segment_count = 0;
    cr_assert_eq(local_first_no(saved, bytes), 0);
    header->segment_count = count;
    header->magic++;
    cr_assert_eq(local_first_no(saved, bytes), 0);
    free(saved);
    run_crash(&run, SIM_CRASH_KEEP_ALL);
    run_end(&run);
}

/* When no listed segment has a file any more, the index is restored as it was saved: what is
 * missing is for recovery to say. */
Test(log_local, restores_the_index_without_any_file)
{
    struct run run;
    uint64_t bytes, first_no;
    uint8_t *saved = saved_local(&run, &bytes);
    uint64_t entries = run.log->index.entry_count;
    uint32_t slots = run.log->table.slot_count;

    forget(&run);
    run.log->table.slot_count = 0;
    cr_assert_eq(local_restore(run.log, saved, bytes, &first_no), 0);
    cr_assert_eq(first_no, 1);
    cr_assert_eq(run.log->index.entry_count, entries);
    run.log->table.slot_count = slots;
    free(saved);
    run_crash(&run, SIM_CRASH_KEEP_ALL);
    run_end(&run);
}
