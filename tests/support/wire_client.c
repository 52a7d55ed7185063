/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated wire client: byte queues and frame cutting.
 */
#include "tests/support/wire_client.h"

#include "wire/bytes.h"
#include "wire/xassert.h"

#include <stdlib.h>

void wire_client_init(struct wire_client *client, struct sim *sim)
{
    *client = (struct wire_client){.sim = sim, .id = -1};
    client->out = malloc(WIRE_CLIENT_OUT_BYTES);
    client->in = malloc(WIRE_CLIENT_IN_BYTES);
    XD_ASSERT(client->out != NULL && client->in != NULL);
}

void wire_client_deinit(struct wire_client *client)
{
    wire_client_leave(client, true);
    free(client->out);
    free(client->in);
}

int wire_client_connect(struct wire_client *client, const char *address)
{
    wire_client_leave(client, true);
    int id = sim_client_connect(client->sim, address);
    if (id < 0)
        return id;
    client->id = id;
    client->ended = false;
    return 0;
}

void wire_client_leave(struct wire_client *client, bool reset)
{
    if (client->id >= 0) {
        if (reset)
            sim_client_reset(client->sim, client->id);
        sim_client_free(client->sim, client->id);
    }
    client->id = -1;
    client->ended = true;
    client->out_bytes = client->in_bytes = client->in_taken = 0;
}

void wire_client_send_raw(struct wire_client *client, const void *data, uint32_t bytes)
{
    XD_ASSERT(bytes <= WIRE_CLIENT_OUT_BYTES - client->out_bytes);
    if (bytes > 0)
        memcpy(client->out + client->out_bytes, data, bytes);
    client->out_bytes += bytes;
}

uint64_t wire_client_send(struct wire_client *client, uint16_t op, const void *payload,
                          uint32_t bytes)
{
    uint8_t head[XD_FRAME_HEADER_BYTES];
    struct xd_frame frame = {
        .length = bytes, .op = op, .version = 1, .correlation = ++client->correlation};
    xd_frame_encode(&frame, head);
    wire_client_send_raw(client, head, sizeof head);
    wire_client_send_raw(client, payload, bytes);
    return frame.correlation;
}

static bool pump_out(struct wire_client *client)
{
    if (client->out_bytes == 0)
        return false;
    int64_t sent = sim_client_send(client->sim, client->id, client->out, client->out_bytes);
    if (sent <= 0)
        return false;
    client->out_bytes -= (uint32_t)sent;
    memmove(client->out, client->out + sent, client->out_bytes);
    return true;
}

static bool pump_in(struct wire_client *client)
{
    if (client->in_bytes == WIRE_CLIENT_IN_BYTES)
        return false;
    int64_t got = sim_client_recv(client->sim, client->id, client->in + client->in_bytes,
                                  WIRE_CLIENT_IN_BYTES - client->in_bytes);
    if (got > 0)
        client->in_bytes += (uint32_t)got;
    return got > 0;
}

bool wire_client_pump(struct wire_client *client)
{
    bool moved = false;
    if (client->id < 0)
        return false;
    while (pump_out(client))
        moved = true;
    while (pump_in(client))
        moved = true;
    if (sim_client_ended(client->sim, client->id))
        client->ended = true;
    return moved;
}

bool wire_client_next(struct wire_client *client, struct wire_frame *ret_frame)
{
    if (client->in_taken > 0) {
        client->in_bytes -= client->in_taken;
        memmove(client->in, client->in + client->in_taken, client->in_bytes);
        client->in_taken = 0;
    }
    struct xd_frame head;
    int status = xd_frame_decode(client->in, client->in_bytes, XD_FRAME_BYTES_HARD_MAX, &head);
    XD_ASSERT(status >= 0);
    if (status == XD_PARTIAL || client->in_bytes - XD_FRAME_HEADER_BYTES < head.length)
        return false;
    XD_ASSERT(XD_FRAME_HEADER_BYTES % 8 == 0);
    *ret_frame = (struct wire_frame){.head = head, .payload = client->in + XD_FRAME_HEADER_BYTES};
    client->in_taken = XD_FRAME_HEADER_BYTES + head.length;
    return true;
}

/* ---- requests -------------------------------------------------------------------------------- */

static struct xd_text text(const char *data)
{
    return (struct xd_text){data, (uint32_t)strlen(data)};
}

uint64_t wire_client_hello(struct wire_client *client)
{
    uint8_t payload[256];
    struct xd_hello_request request = {
        .fixed = {.version_min = XD_PROTOCOL_VERSION_MIN, .version_max = XD_PROTOCOL_VERSION_MAX},
        .client_name = text("sim"),
        .client_version = text("1")};
    int bytes = xd_hello_encode(&request, payload, sizeof payload);
    XD_ASSERT(bytes > 0);
    return wire_client_send(client, XD_OP_HELLO, payload, (uint32_t)bytes);
}

uint64_t wire_client_open(struct wire_client *client, const struct xd_open *open,
                          const char *source, const char *channel, const char *facility)
{
    uint8_t payload[512];
    struct xd_open_request request = {.fixed = *open,
                                      .source = text(source),
                                      .channel = text(channel),
                                      .facility = text(facility)};
    int bytes = xd_open_encode(&request, payload, sizeof payload);
    XD_ASSERT(bytes > 0);
    return wire_client_send(client, XD_OP_PRODUCER_OPEN, payload, (uint32_t)bytes);
}

uint64_t wire_client_admin(struct wire_client *client, const char *verb, const char *json)
{
    uint8_t payload[1024];
    struct xd_admin_request request = {.verb = text(verb), .json = text(json)};
    int bytes = xd_admin_encode(&request, payload, sizeof payload);
    XD_ASSERT(bytes > 0);
    return wire_client_send(client, XD_OP_ADMIN, payload, (uint32_t)bytes);
}

uint64_t wire_client_read(struct wire_client *client, uint32_t partition, enum xd_seek seek,
                          uint64_t position, uint32_t bytes_max, uint32_t wait_ms)
{
    struct xd_read read = {.partition = partition,
                           .seek = (uint8_t)seek,
                           .position = position,
                           .bytes_max = bytes_max,
                           .wait_ms = wait_ms};
    return wire_client_send(client, XD_OP_READ, &read, sizeof read);
}

void wire_client_produce(struct wire_client *client, const struct xd_batch_header *const *batches,
                         uint32_t count, enum xd_durability durability)
{
    static const uint8_t zeros[8];
    struct xd_produce_head head = {.batch_count = count, .durability = (uint8_t)durability};
    uint8_t frame_head[XD_FRAME_HEADER_BYTES];
    struct xd_frame frame = {.length = sizeof head,
                             .op = XD_OP_PRODUCE,
                             .version = 1,
                             .correlation = ++client->correlation};
    for (uint32_t i = 0; i < count; i++)
        frame.length += batches[i]->batch_bytes + (uint32_t)xd_pad8(batches[i]->batch_bytes);
    xd_frame_encode(&frame, frame_head);
    wire_client_send_raw(client, frame_head, sizeof frame_head);
    wire_client_send_raw(client, &head, sizeof head);
    for (uint32_t i = 0; i < count; i++) {
        wire_client_send_raw(client, batches[i], batches[i]->batch_bytes);
        wire_client_send_raw(client, zeros, (uint32_t)xd_pad8(batches[i]->batch_bytes));
    }
}
