/* SPDX-License-Identifier: Apache-2.0
 *
 * The partition index against a plain array.
 */
#include "broker/base/prng.h"
#include "broker/log/index.h"
#include "wire/limits.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PARTITIONS 4u
#define FIRST_POSITION (1u << 22)

struct fixture {
    struct index index;
    struct index_chunk *chunks;
    struct index_partition partitions[PARTITIONS];
};

static void begin(struct fixture *f, uint32_t chunk_count)
{
    f->chunks = calloc(chunk_count, sizeof(*f->chunks));
    cr_assert_not_null(f->chunks);
    index_init(&f->index, f->chunks, chunk_count, f->partitions, PARTITIONS);
}

static void end(struct fixture *f)
{
    free(f->chunks);
}

static int add(struct fixture *f, uint32_t partition, uint16_t records, uint64_t position,
               int64_t time_us)
{
    struct xd_batch_header batch = {.partition = partition,
                                    .record_count = records,
                                    .base_offset = f->partitions[partition].end_offset,
                                    .append_time_us = time_us};
    return index_add(&f->index, &batch, position, 8192);
}

/* Blocks come in log sequence: one before the newest is damage, not an entry out of place. */
Test(log_index, refuses_a_block_before_the_newest)
{
    struct fixture f;

    begin(&f, 8);
    cr_assert_eq(add(&f, 1, 5, FIRST_POSITION + 8192, 100), 0);
    cr_assert_eq(add(&f, 1, 5, FIRST_POSITION, 101), XD_LOG_CORRUPT);
    cr_assert_eq(f.index.entry_count, 1);
    cr_assert_eq(f.partitions[1].end_offset, 5);
    cr_assert_eq(add(&f, 2, 5, FIRST_POSITION, 101), 0, "another partition has its own sequence");
    end(&f);
}

/* All batches of one partition in one block share an entry. */
Test(log_index, has_one_entry_per_partition_and_block)
{
    struct fixture f;
    struct index_cursor cursor;

    begin(&f, 8);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(add(&f, 1, 5, FIRST_POSITION, 100 + i), 0);
    cr_assert_eq(add(&f, 2, 5, FIRST_POSITION, 103), 0);
    cr_assert_eq(add(&f, 1, 5, FIRST_POSITION + 8192, 104), 0);
    cr_assert_eq(f.index.entry_count, 3);
    cr_assert_eq(index_find(&f.index, 1, 14, &cursor), 0);
    cr_assert_eq(index_at(&f.index, cursor)->base_offset, 0);
    cr_assert_eq(index_position(index_at(&f.index, cursor)), FIRST_POSITION);
    cr_assert_eq(index_block_bytes(index_at(&f.index, cursor)), 8192);
    cr_assert(index_next(&f.index, &cursor));
    cr_assert_eq(index_at(&f.index, cursor)->base_offset, 15);
    cr_assert_not(index_next(&f.index, &cursor));
    end(&f);
}

/* Offsets are dense: a batch that is not the partition's next is refused. */
Test(log_index, refuses_a_gap)
{
    struct fixture f;
    struct xd_batch_header batch = {.partition = 0, .record_count = 2, .base_offset = 1};

    begin(&f, 8);
    cr_assert_eq(index_add(&f.index, &batch, FIRST_POSITION, 4096), XD_LOG_CORRUPT);
    batch.base_offset = 0;
    cr_assert_eq(index_add(&f.index, &batch, FIRST_POSITION, 4096), 0);
    cr_assert_eq(index_add(&f.index, &batch, FIRST_POSITION, 4096), XD_LOG_CORRUPT);
    batch.partition = PARTITIONS;
    cr_assert_eq(index_add(&f.index, &batch, FIRST_POSITION, 4096), XD_OPTION_INVALID);
    end(&f);
}

/* Batches without records or without a partition leave no trace. */
Test(log_index, does_not_index_control_batches)
{
    struct fixture f;
    struct xd_batch_header batch = {.partition = XD_PARTITION_NONE, .record_count = 1};

    begin(&f, 1);
    cr_assert_eq(index_add(&f.index, &batch, FIRST_POSITION, 4096), 0);
    batch.partition = 1;
    batch.record_count = 0;
    cr_assert_eq(index_add(&f.index, &batch, FIRST_POSITION, 4096), 0);
    cr_assert_eq(f.index.entry_count, 0);
    cr_assert_eq(f.partitions[1].end_offset, 0);
    end(&f);
}

