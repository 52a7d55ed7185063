/* SPDX-License-Identifier: Apache-2.0
 *
 * Record checks of an arriving batch: structure, sequence, channel, route.
 *
 * Runs over every record that is produced, right after the checksum has brought the body into the
 * cache, so it reads the cores and key fields only. Payloads are never looked at.
 */
#include "broker/partition/catalog.h"

#include "wire/record.h"
#include "wire/route.h"
#include "wire/status.h"
#include "wire/xassert.h"

static int refuse(int status, const char *field, const char **ret_field)
{
    *ret_field = field;
    return status;
}

static int check_one(const struct xd_batch_header *batch, const struct partition *partition,
                     const struct topic *topic, const struct xd_record_core *core,
                     uint64_t previous_sequence, const char **ret_field)
{
    if (core->channel != batch->producer_id)
        return refuse(XD_RECORD_MALFORMED, "channel", ret_field);
    if (core->channel_epoch != batch->channel_epoch)
        return refuse(XD_RECORD_MALFORMED, "channel_epoch", ret_field);
    if (core->facility != partition->facility)
        return refuse(XD_PARTITION_WRONG, "facility", ret_field);
    if (core->source_sequence <= previous_sequence || core->source_sequence > batch->last_sequence)
        return refuse(XD_RECORD_MALFORMED, "source_sequence", ret_field);

    uint32_t key = xd_route_key_of((enum xd_strategy)topic->strategy, core);
    if (core->route_key != key)
        return refuse(XD_PARTITION_WRONG, "route_key", ret_field);
    if (partition->base + xd_route_bucket(key, partition->width) != batch->partition)
        return refuse(XD_PARTITION_WRONG, "partition", ret_field);
    return 0;
}

int catalog_check_records(const struct catalog *catalog, const struct xd_batch_header *batch,
                          const uint8_t *body, uint32_t body_bytes, uint32_t *ret_record,
                          const char **ret_field)
{
    XD_ASSERT(batch->partition < catalog->partition_count);
    const struct partition *partition = &catalog->partitions[batch->partition];
    const struct topic *topic = catalog_topic(catalog, partition->topic);
    XD_ASSERT(topic != NULL);

    uint64_t sequence = batch->first_sequence - 1;
    uint32_t at = 0;
    for (uint32_t i = 0; i < batch->record_count; i++) {
        *ret_record = i;
        int stride = xd_record_check(body + at, body_bytes - at, ret_field);
        if (stride < 0)
            return stride;
        const struct xd_record_core *core = (const void *)(body + at);
        int status = check_one(batch, partition, topic, core, sequence, ret_field);
        if (status < 0)
            return status;
        if (i == 0 && core->source_sequence != batch->first_sequence)
            return refuse(XD_RECORD_MALFORMED, "source_sequence", ret_field);
        sequence = core->source_sequence;
        at += (uint32_t)stride;
    }
    if (at != body_bytes)
        return refuse(XD_RECORD_MALFORMED, "record_count", ret_field);
    if (sequence != batch->last_sequence)
        return refuse(XD_RECORD_MALFORMED, "last_sequence", ret_field);
    return 0;
}
