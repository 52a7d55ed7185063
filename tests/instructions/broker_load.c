/* SPDX-License-Identifier: Apache-2.0
 *
 * A fixed load on a broker in the simulator, for counting the instructions that it takes:
 *
 *   broker_load produce|read BATCHES RECORDS      both counts of one channel; RECORDS per batch
 *
 * Normal path: a broker serves, a channel is open, all batches are encoded. Then either they are
 * sent, WINDOW of them in flight, and each is acknowledged; or they are produced before, and read
 * from memory by requests of READ_BYTES. Turns of the broker in that part, and nothing else, run
 * inside measured_turn(), which is what a profiler is told to look at. Prints what was done as
 * JSON. The world has no faults and its own clock: the same arguments give the same work.
 *
 * Failure path: an answer that is not the expected one, or none in time, ends the program with
 * status 1. Must not encode or check anything inside measured_turn().
 */
#include "tests/sim/sim_broker.h"
#include "tests/support/batch_kit.h"
#include "tests/support/wire_client.h"
#include "wire/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 8u
#define BATCHES_MAX 4096u
#define RECORDS_MAX 255u
#define TURN_NS 1000000ull
#define WAIT_NS 60000000000ull
#define READ_BYTES (512u * 1024u)
/* Makes a record of the batch kit 256 bytes long, so that 255 of them fill 64 KiB. */
#define RECORD_BYTES 256u
#define SKU "SKU-4711"

struct load {
    struct sim_broker broker;
    struct wire_client client;
    struct batch_target target;    /* partition 0 of topic "stock", global facility */
    struct xd_batch_header **sent; /* batch_count encoded batches */
    uint32_t batch_count;          /* */
    uint32_t batch_records;        /* */
    uint32_t payload_bytes;        /* of a record */
    uint64_t sequence;             /* newest one used */
    uint64_t acked;                /* records */
    bool measuring;                /* turns count from here on */
};

static void fail(const char *what, int status)
{
    fprintf(stderr, "broker_load: %s: %s\n", what, xd_status_name(status));
    exit(1);
}

/* Cloned or inlined it would have another name. */
__attribute__((noinline, noclone)) static int measured_turn(struct load *load)
{
    return sim_broker_turn(&load->broker, TURN_NS);
}

static void turn(struct load *load)
{
    int status = load->measuring ? measured_turn(load) : sim_broker_turn(&load->broker, TURN_NS);
    if (status < 0)
        fail("turn", status);
    wire_client_pump(&load->client);
    if (load->client.ended)
        fail("the broker closed the connection", 0);
}

static void take_acks(struct load *load, const struct wire_frame *frame)
{
    struct xd_ack_view view;
    const char *field = "";
    int status = xd_ack_decode(frame->payload, frame->head.length, &view, &field);
    if (status < 0)
        fail(field, status);
    for (uint32_t i = 0; i < view.fixed.ack_count; i++) {
        if (view.acks[i].status != 0)
            fail("a batch was refused", view.acks[i].status);
        load->acked += view.acks[i].record_count;
    }
}

/* The frame that answers `correlation`; acknowledgements on the way are counted. */
static void await(struct load *load, uint64_t correlation, const uint8_t **ret_body,
                  size_t *ret_bytes, int *ret_status)
{
    uint64_t end_ns = sim_now_ns(load->broker.sim) + WAIT_NS;
    struct wire_frame frame;
    struct xd_reply_head head;
    struct xd_text detail;
    while (sim_now_ns(load->broker.sim) < end_ns) {
        while (wire_client_next(&load->client, &frame)) {
            if (frame.head.op == XD_OP_ACK) {
                take_acks(load, &frame);
                continue;
            }
            int status = xd_reply_decode(frame.payload, frame.head.length, &head, &detail, ret_body,
                                         ret_bytes);
            if (status < 0 || frame.head.correlation != correlation)
                fail("reply", status);
            if (head.status < 0)
                fail("request", head.status);
            *ret_status = head.status;
            return;
        }
        turn(load);
    }
    fail("no reply", XD_DEADLINE_EXCEEDED);
}

/* Until the first `batches` are acknowledged; an answer may cover several. */
static void await_acks(struct load *load, uint32_t batches)
{
    uint64_t records = (uint64_t)batches * load->batch_records;
    uint64_t end_ns = sim_now_ns(load->broker.sim) + WAIT_NS;
    struct wire_frame frame;
    while (load->acked < records) {
        while (wire_client_next(&load->client, &frame))
            take_acks(load, &frame);
        if (sim_now_ns(load->broker.sim) >= end_ns)
            fail("no acknowledgement", XD_DEADLINE_EXCEEDED);
        if (load->acked < records)
            turn(load);
    }
}

/* ---- before it is measured ------------------------------------------------------------------- */

