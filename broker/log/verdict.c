/* SPDX-License-Identifier: Apache-2.0
 *
 * Reaching the verdict: first the cheap question (is it a local block?), then one pass over the
 * write window that collects what the rule and the copy need. Unreadable pages read as zeros and so
 * say nothing, for or against.
 */
#include "broker/log/verdict.h"

#include "broker/log/blocking.h"
#include "broker/log/folder.h"
#include "broker/log/page.h"
#include "broker/log/scan.h"
#include "wire/status.h"

#include <string.h>

/* What the pass over the window has seen. */
struct window {
    const struct verdict_input *input; /* */
    struct verdict *verdict;           /* ranges grow here */
    uint64_t durable_max; /* highest durable_index of a header-valid block of the running epoch */
    uint64_t next_at;     /* log position of the first valid block behind the point, 0 = none */
    uint64_t next_index;  /* index of that block; a local one repeats the last */
    bool next_local;      /* */
    bool tail;            /* bytes of the running epoch are there */
};

static const struct block_header *as_block(const uint8_t *data)
{
    return (const struct block_header *)(const void *)data;
}

/* 1 when a whole block at `position` continues the point behind one lost local block. */
static int continues(const struct verdict_input *input, uint64_t position)
{
    const struct segment_table *table = input->table;
    uint64_t segment_no = segment_no_of(table, position);
    uint64_t at = segment_at_of(table, position);
    const struct segment *segment = segment_find(input->table, segment_no);
    if (segment == NULL || at < RECOVER_FIRST_AT)
        return 0;
    uint32_t bad;
    int error;
    int status = blocking_read_pages(input->env, segment->file, input->scan_memory, PAGE_BYTES, at,
                                     &bad, &error);
    if (status < 0)
        return status;
    const struct block_header *block = as_block(input->scan_memory);
    struct block_identity identity = point_identity(input->meta, segment_no, block->epoch);
    const char *unused;
    if (block_check_header(block, &identity, position, &unused) < 0 ||
        point_check(input->point, input->meta, block, input->point->sequence + 1) != NULL)
        return 0;
    status = blocking_read_pages(input->env, segment->file, input->scan_memory, block->block_bytes,
                                 at, &bad, &error);
    if (status < 0)
        return status;
    uint32_t bad_at;
    return block_check_header(block, &identity, position, &unused) == 0 &&
           block_check_payload(block, 1, &bad_at, &unused) == 0;
}

/* The lost block may have been a MARK or a SEAL. */
static int find_local(const struct verdict_input *input, struct verdict *verdict)
{
    const uint64_t position = input->point->position;
    const uint64_t places[2] = {position + PAGE_BYTES, (segment_no_of(input->table, position) + 1) *
                                                               input->table->segment_bytes +
                                                           RECOVER_FIRST_AT};
    for (uint32_t i = 0; i < 2; i++) {
        int found = continues(input, places[i]);
        if (found < 0)
            return found;
        if (found > 0) {
            verdict->kind = VERDICT_LOCAL;
            verdict->reason = "a local block is unreadable, the log goes on behind it";
            verdict->next_position = places[i];
            return 1;
        }
    }
    return 0;
}

/* Bytes that a damaged block seems to take: its own word for it if that can be true. */
static uint64_t damaged_bytes(const struct block_header *block, uint64_t room)
{
    uint32_t bytes = block->block_bytes;
    if (block->magic != BLOCK_MAGIC || bytes == 0 || bytes > XD_BLOCK_BYTES_MAX ||
        bytes % PAGE_BYTES != 0)
        bytes = PAGE_BYTES;
    return bytes < room ? bytes : room;
}

/* Whether the page at the point was once the header of the expected block. A whole header of an
 * older epoch is a leftover; a header of the running epoch that does not validate is a damaged one,
 * also when the damage sits in the epoch itself. */
static bool was_expected(const struct verdict_input *input, const struct block_header *block,
                         const struct block_identity *identity)
{
    const struct recover_point *point = input->point;
    struct block_header copy = *block;
    copy.epoch = input->meta->epoch;
    const char *unused;
    if (block_check_header(&copy, identity, point->position, &unused) != XD_LOG_CORRUPT)
        return true;
    if (block->epoch != input->meta->epoch)
        return false;
    int alike = (block->magic == BLOCK_MAGIC) + (block->position == point->position) +
                (block->block_sequence == point->sequence) + (block->prev_chain == point->chain) +
                (block->index == point->index || block->index == point->index - 1);
    return alike >= 3;
}