/* When index_room agrees to so many pending batches, they all fit, even one per partition. */
Test(log_index, keeps_its_promise_of_room)
{
    struct fixture f;
    struct prng prng;
    uint64_t position = FIRST_POSITION;

    prng_seed(&prng, 3);
    begin(&f, 40);
    for (;;) {
        uint64_t pending = 0;
        uint64_t most = prng_below(&prng, 200);

        while (pending < most && index_room(&f.index, pending))
            pending++;
        if (pending == 0 && !index_room(&f.index, 0))
            break;
        for (uint64_t i = 0; i < pending; i++, position += 8192)
            cr_assert_eq(add(&f, (uint32_t)prng_below(&prng, PARTITIONS), 1, position, 1), 0);
    }
    cr_assert_gt(f.index.entry_count, 30 * INDEX_CHUNK_ENTRIES);
    end(&f);
}

/* An index that is full says so and takes entries again after a trim. */
Test(log_index, is_full_until_it_is_trimmed)
{
    struct fixture f;
    uint64_t position = FIRST_POSITION;

    begin(&f, 2);
    while (add(&f, 0, 1, position, 1) == 0)
        position += 8192;
    cr_assert_eq(f.index.entry_count, 2 * INDEX_CHUNK_ENTRIES);
    cr_assert_eq(add(&f, 0, 1, position, 1), -ENOSPC);
    index_trim(&f.index, 0, FIRST_POSITION + INDEX_CHUNK_ENTRIES * 8192ull);
    cr_assert_eq(f.partitions[0].first_offset, INDEX_CHUNK_ENTRIES);
    cr_assert_eq(add(&f, 0, 1, position, 1), 0);
    end(&f);
}

/* The plain array that the index must agree with. */
struct model {
    struct index_entry entries[6000];
    uint32_t first; /* entries below are trimmed */
    uint32_t count; /* */
    uint64_t end;   /* offset behind the last record */
};

/* Every offset and every time is answered as a pass over the array answers it. */
static void compare(const struct fixture *f, const struct model *m, uint32_t partition,
                    struct prng *prng)
{
    uint64_t first = m->first < m->count ? m->entries[m->first].base_offset : m->end;
    struct index_cursor cursor;

    cr_assert_eq(f->partitions[partition].first_offset, first);
    cr_assert_eq(f->partitions[partition].end_offset, m->end);
    for (uint32_t i = 0; i < 20 && first < m->end; i++) {
        uint64_t offset = first + prng_below(prng, m->end - first);
        uint32_t at = m->first;

        while (at + 1 < m->count && m->entries[at + 1].base_offset <= offset)
            at++;
        cr_assert_eq(index_find(&f->index, partition, offset, &cursor), 0);
        cr_assert_eq(index_at(&f->index, cursor)->base_offset, m->entries[at].base_offset);
        while (++at < m->count) {
            cr_assert(index_next(&f->index, &cursor));
            cr_assert_eq(index_at(&f->index, cursor)->place, m->entries[at].place);
        }
        cr_assert_not(index_next(&f->index, &cursor));
    }
    for (uint32_t i = 0; i < 20 && m->first < m->count; i++) {
        int64_t time_us =
            (int64_t)prng_below(prng, (uint64_t)m->entries[m->count - 1].append_time_us + 3);
        uint64_t expected = first;

        for (uint32_t at = m->first; at < m->count; at++)
            if (m->entries[at].append_time_us < time_us)
                expected = m->entries[at].base_offset;
        if (m->entries[m->count - 1].append_time_us < time_us)
            expected = m->end;
        cr_assert_eq(index_seek_time(&f->index, partition, time_us), expected);
    }
}

