/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/api.h"

#include "client/producer.h"

/* The acknowledgement is lost with the connection: the same batch goes out again on the next one
 * and comes back as a duplicate with its first offset. */
Test(producer, makes_the_outcome_definite_after_a_lost_acknowledgement, .init = start_producer,
     .fini = finish)
{
    xdock_record_t record = make_record("SKU-1");
    cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0);
    broker->lose_acks = true;
    cr_assert_eq(post_one(producer, "SKU-1", 7), 0);
    cr_assert_eq(xdock_client_step(client, 0), 1);
    cr_assert_eq(fake_broker_records(broker), 2);
    fake_broker_cut(broker);
    broker->lose_acks = false;
    xdock_ack_t ack;
    take_acks(producer, &ack, 1);
    cr_assert_eq(ack.user, 7);
    cr_assert_eq(ack.status, XDOCK_DUPLICATE);
    cr_assert_eq(ack.offset, 1);
    cr_assert_eq(fake_broker_records(broker), 2, "nothing is in the log twice");
    xdock_client_stats_t stats;
    xdock_client_stats(client, &stats);
    cr_assert_eq(stats.connects, 2);
    cr_assert_eq(stats.batches_resent, 1);
    cr_assert_eq(stats.duplicates, 1);
}

/* Ten batches over two partitions, the connection cut after `cut` bytes in one direction. */
static void run_with_cut(uint64_t cut_in_bytes, uint64_t cut_out_bytes)
{
    broker = fake_broker_new();
    client = open_client(broker, (const char *const[]){"producer.batch_bytes", "4KiB",
                                                       "producer.buffer_bytes", "64KiB", NULL});
    producer = open_producer(client);
    broker->cut_in_bytes = cut_in_bytes;
    broker->cut_out_bytes = cut_out_bytes;
    for (uint64_t i = 0; i < 10; i++)
        post_alone(client, producer, i % 2 == 0 ? "SKU-1" : "SKU-2", i);
    xdock_ack_t acks[10];
    take_acks(producer, acks, 10);
    uint32_t seen = 0;
    for (int i = 0; i < 10; i++) {
        cr_assert_geq(acks[i].status, 0);
        seen |= 1u << acks[i].user;
    }
    cr_assert_eq(seen, 0x3ffu, "every record has one outcome");
    cr_assert_eq(fake_broker_records(broker), 10, "cut after %llu/%llu bytes: %llu records",
                 (unsigned long long)cut_in_bytes, (unsigned long long)cut_out_bytes,
                 (unsigned long long)fake_broker_records(broker));
    xd_outbox_check(&producer->outbox);
    close_all(broker, client);
}

/* Wherever the connection breaks on the way to the broker, each record is in the log once. */
Test(producer, survives_a_cut_at_every_byte_sent, .timeout = 60)
{
    for (uint64_t cut = 1; cut < 3200; cut += 7)
        run_with_cut(cut, FAKE_NEVER);
}

/* The same for every byte on the way back. */
Test(producer, survives_a_cut_at_every_byte_received, .timeout = 60)
{
    for (uint64_t cut = 1; cut < 1200; cut++)
        run_with_cut(FAKE_NEVER, cut);
}

/* Small sends and receives change nothing but the number of calls. */
Test(producer, works_over_a_transport_that_moves_few_bytes, .fini = finish)
{
    broker = fake_broker_new();
    broker->send_bytes_max = 3;
    broker->recv_bytes_max = 5;
    client = open_client(broker, NULL);
    producer = open_producer(client);
    for (uint64_t i = 0; i < 20; i++)
        cr_assert_eq(post_one(producer, i % 3 == 0 ? "SKU-1" : "SKU-9", i), 0);
    cr_assert_eq(xdock_flush(producer, 5000), 0);
    cr_assert_eq(fake_broker_records(broker), 20);
}

