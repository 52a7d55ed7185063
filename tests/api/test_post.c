/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/api.h"

#include "client/producer.h"

/* A send is durable when it returns, and says where the record is. */
Test(post, send_returns_the_outcome, .init = start_producer, .fini = finish)
{
    xdock_record_t record = make_record("SKU-1");
    xdock_ack_t ack;
    for (uint64_t i = 0; i < 3; i++) {
        cr_assert_eq(xdock_send(producer, &record, &ack, 1000), 0);
        cr_assert_eq(ack.offset, i);
        cr_assert_eq(ack.sequence, i + 1);
        cr_assert_eq(ack.partition, xdock_producer_route(producer, &record));
    }
    cr_assert_eq(producer->outbox.free_count, producer->outbox.slot_count,
                 "no slot is left behind");
}

/* A send that runs out of time leaves its record queued; the outcome comes out of xdock_acks. */
Test(post, send_keeps_its_deadline_and_the_record, .fini = finish)
{
    broker = fake_broker_new();
    client = open_client(broker, (const char *const[]){"producer.acks", "failures", NULL});
    producer = open_producer(client);
    xdock_record_t record = make_record("SKU-1");
    xdock_ack_t ack = {.sequence = 77};
    broker->hold_acks = true;
    uint64_t before_ns = broker->now_ns;
    cr_assert_eq(xdock_send(producer, &record, &ack, 250), XD_DEADLINE_EXCEEDED);
    cr_assert_leq(broker->now_ns - before_ns, 255 * MS);
    cr_assert_eq(ack.sequence, 77, "outputs are untouched on failure");
    fake_broker_release_acks(broker);
    take_acks(producer, &ack, 1);
    cr_assert_eq(ack.sequence, 1);
    cr_assert_eq(ack.status, 0);
}

/* Deadlines hold while there is no connection at all. */
Test(post, keeps_deadlines_without_a_connection, .init = start_producer, .fini = finish)
{
    broker->connect_status = 0;
    fake_broker_cut(broker);
    xdock_record_t record = make_record("SKU-1");
    uint64_t before_ns = broker->now_ns;
    cr_assert_eq(xdock_send(producer, &record, NULL, 300), XD_DEADLINE_EXCEEDED);
    cr_assert_leq(broker->now_ns - before_ns, 305 * MS);
    cr_assert_eq(xdock_flush(producer, 0), XD_DEADLINE_EXCEEDED);
    broker->connect_status = 1;
    cr_assert_eq(xdock_flush(producer, 20000), 0);
    cr_assert_eq(fake_broker_records(broker), 1);
}

/* A full buffer makes post wait for room until its deadline; with room it goes on. */
Test(post, waits_for_room_and_no_longer_than_asked, .fini = finish)
{
    broker = fake_broker_new();
    client = open_client(broker, (const char *const[]){"producer.batch_bytes", "4KiB",
                                                       "producer.buffer_bytes", "64KiB",
                                                       "producer.acks", "failures", NULL});
    producer = open_producer(client);
    broker->hold_acks = true;
    xdock_record_t record = make_record("SKU-1");
    uint64_t posted = 0;
    int status;
    while ((status = xdock_post(producer, &record, posted, 0)) == 0)
        posted++;
    cr_assert_eq(status, XD_BUFFER_FULL);
    cr_assert_eq(xd_status_class(status), XD_CLASS_BACKOFF);
    cr_assert_gt(posted, 200);
    cr_assert_eq(xdock_producer_pending(producer), posted, "a refused post leaves nothing behind");
    uint64_t before_ns = broker->now_ns;
    cr_assert_eq(xdock_post(producer, &record, posted, 400), XD_BUFFER_FULL);
    cr_assert_geq(broker->now_ns - before_ns, 400 * MS);
    cr_assert_leq(broker->now_ns - before_ns, 405 * MS);
    broker->hold_acks = false;
    fake_broker_release_acks(broker);
    cr_assert_eq(xdock_post(producer, &record, posted, 1000), 0);
    cr_assert_eq(xdock_flush(producer, 1000), 0);
    cr_assert_eq(fake_broker_records(broker), posted + 1);
    xd_outbox_check(&producer->outbox);
}

/* A buffer of outcomes that nobody takes cannot become free by waiting: post says so at once. */
Test(post, does_not_wait_for_room_that_only_the_program_can_make, .fini = finish)
{
    broker = fake_broker_new();
    client = open_client(broker, (const char *const[]){"producer.batch_bytes", "4KiB",
                                                       "producer.buffer_bytes", "64KiB", NULL});
    producer = open_producer(client);
    xdock_record_t record = make_record("SKU-1");
    uint64_t posted = 0;
    int status;
    while ((status = xdock_post(producer, &record, posted, 60000)) == 0)
        posted++;
    cr_assert_eq(status, XD_BUFFER_FULL);
    cr_assert_lt(broker->waited_ns, MS);
    cr_assert_not_null(strstr(xdock_client_error(client), "xdock_acks"));
    xdock_ack_t acks[64];
    uint64_t taken = 0;
    while ((status = xdock_acks(producer, acks, 64, 0)) > 0) {
        for (int i = 0; i < status; i++)
            cr_assert_eq(acks[i].user, taken + (uint64_t)i, "in the sequence of the partition");
        taken += (uint64_t)status;
    }
    cr_assert_eq(taken, posted);
    cr_assert_eq(xdock_post(producer, &record, posted, 0), 0);
}

