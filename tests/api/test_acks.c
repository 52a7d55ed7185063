/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/api.h"

#include "client/producer.h"

/* An ack gives back the caller's word, the sequence, the offset and the durability. */
Test(acks, echo_the_user_word_and_name_offset_and_durability, .init = start_producer,
     .fini = finish)
{
    for (uint64_t i = 0; i < 5; i++)
        cr_assert_eq(post_one(producer, "SKU-1", 700 + i), 0);
    xdock_ack_t acks[5];
    take_acks(producer, acks, 5);
    for (uint64_t i = 0; i < 5; i++) {
        cr_assert_eq(acks[i].user, 700 + i);
        cr_assert_eq(acks[i].sequence, i + 1);
        cr_assert_eq(acks[i].offset, i);
        cr_assert_eq(acks[i].status, 0);
        cr_assert_eq(acks[i].durability, XDOCK_FSYNC);
        cr_assert_gt(acks[i].log_index, 0);
    }
    cr_assert_eq(xdock_producer_pending(producer), 0);
}

/* With a weaker durability the outcome comes first; the batch is kept, and holds its place in the
 * window, until it is durable. */
Test(acks, keep_a_weakly_acknowledged_batch_until_it_is_durable, .fini = finish)
{
    broker = fake_broker_new();
    broker->hold_final = true;
    client = open_client(broker, (const char *const[]){"producer.durability", "memory",
                                                       "producer.inflight_batches", "2", NULL});
    producer = open_producer(client);
    xdock_ack_t acks[3];
    post_alone(client, producer, "SKU-1", 1);
    post_alone(client, producer, "SKU-1", 2);
    take_acks(producer, acks, 2);
    cr_assert_eq(acks[0].durability, XDOCK_MEMORY);
    cr_assert_eq(acks[1].durability, XDOCK_MEMORY);
    cr_assert_eq(producer->outbox.kept_count, 2);

    post_alone(client, producer, "SKU-1", 3);
    cr_assert_eq(broker->batches, 2, "the window of two batches is full");
    broker->hold_final = false;
    fake_broker_release_acks(broker);
    take_acks(producer, acks, 1);
    cr_assert_eq(acks[0].user, 3);
    cr_assert_eq(xdock_acks(producer, acks, 3, 0), 0, "durable is no second outcome");
}

/* A batch that was acknowledged weakly and then lost with the connection is sent again, and the
 * program is not told twice. */
Test(acks, resend_a_weakly_acknowledged_batch_without_a_second_outcome, .fini = finish)
{
    broker = fake_broker_new();
    broker->hold_final = true;
    client = open_client(broker, (const char *const[]){"producer.durability", "written", NULL});
    producer = open_producer(client);
    xdock_ack_t acks[2];
    post_alone(client, producer, "SKU-1", 1);
    take_acks(producer, acks, 1);
    cr_assert_eq(acks[0].durability, XDOCK_WRITTEN);
    fake_broker_cut(broker);
    broker->hold_final = false;
    while (producer->outbox.kept_count > 0)
        cr_assert_geq(xdock_client_step(client, 1000), 0);
    cr_assert_eq(broker->duplicates, 1);
    cr_assert_eq(xdock_acks(producer, acks, 2, 0), 0);
}

/* A final refusal is the outcome of the batch's records. What was pipelined behind it is refused by
 * the broker for want of its predecessor; it is sent again behind what the chain really holds. */
