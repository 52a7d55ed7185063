/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/produce/session_save.c: a checkpoint holds the applied view alone, so that loading it and
 * folding on gives the bytes of a fold from zero; bytes that are no checkpoint are refused.
 */
#include "broker/produce/session.h"

#include "tests/support/chain_model.h"
#include "tests/support/session_kit.h"

/* State of a channel with two chains, one of them with more batches than proofs are kept. */
static uint64_t save_example(uint8_t *out, uint64_t out_bytes)
{
    struct session_kit kit;
    kit_begin(&kit, 4, 4, 1);
    uint32_t channel = kit_open_durable(&kit, "a");
    kit_open_durable(&kit, "b");
    for (uint64_t i = 0; i < 40; i++) {
        struct xd_batch_header batch = batch_of(&kit, channel, 3, i * 2, i * 2 + 1, i * 2 + 2);
        kit_append_durable(&kit, &batch, i * 2, i + 10);
    }
    struct xd_batch_header batch = batch_of(&kit, channel, 1, 0, 81, 81);
    kit_append_durable(&kit, &batch, 0, 60);
    uint64_t bytes = session_save(&kit.sessions, out, out_bytes);
    cr_assert(bytes <= session_save_bytes(&kit.sessions));
    cr_assert_eq(bytes % 8, 0);
    kit_end(&kit);
    return bytes;
}

static int64_t load(const uint8_t *in, uint64_t in_bytes, uint32_t channels_max,
                    uint32_t chains_max)
{
    struct session_kit kit;
    kit_begin(&kit, channels_max, chains_max, 2);
    int64_t status = session_load(&kit.sessions, in, in_bytes);
    kit_end(&kit);
    return status;
}

/* What is loaded is what was saved, and the newest batches are still recognised. */
Test(produce_session_save, a_loaded_state_knows_the_newest_batches)
{
    static uint8_t saved[16384];
    static uint8_t again[16384];
    struct session_kit kit;
    uint64_t bytes = save_example(saved, sizeof saved);
    kit_begin(&kit, 4, 4, 77);
    cr_assert_eq(session_load(&kit.sessions, saved, bytes), (int64_t)bytes);
    cr_assert_eq(session_save(&kit.sessions, again, sizeof again), bytes);
    cr_assert_eq(memcmp(saved, again, bytes), 0);
    for (uint64_t i = 40 - XD_INFLIGHT_BATCHES_MAX; i < 40; i++) {
        struct xd_batch_header batch = batch_of(&kit, 1, 3, i * 2, i * 2 + 1, i * 2 + 2);
        struct session_verdict verdict = session_check(&kit.sessions, &batch);
        cr_assert_eq(verdict.status, XD_DUPLICATE);
        cr_assert_eq(verdict.base_offset, i * 2);
        cr_assert_eq(verdict.log_index, i + 10);
    }
    struct xd_batch_header next = batch_of(&kit, 1, 3, 80, 82, 82);
    cr_assert_eq(session_check(&kit.sessions, &next).status, 0);
    struct xd_open_request request = open_of("b");
    request.fixed.producer_epoch = 1;
    cr_assert_eq(kit_open(&kit, &request, 0), 0);
    request = open_of("a"); /* memories are compared with what was loaded */
    request.fixed.flags = 0;
    request.fixed.assigned_sequence = 80;
    cr_assert_eq(kit_open(&kit, &request, 0), XD_SEQUENCE_REGRESSED);
    request.fixed.acked_sequence = request.fixed.assigned_sequence = 82;
    cr_assert_eq(kit_open(&kit, &request, 0), XD_ACKED_MISSING);
    request.fixed.acked_sequence = request.fixed.assigned_sequence = 81;
    cr_assert_eq(kit_open(&kit, &request, 0), 1);
    kit_end(&kit);
}

/* Every number of a channel that anybody is shown comes back. Bytes that are saved again cannot
 * tell: what was forgotten once is missing in both. */
