/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/api.h"

#include <errno.h>

/* Pauses between attempts are jittered, double, and stop growing at reconnect.max. */
Test(connection, pauses_grow_with_jitter_up_to_the_limit, .init = start_client, .fini = finish)
{
    broker->connect_status = -ECONNREFUSED;
    fake_broker_cut(broker);
    uint64_t last_ns = 0;
    uint64_t pauses[10];
    uint32_t count = 0;
    uint32_t attempts = broker->attempts;
    while (count < 10) {
        cr_assert_geq(xdock_client_step(client, 5000), 0);
        if (broker->attempts == attempts)
            continue;
        attempts = broker->attempts;
        if (last_ns != 0)
            pauses[count++] = broker->now_ns - last_ns;
        last_ns = broker->now_ns;
    }
    uint64_t full = 100 * MS; /* the first pause was before the first attempt */
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_geq(pauses[i] + MS, full / 2, "pause %u is %llu", i,
                      (unsigned long long)pauses[i]);
        cr_assert_leq(pauses[i], full + MS, "pause %u is %llu", i, (unsigned long long)pauses[i]);
        full = full * 2 < 2000 * MS ? full * 2 : 2000 * MS;
    }
    cr_assert_neq(pauses[8], pauses[9], "without jitter all clients come back together");
}

/* A broker that owes an answer and is silent is asked by PING, then given up; one that answers the
 * PING is merely slow. */
Test(connection, asks_a_silent_broker_before_it_is_given_up, .fini = finish)
{
    broker = fake_broker_new();
    client = open_client(broker,
                         (const char *const[]){"keepalive", "1s", "connect.timeout", "1s", NULL});
    producer = open_producer(client);
    broker->hold_acks = true;
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    cr_assert_eq(xdock_flush(producer, 5500), XD_DEADLINE_EXCEEDED);
    cr_assert(broker->pings >= 4 && broker->pings <= 6, "%u pings", broker->pings);
    cr_assert_eq(broker->connects, 1, "slow is not dead");

    broker->mute = true;
    cr_assert_eq(xdock_flush(producer, 1400), XD_DEADLINE_EXCEEDED);
    cr_assert_eq(broker->attempts, 1, "it is asked first");
    cr_assert_eq(xdock_flush(producer, 1200), XD_DEADLINE_EXCEEDED);
    cr_assert_gt(broker->attempts, 1, "it is given up");
    broker->mute = false;
    broker->hold_acks = false;
    cr_assert_eq(xdock_flush(producer, 20000), 0);
    cr_assert_eq(fake_broker_records(broker), 1);
}

/* An idle connection stays as it is, however long nobody asks for anything. */
Test(connection, leaves_an_idle_connection_alone, .init = start_producer, .fini = finish)
{
    cr_assert_eq(xdock_client_deadline(client), XDOCK_FOREVER);
    broker->now_ns += 3600 * 1000 * MS;
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    cr_assert_eq(xdock_flush(producer, 1000), 0);
    cr_assert_eq(broker->pings, 0);
    cr_assert_eq(broker->connects, 1);
}

/* A program that was busy for a long time finds the answer in the socket and does not give up. */
Test(connection, a_late_program_is_no_silent_broker, .init = start_producer, .fini = finish)
{
    broker->hold_acks = true;
    post_alone(client, producer, "SKU-1", 1);
    fake_broker_release_acks(broker);
    broker->now_ns += 600 * 1000 * MS;
    cr_assert_eq(xdock_flush(producer, 1000), 0);
    cr_assert_eq(broker->connects, 1);
}

/* A draining broker gets nothing new; after it has gone the client comes back. */
Test(connection, sends_nothing_new_to_a_draining_broker, .init = start_producer, .fini = finish)
{
    fake_broker_goaway(broker);
    cr_assert_geq(xdock_client_step(client, 0), 0);
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    cr_assert_eq(xdock_flush(producer, 100), XD_DEADLINE_EXCEEDED);
    cr_assert_eq(broker->batches, 0);
    fake_broker_cut(broker);
    cr_assert_eq(xdock_flush(producer, 5000), 0);
    cr_assert_eq(broker->connects, 2);
}

/* One attempt takes no longer than connect.timeout, then the next one follows. */
Test(connection, gives_up_an_attempt_that_hangs, .fini = finish)
{
    broker = fake_broker_new();
    client = open_client(broker, (const char *const[]){"connect.timeout", "200ms", NULL});
    broker->connect_status = 0;
    fake_broker_cut(broker);
    uint64_t before_ns = broker->now_ns;
    while (broker->attempts < 4)
        cr_assert_geq(xdock_client_step(client, 10000), 0);
    cr_assert_leq(broker->now_ns - before_ns, 1200 * MS);
    broker->connect_status = 1;
    while (broker->connects < 2)
        cr_assert_geq(xdock_client_step(client, 10000), 0);
}