Test(acks, chain_again_behind_a_batch_that_was_refused_for_good, .init = start_producer,
     .fini = finish)
{
    broker->hold_acks = true;
    broker->refuse_status = XD_RECORD_MALFORMED;
    broker->refuse_count = 1;
    broker->refuse_skip = 1;
    broker->refuse_resume = 0;
    for (uint64_t i = 1; i <= 4; i++)
        post_alone(client, producer, "SKU-1", i);
    cr_assert_eq(broker->batches, 4);
    cr_assert_eq(broker->batch_count, 1, "only the first one was appended");
    broker->hold_acks = false;
    fake_broker_release_acks(broker);

    xdock_ack_t acks[4];
    int32_t status_of[5] = {0};
    take_acks(producer, acks, 4);
    for (int i = 0; i < 4; i++)
        status_of[acks[i].user] = acks[i].status;
    cr_assert_eq(status_of[1], 0);
    cr_assert_eq(status_of[2], XD_RECORD_MALFORMED);
    cr_assert_eq(status_of[3], 0);
    cr_assert_eq(status_of[4], 0);
    uint64_t sequences[4];
    uint32_t partition = acks[0].partition;
    cr_assert_eq(fake_broker_sequences(broker, 1, partition, sequences, 4), 3);
    cr_assert_eq(sequences[0], 1);
    cr_assert_eq(sequences[1], 3);
    cr_assert_eq(sequences[2], 4);
    cr_assert_eq(broker->batches, 6, "the two behind were sent once more, not oftener");
    xdock_client_stats_t stats;
    xdock_client_stats(client, &stats);
    cr_assert_eq(stats.refused, 1);
    cr_assert_not_null(strstr(xdock_client_error(client), "RECORD_MALFORMED"));
}

/* An answer that counts fewer records than its batches hold, or ends inside one, is not guessed at:
 * the connection is given up, and what was sent again is answered as it is. */
Test(acks, break_with_a_broker_that_answers_for_other_records, .init = start_producer,
     .fini = finish)
{
    for (uint32_t round = 0; round < 2; round++) {
        broker->hold_acks = true;
        for (uint64_t i = 0; i < 2; i++)
            cr_assert_eq(post_one(producer, "SKU-1", i), 0);
        xd_producer_close_batches(producer);
        cr_assert_geq(xdock_client_step(client, 0), 0);
        cr_assert_eq(broker->ack_count, 1);
        if (round == 0)
            broker->acks[0].record_count--;
        else
            broker->acks[0].last_sequence--;
        broker->hold_acks = false;
        fake_broker_release_acks(broker);
        xdock_ack_t acks[2];
        take_acks(producer, acks, 2);
        for (uint32_t i = 0; i < 2; i++) {
            cr_assert_eq(acks[i].status, XD_DUPLICATE);
            cr_assert_eq(acks[i].offset, 2 * round + i);
        }
        cr_assert_eq(broker->connects, 2 + round);
    }
}

/* Batches refused for back-pressure come back in their sequence after the delay, each once. */
Test(acks, resend_refused_pipelined_batches_in_sequence, .init = start_producer, .fini = finish)
{
    broker->hold_acks = true;
    broker->refuse_status = XD_THROTTLED;
    broker->refuse_count = 1;
    broker->refuse_retry_ms = 250;
    for (uint64_t i = 1; i <= 8; i++)
        post_alone(client, producer, "SKU-1", i);
    cr_assert_eq(broker->batch_count, 0);
    cr_assert_eq(broker->refusals, 8);
    broker->hold_acks = false;
    fake_broker_release_acks(broker);

    uint64_t before_ns = broker->now_ns;
    xdock_ack_t acks[8];
    take_acks(producer, acks, 8);
    cr_assert_geq(broker->now_ns - before_ns, 250 * MS, "the delay of the broker was kept");
    cr_assert_eq(broker->batches, 16, "each was sent twice");
    for (uint64_t i = 0; i < 8; i++) {
        cr_assert_eq(acks[i].status, 0);
        cr_assert_eq(acks[i].sequence, i + 1);
        cr_assert_eq(acks[i].offset, i);
    }
}

/* Sends held answer `from` alone, ahead of the others. */
static void release_one(uint32_t from)
{
    struct xd_ack held[4] = {0};
    uint32_t strides[4] = {0}, count = broker->ack_count;
    cr_assert(from < count && count <= 4);
    memcpy(held, broker->acks, sizeof(held));
    memcpy(strides, broker->ack_strides, sizeof(strides));
    broker->acks[0] = held[from];
    broker->ack_strides[0] = strides[from];
    broker->ack_count = 1;
    fake_broker_release_acks(broker);
    for (uint32_t i = 0; i < count; i++) {
        if (i == from)
            continue;
        broker->acks[broker->ack_count] = held[i];
        broker->ack_strides[broker->ack_count++] = strides[i];
    }
}

