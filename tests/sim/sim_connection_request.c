/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies of requests other than PRODUCE: what is right, and what is nearly right.
 */
#include "tests/sim/sim_connection.h"

#include "wire/frame.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <string.h>

#define STRANGE_OP 0x0777u

void script_expect(struct script_connection *connection, uint16_t op, uint64_t correlation,
                   uint32_t channel)
{
    XD_ASSERT(connection->pending_count < SCRIPT_PENDING_MAX);
    connection->pending[connection->pending_count++] =
        (struct script_pending){.correlation = correlation, .channel = channel, .op = op};
    connection->fatal = connection->fatal || (!connection->hello && op != XD_OP_HELLO);
    totals_sent(op);
}

static void request(struct script_connection *connection, uint16_t op, const void *body,
                    uint32_t bytes)
{
    script_expect(connection, op, wire_client_send(&connection->wire, op, body, bytes),
                  SCRIPT_NO_CHANNEL);
}

static void hello(struct script_connection *connection, uint8_t a)
{
    uint8_t body[256];
    struct xd_hello_request hello = {
        .fixed = {.version_min = XD_PROTOCOL_VERSION_MIN, .version_max = XD_PROTOCOL_VERSION_MAX},
        .client_name = {"script", 6},
        .client_version = {"1", 1}};
    switch (a % 16) {
    case 11: /* newer than this broker */
        hello.fixed.version_min = hello.fixed.version_max = XD_PROTOCOL_VERSION_MAX + 1;
        break;
    case 12: /* reversed */
        hello.fixed.version_min = XD_PROTOCOL_VERSION_MAX + 1;
        break;
    case 13:
        hello.fixed.features = 1;
        break;
    default:
        break;
    }
    int bytes = xd_hello_encode(&hello, body, sizeof body);
    XD_ASSERT(bytes > 0);
    body[bytes] = 0;
    if (a % 16 == 14)
        body[sizeof(struct xd_hello) + 1] = '\n'; /* in the client's name */
    request(connection, XD_OP_HELLO, body, (uint32_t)bytes + (a % 16 == 15));
    connection->fatal = connection->fatal || a % 16 >= 11;
    connection->hello = connection->hello || a % 16 < 11;
}

static void open_channel(struct script *script, struct script_connection *connection, uint8_t a,
                         uint8_t b)
{
    static const char *const names[SCRIPT_CHANNELS] = {"c0", "c1", "c2", "c3"};
    uint32_t number = a % SCRIPT_CHANNELS;
    const struct script_channel *channel = &script->channels[number];
    const char *name = names[number], *facility = number == 3 ? "DC1" : "";
    struct xd_open open = {.flags = XD_OPEN_NO_MEMORY};
    char fresh[8];
    switch (b % 16) {
    case 5: /* attach again, to the newest epoch or to the one before */
        open.producer_epoch = channel->target.producer_epoch;
        break;
    case 6:
        open.producer_epoch = channel->target.producer_epoch - 1;
        break;
    case 7:
        open.channel_epoch = (uint16_t)(channel->target.channel_epoch + 1u);
        break;
    case 8:
        open.channel_epoch = (uint16_t)(channel->target.channel_epoch + 2u);
        break;
    case 9: /* a memory that is right, of too much, of too little */
        open = (struct xd_open){.assigned_sequence = channel->sequence};
        break;
    case 10:
        open = (struct xd_open){.acked_sequence = channel->sequence + 9,
                                .assigned_sequence = channel->sequence + 9};
        break;
    case 11:
        open = (struct xd_open){.flags = 0};
        break;
    case 12: /* of a facility that is none, or another channel of the same name */
        facility = a & 4 ? "DC9" : number == 3 ? "" : "DC1";
        number = SCRIPT_NO_CHANNEL;
        break;
    case 13:
        name = "-";
        break;
    case 14: /* reserved bits, or an acknowledgement of what was never assigned */
        open = a & 4 ? (struct xd_open){.flags = 0x80} : (struct xd_open){.acked_sequence = 1};
        break;
    case 15:
        snprintf(fresh, sizeof fresh, "n%u", (a >> 2) % 16u);
        name = fresh;
        number = SCRIPT_NO_CHANNEL;
        break;
    default:
        break;
    }
    uint64_t correlation = wire_client_open(&connection->wire, &open, "wms", name, facility);
    script_expect(connection, XD_OP_PRODUCER_OPEN, correlation, number);
}

static void close_channel(struct script *script, struct script_connection *connection, uint8_t a,
                          uint8_t b)
{
    const struct batch_target *target = &script->channels[a % SCRIPT_CHANNELS].target;
    struct xd_close body = {.producer_id = target->producer_id,
                            .producer_epoch = target->producer_epoch};
    if (b % 8 == 5)
        body.producer_epoch--;
    if (b % 8 == 6)
        body.producer_id = 99;
    if (b % 8 == 7)
        body.reserved = 1;
    request(connection, XD_OP_PRODUCER_CLOSE, &body, sizeof body);
}

