/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/reading.h"

#include "client/reader.h"
#include "wire/record.h"

#include <stdlib.h>

/* A reader of what passes the filters in one facility. */
static xdock_reader_t *open_filtered(const char *sku, const char *location, uint16_t type)
{
    xdock_selection_t selection = select_stock();
    selection.facility = "DC07";
    selection.sku = sku;
    selection.location = location;
    selection.type = type;
    return open_reader(&selection);
}

/* Filters by sku, either location and type are exact, for short and for hashed texts. */
Test(reader_fetch, filters_exactly, .fini = finish)
{
    static const char long_sku[] = "a-very-long-sku-that-only-a-hash-can-hold";
    broker = fake_broker_new();
    client = open_client(broker, NULL);
    producer = open_producer(client);
    const struct {
        const char *sku, *location, *location_to;
        uint16_t type;
    } rows[] = {{"SKU-1", "A-01", "B-01", XDOCK_STOCK_MOVED},
                {"SKU-2", "A-01", "B-02", XDOCK_STOCK_MOVED},
                {"SKU-1", "A-02", "A-01", XDOCK_STOCK_MOVED},
                {"SKU-1", "A-03", "B-01", XDOCK_COUNT_RESULT},
                {long_sku, "A-03", "B-01", XDOCK_STOCK_MOVED}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        xdock_record_t record = make_record(rows[i].sku);
        record.location = rows[i].location;
        record.location_to = rows[i].location_to;
        record.type = rows[i].type;
        cr_assert_eq(xdock_post(producer, &record, i, 1000), 0, "%s", xdock_client_error(client));
    }
    cr_assert_eq(xdock_flush(producer, 1000), 0);
    const struct {
        const char *sku, *location;
        uint16_t type;
        uint32_t count;
    } wanted[] = {{NULL, NULL, 0, 5},
                  {"SKU-1", NULL, 0, 3},
                  {long_sku, NULL, 0, 1},
                  {NULL, "A-01", 0, 3},
                  {"SKU-1", "A-01", 0, 2},
                  {NULL, NULL, XDOCK_COUNT_RESULT, 1},
                  {"SKU-1", "B-01", XDOCK_STOCK_MOVED, 1},
                  {"SKU", NULL, 0, 0}};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        xdock_reader_t *reader = open_filtered(wanted[i].sku, wanted[i].location, wanted[i].type);
        cr_assert_eq(count_all(reader), wanted[i].count, "row %zu", i);
        xdock_reader_close(&reader);
    }
}

/* Records that the broker has suppressed are not handed out. */
Test(reader_fetch, honours_the_suppression_bitmap, .init = start_producer, .fini = finish)
{
    for (uint64_t i = 0; i < 10; i++)
        cr_assert_eq(post_one(producer, "SKU-1", i), 0);
    cr_assert_eq(xdock_flush(producer, 1000), 0);
    struct xd_batch_header *batch = broker->log[0].header;
    cr_assert_eq(batch->record_count, 10);
    batch->suppressed_count = 2;
    batch = realloc(batch, xd_batch_stride(batch));
    memset((uint8_t *)batch + batch->batch_bytes, 0, xd_batch_stride(batch) - batch->batch_bytes);
    ((uint8_t *)batch + batch->batch_bytes)[0] = 0x08; /* record 3 */
    ((uint8_t *)batch + batch->batch_bytes)[1] = 0x02; /* record 9 */
    broker->log[0].header = batch;

    xdock_reader_t *reader = open_filtered(NULL, NULL, 0);
    cr_assert_eq(xdock_reader_poll(reader, 1000), 8);
    const xdock_view_t *view;
    while ((view = xdock_reader_next(reader)) != NULL)
        cr_assert(view->offset != 3 && view->offset != 9);
    cr_assert_eq(count_all(reader), 0);
    cr_assert(xdock_reader_at_end(reader));
}

/* An offset inside a batch is where reading begins: the records before it are in what the broker
 * gives, and not handed out. */
Test(reader_fetch, begins_inside_a_batch, .init = start_producer, .fini = finish)
{
    for (uint64_t i = 0; i < 10; i++)
        cr_assert_eq(post_one(producer, "SKU-1", i), 0);
    cr_assert_eq(xdock_flush(producer, 1000), 0);
    cr_assert_eq(broker->log[0].header->record_count, 10);
    xdock_selection_t selection = select_base(XDOCK_FROM_OFFSET, 7);
    selection.partition = (int32_t)broker->log[0].header->partition;
    xdock_reader_t *reader = open_reader(&selection);
    cr_assert_eq(xdock_reader_poll(reader, 1000), 3);
    for (uint64_t i = 7; i < 10; i++)
        cr_assert_eq(xdock_reader_next(reader)->offset, i);
    cr_assert_eq(count_all(reader), 0);
}

/* Compressed batches are decoded, and come back as they were sent. */
Test(reader_fetch, reads_compressed_batches, .fini = finish)
{
    broker = fake_broker_new();
    client = open_client(broker, (const char *const[]){"producer.codec", "lz4", NULL});
    producer = open_producer(client);
    for (uint64_t i = 0; i < 100; i++)
        cr_assert_eq(post_one(producer, "SKU-1", i), 0);
    cr_assert_eq(xdock_flush(producer, 1000), 0);
    cr_assert_eq(broker->log[0].header->codec, XD_CODEC_LZ4);
    cr_assert_lt(broker->log[0].header->batch_bytes, broker->log[0].header->raw_bytes / 2);
    xdock_reader_t *reader = open_filtered("SKU-1", NULL, 0);
    cr_assert_eq(count_all(reader), 100);
}