Test(log_index, agrees_with_a_plain_array)
{
    static struct model models[PARTITIONS];
    struct fixture f;
    struct prng prng;
    uint64_t position = FIRST_POSITION;

    prng_seed(&prng, 11);
    begin(&f, 2000);
    for (uint32_t step = 0; step < 20000; step++) {
        uint32_t partition = (uint32_t)prng_below(&prng, PARTITIONS);
        struct model *m = &models[partition];
        uint16_t records = (uint16_t)(1 + prng_below(&prng, 9));
        int64_t time_us = 1 + step / 3;

        if (m->count == 6000)
            continue;
        m->entries[m->count++] = (struct index_entry){
            .base_offset = m->end, .place = position | 2, .append_time_us = time_us};
        cr_assert_eq(add(&f, partition, records, position, time_us), 0);
        m->end += records;
        position += 8192;
        if (prng_chance(&prng, 100)) {
            uint64_t kept = FIRST_POSITION + prng_below(&prng, position - FIRST_POSITION);
            for (uint32_t p = 0; p < PARTITIONS; p++) {
                index_trim(&f.index, p, kept);
                while (models[p].first < models[p].count &&
                       index_position(&models[p].entries[models[p].first]) < kept)
                    models[p].first++;
            }
        }
        if (step % 500 == 0)
            for (uint32_t p = 0; p < PARTITIONS; p++)
                compare(&f, &models[p], p, &prng);
    }
    for (uint32_t p = 0; p < PARTITIONS; p++)
        compare(&f, &models[p], p, &prng);
    end(&f);
}

/* From the newest chunk any other is reached in about 2 log2(n) links, also when most are trimmed.
 */
Test(log_index, reaches_every_chunk_in_logarithmic_steps)
{
    struct fixture f;
    uint64_t position = FIRST_POSITION;
    const struct index_partition *p = &f.partitions[0];

    begin(&f, 5000);
    for (uint32_t i = 0; i < 4990 * INDEX_CHUNK_ENTRIES; i++, position += 8192)
        cr_assert_eq(add(&f, 0, 1, position, 1), 0);
    index_trim(&f.index, 0, FIRST_POSITION + 8192ull * INDEX_CHUNK_ENTRIES * 1234);
    for (uint64_t target = p->first_number; target < p->next_number; target++) {
        uint32_t at = p->newest;
        uint32_t steps = 0;

        while (f.chunks[at].number != target) {
            cr_assert_gt(f.chunks[at].number, target);
            at = f.chunks[at].jump_number >= target ? f.chunks[at].jump : f.chunks[at].previous;
            steps++;
        }
        cr_assert_leq(steps, 2 * 13 + 2, "%u steps", steps);
    }
    end(&f);
}

/* An empty partition, and one from which everything was trimmed, holds no offset. */
Test(log_index, finds_nothing_in_an_empty_partition)
{
    struct fixture f;
    struct index_cursor cursor;

    begin(&f, 8);
    cr_assert_eq(index_find(&f.index, 2, 0, &cursor), -ENOENT);
    cr_assert_eq(add(&f, 2, 5, FIRST_POSITION, 100), 0);
    cr_assert_eq(index_find(&f.index, 2, 4, &cursor), 0);
    index_trim(&f.index, 2, FIRST_POSITION + 8192);
    cr_assert_eq(index_find(&f.index, 2, 4, &cursor), -ENOENT);
    cr_assert_eq(index_seek_time(&f.index, 2, 0), 5);
    end(&f);
}

/* Chunks are numbered in 32 bits, with one number for none. */
Test(log_index, bounds_the_number_of_chunks)
{
    cr_assert_eq(index_chunks_max(sizeof(struct index_chunk) - 1), 0);
    cr_assert_eq(index_chunks_max(3 * sizeof(struct index_chunk) + 1), 3);
    cr_assert_eq(index_chunks_max(UINT64_MAX), INDEX_NONE - 1);
}

