/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/reading.h"

#include "client/reader.h"

/* Reads until the end that was heard of; offsets of one partition. */
static uint32_t read_offsets(xdock_reader_t *reader, uint64_t *ret_offsets, uint32_t max)
{
    uint32_t count = 0;
    while (!xdock_reader_at_end(reader)) {
        cr_assert_geq(xdock_reader_poll(reader, 1000), 0);
        const xdock_view_t *view;
        while ((view = xdock_reader_next(reader)) != NULL && count < max)
            ret_offsets[count++] = view->offset;
    }
    return count;
}

/* From the beginning, an offset, the end, and back by a seek. */
Test(reader, starts_where_it_is_told_to, .init = start_client, .fini = finish)
{
    for (uint64_t i = 1; i <= 10; i++)
        fake_broker_append(broker, BASE, "SKU-1", i);
    uint64_t offsets[32];

    xdock_selection_t selection = select_base(XDOCK_FROM_BEGIN, 0);
    xdock_reader_t *reader = open_reader(&selection);
    cr_assert_eq(read_offsets(reader, offsets, 32), 10);
    for (uint64_t i = 0; i < 10; i++)
        cr_assert_eq(offsets[i], i);
    cr_assert_eq(xdock_reader_seek(reader, (int32_t)BASE, XDOCK_FROM_OFFSET, 7), 0);
    cr_assert_not(xdock_reader_at_end(reader));
    cr_assert_eq(read_offsets(reader, offsets, 32), 3);
    cr_assert_eq(offsets[0], 7);
    cr_assert_eq(xdock_reader_seek(reader, 3, XDOCK_FROM_OFFSET, 7), XD_PARTITION_UNKNOWN);
    cr_assert_eq(xdock_reader_seek(reader, -1, 9, 7), XD_FIELD_INVALID);
    cr_assert_eq(xdock_reader_seek(reader, -1, XDOCK_FROM_OFFSET, -1), XD_FIELD_INVALID);
    xdock_reader_close(&reader);
    cr_assert_null(reader);

    selection = select_base(XDOCK_FROM_OFFSET, 4);
    reader = open_reader(&selection);
    cr_assert_eq(read_offsets(reader, offsets, 32), 6);
    cr_assert_eq(offsets[0], 4);
}

/* What comes between open and the first poll is not missed when only the new is wanted. */
Test(reader, from_the_end_misses_nothing_after_open, .init = start_client, .fini = finish)
{
    for (uint64_t i = 1; i <= 5; i++)
        fake_broker_append(broker, BASE, "SKU-1", i);
    xdock_selection_t selection = select_base(XDOCK_FROM_END, 0);
    xdock_reader_t *reader = open_reader(&selection);
    fake_broker_append(broker, BASE, "SKU-2", 6);
    cr_assert_eq(xdock_reader_poll(reader, 1000), 1);
    cr_assert_eq(xdock_reader_next(reader)->offset, 5);
}

/* At the end a READ waits at the broker: no traffic while nothing comes, no delay when it does. */
Test(reader, polls_long_at_the_end, .init = start_client, .fini = finish)
{
    xdock_selection_t selection = select_base(XDOCK_FROM_BEGIN, 0);
    xdock_reader_t *reader = open_reader(&selection);
    uint64_t before_ns = broker->now_ns;
    cr_assert_eq(xdock_reader_poll(reader, 10000), 0);
    cr_assert_geq(broker->now_ns - before_ns, 10000 * MS);
    cr_assert_leq(broker->now_ns - before_ns, 10005 * MS);
    cr_assert_eq(broker->reads, 2, "one that hears of the end, one that waits there");
    fake_broker_append(broker, BASE, "SKU-1", 1);
    before_ns = broker->now_ns;
    cr_assert_eq(xdock_reader_poll(reader, 10000), 1);
    cr_assert_lt(broker->now_ns - before_ns, MS);
    cr_assert_eq(broker->reads, 3);
}

/* Positions follow what the program has taken, not what was fetched. */
Test(reader, knows_its_positions, .init = start_client, .fini = finish)
{
    for (uint64_t i = 1; i <= 3; i++)
        fake_broker_append(broker, BASE, "SKU-1", i);
    xdock_selection_t selection = select_base(XDOCK_FROM_BEGIN, 0);
    xdock_reader_t *reader = open_reader(&selection);
    uint64_t offset = 0;
    uint64_t end = 0;
    cr_assert_eq(xdock_reader_poll(reader, 1000), 1);
    cr_assert_not_null(xdock_reader_next(reader));
    cr_assert_null(xdock_reader_next(reader), "one batch at a time");
    cr_assert_eq(xdock_reader_position(reader, BASE, &offset, &end), 0);
    cr_assert_eq(offset, 1);
    cr_assert_eq(end, 3);
    cr_assert_eq(xdock_reader_position(reader, 1, &offset, &end), XD_PARTITION_UNKNOWN);
    cr_assert_eq(xdock_reader_partition(reader, 0), BASE);
    cr_assert_lt(xdock_reader_partition(reader, 1), 0);
}

