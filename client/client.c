/* SPDX-License-Identifier: Apache-2.0
 *
 * The client handle: opening, closing, what event loops need, errors and counters. The work is in
 * drive.c.
 *
 * Failure path of an open: whatever was had is given back by the ordinary teardown, and the detail
 * goes into the caller's memory. Closing never waits longer than it may: what has no outcome by
 * then is counted and given up.
 */
#include "client/client.h"

#include "client/memory.h"
#include "client/producer.h"
#include "client/reader.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull

int xd_client_fail(xdock_client_t *client, int status, const char *what, const char *detail)
{
    XD_ASSERT(client != NULL && status < 0);
    char text[XD_ERROR_BYTES];
    snprintf(text, sizeof(text), "%s%s%s", what != NULL ? what : "",
             what != NULL && detail != NULL ? ": " : "", detail != NULL ? detail : "");
    memcpy(client->error, text, sizeof(text));
    return status;
}

int xd_client_enter(xdock_client_t *client)
{
    XD_ASSERT(client != NULL);
    int status = client->transport->ops->check(client->transport);
    if (status < 0)
        return status; /* the detail belongs to the thread that owns the client */
    return client->fatal;
}

uint64_t xd_client_now_ns(const xdock_client_t *client)
{
    return client->transport->ops->now_ns(client->transport);
}

uint64_t xd_client_end_ns(const xdock_client_t *client, uint32_t timeout_ms)
{
    if (timeout_ms == XDOCK_FOREVER)
        return XD_WAIT_FOREVER;
    return xd_client_now_ns(client) + timeout_ms * NS_PER_MS;
}

/* ---- open ------------------------------------------------------------------------------------ */

static void release(xdock_client_t *client)
{
    if (client == NULL)
        return;
    xd_connection_deinit(&client->connection);
    xd_catalog_deinit(&client->catalog);
    xd_memory_release(client->admin.reply);
    client->transport->ops->free(client->transport);
    xd_memory_release(client);
}

/* Relations between options that no single range can express. */
static int check_options(const struct xdock_options *options, char *why, size_t why_bytes)
{
    const uint64_t *numbers = options->numbers;
    XD_ASSERT(why != NULL && why_bytes > 0);
    if (numbers[XD_OPTION_RECONNECT_MIN] > numbers[XD_OPTION_RECONNECT_MAX]) {
        snprintf(why, why_bytes, "reconnect.min %s is above reconnect.max %s",
                 options->texts[XD_OPTION_RECONNECT_MIN], options->texts[XD_OPTION_RECONNECT_MAX]);
        return XD_OPTION_INVALID;
    }
    if (numbers[XD_OPTION_PRODUCER_BUFFER_BYTES] < 4 * numbers[XD_OPTION_PRODUCER_BATCH_BYTES]) {
        snprintf(why, why_bytes,
                 "producer.buffer_bytes %s is less than four times "
                 "producer.batch_bytes %s",
                 options->texts[XD_OPTION_PRODUCER_BUFFER_BYTES],
                 options->texts[XD_OPTION_PRODUCER_BATCH_BYTES]);
        return XD_OPTION_INVALID;
    }
    return 0;
}

static int init(xdock_client_t *client, const xdock_options_t *options)
{
    XD_ASSERT(client->transport != NULL);
    xd_link_init(&client->producers);
    xd_link_init(&client->readers);
    if (options != NULL)
        client->options = *options;
    else
        xd_options_defaults(&client->options);
    const uint64_t *numbers = client->options.numbers;
    struct xd_connection *connection = &client->connection;
    connection->transport = client->transport;
    connection->connect_timeout_ns = numbers[XD_OPTION_CONNECT_TIMEOUT] * NS_PER_US;
    connection->reconnect_min_ns = numbers[XD_OPTION_RECONNECT_MIN] * NS_PER_US;
    connection->reconnect_max_ns = numbers[XD_OPTION_RECONNECT_MAX] * NS_PER_US;
    connection->keepalive_ns = numbers[XD_OPTION_KEEPALIVE] * NS_PER_US;
    connection->client_name = client->options.texts[XD_OPTION_CLIENT_NAME];
    connection->client_version = xdock_version();
    int status = xd_connection_init(connection);
    if (status == 0)
        status = xd_catalog_init(&client->catalog);
    client->admin.reply = xd_memory_acquire(XD_ADMIN_REPLY_BYTES_MAX + 1);
    if (status == 0 && client->admin.reply == NULL)
        status = -ENOMEM;
    return status < 0 ? status
                      : check_options(&client->options, client->error, sizeof(client->error));
}

/* Waits for the greeting. An attempt that fails is the answer: nobody is there. */
static int await_greeting(xdock_client_t *client, uint64_t end_ns)
{
    struct xd_connection *connection = &client->connection;
    for (;;) {
        (void)xd_client_turn(client, XD_TURN_ALL_BATCHES); /* the state tells */
        if (xd_connection_ready(connection))
            return 0;
        if (connection->attempts > 0) {
            /* Nothing was asked yet, so nothing is unknown: the broker is simply not there. */
            int status =
                connection->status == XD_CONNECTION_LOST ? XD_UNREACHABLE : connection->status;
            return xd_client_fail(client, status, client->options.texts[XD_OPTION_ADDRESS],
                                  connection->text);
        }
        if (xd_client_now_ns(client) >= end_ns)
            return xd_client_fail(client, XD_DEADLINE_EXCEEDED,
                                  client->options.texts[XD_OPTION_ADDRESS],
                                  "no answer before the deadline");
        xd_client_wait(client, end_ns);
    }
}