/* Retention was faster: reported once, with the number of missing records, then reading goes on. */
Test(reader_fetch, goes_on_at_the_first_record_kept, .init = start_client, .fini = finish)
{
    for (uint64_t i = 1; i <= 10; i++)
        fake_broker_append(broker, BASE, "SKU-1", i);
    const xdock_selection_t selection = select_base(XDOCK_FROM_OFFSET, 2);
    broker->first_offset = 6;
    xdock_reader_t *reader = open_reader(&selection);
    cr_assert_eq(xdock_reader_poll(reader, 1000), XD_OFFSET_GONE);
    cr_assert_not_null(strstr(xdock_client_error(client), "4 records"));
    cr_assert_eq(xdock_reader_poll(reader, 1000), 1);
    cr_assert_eq(xdock_reader_next(reader)->offset, 6);
    cr_assert_eq(count_all(reader), 3);
}

/* A quarantined partition stops and is reported once; the others go on, and a seek starts it again.
 */
Test(reader_fetch, stops_a_quarantined_partition_only, .init = start_client, .fini = finish)
{
    for (uint32_t i = 0; i < FAKE_WIDTH; i++)
        fake_broker_append(broker, BASE + i, "SKU-1", 1);
    broker->read_status = XD_RANGE_QUARANTINED;
    xdock_reader_t *reader = open_filtered(NULL, NULL, 0);
    int reports = 0;
    uint32_t records = 0;
    for (int i = 0; i < 20; i++) {
        int status = xdock_reader_poll(reader, 10);
        cr_assert(status >= 0 || status == XD_RANGE_QUARANTINED);
        reports += status < 0 ? 1 : 0;
        while (xdock_reader_next(reader) != NULL)
            records++;
    }
    cr_assert_eq(reports, 1);
    cr_assert_eq(records, FAKE_WIDTH - 1);
    cr_assert_eq(xdock_reader_seek(reader, -1, XDOCK_FROM_BEGIN, 0), 0);
    cr_assert_eq(count_all(reader), FAKE_WIDTH);
}

/* A range that ends in damage is not at its end before all of it is given and the damage is told: a
 * program that stops at the end must not take what it has for everything. */
Test(reader_fetch, is_not_at_the_end_before_damage_is_told, .init = start_client, .fini = finish)
{
    for (uint64_t i = 1; i <= 5; i++)
        fake_broker_append(broker, BASE, "SKU-1", i);
    broker->ends[BASE] += 10; /* the rest lies behind the damage */
    broker->read_status = XD_RANGE_QUARANTINED;
    broker->read_skip = 1;
    xdock_selection_t selection = select_base(XDOCK_FROM_BEGIN, 0);
    xdock_reader_t *reader = open_reader(&selection);
    int reports = 0;
    uint32_t records = 0;
    for (int polls = 0; xdock_reader_at_end(reader) == 0 && polls < 20; polls++) {
        int status = xdock_reader_poll(reader, 10);
        cr_assert(status >= 0 || status == XD_RANGE_QUARANTINED);
        reports += status < 0 ? 1 : 0;
        while (xdock_reader_next(reader) != NULL)
            records++;
        cr_assert_geq(xdock_client_step(client, 0), 0); /* the refusal comes before the next poll */
    }
    cr_assert_eq(records, 5);
    cr_assert_eq(reports, 1);
    cr_assert_eq(xdock_reader_at_end(reader), 1);
}

/* A batch that was damaged on the way is reported and read again. */
Test(reader_fetch, reads_a_damaged_batch_again, .init = start_client, .fini = finish)
{
    for (uint64_t i = 1; i <= 3; i++)
        fake_broker_append(broker, BASE, "SKU-1", i);
    broker->damage_reads = true;
    xdock_reader_t *reader = open_filtered(NULL, NULL, 0);
    cr_assert_eq(xdock_reader_poll(reader, 1000), XD_BATCH_CHECKSUM);
    cr_assert_eq(count_all(reader), 3);
}

/* A throttled READ is repeated after the delay, unseen. */
Test(reader_fetch, repeats_a_throttled_read, .init = start_client, .fini = finish)
{
    fake_broker_append(broker, BASE, "SKU-1", 1);
    broker->read_status = XD_THROTTLED;
    xdock_reader_t *reader = open_filtered(NULL, NULL, 0);
    cr_assert_eq(count_all(reader), 1);
}

/* Seeking while READs wait at the end takes their buffers back at once. */
Test(reader_fetch, does_not_wait_for_reads_from_before_a_seek, .init = start_client, .fini = finish)
{
    for (uint64_t i = 1; i <= 3; i++)
        fake_broker_append(broker, BASE, "SKU-1", i);
    const xdock_selection_t selection = select_base(XDOCK_FROM_BEGIN, 0);
    xdock_reader_t *reader = open_reader(&selection);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(count_all(reader), 3);
        cr_assert_eq(xdock_reader_poll(reader, 1), 0, "a READ waits at the end");
        uint64_t before_ns = broker->now_ns;
        cr_assert_eq(xdock_reader_seek(reader, -1, XDOCK_FROM_BEGIN, 0), 0);
        cr_assert_eq(xdock_reader_poll(reader, 1000), 1);
        cr_assert_lt(broker->now_ns - before_ns, 10 * MS);
        cr_assert_eq(xdock_reader_seek(reader, -1, XDOCK_FROM_BEGIN, 0), 0);
    }
}
