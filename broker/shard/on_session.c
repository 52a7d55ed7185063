/* SPDX-License-Identifier: Apache-2.0
 *
 * Greeting, opens and closes of channels.
 */
#include "broker/shard/state.h"

#include "wire/frame.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* An open with more chains than this is answered through a large buffer. */
#define OPEN_CHAINS_SMALL 512u

static_assert(XD_FRAME_HEADER_BYTES + sizeof(struct xd_reply_head) + XD_DETAIL_BYTES_MAX + 8 +
                      sizeof(struct xd_open_reply) +
                      OPEN_CHAINS_SMALL * sizeof(struct xd_open_chain) <=
                  16384,
              "a small open's reply fits the smallest output chunk");
static_assert(ANSWERS_BODY_AT + sizeof(struct xd_open_reply) +
                      XD_CHAINS_MAX * sizeof(struct xd_open_chain) <=
                  XD_FRAME_BYTES_DEFAULT_MAX,
              "the largest open's reply fits the smallest large buffer");

int on_hello(struct shard *shard, const struct net_frame *frame)
{
    const uint8_t *payload = net_frame_linear(shard->net, frame);
    struct xd_hello_request request;
    const char *field = "";
    char detail[XD_DETAIL_BYTES_MAX] = "";
    uint16_t version = XD_PROTOCOL_VERSION_MAX;
    int status = xd_hello_decode(payload, frame->head.length, &request, &field);
    if (status < 0) {
        snprintf(detail, sizeof detail, "HELLO: field %s is wrong", field);
    } else if (request.fixed.version_min > XD_PROTOCOL_VERSION_MAX ||
               request.fixed.version_max < XD_PROTOCOL_VERSION_MIN) {
        status = XD_VERSION_UNSUPPORTED;
        version = 0;
        snprintf(detail, sizeof detail,
                 "version: this broker speaks protocol versions %u to %u, the client %u to %u",
                 XD_PROTOCOL_VERSION_MIN, XD_PROTOCOL_VERSION_MAX, request.fixed.version_min,
                 request.fixed.version_max);
    }
    struct xd_hello_reply reply = {
        .version = version,
        .version_min = XD_PROTOCOL_VERSION_MIN,
        .version_max = XD_PROTOCOL_VERSION_MAX,
        .default_durability = (uint8_t)shard->options.default_durability,
        .frame_bytes_max = shard->options.net.frame_bytes_max,
        .batch_bytes_max = XD_BATCH_BYTES_MAX,
        .inflight_batches = XD_INFLIGHT_BATCHES_MAX,
        .connection_bytes = shard->options.connection_bytes,
        .server_time_us = shard->now_us,
    };
    memcpy(reply.cluster_id, shard->cluster_id, sizeof shard->cluster_id);
    /* A client of another version is told the range, so that it can say what is wrong. */
    bool told = status >= 0 || status == XD_VERSION_UNSUPPORTED;
    uint32_t body_bytes = told ? (uint32_t)sizeof reply : 0;
    bool written = answers_reply(shard, frame->conn, XD_OP_HELLO, frame->head.correlation, status,
                                 0, detail, &reply, body_bytes);
    if (!written)
        return -EAGAIN;
    if (status < 0)
        return -ECONNABORTED;
    struct connection *connection = shard_connection(shard, frame->conn);
    XD_ASSERT(connection != NULL);
    net_admit(shard->net, frame->conn);
    connection->greeted = true;
    return 0;
}

int on_ping(struct shard *shard, const struct net_frame *frame)
{
    return answers_reply(shard, frame->conn, XD_OP_PING, frame->head.correlation, 0, 0, "", NULL, 0)
               ? 0
               : -EAGAIN;
}

/* ---- PRODUCER_OPEN, PRODUCER_CLOSE --------------------------------------------------------- */