/* Own numbers are taken when they rise, and refused by name when not. */
Test(post, takes_rising_sequences_of_the_source, .init = start_producer, .fini = finish)
{
    xdock_record_t record = make_record("SKU-1");
    xdock_ack_t ack;
    record.sequence = 100;
    cr_assert_eq(xdock_send(producer, &record, &ack, 1000), 0);
    cr_assert_eq(ack.sequence, 100);
    cr_assert_eq(xdock_post(producer, &record, 0, 0), XD_FIELD_INVALID);
    cr_assert_not_null(strstr(xdock_client_error(client), "100"));
    record.sequence = 107;
    cr_assert_eq(xdock_send(producer, &record, &ack, 1000), 0);
    record.sequence = 0;
    cr_assert_eq(xdock_send(producer, &record, &ack, 1000), 0);
    cr_assert_eq(ack.sequence, 108, "the library counts on behind them");
}

/* An import that runs again skips, per partition, what is there; the rest has lower numbers than
 * the channel's highest and is taken all the same. */
Test(post, lets_an_import_fill_the_partitions_that_lag, .init = start_producer, .fini = finish)
{
    xdock_record_t first = make_record("SKU-1");
    xdock_record_t second = make_record("SKU-2");
    cr_assert_neq(xdock_producer_route(producer, &first), xdock_producer_route(producer, &second));
    first.sequence = 10;
    cr_assert_eq(xdock_send(producer, &first, NULL, 1000), 0);
    cr_assert_eq(xdock_producer_close(&producer, 1000), 0);
    producer = open_producer(client);
    uint32_t partition = (uint32_t)xdock_producer_route(producer, &second);
    cr_assert_eq(xdock_producer_resume(producer), 10);
    cr_assert_eq(xdock_producer_resume_partition(producer, partition), 0);
    second.sequence = 3;
    xdock_ack_t ack;
    cr_assert_eq(xdock_send(producer, &second, &ack, 1000), 0);
    cr_assert_eq(ack.sequence, 3);
    first.sequence = 9;
    cr_assert_eq(xdock_post(producer, &first, 0, 0), XD_FIELD_INVALID, "its partition has 10");
}

/* Wrong fields are named and nothing is queued. */
Test(post, names_the_wrong_field, .init = start_producer, .fini = finish)
{
    xdock_record_t record = make_record("SKU-1");
    record.topic = "stok";
    cr_assert_eq(xdock_post(producer, &record, 0, 1000), XD_TOPIC_UNKNOWN);
    cr_assert_not_null(strstr(xdock_client_error(client), "stok"));
    record = make_record("SKU-1");
    record.document = NULL;
    cr_assert_eq(xdock_post(producer, &record, 0, 1000), XD_RECORD_MALFORMED);
    cr_assert_not_null(strstr(xdock_client_error(client), "document"));
    record = make_record("SKU-1");
    char large[70000] = {0};
    record.payload = xdock_bytes(large, sizeof(large));
    cr_assert_eq(xdock_post(producer, &record, 0, 1000), XD_RECORD_TOO_LARGE);
    cr_assert_not_null(strstr(xdock_client_error(client), "producer.batch_bytes"));
    cr_assert_eq(xdock_producer_pending(producer), 0);
    cr_assert_eq(producer->outbox.free_count, producer->outbox.slot_count);
}

/* A topic that is created later is found without a new open. */
Test(post, finds_a_topic_that_came_later, .fini = finish)
{
    broker = fake_broker_new();
    broker->topic_count = 1;
    client = open_client(broker, NULL);
    producer = open_producer(client);
    xdock_record_t record = make_record("SKU-1");
    record.topic = "order";
    cr_assert_eq(xdock_post(producer, &record, 0, 1000), XD_TOPIC_UNKNOWN);
    broker->topic_count = 2;
    broker->catalog_epoch = 2;
    xdock_ack_t ack;
    cr_assert_eq(xdock_send(producer, &record, &ack, 1000), 0);
    cr_assert_geq(ack.partition, fake_partition_base(2, 1));
}