Test(produce_session_save, a_loaded_channel_is_the_one_that_was_saved)
{
    static uint8_t saved[16384];
    struct session_kit kit, loaded;
    kit_begin(&kit, 4, 4, 1);
    kit_begin(&loaded, 4, 4, 2);
    struct xd_open_request request = open_of("a");
    cr_assert_eq(kit_open(&kit, &request, 3), 1);
    session_take_durable(&kit.sessions, &kit.entry);
    request.fixed.channel_epoch = 2; /* every number differs from the others */
    cr_assert_eq(kit_open(&kit, &request, 3), 1);
    session_take_durable(&kit.sessions, &kit.entry);
    cr_assert_eq(kit_open(&kit, &request, 3), 1);
    session_take_durable(&kit.sessions, &kit.entry);
    struct xd_batch_header batch = batch_of(&kit, kit.entry.channel, 3, 0, 5, 9);
    batch.append_time_us = 1700000000000000ll;
    kit_append_durable(&kit, &batch, 0, 7);
    uint64_t bytes = session_save(&kit.sessions, saved, sizeof saved);
    cr_assert_eq(session_load(&loaded.sessions, saved, bytes), (int64_t)bytes);
    const struct channel *was = session_channel(&kit.sessions, 1);
    const struct channel *is = session_channel(&loaded.sessions, 1);
    cr_assert_eq(is->facility, 3);
    cr_assert_eq(is->producer_epoch, 3);
    cr_assert_eq(is->applied_producer_epoch, 3);
    cr_assert_eq(is->channel_epoch, 2);
    cr_assert_eq(is->applied_channel_epoch, 2);
    cr_assert_eq(is->staged_last, 9);
    cr_assert_eq(is->last_sequence, 9);
    cr_assert_eq(is->first_sequence, 5);
    cr_assert_eq(is->record_count, 5);
    cr_assert_eq(is->append_time_us, batch.append_time_us);
    cr_assert_eq(memcmp(is->source, was->source, sizeof is->source), 0);
    cr_assert_eq(memcmp(is->name, was->name, sizeof is->name), 0);
    cr_assert_eq(is->chain_count, 1);
    kit_end(&loaded);
    kit_end(&kit);
}

/* Staged batches, opens and channels are not in it. */
Test(produce_session_save, staged_entries_are_left_out)
{
    static uint8_t before[4096];
    static uint8_t after[4096];
    struct session_kit kit;
    kit_begin(&kit, 4, 4, 1);
    uint32_t channel = kit_open_durable(&kit, "a");
    struct xd_batch_header batch = batch_of(&kit, channel, 3, 0, 1, 1);
    kit_append_durable(&kit, &batch, 0, 5);
    uint64_t bytes = session_save(&kit.sessions, before, sizeof before);

    batch = batch_of(&kit, channel, 3, 1, 2, 2);
    session_append(&kit.sessions, &batch, 6);
    batch = batch_of(&kit, channel, 4, 0, 3, 3);
    session_append(&kit.sessions, &batch, 6);
    struct xd_open_request request = open_of("a");
    request.fixed.channel_epoch = 2;
    cr_assert_eq(kit_open(&kit, &request, 0), 1);
    request = open_of("b");
    cr_assert_eq(kit_open(&kit, &request, 0), 1);
    cr_assert_eq(session_save(&kit.sessions, after, sizeof after), bytes);
    cr_assert_eq(memcmp(before, after, bytes), 0);
    kit_end(&kit);
}

/* A cut state is refused at every length. */
Test(produce_session_save, refuses_a_cut_state)
{
    static uint8_t saved[16384];
    uint64_t bytes = save_example(saved, sizeof saved);
    for (uint64_t cut = 0; cut < bytes; cut += 8)
        cr_assert_eq(load(saved, cut, 4, 4), XD_CHECKPOINT_CORRUPT, "cut at %llu",
                     (unsigned long long)cut);
}

/* Limits below what the state holds are told apart from damage. */
Test(produce_session_save, names_limits_that_are_too_low)
{
    static uint8_t saved[16384];
    uint64_t bytes = save_example(saved, sizeof saved);
    cr_assert_eq(load(saved, bytes, 1, 4), XD_CATALOG_FULL);
    cr_assert_eq(load(saved, bytes, 4, 1), XD_CATALOG_FULL);
    cr_assert_eq(load(saved, bytes, 2, 2), (int64_t)bytes);
}

