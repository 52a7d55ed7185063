/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/produce/chain.c: every row of the verdict table, over staged and applied batches.
 */
#include "broker/produce/session.h"

#include "tests/support/chain_model.h"
#include "tests/support/session_kit.h"

#include <stdio.h>

/* The verdict on a batch of `channel` in partition 3. */
static struct session_verdict check(struct session_kit *kit, uint32_t channel, uint64_t previous,
                                    uint64_t first, uint64_t last)
{
    struct xd_batch_header batch = batch_of(kit, channel, 3, previous, first, last);
    return session_check(&kit->sessions, &batch);
}

static void stage(struct session_kit *kit, uint32_t channel, uint64_t previous, uint64_t first,
                  uint64_t last, uint64_t offset, uint64_t log_index)
{
    struct xd_batch_header batch = batch_of(kit, channel, 3, previous, first, last);
    cr_assert_eq(session_check(&kit->sessions, &batch).status, 0);
    batch.base_offset = offset;
    session_append(&kit->sessions, &batch, log_index);
}

/* Each row of the table, against a chain that ends at 20 and has a staged part. */
Test(produce_chain, gives_the_verdict_of_each_row)
{
    struct session_kit kit;
    kit_begin(&kit, 2, 4, 1);
    uint32_t channel = kit_open_durable(&kit, "a");
    struct xd_batch_header first = batch_of(&kit, channel, 3, 0, 1, 10);
    kit_append_durable(&kit, &first, 100, 7);
    stage(&kit, channel, 10, 11, 20, 110, 8);

    const struct {
        uint64_t previous, first, last;
        int status;
        uint64_t offset, log_index;
    } rows[] = {
        {20, 21, 30, 0, 0, 0},                    /* continues */
        {20, 25, 30, 0, 0, 0},                    /* continues; 21..24 went to other partitions */
        {0, 1, 10, XD_DUPLICATE, 100, 7},         /* applied */
        {10, 11, 20, XD_DUPLICATE, 110, 8},       /* staged: rests on the entry not durable yet */
        {0, 1, 9, XD_SEQUENCE_REUSED, 0, 0},      /* cut differently */
        {10, 12, 20, XD_SEQUENCE_REUSED, 0, 0},   /* */
        {0, 1, 20, XD_SEQUENCE_REUSED, 0, 0},     /* two joined */
        {10, 11, 21, XD_OVERLAP, 0, 0},           /* starts inside */
        {10, 20, 25, XD_OVERLAP, 0, 0},           /* */
        {21, 22, 30, XD_OUT_OF_SEQUENCE, 0, 0},   /* one is missing before it */
        {0, 21, 30, XD_OUT_OF_SEQUENCE, 0, 0},    /* does not know of the chain */
        {19, 21, 30, XD_OUT_OF_SEQUENCE, 0, 0},   /* */
        {500, 501, 501, XD_OUT_OF_SEQUENCE, 0, 0} /* */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct session_verdict verdict =
            check(&kit, channel, rows[i].previous, rows[i].first, rows[i].last);
        cr_assert_eq(verdict.status, rows[i].status, "row %zu: %d", i, verdict.status);
        cr_assert_eq(verdict.base_offset, rows[i].offset, "row %zu", i);
        cr_assert_eq(verdict.log_index, rows[i].log_index, "row %zu", i);
        cr_assert_eq(verdict.resume_sequence, 20, "row %zu", i);
    }
    kit_end(&kit);
}

/* The same numbers with another content are never a success. */
Test(produce_chain, another_hash_is_no_duplicate)
{
    struct session_kit kit;
    kit_begin(&kit, 2, 4, 1);
    uint32_t channel = kit_open_durable(&kit, "a");
    struct xd_batch_header batch = batch_of(&kit, channel, 3, 0, 1, 10);
    kit_append_durable(&kit, &batch, 0, 7);
    cr_assert_eq(session_check(&kit.sessions, &batch).status, XD_DUPLICATE);
    batch.batch_xxh3 ^= 1;
    cr_assert_eq(session_check(&kit.sessions, &batch).status, XD_SEQUENCE_REUSED);
    batch.batch_xxh3 ^= 1;
    batch.record_count--; /* the same span with a record less */
    cr_assert_eq(session_check(&kit.sessions, &batch).status, XD_SEQUENCE_REUSED);
    kit_end(&kit);
}

