/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/api.h"

#include "client/producer.h"

/* A step that finds nothing to do says so; one that does, too; and it waits no longer than it may.
 */
Test(drive, a_step_tells_whether_something_happened, .init = start_client, .fini = finish)
{
    cr_assert_eq(xdock_client_step(client, 0), 0);
    uint64_t before_ns = broker->now_ns;
    cr_assert_eq(xdock_client_step(client, 150), 0);
    cr_assert_geq(broker->now_ns - before_ns, 150 * MS);
    cr_assert_leq(broker->now_ns - before_ns, 155 * MS);
    producer = open_producer(client);
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    cr_assert_eq(xdock_client_step(client, 1000), 1);
}

/* A round of a blocking call ends by the deadline although frames keep coming. */
Test(drive, a_busy_connection_does_not_extend_a_deadline, .init = start_client, .fini = finish)
{
    xdock_producer_t *waiting = open_producer(client);
    broker->refuse_status = XD_BATCH_CHECKSUM;
    broker->refuse_count = 1000000000;
    cr_assert_eq(post_one(waiting, "SKU-1", 1), 0);
    uint64_t before_ns = broker->now_ns;
    cr_assert_eq(xdock_flush(waiting, 100), XD_DEADLINE_EXCEEDED);
    cr_assert_leq(broker->now_ns - before_ns, 105 * MS);
    broker->refuse_count = 0;
}

/* Nothing is sent, and nothing waited for, when a pause of the connection runs. */
Test(drive, knows_its_next_deadline, .init = start_producer, .fini = finish)
{
    cr_assert_eq(xdock_client_deadline(client), XDOCK_FOREVER);
    broker->refuse_status = XD_THROTTLED;
    broker->refuse_retry_ms = 80;
    broker->refuse_count = 1;
    post_alone(client, producer, "SKU-1", 1);
    cr_assert_geq(xdock_client_step(client, 0), 0);
    uint32_t wait_ms = xdock_client_deadline(client);
    cr_assert(wait_ms >= 79 && wait_ms <= 80, "%u ms", wait_ms);
    cr_assert_eq(xdock_flush(producer, 1000), 0);
    fake_broker_cut(broker);
    cr_assert_geq(xdock_client_step(client, 0), 0);
    wait_ms = xdock_client_deadline(client);
    cr_assert(wait_ms >= 24 && wait_ms <= 50, "%u ms", wait_ms);
}