/* What was saved comes back the same; every partition keeps its bounds, also without entries. */
Test(log_index, loads_what_it_saved)
{
    struct fixture f, g;
    struct index_cursor a, b;
    uint64_t position = FIRST_POSITION;

    begin(&f, 400);
    begin(&g, 400);
    for (uint32_t i = 0; i < 1000; i++, position += 8192)
        cr_assert_eq(add(&f, i % 3, 2, position, 5 + i), 0);
    index_trim(&f.index, 0, FIRST_POSITION + 8192 * 500);
    index_trim(&f.index, 2, position);
    uint64_t bytes = index_saved_bytes(&f.index);
    uint8_t *saved = malloc(bytes);
    cr_assert_eq(index_save(&f.index, saved), bytes);
    cr_assert_leq(bytes, index_saved_bytes_max(400, PARTITIONS));
    cr_assert_eq(index_load(&g.index, saved, bytes, 0), 0);
    cr_assert_eq(g.index.entry_count, f.index.entry_count);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        cr_assert_eq(g.partitions[p].first_offset, f.partitions[p].first_offset);
        cr_assert_eq(g.partitions[p].end_offset, f.partitions[p].end_offset);
        for (uint64_t o = f.partitions[p].first_offset; o < f.partitions[p].end_offset; o++) {
            cr_assert_eq(index_find(&f.index, p, o, &a), 0);
            cr_assert_eq(index_find(&g.index, p, o, &b), 0);
            cr_assert_eq(index_at(&f.index, a)->place, index_at(&g.index, b)->place);
        }
    }
    free(saved);
    end(&f);
    end(&g);
}

/* Entries of segments that are gone take no room when loading: the budget counts what is kept. */
Test(log_index, trims_while_loading)
{
    struct fixture f, g;
    uint64_t position = FIRST_POSITION;

    begin(&f, 140);
    begin(&g, 46);
    for (uint32_t i = 0; i < 1200; i++, position += 8192)
        cr_assert_eq(add(&f, i / 400, 1, position, 1), 0);
    uint64_t bytes = index_saved_bytes(&f.index);
    uint8_t *saved = malloc(bytes);
    cr_assert_eq(index_save(&f.index, saved), bytes);
    cr_assert_eq(index_load(&g.index, saved, bytes, FIRST_POSITION + 8192ull * 1100), 0);
    cr_assert_eq(g.index.entry_count, 100);
    cr_assert_eq(g.partitions[0].first_offset, 400);
    cr_assert_eq(g.partitions[0].end_offset, 400);
    cr_assert_eq(g.partitions[2].first_offset, 300);
    free(saved);
    end(&f);
    end(&g);
}

/* Bytes that do not describe an index are refused, whatever is bent. */
Test(log_index, refuses_malformed_bytes)
{
    struct fixture f, g;
    uint64_t position = FIRST_POSITION;

    begin(&f, 10);
    for (uint32_t i = 0; i < 20; i++, position += 8192)
        cr_assert_eq(add(&f, i % 2, 2, position, 5), 0);
    uint64_t bytes = index_saved_bytes(&f.index);
    uint8_t *saved = malloc(bytes);
    index_save(&f.index, saved);
    struct index_saved *first = (struct index_saved *)(void *)saved;
    struct index_entry *entries = (struct index_entry *)(void *)(saved + sizeof(*first));
    struct index_saved *second = (struct index_saved *)(void *)(entries + 10);
    for (int bend = 0; bend < 15; bend++) {
        uint8_t *bent = malloc(bytes);
        int expected = XD_CHECKPOINT_CORRUPT;
        uint64_t bent_bytes = bytes;

        index_save(&f.index, saved);
        if (bend == 0)
            first->entry_count = UINT64_MAX / 2;
        if (bend == 1)
            first->reserved = 1;
        if (bend == 2)
            first->end_offset = 3;
        if (bend == 3)
            entries[1].base_offset = entries[0].base_offset;
        if (bend == 4)
            entries[2].place = entries[1].place;
        if (bend == 5)
            bent_bytes -= 8;
        if (bend == 6)
            entries[0].base_offset = 1;
        if (bend == 7) {
            first->partition = PARTITIONS;
            expected = XD_OPTION_INVALID;
        }
        if (bend == 8)
            second->partition = first->partition;
        if (bend == 9)
            first->end_offset = 0;
        if (bend == 10)
            first->first_offset = first->end_offset + 1;
        if (bend == 11) {
            first->entry_count = 0;
            bent_bytes = sizeof(*first);
        }
        if (bend == 12)
            entries[0].place &= ~0xfffull;
        if (bend == 13)
            entries[0].place |= 0xfffull;
        if (bend == 14)
            bent_bytes = (uint64_t)((uint8_t *)second - saved) + sizeof(*second) - 8;
        memcpy(bent, saved, bytes);
        begin(&g, 10);
        cr_assert_eq(index_load(&g.index, bent, bent_bytes, 0), expected, "bend %d", bend);
        end(&g);
        free(bent);
    }
    free(saved);
    end(&f);
}