/* Epochs are compared before the chain. */
Test(produce_chain, fences_older_epochs_and_refuses_newer_ones)
{
    struct session_kit kit;
    kit_begin(&kit, 2, 4, 1);
    uint32_t channel = kit_open_durable(&kit, "a");
    kit_open_durable(&kit, "a");
    struct xd_open_request request = open_of("a");
    request.fixed.channel_epoch = 2;
    cr_assert_eq(kit_open(&kit, &request, 0), 1); /* staged: counts already */
    struct xd_batch_header batch = batch_of(&kit, channel, 3, 0, 1, 10);
    cr_assert_eq(session_check(&kit.sessions, &batch).status, 0);
    batch.producer_epoch = 2;
    cr_assert_eq(session_check(&kit.sessions, &batch).status, XD_FENCED);
    batch.producer_epoch = 4;
    cr_assert_eq(session_check(&kit.sessions, &batch).status, XD_PRODUCER_UNKNOWN);
    batch.producer_epoch = 3;
    batch.channel_epoch = 1;
    cr_assert_eq(session_check(&kit.sessions, &batch).status, XD_FENCED);
    batch.channel_epoch = 3;
    cr_assert_eq(session_check(&kit.sessions, &batch).status, XD_FIELD_INVALID);
    batch.producer_id = 2;
    cr_assert_eq(session_check(&kit.sessions, &batch).status, XD_PRODUCER_UNKNOWN);
    batch.producer_id = 1ull << 40;
    cr_assert_eq(session_check(&kit.sessions, &batch).status, XD_PRODUCER_UNKNOWN);
    kit_end(&kit);
}

/* A new channel epoch begins at 0 again and does not take old batches for its own. */
Test(produce_chain, a_new_channel_epoch_starts_the_chain_anew)
{
    struct session_kit kit;
    kit_begin(&kit, 2, 4, 1);
    uint32_t channel = kit_open_durable(&kit, "a");
    struct xd_batch_header batch = batch_of(&kit, channel, 3, 0, 1, 10);
    kit_append_durable(&kit, &batch, 0, 7);
    struct xd_open_request request = open_of("a");
    request.fixed.channel_epoch = 2;
    cr_assert_eq(kit_open(&kit, &request, 0), 1);
    session_take_durable(&kit.sessions, &kit.entry);
    cr_assert_eq(check(&kit, channel, 10, 11, 12).status, XD_OUT_OF_SEQUENCE);
    struct session_verdict verdict = check(&kit, channel, 0, 1, 10);
    cr_assert_eq(verdict.status, 0);
    batch = batch_of(&kit, channel, 3, 0, 1, 10);
    kit_append_durable(&kit, &batch, 10, 9);
    verdict = check(&kit, channel, 0, 1, 10);
    cr_assert_eq(verdict.status, XD_DUPLICATE);
    cr_assert_eq(verdict.base_offset, 10);
    kit_end(&kit);
}

/* Partitions are chains of their own. */
Test(produce_chain, partitions_do_not_know_each_other)
{
    struct session_kit kit;
    kit_begin(&kit, 2, 4, 1);
    uint32_t channel = kit_open_durable(&kit, "a");
    struct xd_batch_header batch = batch_of(&kit, channel, 3, 0, 1, 10);
    kit_append_durable(&kit, &batch, 0, 7);
    batch = batch_of(&kit, channel, 4, 10, 11, 12);
    cr_assert_eq(session_check(&kit.sessions, &batch).status, XD_OUT_OF_SEQUENCE);
    batch = batch_of(&kit, channel, 4, 0, 11, 12);
    kit_append_durable(&kit, &batch, 0, 8);
    struct xd_open_chain chains[4];
    uint32_t count =
        session_chains(&kit.sessions, session_channel(&kit.sessions, channel), chains, 4);
    cr_assert_eq(count, 2);
    cr_assert_eq(chains[0].partition, 3);
    cr_assert_eq(chains[0].last_sequence, 10);
    cr_assert_eq(chains[0].last_offset, 9);
    cr_assert_eq(chains[1].partition, 4);
    cr_assert_eq(chains[1].last_sequence, 12);
    cr_assert_eq(chains[1].last_offset, 1);
    kit_end(&kit);
}

/* An open is told every chain, sorted by partition, in whichever sequence they came to be; chains
 * of another channel and staged ones are not told. */
Test(produce_chain, tells_all_chains_in_rising_partition)
{
    struct session_kit kit;
    enum { COUNT = 1500 };
    static struct xd_open_chain chains[COUNT];
    const char *why = NULL;
    kit_begin(&kit, 2, 2 * COUNT + 1, 1);
    uint32_t channel = kit_open_durable(&kit, "a");
    uint32_t other = kit_open_durable(&kit, "b");
    const struct channel *c = session_channel(&kit.sessions, channel);
    for (uint64_t i = 0; i < COUNT; i++) {
        uint32_t partition = (uint32_t)(i * 7919 % COUNT) * 3; /* 7919 is prime: each one once */
        struct xd_batch_header batch = batch_of(&kit, channel, partition, 0, i + 1, i + 1);
        kit_append_durable(&kit, &batch, i, 10 + i);
        batch = batch_of(&kit, other, partition + 1, 0, i + 1, i + 1);
        kit_append_durable(&kit, &batch, i, 10 + i);
    }
    struct xd_batch_header staged = batch_of(&kit, channel, 1, 0, COUNT + 1, COUNT + 1);
    session_append(&kit.sessions, &staged, 5000);
    cr_assert_eq(c->chain_count, COUNT + 1);
    cr_assert_eq(session_chains(&kit.sessions, c, chains, COUNT), COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        cr_assert_eq(chains[i].partition, i * 3);
        cr_assert_eq((chains[i].last_sequence - 1) * 7919 % COUNT, i);
        cr_assert_eq(chains[i].last_offset, chains[i].last_sequence - 1);
    }
    cr_assert_eq(session_apply(&kit.sessions, &staged, 5000, &why), 0);
    cr_assert_eq(
        session_chains(&kit.sessions, session_channel(&kit.sessions, other), chains, COUNT), COUNT);
    kit_end(&kit);
}