/* A restarted program goes on behind what the broker holds, per channel and per partition. */
Test(producer, resumes_behind_what_the_broker_holds, .init = start_producer, .fini = finish)
{
    xdock_record_t record = make_record("SKU-1");
    xdock_ack_t first;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(xdock_send(producer, &record, &first, 1000), 0);
    cr_assert_eq(xdock_producer_close(&producer, 1000), 0);
    cr_assert_eq(broker->closes, 1);
    producer = open_producer(client);
    cr_assert_eq(xdock_producer_resume(producer), 3);
    cr_assert_eq(xdock_producer_resume_partition(producer, first.partition), 3);
    cr_assert_eq(xdock_producer_resume_partition(producer, first.partition ^ 1u), 0);
    xdock_ack_t ack;
    cr_assert_eq(xdock_send(producer, &record, &ack, 1000), 0);
    cr_assert_eq(ack.sequence, 4);
    cr_assert_eq(ack.offset, 3);
}

/* A chain in a topic that came after the program fetched the catalog counts like any other. */
Test(producer, resumes_in_topics_that_are_newer_than_its_catalog, .fini = finish)
{
    broker = fake_broker_new();
    broker->topic_count = 1;
    client = open_client(broker, NULL);
    producer = open_producer(client);
    xdock_record_t record = make_record("SKU-1");
    cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0);
    cr_assert_eq(xdock_producer_close(&producer, 1000), 0);
    broker->topic_count = 2; /* another program has made it, and sent to it on this channel */
    broker->catalog_epoch++;
    uint32_t partition = fake_partition_base(2, 1);
    uint32_t used = 0;
    while (broker->chains[used].producer_id != 0)
        used++;
    broker->chains[used] = (struct fake_chain){
        .producer_id = 1, .partition = partition, .channel_epoch = 1, .last = 2};
    broker->channels[0].last_sequence = 2;
    producer = open_producer(client);
    cr_assert_eq(xdock_producer_resume(producer), 2);
    cr_assert_eq(xdock_producer_resume_partition(producer, partition), 2);
    cr_assert_eq(broker->opens, 3, "once more behind the new catalog");
}

/* A program with a memory is told when broker and memory contradict each other. */
Test(producer, compares_its_memory_with_the_broker, .init = start_client, .fini = finish)
{
    cr_assert_eq(xdock_producer_open_at(client, "wms", NULL, "DC07", 5, 9, 0, 1000, &producer),
                 XD_ACKED_MISSING);
    cr_assert_null(producer, "outputs are untouched on failure");
    producer = open_producer(client);
    xdock_record_t record = make_record("SKU-1");
    for (int i = 0; i < 5; i++)
        cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0);
    cr_assert_eq(xdock_producer_close(&producer, 1000), 0);
    cr_assert_eq(xdock_producer_open_at(client, "wms", NULL, "DC07", 0, 3, 0, 1000, &producer),
                 XD_SEQUENCE_REGRESSED);
    cr_assert_eq(xdock_producer_open_at(client, "wms", NULL, "DC07", 4, 3, 0, 1000, &producer),
                 XD_FIELD_INVALID);
    cr_assert_eq(xdock_producer_open_at(client, "wms", NULL, "DC07", 4, 8, 0, 1000, &producer), 0);
    xdock_ack_t ack;
    cr_assert_eq(xdock_send(producer, &record, &ack, 1000), 0);
    cr_assert_eq(ack.sequence, 9, "numbers that were given out are not given again");
}

/* A restored source numbers anew: the channel gets its next epoch and starts at 1. */
Test(producer, opens_a_new_channel_epoch, .init = start_producer, .fini = finish)
{
    xdock_record_t record = make_record("SKU-1");
    cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0);
    cr_assert_eq(xdock_producer_close(&producer, 1000), 0);
    cr_assert_eq(xdock_producer_open_at(client, "wms", NULL, "DC07", 0, 0, 1, 1000, &producer), 0);
    cr_assert_eq(xdock_producer_resume(producer), 0);
    xdock_ack_t ack;
    cr_assert_eq(xdock_send(producer, &record, &ack, 1000), 0);
    cr_assert_eq(ack.sequence, 1);
    cr_assert_eq(ack.offset, 1);
}