/* Encoded records are numbered, get channel and epoch, and go to one partition. */
Test(post, encoded_records_are_numbered_and_routed, .fini = finish)
{
    broker = fake_broker_new();
    client = open_client(broker, (const char *const[]){"producer.batch_bytes", "4KiB", NULL});
    producer = open_producer(client);
    _Alignas(8) uint8_t body[16384];
    size_t bytes = 0;
    xdock_record_t record = make_record("SKU-1");
    for (int i = 0; i < 50; i++) {
        int stride = xdock_encode(producer, &record, body + bytes, sizeof(body) - bytes);
        cr_assert_gt(stride, 0);
        bytes += (size_t)stride;
    }
    cr_assert_eq(xdock_post_encoded(producer, "stock", body, bytes, 50, 1000, 1000), 0, "%s",
                 xdock_client_error(client));
    xdock_ack_t acks[50];
    take_acks(producer, acks, 50);
    for (uint64_t i = 0; i < 50; i++) {
        cr_assert_eq(acks[i].user, 1000 + i);
        cr_assert_eq(acks[i].sequence, i + 1);
        cr_assert_eq(acks[i].offset, i);
    }
    cr_assert_gt(broker->batches, 1, "they did not fit one batch");

    cr_assert_eq(xdock_post_encoded(producer, "stock", body, bytes - 8, 50, 0, 0),
                 XD_RECORD_MALFORMED);
    cr_assert_eq(xdock_post_encoded(producer, "stock", body, bytes, 49, 0, 0), XD_RECORD_MALFORMED);
    record = make_record("SKU-2");
    int stride = xdock_encode(producer, &record, body + bytes, sizeof(body) - bytes);
    cr_assert_gt(stride, 0);
    cr_assert_eq(xdock_post_encoded(producer, "stock", body, bytes + (size_t)stride, 51, 0, 0),
                 XD_PARTITION_WRONG);
    cr_assert_eq(xdock_producer_pending(producer), 0);
}

/* Encoded records are queued as a whole or not at all. */
Test(post, encoded_records_are_queued_whole_or_not_at_all, .fini = finish)
{
    broker = fake_broker_new();
    client = open_client(broker, (const char *const[]){"producer.batch_bytes", "4KiB",
                                                       "producer.buffer_bytes", "64KiB", NULL});
    producer = open_producer(client);
    broker->hold_acks = true;
    static _Alignas(8) uint8_t body[40000];
    size_t bytes = 0;
    uint32_t count = 0;
    xdock_record_t record = make_record("SKU-1");
    for (; bytes + 256 < sizeof(body); count++) {
        int stride = xdock_encode(producer, &record, body + bytes, sizeof(body) - bytes);
        cr_assert_gt(stride, 0);
        bytes += (size_t)stride;
    }
    cr_assert_eq(xdock_post_encoded(producer, "stock", body, bytes, count, 0, 100), 0);
    uint64_t pending = xdock_producer_pending(producer);
    cr_assert_eq(pending, count);
    cr_assert_eq(xdock_post_encoded(producer, "stock", body, bytes, count, 0, 100), XD_BUFFER_FULL);
    cr_assert_eq(xdock_producer_pending(producer), pending);
    broker->hold_acks = false;
    fake_broker_release_acks(broker);
    cr_assert_eq(xdock_post_encoded(producer, "stock", body, bytes, count, 0, 1000), 0);
    cr_assert_eq(xdock_flush(producer, 1000), 0);
    cr_assert_eq(fake_broker_records(broker), 2 * count);
}

/* A post that need not wait asks for no time, however long it might wait; one that waits several
 * times still has one deadline. */
Test(post, reads_the_clock_only_to_wait, .fini = finish)
{
    broker = fake_broker_new();
    client = open_client(broker, (const char *const[]){"producer.batch_bytes", "4KiB",
                                                       "producer.buffer_bytes", "64KiB",
                                                       "producer.acks", "failures", NULL});
    producer = open_producer(client);
    xdock_record_t record = make_record("SKU-1");
    _Alignas(8) uint8_t encoded[512];
    int bytes = xdock_encode(producer, &record, encoded, sizeof(encoded));
    cr_assert_gt(bytes, 0);
    uint64_t before_ns = broker->now_ns; /* the clock moves by being read */
    for (uint64_t i = 0; i < 10; i++)
        cr_assert_eq(xdock_post(producer, &record, i, 1000), 0);
    cr_assert_eq(
        xdock_post_encoded(producer, "stock", encoded, ((uint32_t)bytes + 7u) & ~7u, 1, 10, 1000),
        0);
    cr_assert_eq(broker->now_ns, before_ns);

    broker->hold_acks = true;
    while (xdock_post(producer, &record, 11, 0) == 0)
        continue;
    before_ns = broker->now_ns;
    cr_assert_eq(xdock_post(producer, &record, 12, 300), XD_BUFFER_FULL);
    cr_assert_geq(broker->now_ns - before_ns, 300 * MS);
    cr_assert_leq(broker->now_ns - before_ns, 305 * MS);
    broker->hold_acks = false;
    fake_broker_release_acks(broker);
}