/* Registers the holder; the former one is fenced by the epoch. */
static void hold(struct shard *shard, uint32_t channel, net_id conn)
{
    net_id *holder = shard_holder(shard, session_channel(&shard->sessions, channel));
    XD_ASSERT(shard_connection(shard, conn) != NULL);
    if (*holder != 0 && *holder != conn)
        counters_add(&shard->counters, COUNTER_producers_fenced, 1);
    *holder = conn;
}

/* A client that knows more than the log holds, or less than it sent, is an operator's business: one
 * of the two has lost records. */
static void report_memory(struct shard *shard, int status, const struct xd_open_request *request)
{
    if (status != XD_ACKED_MISSING && status != XD_SEQUENCE_REGRESSED)
        return;
    const struct xd_text channel = session_channel_name(request);
    char text[SHARD_LINE_BYTES_MAX];
    XD_ASSERT(request->source.bytes + channel.bytes < sizeof text / 2);
    snprintf(text, sizeof text,
             "source=%.*s channel=%.*s acked_sequence=%" PRIu64 " assigned_sequence=%" PRIu64
             " next=\"crossdock source show\"",
             (int)request->source.bytes, request->source.data, (int)channel.bytes, channel.data,
             request->fixed.acked_sequence, request->fixed.assigned_sequence);
    counters_add(&shard->counters, COUNTER_acked_missing, status == XD_ACKED_MISSING);
    lines_say(shard, true,
              status == XD_ACKED_MISSING ? "acknowledged_records_missing" : "source_regressed",
              text);
}

int on_open(struct shard *shard, const struct net_frame *frame)
{
    const uint8_t *payload = net_frame_linear(shard->net, frame);
    struct xd_open_request request;
    const char *field = "";
    char detail[XD_DETAIL_BYTES_MAX] = "";
    int status = xd_open_decode(payload, frame->head.length, &request, &field);
    if (status < 0) {
        snprintf(detail, sizeof detail, "PRODUCER_OPEN: field %s is wrong", field);
        return answers_refuse(shard, frame, status, detail);
    }
    int64_t facility = catalog_facility_find(&shard->catalog, request.facility);
    if (facility < 0) {
        snprintf(detail, sizeof detail,
                 "facility: '%.*s' is not known; add it with "
                 "`crossdock facility add`",
                 (int)request.facility.bytes, request.facility.data);
        return answers_refuse(shard, frame, (int)facility, detail);
    }
    struct control_session entry;
    status = session_plan_open(&shard->sessions, &request, (uint32_t)facility, &entry, detail);
    if (status < 0) {
        int refused = answers_refuse(shard, frame, status, detail);
        if (refused == 0)
            report_memory(shard, status, &request);
        return refused;
    }
    if (!answers_room(shard))
        return -EAGAIN;

    struct answer answer = {.kind = ANSWER_OPEN,
                            .conn = frame->conn,
                            .correlation = frame->head.correlation,
                            .log_index = log_last_index(shard->log)};
    if (status == 1) {
        status =
            fold_append_control(shard, CONTROL_SESSION, &entry, sizeof entry, &answer.log_index);
        if (status == XD_THROTTLED)
            return -EAGAIN;
        if (status < 0)
            return answers_refuse(shard, frame, status, xd_status_text(status));
        const char *why = "";
        status = session_take(&shard->sessions, &entry, &why);
        XD_ASSERT(status == 0);
        answer.channel = entry.channel;
    } else {
        answer.channel = session_channel_find(&shard->sessions, request.source,
                                              session_channel_name(&request), (uint32_t)facility)
                             ->number;
    }
    hold(shard, answer.channel, frame->conn);
    answers_wait(shard, &answer);
    return 0;
}

static struct xd_open_reply open_fixed(const struct channel *channel, uint32_t chain_count)
{
    XD_ASSERT(channel->applied_producer_epoch > 0);
    XD_ASSERT(chain_count == 0 || channel->last_sequence > 0);
    return (struct xd_open_reply){.producer_id = channel->number,
                                  .producer_epoch = channel->applied_producer_epoch,
                                  .channel_epoch = channel->applied_channel_epoch,
                                  .facility = channel->facility,
                                  .chain_count = chain_count,
                                  .last_sequence = channel->last_sequence};
}

