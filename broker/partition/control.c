/* SPDX-License-Identifier: Apache-2.0
 *
 * Control entries: one encoder, one checked decoder per body.
 *
 * What is decoded was written by this broker and has passed block and batch checks; it is
 * checked again all the same, because a log may come from another release or a restored disk.
 */
#include "broker/partition/control.h"

#include "wire/bytes.h"
#include "wire/request.h"
#include "wire/route.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <string.h>

const char *control_kind_name(uint16_t kind)
{
    switch (kind) {
#define X(name, number, text)                                                                      \
    case number:                                                                                   \
        return #name;
#include "broker/partition/control.def"
#undef X
    default:
        return NULL;
    }
}

void control_encode(enum control_kind kind, const void *body, uint32_t body_bytes,
                    int64_t append_time_us, uint8_t *memory)
{
    struct xd_batch_header *batch = (struct xd_batch_header *)(void *)memory;
    XD_ASSERT(control_kind_name((uint16_t)kind) != NULL);
    XD_ASSERT(((uintptr_t)memory & 7u) == 0);

    memset(batch, 0, sizeof *batch);
    batch->flags = XD_BATCH_CONTROL | XD_BATCH_BROKER_HASHED;
    batch->partition = XD_PARTITION_NONE;
    batch->raw_bytes = body_bytes;
    memcpy(memory + XD_BATCH_HEADER_BYTES, body, body_bytes);
    xd_batch_seal(batch, control_bytes(body_bytes));
    batch->append_time_us = append_time_us;
    batch->control_kind = (uint16_t)kind;
}

static int body_copy(const struct xd_batch_header *batch, void *ret, uint32_t bytes,
                     const char **ret_why)
{
    XD_ASSERT(batch->control_kind != 0);
    if (batch->batch_bytes != control_bytes(bytes)) {
        *ret_why = "control entry has a wrong length";
        return XD_LOG_CORRUPT;
    }
    memcpy(ret, (const uint8_t *)batch + XD_BATCH_HEADER_BYTES, bytes);
    return 0;
}

/* A name field: 1..64 allowed characters, zeros behind. */
static int name_ok(const char *name, uint8_t bytes)
{
    struct xd_text text = {name, bytes};
    return bytes <= XD_NAME_BYTES_MAX && xd_name_check(text) == 0 &&
           xd_bytes_zero(name + bytes, XD_NAME_BYTES_MAX - bytes);
}

int control_session_decode(const struct xd_batch_header *batch, struct control_session *ret,
                           const char **ret_why)
{
    struct control_session body;
    int status = body_copy(batch, &body, sizeof body, ret_why);
    if (status < 0)
        return status;
    if (body.channel == 0 || body.producer_epoch == 0 || body.channel_epoch == 0) {
        *ret_why = "session entry has a number that is never zero";
        return XD_LOG_CORRUPT;
    }
    if (!name_ok(body.source, body.source_bytes) || !name_ok(body.name, body.name_bytes)) {
        *ret_why = "session entry has a malformed name";
        return XD_LOG_CORRUPT;
    }
    *ret = body;
    return 0;
}

int control_config_decode(const struct xd_batch_header *batch, struct control_config *ret,
                          const char **ret_why)
{
    struct control_config body;
    int status = body_copy(batch, &body, sizeof body, ret_why);
    if (status < 0)
        return status;
    if (body.number == 0 || body.reserved0 != 0 ||
        !xd_bytes_zero(body.reserved1, sizeof body.reserved1) ||
        !name_ok(body.name, body.name_bytes)) {
        *ret_why = "config entry has a malformed name or number";
        return XD_LOG_CORRUPT;
    }
    int topic_ok = body.object == CONTROL_TOPIC && body.strategy < XD_STRATEGY_COUNT &&
                   body.width >= 1 && body.width <= XD_PARTITION_WIDTH_MAX && body.shard == 0;
    int facility_ok = body.object == CONTROL_FACILITY && body.strategy == 0 && body.width == 0 &&
                      body.shard < XD_SHARDS_MAX;
    if (!topic_ok && !facility_ok) {
        *ret_why = "config entry has an unknown object, strategy, width or shard";
        return XD_LOG_CORRUPT;
    }
    *ret = body;
    return 0;
}
