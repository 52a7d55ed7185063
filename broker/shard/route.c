/* SPDX-License-Identifier: Apache-2.0
 *
 * Which shard a frame is for. Only looks: what is malformed, unknown or nobody's is for the shard
 * that has it, whose handler says what is wrong.
 */
#include "broker/shard/peers.h"

#include "broker/shard/state.h"
#include "wire/batch.h"
#include "wire/request.h"

#include <stddef.h>

static uint32_t of_facility(const struct shard *shard, int64_t facility)
{
    return facility < 0 ? shard->options.log.shard
                        : catalog_shard(&shard->catalog, (uint32_t)facility);
}

/* Of a producer_id or channel number, which a client may have made up. */
static uint32_t of_channel(const struct shard *shard, uint64_t number)
{
    uint64_t owner = session_shard(number);
    return owner < shard->peers.count ? (uint32_t)owner : shard->options.log.shard;
}

/* The first batch speaks for its frame: all batches of a PRODUCE frame are of one channel. */
static uint32_t of_produce(const struct shard *shard, const struct net_frame *frame)
{
    const uint32_t at =
        sizeof(struct xd_produce_head) + offsetof(struct xd_batch_header, producer_id);
    uint64_t producer_id;
    if (frame->head.length < at + sizeof producer_id)
        return shard->options.log.shard;
    net_frame_copy(frame, at, &producer_id, sizeof producer_id);
    return of_channel(shard, producer_id);
}

static uint32_t of_open(struct shard *shard, const struct net_frame *frame)
{
    struct xd_open_request request;
    const char *field;
    const uint8_t *payload = net_frame_linear(shard->net, frame);
    if (xd_open_decode(payload, frame->head.length, &request, &field) < 0)
        return shard->options.log.shard;
    return of_facility(shard, catalog_facility_find(&shard->catalog, request.facility));
}

static uint32_t of_close(struct shard *shard, const struct net_frame *frame)
{
    struct xd_close request;
    const char *field;
    const uint8_t *payload = net_frame_linear(shard->net, frame);
    if (xd_close_decode(payload, frame->head.length, &request, &field) < 0)
        return shard->options.log.shard;
    return of_channel(shard, request.producer_id);
}

static uint32_t of_read(struct shard *shard, const struct net_frame *frame)
{
    struct xd_read request;
    const char *field;
    const uint8_t *payload = net_frame_linear(shard->net, frame);
    if (xd_read_decode(payload, frame->head.length, &request, &field) < 0)
        return shard->options.log.shard;
    const struct partition *partition = catalog_partition(&shard->catalog, request.partition);
    return of_facility(shard, partition == NULL ? -1 : (int64_t)partition->facility);
}

static uint32_t of_admin(struct shard *shard, const struct net_frame *frame)
{
    struct xd_admin_request request;
    const char *field;
    const uint8_t *payload = net_frame_linear(shard->net, frame);
    if (xd_admin_decode(payload, frame->head.length, &request, &field) < 0)
        return shard->options.log.shard;
    return admin_shard(&request, shard->options.log.shard, shard->peers.count);
}

uint32_t route_frame(struct shard *shard, const struct net_frame *frame)
{
    if (shard->peers.count == 1)
        return shard->options.log.shard;
    switch (frame->head.op) {
    case XD_OP_PRODUCE:
        return of_produce(shard, frame);
    case XD_OP_PRODUCER_OPEN:
        return of_open(shard, frame);
    case XD_OP_PRODUCER_CLOSE:
        return of_close(shard, frame);
    case XD_OP_READ:
        return of_read(shard, frame);
    case XD_OP_ADMIN:
        return of_admin(shard, frame);
    default:
        return shard->options.log.shard;
    }
}
