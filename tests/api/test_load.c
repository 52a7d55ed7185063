/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/api.h"

#include "client/producer.h"

/* No more batches of a partition are out than the broker and the option allow; later records grow
 * into one batch. */
Test(load, keeps_the_window_and_lets_batches_grow, .fini = finish)
{
    broker = fake_broker_new();
    broker->hello.inflight_batches = 3;
    client = open_client(broker, NULL);
    producer = open_producer(client);
    broker->hold_acks = true;
    for (uint64_t i = 0; i < 40; i++)
        post_alone(client, producer, "SKU-1", i);
    cr_assert_eq(broker->batches, 3);
    broker->hold_acks = false;
    fake_broker_release_acks(broker);
    cr_assert_eq(xdock_flush(producer, 1000), 0);
    cr_assert_eq(broker->batches, 4, "37 records went in one batch");
    cr_assert_eq(broker->unanswered_max, 3);
}

/* The connection's credit in bytes is kept, but one batch may always be out. */
Test(load, keeps_the_credit_of_the_connection, .fini = finish)
{
    broker = fake_broker_new();
    broker->hello.connection_bytes = 1000;
    client = open_client(broker, NULL);
    producer = open_producer(client);
    broker->hold_acks = true;
    for (uint64_t i = 0; i < 40; i++)
        post_alone(client, producer, i % 2 == 0 ? "SKU-1" : "SKU-2", i);
    const struct xd_connection *connection = &client->connection;
    cr_assert_leq(connection->produce_bytes - connection->settled_bytes, 1000);
    cr_assert_geq(broker->batches, 2);
    broker->hold_acks = false;
    fake_broker_release_acks(broker);
    cr_assert_eq(xdock_flush(producer, 1000), 0, "batches larger than the credit go out alone");
    cr_assert_eq(fake_broker_records(broker), 40);
}

/* A linger keeps a batch open for its time, across steps, and not longer. */
Test(load, keeps_a_batch_open_for_its_linger, .fini = finish)
{
    broker = fake_broker_new();
    client = open_client(broker, (const char *const[]){"producer.linger_us", "50000", NULL});
    producer = open_producer(client);
    for (uint64_t i = 0; i < 5; i++) {
        post_alone(client, producer, "SKU-1", i);
        broker->now_ns += 9 * MS;
    }
    cr_assert_eq(broker->batches, 0);
    broker->now_ns += 5 * MS;
    cr_assert_eq(post_one(producer, "SKU-1", 5), 0);
    cr_assert_eq(broker->batches, 1, "the linger ended while the program only posts");
    cr_assert_eq(broker->log[0].header->record_count, 6);
    xdock_record_t record = make_record("SKU-1");
    uint64_t before_ns = broker->now_ns;
    cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0);
    cr_assert_lt(broker->now_ns - before_ns, MS, "a send does not linger");
}

/* A full batch leaves by itself, without any other call. */
Test(load, sends_full_batches_while_the_program_posts, .fini = finish)
{
    broker = fake_broker_new();
    client = open_client(broker, (const char *const[]){"producer.batch_bytes", "4KiB", NULL});
    producer = open_producer(client);
    for (uint64_t i = 0; i < 200; i++)
        cr_assert_eq(post_one(producer, "SKU-1", i), 0);
    cr_assert_gt(broker->batches, 4);
    for (uint32_t i = 0; i < broker->batch_count; i++)
        cr_assert_leq(broker->log[i].header->batch_bytes, 4096);
}

/* Several closed batches share a frame, and the frame says below which sequence all have been sent.
 */
Test(load, puts_batches_of_many_partitions_into_one_frame, .init = start_producer, .fini = finish)
{
    char sku[16];
    for (uint64_t i = 0; i < 40; i++) {
        snprintf(sku, sizeof(sku), "SKU-%llu", (unsigned long long)i);
        cr_assert_eq(post_one(producer, sku, i), 0);
    }
    cr_assert_eq(xdock_flush(producer, 1000), 0);
    cr_assert_eq(broker->produces, 1);
    cr_assert_eq(broker->batches, FAKE_WIDTH);
    cr_assert_eq(broker->low, 41);
}

/* A chain that is refused again and again is tried ever more rarely, not in a storm. */
Test(load, slows_down_on_repeated_refusals, .init = start_producer, .fini = finish)
{
    broker->refuse_status = XD_BATCH_CHECKSUM;
    broker->refuse_count = 1000000;
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    cr_assert_eq(xdock_flush(producer, 10000), XD_DEADLINE_EXCEEDED);
    cr_assert_lt(broker->batches, 20, "%u resends in ten seconds", broker->batches);
    broker->refuse_count = 0;
    cr_assert_eq(xdock_flush(producer, 10000), 0);
}