static void read_partition(struct script_connection *connection, uint8_t a, uint8_t b)
{
    struct xd_read body = {.partition = a % WORLD_PARTITIONS,
                           .seek = XD_SEEK_BEGIN,
                           .bytes_max = (a >> 3 & 3u) * 4096u};
    switch (b % 12) {
    case 4: /* long polls */
        body.seek = XD_SEEK_END;
        body.wait_ms = 200;
        break;
    case 5:
        body.seek = XD_SEEK_END;
        body.wait_ms = XD_READ_WAIT_MS_MAX;
        break;
    case 6:
        body.seek = XD_SEEK_OFFSET;
        body.position = a >> 5;
        break;
    case 7:
        body.seek = XD_SEEK_OFFSET;
        body.position = UINT64_MAX - a;
        break;
    case 8:
        body.seek = XD_SEEK_TIME;
        body.position = a & 0x80 ? INT64_MAX : 0;
        break;
    case 9:
        body.partition = a & 0x80 ? UINT32_MAX : WORLD_PARTITIONS * 2;
        break;
    case 10:
        body.seek = a & 0x80 ? XD_SEEK_COUNT : body.seek;
        body.wait_ms = XD_READ_WAIT_MS_MAX + 1;
        break;
    case 11:
        body.reserved[0] = 1;
        break;
    default:
        break;
    }
    request(connection, XD_OP_READ, &body, sizeof body);
    if (body.seek == XD_SEEK_OFFSET)
        connection->pending[connection->pending_count - 1].offset = body.position + 1;
}

static void admin(struct script_connection *connection, uint8_t a, uint8_t b)
{
    static const char *const calls[][2] = {
        {"status", ""},
        {"metrics", "{}"},
        {"health", ""},
        {"log stats", ""},
        {"partition list", "{\"topic\":\"stock\"}"},
        {"source show", "{\"source\":\"wms\",\"channel\":\"c0\"}"},
        {"topic create", "{\"name\":\"stock\",\"width\":5}"},
        {"topic create", "{\"name\":\"t1\",\"width\":1}"},
        {"topic create", "{\"name\":\"t2\",\"width\":60}"},
        {"topic create", "{\"name\":\"t3\",\"retention\":1}"},
        {"facility add", "{\"name\":\"DC1\"}"},
        {"facility add", "{\"name\":\"DC2\"}"},
        {"facility add", "{\"name\":\"DC3\"}"},
        {"facility add", "{\"name\":\"DC4\"}"},
        {"facility add", "{\"name\":\"/\"}"},
        {"facility show", "{\"name\":\"nowhere\"}"},
        {"topic show", "{\"name\":\"nothing\"}"},
        {"facility show", "{\"name\":"},
        {"facility show", "{\"name\":1}"},
        {"sesame", ""},
    };
    uint32_t number = a % (sizeof calls / sizeof calls[0]);
    if (b % 8 == 7) { /* no verb */
        request(connection, XD_OP_ADMIN, "", 1);
        return;
    }
    uint64_t correlation = wire_client_admin(&connection->wire, calls[number][0], calls[number][1]);
    script_expect(connection, XD_OP_ADMIN, correlation, SCRIPT_NO_CHANNEL);
}

/* What a client must not send: pushes end the connection, ops without a row are refused. Also frame
 * headers that are well-formed and not for a broker. */
static void strange(struct script_connection *connection, uint8_t a)
{
    uint8_t head[XD_FRAME_HEADER_BYTES];
    struct xd_frame frame = {.op = XD_OP_PING, .version = 1};
    switch (a % 6) {
    case 0:
    case 1:
        frame.op = a % 6 == 0 ? XD_OP_ACK : XD_OP_GOAWAY;
        connection->fatal = true;
        break;
    case 2:
        frame.op = STRANGE_OP;
        break;
    case 3:
        frame.version = 2;
        break;
    case 4:
        frame.flags = XD_FRAME_REPLY;
        connection->fatal = true;
        break;
    default: /* larger than what may be sent before HELLO, or at all; nothing follows */
        frame.length = a & 0x80 ? XD_FRAME_BYTES_HARD_MAX : XD_FRAME_BYTES_PREAUTH_MAX + 8;
        connection->orderly = false;
        break;
    }
    frame.correlation = ++connection->wire.correlation;
    xd_frame_encode(&frame, head);
    wire_client_send_raw(&connection->wire, head, sizeof head);
    if (a % 6 == 2 || a % 6 == 3)
        script_expect(connection, frame.op, frame.correlation, SCRIPT_NO_CHANNEL);
    else
        totals_sent(frame.op);
}

void script_request(struct script *script, struct script_connection *connection,
                    enum script_step step, uint8_t a, uint8_t b)
{
    XD_ASSERT(connection->wire.id >= 0 && !connection->half);
    switch ((unsigned)step) {
    case STEP_HELLO:
        hello(connection, a);
        break;
    case STEP_PING: /* a body is none of its business */
        request(connection, XD_OP_PING, "ping", a % 5);
        break;
    case STEP_CATALOG:
        connection->fatal = connection->fatal || a % 16 == 15;
        request(connection, XD_OP_CATALOG, "", a % 16 == 15);
        break;
    case STEP_OPEN:
        open_channel(script, connection, a, b);
        break;
    case STEP_CLOSE:
        close_channel(script, connection, a, b);
        break;
    case STEP_READ:
        read_partition(connection, a, b);
        break;
    case STEP_ADMIN:
        admin(connection, a, b);
        break;
    case STEP_STRANGE:
        strange(connection, a);
        break;
    default:
        XD_ASSERT(false);
    }
}