/* The channel was opened by another program while the connection was away. */
Test(producer, is_fenced_when_it_attaches_too_late, .init = start_producer, .fini = finish)
{
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    fake_broker_cut(broker);
    fake_broker_steal(broker, "wms/");
    cr_assert_eq(xdock_flush(producer, 5000), XD_FENCED);
    cr_assert_eq(fake_broker_records(broker), 0);
}

/* An answer to an attach that names another epoch than the producer's own is none: batches of the
 * old epoch would meet a channel that somebody else holds. */
Test(producer, does_not_attach_to_an_epoch_of_somebody_else, .init = start_producer, .fini = finish)
{
    struct xd_reply_head head = {.status = 0};
    struct xd_open_reply reply = {.producer_id = producer->identity.producer_id,
                                  .producer_epoch = producer->identity.producer_epoch + 1,
                                  .channel_epoch = producer->identity.channel_epoch,
                                  .facility = producer->identity.facility};
    producer->state = XD_PRODUCER_DETACHED;
    const char *field = xd_producer_opened(producer, &head, (struct xd_text){NULL, 0},
                                           (const uint8_t *)&reply, sizeof(reply));
    cr_assert_not_null(field);
    cr_assert_str_eq(field, "producer_epoch");
    cr_assert_eq(producer->state, XD_PRODUCER_DETACHED);
    reply.producer_epoch--;
    cr_assert_null(xd_producer_opened(producer, &head, (struct xd_text){NULL, 0},
                                      (const uint8_t *)&reply, sizeof(reply)));
    cr_assert_eq(producer->state, XD_PRODUCER_ATTACHED);
}

/* A broker that has lost what it acknowledged is noticed when attaching. */
Test(producer, reports_missing_records_when_it_attaches, .init = start_producer, .fini = finish)
{
    xdock_record_t record = make_record("SKU-1");
    cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0);
    fake_broker_cut(broker);
    broker->channels[0].last_sequence = 0;
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    cr_assert_eq(xdock_flush(producer, 5000), XD_ACKED_MISSING);
    cr_assert_eq(xd_status_class(XD_ACKED_MISSING), XD_CLASS_FATAL);
}

/* Throttled opens are repeated until the deadline, others answered at once. */
Test(producer, repeats_a_throttled_open_and_gives_up_by_the_deadline, .init = start_client,
     .fini = finish)
{
    broker->open_status = XD_THROTTLED;
    broker->open_refusals = 3;
    cr_assert_eq(xdock_producer_open(client, "wms", NULL, "DC07", 1000, &producer), 0);
    cr_assert_eq(xdock_producer_close(&producer, 100), 0);
    broker->open_refusals = 1000000;
    uint64_t before_ns = broker->now_ns;
    cr_assert_eq(xdock_producer_open(client, "wms", NULL, "DC07", 500, &producer),
                 XD_DEADLINE_EXCEEDED);
    cr_assert_leq(broker->now_ns - before_ns, 505 * MS);
    broker->open_refusals = 0;
    cr_assert_eq(xdock_producer_open(client, "wms", NULL, "DC99", 500, &producer),
                 XD_FACILITY_UNKNOWN);
    cr_assert_eq(xdock_producer_open(client, "w/ms", NULL, "DC07", 500, &producer),
                 XD_NAME_INVALID);
    cr_assert_eq(xdock_producer_open(client, NULL, NULL, "DC07", 500, &producer), XD_NAME_INVALID);
    cr_assert_null(producer);
}