static void open_channel(struct load *load)
{
    const struct xd_open open = {.flags = XD_OPEN_NO_MEMORY};
    struct xd_open_view view;
    const char *field = "";
    const uint8_t *body;
    size_t bytes;
    int status;
    await(load, wire_client_hello(&load->client), &body, &bytes, &status);
    uint64_t correlation = wire_client_open(&load->client, &open, "wms", "load", "");
    await(load, correlation, &body, &bytes, &status);
    status = xd_open_reply_decode(body, bytes, &view, &field);
    if (status < 0)
        fail(field, status);
    /* The simulated broker's topic "stock" comes first and has three partitions. */
    load->target = (struct batch_target){
        .producer_id = view.fixed.producer_id,
        .producer_epoch = view.fixed.producer_epoch,
        .channel_epoch = view.fixed.channel_epoch,
        .facility = view.fixed.facility,
        .partition = xd_route_bucket(batch_route_key(XD_STRATEGY_SKU, SKU), 3),
        .strategy = XD_STRATEGY_SKU};
}

/* The payload that makes a record RECORD_BYTES long. */
static void fit_payload(struct load *load)
{
    static struct batch_build build;
    uint8_t payload[RECORD_BYTES] = {0};
    for (load->payload_bytes = RECORD_BYTES; load->payload_bytes > 0; load->payload_bytes--) {
        batch_begin(&build, &load->target, 0);
        batch_add(&build, 1, SKU, payload, load->payload_bytes);
        if (build.used == XD_BATCH_HEADER_BYTES + RECORD_BYTES)
            return;
    }
    fail("no payload makes a record of the wanted size", 0);
}

static void encode_batches(struct load *load)
{
    static struct batch_build build;
    uint8_t payload[RECORD_BYTES];
    uint64_t previous = 0;
    memset(payload, 'x', sizeof payload);
    load->sent = calloc(load->batch_count, sizeof *load->sent);
    for (uint32_t i = 0; i < load->batch_count; i++) {
        batch_begin(&build, &load->target, previous);
        for (uint32_t row = 0; row < load->batch_records; row++)
            batch_add(&build, ++load->sequence, SKU, payload, load->payload_bytes);
        previous = load->sequence;
        uint32_t bytes = batch_end(&build);
        load->sent[i] = calloc(1, bytes + 64);
        memcpy(load->sent[i], &build, bytes);
    }
}

static void start(struct load *load)
{
    struct sim_options world;
    sim_options_init(&world, 1);
    sim_broker_open(&load->broker, &world);
    load->broker.options.connection_bytes = 2u << 20;
    int status = sim_broker_start(&load->broker);
    if (status < 0)
        fail(load->broker.why, status);
    wire_client_init(&load->client, load->broker.sim);
    status = wire_client_connect(&load->client, load->broker.address);
    if (status < 0)
        fail("connect", status);
    open_channel(load);
    fit_payload(load);
    encode_batches(load);
}

/* ---- what is measured ------------------------------------------------------------------------ */

static void produce(struct load *load)
{
    for (uint32_t i = 0; i < load->batch_count; i++) {
        const struct xd_batch_header *batch = load->sent[i];
        if (i >= WINDOW)
            await_acks(load, i - WINDOW + 1);
        wire_client_produce(&load->client, &batch, 1, XD_DURABILITY_FSYNC);
        wire_client_pump(&load->client);
    }
    await_acks(load, load->batch_count);
}

static void read_all(struct load *load)
{
    struct xd_read_reply reply = {0};
    uint64_t records = (uint64_t)load->batch_count * load->batch_records;
    for (uint64_t at = 0; at < records; at = reply.next_offset) {
        const uint8_t *body;
        const uint8_t *batches;
        const char *field = "";
        size_t bytes;
        int status;
        uint64_t correlation = wire_client_read(&load->client, load->target.partition,
                                                XD_SEEK_OFFSET, at, READ_BYTES, 0);
        await(load, correlation, &body, &bytes, &status);
        status = xd_read_reply_decode(body, bytes, &reply, &batches, &field);
        if (status < 0 || reply.next_offset <= at)
            fail(field, status);
    }
}

int main(int argc, char **argv)
{
    static struct load load;
    bool reads = argc == 4 && strcmp(argv[1], "read") == 0;
    bool produces = argc == 4 && strcmp(argv[1], "produce") == 0;
    if (argc == 4) {
        load.batch_count = (uint32_t)strtoul(argv[2], NULL, 10);
        load.batch_records = (uint32_t)strtoul(argv[3], NULL, 10);
    }
    if ((!reads && !produces) || load.batch_count == 0 || load.batch_count > BATCHES_MAX ||
        load.batch_records == 0 || load.batch_records > RECORDS_MAX) {
        fprintf(stderr, "usage: broker_load produce|read BATCHES RECORDS\n");
        return 2;
    }
    start(&load);
    load.measuring = produces;
    struct counters before = *shard_counters(load.broker.shard);
    produce(&load);
    if (reads) {
        load.measuring = true;
        before = *shard_counters(load.broker.shard);
        read_all(&load);
    }
    const struct counters *after = shard_counters(load.broker.shard);
    printf("{\"batches\": %" PRIu32 ", \"records\": %" PRIu32 ", \"blocks\": %" PRIu64 "}\n",
           load.batch_count, load.batch_count * load.batch_records,
           after->v[COUNTER_blocks_written] - before.v[COUNTER_blocks_written]);
    return fflush(stdout) == 0 ? 0 : 1;
}