/* More batches than announced may not be staged; applying one makes room for one. */
Test(produce_chain, bounds_the_batches_in_flight)
{
    struct session_kit kit;
    const char *why = NULL;
    kit_begin(&kit, 2, 4, 1);
    uint32_t channel = kit_open_durable(&kit, "a");
    for (uint64_t i = 0; i < XD_INFLIGHT_BATCHES_MAX; i++)
        stage(&kit, channel, i, i + 1, i + 1, i, 10 + i);
    uint64_t last = XD_INFLIGHT_BATCHES_MAX;
    cr_assert_eq(check(&kit, channel, last, last + 1, last + 1).status, XD_INFLIGHT_EXCEEDED);
    cr_assert_eq(check(&kit, channel, last, last + 1, last + 1).resume_sequence, last);
    struct xd_batch_header oldest = batch_of(&kit, channel, 3, 0, 1, 1);
    cr_assert_eq(session_check(&kit.sessions, &oldest).status, XD_DUPLICATE);
    cr_assert_eq(session_apply(&kit.sessions, &oldest, 10, &why), 0);
    cr_assert_eq(check(&kit, channel, last, last + 1, last + 1).status, 0);
    kit_end(&kit);
}

/* A full chain table throttles new chains, existing ones go on. */
Test(produce_chain, throttles_a_chain_over_the_limit)
{
    struct session_kit kit;
    kit_begin(&kit, 2, 2, 1);
    uint32_t channel = kit_open_durable(&kit, "a");
    for (uint32_t partition = 0; partition < 2; partition++) {
        struct xd_batch_header batch =
            batch_of(&kit, channel, partition, 0, partition + 1, partition + 1);
        kit_append_durable(&kit, &batch, 0, 5);
    }
    struct xd_batch_header batch = batch_of(&kit, channel, 2, 0, 3, 3);
    cr_assert_eq(session_check(&kit.sessions, &batch).status, XD_THROTTLED);
    batch = batch_of(&kit, channel, 1, 2, 3, 3);
    cr_assert_eq(session_check(&kit.sessions, &batch).status, 0);
    kit_end(&kit);
}

/* What a log may hold and a broker never writes: a hole, an unopened epoch, too many chains. */
Test(produce_chain, apply_refuses_a_log_that_breaks_a_chain)
{
    struct session_kit kit;
    const char *why = NULL;
    kit_begin(&kit, 2, 1, 1);
    uint32_t channel = kit_open_durable(&kit, "a");
    struct xd_batch_header batch = batch_of(&kit, channel, 3, 5, 6, 6);
    cr_assert_eq(session_apply(&kit.sessions, &batch, 9, &why), XD_LOG_CORRUPT);
    batch = batch_of(&kit, channel, 3, 0, 1, 5);
    batch.producer_epoch++;
    cr_assert_eq(session_apply(&kit.sessions, &batch, 9, &why), XD_LOG_CORRUPT);
    batch.producer_epoch--;
    batch.channel_epoch++;
    cr_assert_eq(session_apply(&kit.sessions, &batch, 9, &why), XD_LOG_CORRUPT);
    batch.channel_epoch--;
    batch.producer_id = 2;
    cr_assert_eq(session_apply(&kit.sessions, &batch, 9, &why), XD_LOG_CORRUPT);
    batch.producer_id = channel;
    cr_assert_eq(session_apply(&kit.sessions, &batch, 9, &why), 0);
    batch = batch_of(&kit, channel, 4, 0, 6, 6);
    cr_assert_eq(session_apply(&kit.sessions, &batch, 9, &why), XD_LOG_CORRUPT);
    kit_end(&kit);
}

/* Any mix of sends, resends, nonsense, opens, late applies and crashes: each verdict is the one
 * that a plain list of all batches gives. */
Test(produce_chain, verdicts_equal_a_list_of_all_batches)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct chain_model *model = chain_model_open(seed);
        chain_model_run(model, 1500);
        cr_assert(model->appended > 100 && model->duplicates > 20 && model->refused > 50,
                  "seed %llu is too tame", (unsigned long long)seed);
        chain_model_close(model);
    }
}