/* Extends the segment's range so that it holds [at, at + bytes). */
static void add_range(struct verdict *verdict, uint64_t segment_no, uint64_t at, uint64_t bytes)
{
    struct verdict_range *last =
        verdict->range_count > 0 ? &verdict->ranges[verdict->range_count - 1] : NULL;
    if (last == NULL || last->segment_no != segment_no) {
        XD_ASSERT(verdict->range_count < VERDICT_RANGES_MAX);
        verdict->ranges[verdict->range_count++] =
            (struct verdict_range){.segment_no = segment_no, .at = at, .bytes = bytes};
        return;
    }
    XD_ASSERT(at >= last->at);
    if (at + bytes > last->at + last->bytes)
        last->bytes = at + bytes - last->at;
}

/* One page of the window. */
static int look_at(struct window *window, const struct block_header *block, uint64_t segment_no,
                   uint64_t position)
{
    const struct verdict_input *input = window->input;
    const uint64_t segment_bytes = input->table->segment_bytes;
    const uint64_t at = position % segment_bytes;
    if (position == input->point->position) {
        struct block_identity expected =
            point_identity(input->meta, segment_no, input->meta->epoch);
        uint64_t bytes = damaged_bytes(block, segment_bytes - at);
        add_range(window->verdict, segment_no, at, bytes);
        window->tail = was_expected(input, block, &expected);
    }
    if (block->magic != BLOCK_MAGIC)
        return 0;
    struct block_identity identity = point_identity(input->meta, segment_no, block->epoch);
    const char *unused;
    int status = block_check_header(block, &identity, position, &unused);
    bool running = block->epoch == input->meta->epoch;
    if (status == XD_FORMAT_UNKNOWN && block->epoch >= input->meta->epoch)
        return status;
    if (status < 0)
        return 0;
    if (block->epoch > input->meta->epoch)
        return XD_LOG_CORRUPT; /* meta says each epoch before a block does: this one is an old copy
                                */
    if (position != input->point->position && window->next_at == 0 &&
        block->epoch >= input->point->epoch && block->block_sequence > input->point->sequence) {
        window->next_at = position;
        window->next_index = block->index;
        window->next_local = block_is_local(block);
    }
    if (!running)
        return 0;
    window->tail = true;
    add_range(window->verdict, segment_no, at, block->block_bytes);
    if (block->durable_index > window->durable_max)
        window->durable_max = block->durable_index;
    if (block->index > window->verdict->last_index)
        window->verdict->last_index = block->index;
    return 0;
}

/* The pass. *ret_missing_no is the first number in the window that has no file, 0 = all have. */
static int look_ahead(struct window *window, uint64_t *ret_missing_no)
{
    const struct verdict_input *input = window->input;
    const uint64_t segment_bytes = input->table->segment_bytes;
    uint64_t position = input->point->position;
    uint64_t left = VERDICT_WINDOW_BYTES;
    *ret_missing_no = 0;
    while (left > 0) {
        uint64_t segment_no = segment_no_of(input->table, position);
        uint64_t from = segment_at_of(input->table, position);
        const struct segment *segment = segment_find(input->table, segment_no);
        if (segment == NULL) {
            *ret_missing_no = segment_no;
            return 0;
        }
        uint64_t room = segment_bytes - from;
        uint64_t to = from + (room < left ? room : left);
        struct scan scan = {.busy_count = 0};
        scan_begin(&scan, input->env, input->scan_memory, segment->file, from, to);
        int status = 0;
        for (uint64_t at = from; at < to && status == 0; at += PAGE_BYTES) {
            const uint8_t *page;
            status = scan_need(&scan, at, PAGE_BYTES, &page);
            if (status == 0)
                status =
                    look_at(window, as_block(page), segment_no, segment_no * segment_bytes + at);
        }
        (void)scan_end(&scan); /* only a page that stops leaves reads behind, or a broken engine */
        if (status < 0)
            return status;
        left -= to - from;
        position = (segment_no + 1) * segment_bytes + RECOVER_FIRST_AT;
    }
    return 0;
}

