/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the client share: a client over the fake broker as a fixture, and records to
 * send.
 */
#ifndef CROSSDOCK_TESTS_API_API_H
#define CROSSDOCK_TESTS_API_API_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <crossdock/crossdock.h>

#include "client/client.h"
#include "tests/support/fake_broker.h"
#include "wire/status.h"

#define MS 1000000ull

/* Opens a client over the broker with options given as name, value pairs, ended by NULL. */
static inline xdock_client_t *open_client(struct fake_broker *broker, const char *const *settings)
{
    xdock_options_t *options = NULL;
    xdock_client_t *client = NULL;
    char error[256] = "";
    cr_assert_eq(xdock_options_init(&options), 0);
    for (; settings != NULL && *settings != NULL; settings += 2)
        cr_assert_eq(xdock_options_set(options, settings[0], settings[1]), 0, "%s",
                     xdock_options_error(options));
    int status =
        xd_client_open_over(options, &broker->transport, 1000, &client, error, sizeof(error));
    xdock_options_free(&options);
    cr_assert_eq(status, 0, "%s: %s", xd_status_name(status), error);
    return client;
}

static inline xdock_producer_t *open_producer(xdock_client_t *client)
{
    xdock_producer_t *producer = NULL;
    int status = xdock_producer_open(client, "wms", NULL, "DC07", 1000, &producer);
    cr_assert_eq(status, 0, "%s: %s", xd_status_name(status), xdock_client_error(client));
    return producer;
}

static inline xdock_record_t make_record(const char *sku)
{
    xdock_record_t record = XDOCK_RECORD_INIT;
    record.topic = "stock";
    record.type = XDOCK_STOCK_MOVED;
    record.sku = sku;
    record.location = "A-01";
    record.document = "TASK-1";
    record.quantity = xdock_quantity(1, 0, XDOCK_UOM_PIECE);
    return record;
}

static inline int post_one(xdock_producer_t *producer, const char *sku, uint64_t user)
{
    xdock_record_t record = make_record(sku);
    return xdock_post(producer, &record, user, 1000);
}

/* Posts one record in a batch of its own and gives the connection its turn. */
static inline void post_alone(xdock_client_t *client, xdock_producer_t *producer, const char *sku,
                              uint64_t user)
{
    cr_assert_eq(post_one(producer, sku, user), 0, "%s", xdock_client_error(client));
    cr_assert_geq(xdock_client_step(client, 0), 0);
}

/* Takes exactly `count` outcomes, in steps. */
static inline void take_acks(xdock_producer_t *producer, xdock_ack_t *ret_acks, int count)
{
    int taken = 0;
    while (taken < count) {
        int status = xdock_acks(producer, ret_acks + taken, (size_t)(count - taken), 20000);
        cr_assert_gt(status, 0, "after %d of %d: %s", taken, count, xd_status_name(status));
        taken += status;
    }
}

/* Closes both; everything must have had an outcome. */
static inline void close_all(struct fake_broker *broker, xdock_client_t *client)
{
    cr_assert_eq(xdock_client_close(&client, 5000), 0);
    cr_assert_null(client);
    cr_assert(broker->freed);
    fake_broker_free(broker);
}

/* The world of a test, which has a process of its own:
 *     Test(suite, name, .init = start_client, .fini = finish)
 * A test that wants other settings makes its client itself. */
static struct fake_broker *broker;
static xdock_client_t *client;
static xdock_producer_t *producer; /* goes with the client */

static inline void start_client(void)
{
    broker = fake_broker_new();
    client = open_client(broker, NULL);
}

static inline void start_producer(void)
{
    start_client();
    producer = open_producer(client);
}

static inline void finish(void)
{
    close_all(broker, client);
}

#endif