int xd_client_open_over(const xdock_options_t *options, struct xd_transport *transport,
                        uint32_t timeout_ms, xdock_client_t **ret_client, char *error,
                        size_t error_bytes)
{
    XD_ASSERT(transport != NULL && ret_client != NULL);
    xdock_client_t *client = xd_memory_acquire(sizeof(*client));
    if (client == NULL) {
        transport->ops->free(transport);
        return -ENOMEM;
    }
    client->transport = transport;
    int status = init(client, options);
    if (status == 0 && timeout_ms > 0)
        status = await_greeting(client, xd_client_end_ns(client, timeout_ms));
    if (status < 0) {
        if (error != NULL && error_bytes > 0)
            snprintf(error, error_bytes, "%s", client->error);
        release(client);
        return status;
    }
    (void)xd_client_turn(client, XD_TURN_ALL_BATCHES); /* starts connecting; trouble shows later */
    *ret_client = client;
    return 0;
}

int xdock_client_open(const xdock_options_t *options, uint32_t timeout_ms,
                      xdock_client_t **ret_client, char *error, size_t error_bytes)
{
    XD_ASSERT(ret_client != NULL);
    char why[XD_TRANSPORT_TEXT_BYTES] = "";
    struct xd_transport *transport;
    struct xdock_options defaults;
    if (options == NULL)
        xd_options_defaults(&defaults);
    const char *address = (options != NULL ? options : &defaults)->texts[XD_OPTION_ADDRESS];
    int status = xd_transport_socket(address, &transport, why);
    if (status < 0) {
        if (error != NULL && error_bytes > 0)
            snprintf(error, error_bytes, "%s", why);
        return status;
    }
    return xd_client_open_over(options, transport, timeout_ms, ret_client, error, error_bytes);
}

/* ---- close ----------------------------------------------------------------------------------- */

/* Milliseconds that are left until end_ns. */
static uint32_t left_ms(const xdock_client_t *client, uint64_t end_ns)
{
    if (end_ns == XD_WAIT_FOREVER)
        return XDOCK_FOREVER;
    uint64_t now = xd_client_now_ns(client);
    uint64_t ms = end_ns > now ? (end_ns - now) / NS_PER_MS : 0;
    return ms < XDOCK_FOREVER ? (uint32_t)ms : XDOCK_FOREVER - 1;
}

int xdock_client_close(xdock_client_t **client_at, uint32_t timeout_ms)
{
    if (client_at == NULL || *client_at == NULL)
        return 0;
    xdock_client_t *client = *client_at;
    int status = client->transport->ops->check(client->transport);
    if (status == XD_WRONG_THREAD)
        return status;
    uint64_t end_ns = xd_client_end_ns(client, timeout_ms);
    uint64_t unknown = 0;
    struct xd_link *link;
    while ((link = xd_link_first(&client->readers)) != NULL) {
        xdock_reader_t *reader = XD_LINK_ELEMENT(link, struct xdock_reader, link);
        xdock_reader_close(&reader);
    }
    while ((link = xd_link_first(&client->producers)) != NULL) {
        xdock_producer_t *producer = XD_LINK_ELEMENT(link, struct xdock_producer, link);
        int count = xdock_producer_close(&producer, left_ms(client, end_ns));
        unknown += count > 0 ? (uint64_t)count : 0;
    }
    XD_ASSERT(!xd_link_used(&client->readers) && !xd_link_used(&client->producers));
    if (status == 0)
        client->transport->ops->close(client->transport);
    release(client);
    *client_at = NULL;
    return unknown < INT_MAX ? (int)unknown : INT_MAX;
}

/* ---- event loops ----------------------------------------------------------------------------- */

int xdock_client_fd(const xdock_client_t *client)
{
    XD_ASSERT(client != NULL);
    if (client->transport->ops->check(client->transport) < 0)
        return -1;
    return client->transport->ops->fd(client->transport);
}

short xdock_client_events(const xdock_client_t *client)
{
    XD_ASSERT(client != NULL);
    return xd_connection_events(&client->connection);
}

uint32_t xdock_client_deadline(const xdock_client_t *client)
{
    XD_ASSERT(client != NULL);
    uint64_t deadline_ns = xd_client_deadline_ns(client);
    if (deadline_ns == XD_WAIT_FOREVER)
        return XDOCK_FOREVER;
    uint64_t now = xd_client_now_ns(client);
    /* Rounded up: a step that comes too early would find nothing to do. */
    uint64_t ms = deadline_ns > now ? (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS : 0;
    return ms < XDOCK_FOREVER ? (uint32_t)ms : XDOCK_FOREVER - 1;
}

int xdock_client_step(xdock_client_t *client, uint32_t timeout_ms)
{
    int status = xd_client_enter(client);
    if (status < 0)
        return status;
    int happened = xd_client_turn(client, XD_TURN_ALL_BATCHES);
    if (!happened && timeout_ms > 0 && client->fatal == 0) {
        xd_client_wait(client, xd_client_end_ns(client, timeout_ms));
        happened = xd_client_turn(client, XD_TURN_ALL_BATCHES);
    }
    return client->fatal < 0 ? client->fatal : happened;
}

/* ---- reports --------------------------------------------------------------------------------- */

const char *xdock_client_error(const xdock_client_t *client)
{
    XD_ASSERT(client != NULL);
    return client->error;
}

void xdock_client_stats(const xdock_client_t *client, xdock_client_stats_t *ret_stats)
{
    XD_ASSERT(client != NULL && ret_stats != NULL);
    *ret_stats = client->stats;
    ret_stats->connects = client->connection.connects;
    ret_stats->bytes_sent = client->connection.bytes_sent;
    ret_stats->bytes_received = client->connection.bytes_received;
}