/* Flush waits for every outcome, and no longer than it may. */
Test(producer, flush_returns_by_its_deadline_and_loses_nothing, .init = start_producer,
     .fini = finish)
{
    broker->hold_acks = true;
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    uint64_t before_ns = broker->now_ns;
    cr_assert_eq(xdock_flush(producer, 200), XD_DEADLINE_EXCEEDED);
    cr_assert_leq(broker->now_ns - before_ns, 205 * MS);
    cr_assert_eq(xdock_producer_pending(producer), 1);
    broker->hold_acks = false;
    fake_broker_release_acks(broker);
    cr_assert_eq(xdock_flush(producer, 200), 0);
    cr_assert_eq(xdock_producer_pending(producer), 0);
}

/* Closing sends what still stands in open batches, and says PRODUCER_CLOSE behind their answers. */
Test(producer, close_sends_open_batches_first, .init = start_producer, .fini = finish)
{
    for (uint64_t i = 0; i < 3; i++)
        cr_assert_eq(post_one(producer, "SKU-1", i), 0);
    cr_assert_eq(broker->batches, 0);
    cr_assert_eq(xdock_producer_close(&producer, 1000), 0);
    cr_assert_eq(broker->closes, 1);
    cr_assert_eq(broker->refusals, 0);
    cr_assert_eq(fake_broker_records(broker), 3);
}

/* Closing counts what has no known outcome and does not hang on a dead broker. */
Test(producer, close_is_bounded_and_says_what_is_unknown, .init = start_producer, .fini = finish)
{
    broker->mute = true;
    for (uint64_t i = 0; i < 3; i++)
        cr_assert_eq(post_one(producer, "SKU-1", i), 0);
    uint64_t before_ns = broker->now_ns;
    cr_assert_eq(xdock_producer_close(&producer, 700), 3);
    cr_assert_null(producer);
    cr_assert_geq(broker->now_ns - before_ns, 700 * MS);
    cr_assert_leq(broker->now_ns - before_ns, 705 * MS);
}

/* A frame that is half out when its producer goes cannot be finished: the connection is given up,
 * and the other producers go on with a new one. */
Test(producer, close_in_the_middle_of_a_frame_gives_up_the_connection, .init = start_producer,
     .fini = finish)
{
    xdock_producer_t *other = NULL;
    cr_assert_eq(xdock_producer_open(client, "erp", NULL, "DC08", 1000, &other), 0);
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    broker->send_bytes_max = 50;
    xd_producer_close_batches(producer);
    broker->block_send = true;
    cr_assert_geq(xdock_client_step(client, 0), 0);
    cr_assert_eq(xdock_producer_close(&producer, 0), 1);
    broker->block_send = false;
    cr_assert_eq(post_one(other, "SKU-1", 2), 0);
    cr_assert_eq(xdock_flush(other, 5000), 0);
    cr_assert_eq(broker->connects, 2);
    cr_assert_eq(fake_broker_records(broker), 1);
}

/* Several producers share one connection and their chains do not mix. */
Test(producer, shares_the_connection_with_others, .init = start_client, .fini = finish)
{
    xdock_producer_t *first = open_producer(client);
    xdock_producer_t *second = NULL;
    cr_assert_eq(xdock_producer_open(client, "wms", "import-7", "DC07", 1000, &second), 0);
    for (uint64_t i = 0; i < 50; i++) {
        cr_assert_eq(post_one(first, "SKU-1", i), 0);
        cr_assert_eq(post_one(second, "SKU-1", i), 0);
    }
    cr_assert_eq(xdock_flush(first, 1000), 0);
    cr_assert_eq(xdock_flush(second, 1000), 0);
    cr_assert_eq(broker->connects, 1);
    xdock_ack_t ack;
    take_acks(first, &ack, 1);
    uint64_t sequences[64];
    for (uint64_t id = 1; id <= 2; id++) {
        cr_assert_eq(fake_broker_sequences(broker, id, ack.partition, sequences, 64), 50);
        for (uint64_t i = 0; i < 50; i++)
            cr_assert_eq(sequences[i], i + 1);
    }
}