/* All partitions of a topic and facility, with more partitions than requests allowed. */
Test(reader, reads_many_partitions_with_few_requests, .fini = finish)
{
    broker = fake_broker_new();
    client = open_client(broker, (const char *const[]){"reader.requests", "2", NULL});
    for (uint32_t facility = 0; facility < 3; facility++) {
        for (uint32_t i = 0; i < FAKE_WIDTH; i++) {
            for (uint64_t n = 1; n <= 5; n++)
                fake_broker_append(broker, fake_partition_base(1, facility) + i, "SKU-1", n);
        }
    }
    xdock_selection_t selection = select_base(XDOCK_FROM_BEGIN, 0);
    selection.facility = NULL;
    selection.partition = -1;
    xdock_reader_t *reader = open_reader(&selection);
    uint64_t offsets[100];
    cr_assert_eq(read_offsets(reader, offsets, 100), 60);
    fake_broker_append(broker, fake_partition_base(1, 2) + 3, "SKU-1", 6);
    uint64_t before_ns = broker->now_ns;
    cr_assert_eq(xdock_reader_poll(reader, 5000), 1);
    cr_assert_leq(broker->now_ns - before_ns, 1000 * MS, "idle partitions take short turns");
}

/* A lost connection is opened again and reading goes on where it was. */
Test(reader, goes_on_after_a_lost_connection, .init = start_client, .fini = finish)
{
    for (uint64_t i = 1; i <= 4; i++)
        fake_broker_append(broker, BASE, "SKU-1", i);
    xdock_selection_t selection = select_base(XDOCK_FROM_BEGIN, 0);
    xdock_reader_t *reader = open_reader(&selection);
    uint64_t offsets[16];
    cr_assert_eq(read_offsets(reader, offsets, 16), 4);
    cr_assert_eq(xdock_reader_poll(reader, 10), 0);
    fake_broker_cut(broker);
    fake_broker_append(broker, BASE, "SKU-1", 5);
    cr_assert_eq(xdock_reader_poll(reader, 5000), 1);
    cr_assert_eq(xdock_reader_next(reader)->offset, 4);
    cr_assert_eq(broker->connects, 2);
}

/* Names that are not there are refused by name, after one more look at the catalog. */
Test(reader, names_what_it_does_not_find, .init = start_client, .fini = finish)
{
    xdock_reader_t *reader = NULL;
    xdock_selection_t selection = select_base(XDOCK_FROM_BEGIN, 0);
    selection.topic = "stok";
    cr_assert_eq(xdock_reader_open(client, &selection, 1000, &reader), XD_TOPIC_UNKNOWN);
    cr_assert_not_null(strstr(xdock_client_error(client), "stok"));
    selection = select_base(XDOCK_FROM_BEGIN, 0);
    selection.facility = "DC99";
    cr_assert_eq(xdock_reader_open(client, &selection, 1000, &reader), XD_FACILITY_UNKNOWN);
    selection = select_base(XDOCK_FROM_BEGIN, 0);
    selection.partition = 3;
    cr_assert_eq(xdock_reader_open(client, &selection, 1000, &reader), XD_PARTITION_UNKNOWN);
    selection.struct_bytes = 8;
    cr_assert_eq(xdock_reader_open(client, &selection, 1000, &reader), XD_FIELD_INVALID);
    cr_assert_null(reader);
}

/* Records that a poll handed out stay as they are until the next one, though more has been fetched.
 */
Test(reader, keeps_borrowed_records_until_the_next_poll, .init = start_producer, .fini = finish)
{
    for (uint64_t i = 0; i < 6; i++)
        cr_assert_eq(post_one(producer, "SKU-1", i), 0);
    cr_assert_eq(xdock_flush(producer, 1000), 0);
    xdock_ack_t ack;
    take_acks(producer, &ack, 1);
    xdock_selection_t selection = select_base(XDOCK_FROM_BEGIN, 0);
    selection.partition = (int32_t)ack.partition;
    xdock_reader_t *reader = open_reader(&selection);
    cr_assert_eq(xdock_reader_poll(reader, 1000), 6);
    const xdock_view_t *views[6];
    for (int i = 0; i < 6; i++)
        views[i] = xdock_reader_next(reader);
    for (uint64_t i = 6; i < 30; i++)
        post_alone(client, producer, "SKU-2222222", i);
    for (uint64_t i = 0; i < 6; i++) {
        char scratch[20];
        xdock_bytes_t sku = xdock_view_sku(views[i], scratch);
        cr_assert_eq(views[i]->offset, i);
        cr_assert_eq(sku.bytes, 5);
        cr_assert_eq(memcmp(sku.data, "SKU-1", 5), 0);
    }
}