/* 1 when a segment behind the missing one holds a block of the running epoch. */
static int later_has_blocks(const struct verdict_input *input, uint64_t missing_no)
{
    for (uint32_t slot = 0; slot < input->table->slot_count; slot++) {
        const struct segment *segment = &input->table->slots[slot];
        if (segment->segment_no <= missing_no)
            continue;
        uint64_t epoch;
        int found =
            folder_first_block(input->env, segment, input->meta, input->scan_memory, &epoch);
        if (found < 0)
            return found;
        if (found > 0 && epoch == input->meta->epoch)
            return 1;
    }
    return 0;
}

/* The point's segment has no file: what proves that it had one. NULL when the log's first segment
 * was never made. */
static const char *proof_of_segment(const struct verdict_input *input)
{
    const struct segment_table *table = input->table;
    const uint64_t segment_no = segment_no_of(table, input->point->position);
    XD_ASSERT(input->point->sequence > 0);
    if (input->point->sequence > 1 || segment_no > 1)
        return "the log had gone on into it";
    for (uint32_t slot = 0; slot < table->slot_count; slot++) {
        if (table->slots[slot].segment_no > segment_no)
            return "a later segment was made after it";
        if (table->slots[slot].file < 0)
            return "there are wal files with higher numbers in their names";
    }
    if (input->checkpoints)
        return "a checkpoint was written";
    if (meta_ran(input->meta))
        return "meta says that it was made";
    return NULL;
}

/* What to copy of a corrupt log: from the point to the next valid block, in the point's segment. */
static void corrupt_range(const struct window *window)
{
    const struct verdict_input *input = window->input;
    struct verdict *verdict = window->verdict;
    const uint64_t segment_bytes = input->table->segment_bytes;
    const uint64_t at = segment_at_of(input->table, input->point->position);
    verdict->last_index = window->next_at == 0 ? verdict->floor : window->next_index - 1u;
    if (window->next_at != 0 && window->next_local)
        verdict->last_index = window->next_index;
    if (verdict->range_count == 0) /* the segment is missing: nothing to copy */
        return;
    uint64_t bytes = verdict->ranges[0].bytes;
    if (window->next_at != 0) {
        bool here = window->next_at / segment_bytes == verdict->ranges[0].segment_no;
        bytes = here ? window->next_at % segment_bytes - at : segment_bytes - at;
    } else if (bytes < XD_BLOCK_BYTES_MAX) {
        uint64_t room = segment_bytes - at;
        bytes = room < XD_BLOCK_BYTES_MAX ? room : XD_BLOCK_BYTES_MAX;
    }
    verdict->range_count = 1;
    verdict->ranges[0].bytes = bytes;
}

int verdict_reach(const struct verdict_input *input, struct verdict *ret_verdict)
{
    XD_ASSERT(input->point->index > 0);
    XD_ASSERT(input->point->position % PAGE_BYTES == 0);
    struct verdict verdict;
    memset(&verdict, 0, sizeof(verdict));
    int status = find_local(input, &verdict);
    if (status != 0) {
        if (status > 0)
            *ret_verdict = verdict;
        return status < 0 ? status : 0;
    }
    struct window window = {.input = input, .verdict = &verdict};
    uint64_t missing_no;
    status = look_ahead(&window, &missing_no);
    if (status < 0)
        return status;
    int later = missing_no == 0 ? 0 : later_has_blocks(input, missing_no);
    if (later < 0)
        return later;

    const uint64_t expected = input->point->index;
    verdict.floor = input->meta->durable_index;
    if (expected <= verdict.floor)
        verdict.reason = "it was durable before it became unreadable";
    else if (window.durable_max >= expected)
        verdict.reason = "a later block says that it was durable";
    else if (later > 0)
        verdict.reason = "a segment is missing before one that holds blocks";
    else if (missing_no == segment_no_of(input->table, input->point->position))
        verdict.reason = proof_of_segment(input);
    if (window.durable_max > verdict.floor)
        verdict.floor = window.durable_max;
    if (verdict.reason != NULL) {
        verdict.kind = VERDICT_CORRUPT;
        verdict.missing_no =
            later > 0 || missing_no == segment_no_of(input->table, input->point->position)
                ? missing_no
                : 0;
        corrupt_range(&window);
    } else if (window.tail) {
        verdict.kind = VERDICT_TORN;
        verdict.reason = "the broker stopped while these blocks were being written";
    } else {
        verdict.kind = VERDICT_CLEAN;
        verdict.reason = "the end of the log";
        verdict.range_count = 0;
    }
    *ret_verdict = verdict;
    return 0;
}