/* "Later" may come before the answer to the batch in front of it, and says nothing of the chain.
 * The client keeps the delay, sends nothing while answers are owed, and goes on from that batch. */
Test(acks, go_on_from_a_batch_whose_refusal_overtook_earlier_answers, .init = start_producer,
     .fini = finish)
{
    broker->hold_acks = true;
    broker->refuse_status = XD_THROTTLED;
    broker->refuse_count = 1;
    broker->refuse_skip = 1;
    broker->refuse_retry_ms = 250;
    broker->refuse_resume = 0;
    for (uint64_t i = 1; i <= 4; i++)
        post_alone(client, producer, "SKU-1", i);
    cr_assert_eq(broker->batch_count, 1);
    release_one(1);
    uint64_t before_ns = broker->now_ns;
    while (broker->now_ns - before_ns < 100 * MS)
        cr_assert_geq(xdock_client_step(client, 100), 0);
    broker->hold_acks = false;
    fake_broker_release_acks(broker);
    xdock_ack_t acks[4];
    take_acks(producer, acks, 1);
    cr_assert_eq(acks[0].sequence, 1);
    cr_assert_lt(broker->now_ns - before_ns, 250 * MS);
    cr_assert_eq(broker->batches, 4, "nothing is sent again before its time");
    take_acks(producer, acks + 1, 3);
    cr_assert_geq(broker->now_ns - before_ns, 250 * MS, "the delay of the broker was kept");
    cr_assert_eq(broker->batches, 7, "the first one was not sent again");
    for (uint64_t i = 0; i < 4; i++) {
        cr_assert_eq(acks[i].status, 0);
        cr_assert_eq(acks[i].sequence, i + 1);
        cr_assert_eq(acks[i].offset, i);
    }
}

/* A damaged transfer is simply repeated, a status that says "unknown" after a pause. */
Test(acks, repeat_batches_after_retry_and_unknown)
{
    const int statuses[] = {XD_BATCH_CHECKSUM, XD_STORAGE_FENCED, XD_INFLIGHT_EXCEEDED};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        broker = fake_broker_new();
        client = open_client(broker, NULL);
        producer = open_producer(client);
        broker->refuse_status = statuses[i];
        broker->refuse_count = 3;
        xdock_ack_t ack;
        xdock_record_t record = make_record("SKU-1");
        cr_assert_eq(xdock_send(producer, &record, &ack, 20000), 0);
        cr_assert_eq(broker->batches, 4);
        cr_assert_eq(fake_broker_records(broker), 1);
        close_all(broker, client);
    }
}

/* Another program opened the channel: every record gets FENCED, and so does every later call. */
Test(acks, finish_a_producer_that_is_fenced, .init = start_producer, .fini = finish)
{
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    cr_assert_eq(post_one(producer, "SKU-2", 2), 0);
    fake_broker_steal(broker, "wms/");
    cr_assert_eq(xdock_flush(producer, 1000), XD_FENCED);
    xdock_ack_t acks[3];
    cr_assert_eq(xdock_acks(producer, acks, 3, 0), 2, "outcomes can still be taken");
    cr_assert_eq(acks[0].status, XD_FENCED);
    cr_assert_eq(acks[1].status, XD_FENCED);
    cr_assert_eq(xdock_acks(producer, acks, 3, 1000), XD_FENCED);
    cr_assert_eq(post_one(producer, "SKU-1", 3), XD_FENCED);
    cr_assert_eq(xdock_producer_close(&producer, 1000), 0);
}

/* A last sequence inside a kept batch cannot come from our own resends: the producer ends loudly.
 */
