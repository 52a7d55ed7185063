/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/reading.h"

#include "client/reader.h"

#define WIDE 27u /* three placements: 81 partitions */

/* A reader of all partitions of a wide topic, with so many requests. */
static xdock_reader_t *open_wide(const char *requests)
{
    broker->topic_count = 1;
    broker->width = WIDE;
    broker->read_bytes_max = 1; /* a READ gets one batch */
    client = open_client(broker, (const char *const[]){"reader.requests", requests, NULL});
    const xdock_selection_t selection = select_stock();
    xdock_reader_t *reader = open_reader(&selection);
    cr_assert_geq(xdock_reader_partition(reader, 3 * WIDE - 1), 0);
    return reader;
}

/* Long polls at the ends of most partitions do not hold up the few that have data. */
Test(reader_ask, reads_what_is_there_before_it_waits_for_more, .fini = finish)
{
    broker = fake_broker_new();
    for (uint32_t i = 0; i < 8; i++) {
        for (uint64_t n = 1; n <= 50; n++)
            fake_broker_append(broker, FAKE_WIDE_BASE + 10 * i, "SKU-1", n);
    }
    xdock_reader_t *reader = open_wide("16");
    cr_assert_eq(count_all(reader), 400);
    cr_assert_lt(broker->waited_ns, MS);
    cr_assert_leq(broker->reads, 3 * WIDE + 400 + 16, "the others are not asked again and again");
}

/* Long polls leave a partition with data its buffer and the program another one: both READs of a
 * partition that gets data all the time are on their way without a wait. */
Test(reader_ask, keeps_a_buffer_for_what_comes_next, .fini = finish)
{
    broker = fake_broker_new();
    xdock_reader_t *reader = open_wide("4");
    cr_assert_eq(xdock_reader_poll(reader, 1000), 0, "all are at their ends");
    for (uint64_t n = 1; n <= 50; n++)
        fake_broker_append(broker, FAKE_WIDE_BASE + 3, "SKU-1", n);
    cr_assert_eq(xdock_reader_poll(reader, 1000), 1);
    uint64_t before_ns = broker->now_ns;
    for (int i = 1; i < 50; i++)
        cr_assert_eq(xdock_reader_poll(reader, 1000), 1);
    cr_assert_lt(broker->now_ns - before_ns, MS);
}

/* Idle partitions take turns; news in any of them is seen within 200 ms, without a storm of READs.
 */
Test(reader_ask, sees_news_soon_in_many_idle_partitions, .fini = finish)
{
    broker = fake_broker_new();
    xdock_reader_t *reader = open_wide("4");
    cr_assert_eq(xdock_reader_poll(reader, 1000), 0);
    uint32_t before_reads = broker->reads;
    cr_assert_eq(xdock_reader_poll(reader, 1000), 0);
    cr_assert_leq(broker->reads - before_reads, 6 * 3 * WIDE);
    for (uint64_t i = 0; i < 60; i++) {
        uint32_t partition = FAKE_WIDE_BASE + (uint32_t)(i * 37) % (3 * WIDE);
        cr_assert_eq(xdock_reader_poll(reader, (uint32_t)(i * 7) % 50), 0);
        fake_broker_append(broker, partition, "SKU-1", i + 1);
        uint64_t before_ns = broker->now_ns;
        cr_assert_eq(xdock_reader_poll(reader, 5000), 1);
        cr_assert_eq(xdock_reader_next(reader)->partition, partition);
        cr_assert_leq(broker->now_ns - before_ns, 210 * MS, "trial %lu", (unsigned long)i);
    }
}

/* A backlog in more partitions than there are requests does not hide the others. */
Test(reader_ask, looks_at_idle_partitions_while_others_have_a_backlog, .fini = finish)
{
    broker = fake_broker_new();
    for (uint32_t i = 0; i < 20; i++) {
        for (uint64_t n = 1; n <= 100; n++)
            fake_broker_append(broker, FAKE_WIDE_BASE + i, "SKU-1", n);
    }
    xdock_reader_t *reader = open_wide("4");
    const uint32_t idle = FAKE_WIDE_BASE + 3 * WIDE - 1;
    int appended_at = 300;
    int seen_at = -1;
    for (int i = 0; i < 2000 && seen_at < 0; i++) {
        if (i == appended_at)
            fake_broker_append(broker, idle, "SKU-1", 1);
        cr_assert_eq(xdock_reader_poll(reader, 1000), 1);
        if (xdock_reader_next(reader)->partition == idle)
            seen_at = i;
        broker->now_ns += MS; /* what the program does with a batch */
    }
    cr_assert_geq(seen_at, appended_at);
    cr_assert_leq(seen_at - appended_at, 300, "seen after %d ms", seen_at - appended_at);
}

/* Long polls of many readers leave room for other requests of the client, and the readers whose
 * polls find no room see news all the same. */
Test(reader_ask, leaves_room_for_other_requests, .fini = finish)
{
    broker = fake_broker_new();
    xdock_reader_t *readers[6];
    broker->topic_count = 1;
    broker->width = 21;
    client = open_client(broker, NULL);
    const xdock_selection_t selection = select_stock();
    for (int i = 0; i < 6; i++) {
        readers[i] = open_reader(&selection);
        cr_assert_eq(xdock_reader_poll(readers[i], 10), 0);
    }
    cr_assert_gt(broker->waits_max, 128);
    cr_assert_lt(broker->waits_max, XD_PENDING_MAX - 32);
    uint64_t before_ns = broker->now_ns;
    const char *reply = NULL;
    cr_assert_geq(xdock_admin_call(client, "status", NULL, 1000, &reply), 0, "%s",
                  xdock_client_error(client));
    cr_assert_lt(broker->now_ns - before_ns, 10 * MS);
    fake_broker_append(broker, FAKE_WIDE_BASE + 62, "SKU-1", 1);
    for (int i = 5; i >= 0; i--) {
        before_ns = broker->now_ns;
        cr_assert_eq(xdock_reader_poll(readers[i], 5000), 1);
        cr_assert_leq(broker->now_ns - before_ns, 210 * MS, "reader %d", i);
    }
}