/* A chain that ends behind its channel, or in an epoch that the channel has not reached, is no fold
 * of any log. */
Test(produce_session_save, refuses_a_chain_that_contradicts_its_channel)
{
    enum { CHAIN = 16 + 2 * 176, EPOCH = CHAIN + 12, LAST = CHAIN + 16 };
    static uint8_t saved[16384];
    uint64_t bytes = save_example(saved, sizeof saved), last;
    uint16_t epoch;
    memcpy(&last, saved + LAST, sizeof last);
    cr_assert_eq(last, 80);
    for (uint64_t change = 80; change <= 82; change++) { /* the channel ends at 81 */
        memcpy(saved + LAST, &change, sizeof change);
        cr_assert_eq(load(saved, bytes, 4, 4),
                     change <= 81 ? (int64_t)bytes : XD_CHECKPOINT_CORRUPT);
    }
    memcpy(saved + LAST, &last, sizeof last);
    memcpy(&epoch, saved + EPOCH, sizeof epoch);
    epoch++;
    memcpy(saved + EPOCH, &epoch, sizeof epoch);
    cr_assert_eq(load(saved, bytes, 4, 4), XD_CHECKPOINT_CORRUPT);
}

/* Numbers that no fold gives are refused wherever they stand, hash or no hash. */
Test(produce_session_save, refuses_numbers_that_no_fold_gives)
{
    enum { FIRST = 16, SECOND = FIRST + 176, CHAIN = SECOND + 176, NEXT = CHAIN + 32 + 48 * 16 };
    static_assert(XD_INFLIGHT_BATCHES_MAX == 16, "where the second chain begins");
    const struct {
        uint32_t at, bytes;
        uint32_t value;
    } rows[] = {
        {FIRST, 4, 2},       {SECOND, 4, 1},
        {FIRST + 8, 4, 0},   {FIRST + 12, 2, 0},
        {FIRST + 14, 1, 65}, {SECOND + 15, 1, 65},
        {CHAIN, 4, 0},       {CHAIN, 4, 3},
        {CHAIN + 8, 4, 0},   {CHAIN + 8, 4, XD_INFLIGHT_BATCHES_MAX + 1},
        {NEXT + 4, 4, 3}, /* the partition of the first chain once more */
    };
    static uint8_t saved[16384];
    uint64_t bytes = save_example(saved, sizeof saved);
    cr_assert_eq(bytes, NEXT + 32 + 48 * XD_INFLIGHT_BATCHES_MAX);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static uint8_t spoiled[sizeof saved];
        memcpy(spoiled, saved, bytes);
        cr_assert_neq(memcmp(spoiled + rows[i].at, &rows[i].value, rows[i].bytes), 0, "row %zu", i);
        memcpy(spoiled + rows[i].at, &rows[i].value, rows[i].bytes);
        cr_assert_eq(load(spoiled, bytes, 4, 4), XD_CHECKPOINT_CORRUPT, "row %zu", i);
    }
}

/* Damage in any byte never crashes the load. */
Test(produce_session_save, survives_damage_in_any_byte)
{
    static uint8_t saved[16384];
    uint64_t bytes = save_example(saved, sizeof saved);
    for (uint64_t i = 0; i < bytes; i++) {
        uint8_t kept = saved[i];
        saved[i] ^= 0xff;
        int64_t status = load(saved, bytes, 4, 4);
        cr_assert(status == (int64_t)bytes || status == XD_CHECKPOINT_CORRUPT ||
                  status == XD_CATALOG_FULL);
        if (i < 16)
            cr_assert(status < 0, "byte %llu", (unsigned long long)i);
        saved[i] = kept;
    }
}

/* A checkpoint taken at any moment, loaded and folded on, gives the bytes of a fold from zero, and
 * so does the table that ran live with its staged view ahead. */
Test(produce_session_save, rebuilds_are_identical_to_the_byte)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct chain_model *model = chain_model_open(seed * 7919);
        chain_model_run(model, 1200);
        chain_model_compare_rebuilds(model);
        cr_assert(model->checkpoints > 3 && model->crashes > 3, "seed %llu is too tame",
                  (unsigned long long)seed);
        chain_model_close(model);
    }
}