Test(acks, end_the_producer_when_the_broker_holds_half_a_batch, .init = start_producer,
     .fini = finish)
{
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    cr_assert_eq(post_one(producer, "SKU-1", 2), 0);
    broker->refuse_status = XD_OVERLAP;
    broker->refuse_count = 1;
    broker->refuse_resume = 1;
    cr_assert_eq(xdock_flush(producer, 5000), XD_OVERLAP);
    cr_assert_not_null(strstr(xdock_client_error(client), "operator"));
    xdock_ack_t acks[2];
    cr_assert_eq(xdock_acks(producer, acks, 2, 0), 2);
    cr_assert_eq(acks[0].status, XD_HANDLE_FATAL);
}

/* A broker that has less than it acknowledged is not fed any further. */
Test(acks, end_the_producer_when_acknowledged_records_are_missing, .init = start_producer,
     .fini = finish)
{
    xdock_record_t record = make_record("SKU-1");
    cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0);
    broker->refuse_status = XD_OUT_OF_SEQUENCE;
    broker->refuse_count = 1;
    broker->refuse_resume = 0;
    cr_assert_eq(xdock_send(producer, &record, NULL, 5000), XD_HANDLE_FATAL);
    cr_assert_eq(xdock_send(producer, &record, NULL, 5000), XD_ACKED_MISSING);
}

/* An earlier program has left records in a chain that the open did not name: the first refusal
 * tells where to go on. */
Test(acks, adopt_a_chain_that_the_open_did_not_name, .init = start_producer, .fini = finish)
{
    xdock_record_t record = make_record("SKU-1");
    cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0);
    cr_assert_eq(xdock_producer_close(&producer, 1000), 0);
    broker->open_chains_max = 0;
    producer = open_producer(client);
    cr_assert_eq(xdock_producer_resume(producer), 1);
    xdock_ack_t ack;
    cr_assert_eq(xdock_send(producer, &record, &ack, 1000), 0);
    cr_assert_eq(ack.sequence, 2);
    cr_assert_eq(ack.offset, 1);
}

/* With producer.acks = failures plain successes are not kept, everything else is. */
Test(acks, keep_only_what_is_not_a_plain_success_when_asked, .fini = finish)
{
    broker = fake_broker_new();
    client = open_client(broker, (const char *const[]){"producer.acks", "failures", NULL});
    producer = open_producer(client);
    xdock_ack_t acks[4];
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    cr_assert_eq(xdock_flush(producer, 1000), 0);
    cr_assert_eq(xdock_acks(producer, acks, 4, 0), 0);
    broker->refuse_status = XD_RECORD_MALFORMED;
    broker->refuse_count = 1;
    cr_assert_eq(post_one(producer, "SKU-1", 2), 0);
    cr_assert_eq(xdock_flush(producer, 1000), 0);
    cr_assert_eq(xdock_acks(producer, acks, 4, 0), 1);
    cr_assert_eq(acks[0].user, 2);
    cr_assert_eq(acks[0].status, XD_RECORD_MALFORMED);
    xdock_record_t record = make_record("SKU-1");
    cr_assert_eq(xdock_send(producer, &record, &acks[0], 1000), 0);
    cr_assert_eq(acks[0].sequence, 3);
}

/* Waiting for outcomes ends by its deadline, and at once when nothing is pending. */
Test(acks, wait_no_longer_than_asked, .init = start_producer, .fini = finish)
{
    xdock_ack_t ack;
    uint64_t before_ns = broker->now_ns;
    cr_assert_eq(xdock_acks(producer, &ack, 1, 5000), 0);
    cr_assert_lt(broker->now_ns - before_ns, MS, "nothing is pending");
    broker->hold_acks = true;
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    cr_assert_eq(xdock_acks(producer, &ack, 1, 300), 0);
    cr_assert_geq(broker->now_ns - before_ns, 300 * MS);
    cr_assert_lt(broker->now_ns - before_ns, 305 * MS);
    fake_broker_release_acks(broker);
    cr_assert_eq(xdock_acks(producer, &ack, 1, 300), 1);
}
