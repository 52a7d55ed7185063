/* SPDX-License-Identifier: Apache-2.0
 *
 * A fixed load on the client library, for counting the instructions that it takes:
 *
 *   client_load post|read RECORDS      records of 256 bytes, in batches of 64 KiB
 *
 * Normal path: a client, a producer and a reader stand on a broker that answers at once. RECORDS
 * are posted one by one and acknowledged, and then read. A warm-up of WARM_RECORDS comes before, so
 * that tables and buffers have their size. The part asked for runs inside measured_post() or
 * measured_read(), which is what a profiler is told to look at; excluded_*() are the broker's part
 * of it, which it is told to leave out.
 *
 * Failure path: a status that is not expected ends the program with status 1.
 */
#include "client/client.h"
#include "tests/support/fake_broker.h"

#include <crossdock/crossdock.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARM_RECORDS 2550u
#define RECORDS_MAX 1000000u
#define RECORD_BYTES 256
#define CALL_MS 1000u
#define POLLS_MAX 1000000u
#define ONLY_HERE __attribute__((noinline, noclone))

struct load {
    struct fake_broker *broker;
    xdock_client_t *client;
    xdock_producer_t *producer;
    xdock_reader_t *reader;
    xdock_record_t record;
    uint8_t payload[RECORD_BYTES];
    uint32_t records;
};

/* The broker's own operations, and whether its part is left out now. */
static const struct xd_transport_ops *broker_ops;
static bool measuring;

static void fail(const char *what, int status)
{
    fprintf(stderr, "client_load: %s: %s\n", what, xdock_status_name(status));
    exit(1);
}

ONLY_HERE static int64_t excluded_send(struct xd_transport *transport, const struct iovec *pieces,
                                       int piece_count)
{
    return broker_ops->send(transport, pieces, piece_count);
}

ONLY_HERE static int64_t excluded_recv(struct xd_transport *transport, void *buffer, size_t bytes)
{
    return broker_ops->recv(transport, buffer, bytes);
}

static int64_t load_send(struct xd_transport *transport, const struct iovec *pieces,
                         int piece_count)
{
    if (measuring)
        return excluded_send(transport, pieces, piece_count);
    return broker_ops->send(transport, pieces, piece_count);
}

static int64_t load_recv(struct xd_transport *transport, void *buffer, size_t bytes)
{
    if (measuring)
        return excluded_recv(transport, buffer, bytes);
    return broker_ops->recv(transport, buffer, bytes);
}

/* ---- what is measured ------------------------------------------------------------------------ */

static void post(struct load *load, uint32_t records)
{
    for (uint32_t i = 0; i < records; i++) {
        int status = xdock_post(load->producer, &load->record, i, CALL_MS);
        if (status < 0)
            fail("post", status);
    }
    int status = xdock_flush(load->producer, CALL_MS);
    if (status < 0)
        fail("flush", status);
}

static void read_some(struct load *load, uint32_t records)
{
    for (uint32_t polls = 0; records > 0; polls++) {
        int status = xdock_reader_poll(load->reader, CALL_MS);
        if (status < 0 || polls == POLLS_MAX)
            fail("poll", status);
        while (records > 0 && xdock_reader_next(load->reader) != NULL)
            records--;
    }
}

ONLY_HERE static void measured_post(struct load *load)
{
    post(load, load->records);
}

ONLY_HERE static void measured_read(struct load *load)
{
    read_some(load, load->records);
}

/* ---- before ---------------------------------------------------------------------------------- */

static void open_all(struct load *load)
{
    static struct xd_transport_ops ops;
    char error[256] = "";
    xdock_options_t *options = NULL;
    load->broker = fake_broker_new();
    broker_ops = load->broker->transport.ops;
    ops = *broker_ops;
    ops.send = load_send;
    ops.recv = load_recv;
    load->broker->transport.ops = &ops;
    int status = xdock_options_init(&options);
    if (status >= 0)
        status = xdock_options_set(options, "producer.acks", "failures");
    if (status >= 0)
        status = xd_client_open_over(options, &load->broker->transport, CALL_MS, &load->client,
                                     error, sizeof error);
    xdock_options_free(&options);
    if (status < 0)
        fail(error, status);
    status = xdock_producer_open(load->client, "wms", NULL, "DC07", CALL_MS, &load->producer);
    if (status < 0)
        fail(xdock_client_error(load->client), status);
    const xdock_selection_t selection = {.struct_bytes = sizeof selection,
                                         .from = XDOCK_FROM_BEGIN,
                                         .topic = "stock",
                                         .facility = "DC07",
                                         .partition = -1};
    status = xdock_reader_open(load->client, &selection, CALL_MS, &load->reader);
    if (status < 0)
        fail(xdock_client_error(load->client), status);
}

/* A pick as adapters send it, RECORD_BYTES long. */
static void make_record(struct load *load)
{
    uint8_t encoded[RECORD_BYTES];
    int bytes = 0;
    memset(load->payload, 'x', sizeof load->payload);
    xdock_record_init(&load->record);
    load->record.topic = "stock";
    load->record.type = XDOCK_PICK_CONFIRMED;
    load->record.sku = "SKU-4711";
    load->record.location = "A-12-03";
    load->record.document = "SO4711";
    load->record.handling_unit = "HU000815";
    load->record.quantity = xdock_quantity(3, 0, XDOCK_UOM_PIECE);
    for (uint32_t payload = RECORD_BYTES; payload > 0 && bytes != RECORD_BYTES; payload--) {
        load->record.payload = xdock_bytes(load->payload, payload);
        bytes = xdock_encode(load->producer, &load->record, encoded, sizeof encoded);
    }
    if (bytes != RECORD_BYTES)
        fail("no payload makes a record of the wanted size", bytes);
}

int main(int argc, char **argv)
{
    static struct load load;
    bool posts = argc == 3 && strcmp(argv[1], "post") == 0;
    bool reads = argc == 3 && strcmp(argv[1], "read") == 0;
    if (argc == 3)
        load.records = (uint32_t)strtoul(argv[2], NULL, 10);
    if ((!posts && !reads) || load.records == 0 || load.records > RECORDS_MAX) {
        fprintf(stderr, "usage: client_load post|read RECORDS\n");
        return 2;
    }
    open_all(&load);
    make_record(&load);
    post(&load, WARM_RECORDS);
    read_some(&load, WARM_RECORDS);
    measuring = posts;
    if (posts)
        measured_post(&load);
    else
        post(&load, load.records);
    measuring = reads;
    if (reads)
        measured_read(&load);
    printf("{\"records\": %u}\n", load.records);
    return fflush(stdout) == 0 ? 0 : 1;
}