/* The usual case: few chains, in the connection's output chunk. */
static bool open_reply(struct shard *shard, const struct answer *answer,
                       const struct channel *channel)
{
    struct {
        struct xd_open_reply fixed;
        struct xd_open_chain chains[OPEN_CHAINS_SMALL];
    } body;
    XD_ASSERT(channel->chain_count <= OPEN_CHAINS_SMALL);
    uint32_t count = session_chains(&shard->sessions, channel, body.chains, OPEN_CHAINS_SMALL);
    body.fixed = open_fixed(channel, count);
    return answers_reply(shard, answer->conn, XD_OP_PRODUCER_OPEN, answer->correlation, 0,
                         answer->log_index, "", &body,
                         (uint32_t)(sizeof body.fixed + count * sizeof body.chains[0]));
}

/* As many chains as a channel can have: they are written where they are sent from. */
static bool open_reply_large(struct shard *shard, const struct answer *answer,
                             const struct channel *channel)
{
    uint8_t *large = answers_large(shard, answer->conn);
    if (large == NULL)
        return false;
    uint32_t room = net_large_bytes(shard->net) - ANSWERS_BODY_AT;
    struct xd_open_reply *fixed = (struct xd_open_reply *)(void *)(large + ANSWERS_BODY_AT);
    struct xd_open_chain *chains = (struct xd_open_chain *)(void *)(fixed + 1);
    uint32_t chains_max = (uint32_t)((room - sizeof *fixed) / sizeof *chains);
    XD_ASSERT(channel->chain_count <= chains_max);
    uint32_t count = session_chains(&shard->sessions, channel, chains, chains_max);
    *fixed = open_fixed(channel, count);
    answers_send_large(shard, answer->conn, XD_OP_PRODUCER_OPEN, answer->correlation,
                       answer->log_index, large,
                       (uint32_t)(sizeof *fixed + count * sizeof *chains));
    return true;
}

bool session_answer_open(struct shard *shard, const struct answer *answer)
{
    const struct channel *channel = session_channel(&shard->sessions, answer->channel);
    XD_ASSERT(channel != NULL && channel->applied_channel_epoch != 0);
    XD_ASSERT(answer->kind == ANSWER_OPEN);
    if (*shard_holder(shard, channel) != answer->conn)
        return answers_reply(shard, answer->conn, XD_OP_PRODUCER_OPEN, answer->correlation,
                             XD_FENCED, answer->log_index,
                             "the channel was opened again while this open was being written", NULL,
                             0);
    return channel->chain_count <= OPEN_CHAINS_SMALL ? open_reply(shard, answer, channel)
                                                     : open_reply_large(shard, answer, channel);
}

int on_close(struct shard *shard, const struct net_frame *frame)
{
    const uint8_t *payload = net_frame_linear(shard->net, frame);
    struct xd_close request;
    const char *field = "";
    char detail[XD_DETAIL_BYTES_MAX];
    int status = xd_close_decode(payload, frame->head.length, &request, &field);
    if (status < 0) {
        snprintf(detail, sizeof detail, "PRODUCER_CLOSE: field %s is wrong", field);
        return answers_refuse(shard, frame, status, detail);
    }
    const struct channel *channel = session_channel(&shard->sessions, request.producer_id);
    if (channel == NULL || *shard_holder(shard, channel) != frame->conn ||
        channel->producer_epoch != request.producer_epoch)
        return answers_refuse(shard, frame, XD_PRODUCER_UNKNOWN,
                              "producer_id: not open on this connection");
    if (!answers_room(shard))
        return -EAGAIN;
    XD_ASSERT(channel->applied_producer_epoch <= request.producer_epoch);
    *shard_holder(shard, channel) = 0;
    struct answer answer = {.kind = ANSWER_CLOSE,
                            .conn = frame->conn,
                            .correlation = frame->head.correlation,
                            .log_index = log_last_index(shard->log)};
    answers_wait(shard, &answer);
    return 0;
}
