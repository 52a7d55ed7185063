/* SPDX-License-Identifier: Apache-2.0
 *
 * The fold: state from log entries, the same function live and in recovery.
 *
 * Live, an entry was staged before it was written, so the tables know it already and the fold
 * confirms it: a contradiction is a bug and aborts inside the tables. In recovery the log is the
 * only source and comes from outside: a contradiction is corruption, named and not served.
 */
#include "broker/shard/state.h"

#include "broker/partition/control.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <string.h>

static int fold_control(struct shard *shard, const struct log_entry *entry, const char **ret_why)
{
    if (entry->batch->control_kind == CONTROL_SESSION) {
        struct control_session session;
        int status = control_session_decode(entry->batch, &session, ret_why);
        if (status < 0)
            return status;
        if (shard->stage == STAGE_OPENED) /* live it was taken in when it was appended */
            status = session_take(&shard->sessions, &session, ret_why);
        if (status == 0)
            session_take_durable(&shard->sessions, &session);
        return status;
    }
    if (entry->batch->control_kind == CONTROL_CONFIG) {
        struct control_config config;
        int status = control_config_decode(entry->batch, &config, ret_why);
        return status < 0 ? status
                          : catalog_take(&shard->catalog, &config, entry->log_index, ret_why);
    }
    *ret_why = "control entry of a kind that this release does not know";
    return XD_FORMAT_UNKNOWN;
}

static int fold_records(struct shard *shard, const struct log_entry *entry, const char **ret_why)
{
    XD_ASSERT(entry->log_index > 0 && entry->batch->record_count > 0);
    int status = catalog_apply(&shard->catalog, entry->batch, ret_why);
    if (status == 0)
        status = session_apply(&shard->sessions, entry->batch, entry->log_index, ret_why);
    if (status == 0 && shard->stage >= STAGE_SERVING)
        readers_wake(shard, entry->batch->partition);
    return status;
}

int fold_entry(struct shard *shard, const struct log_entry *entry, char *why)
{
    const char *reason = "";
    XD_ASSERT(shard->stage != STAGE_RECOVERED);
    XD_ASSERT(shard->stage == STAGE_OPENED || entry->log_index <= log_durable_index(shard->log));
    int status = entry->batch->control_kind != 0 ? fold_control(shard, entry, &reason)
                                                 : fold_records(shard, entry, &reason);
    if (status < 0)
        snprintf(why, XD_DETAIL_BYTES_MAX,
                 "log index %llu, position %llu, batch %u: %s; run `crossdock log verify`",
                 (unsigned long long)entry->log_index, (unsigned long long)entry->position,
                 entry->ordinal, reason);
    return status;
}

uint64_t fold_bytes_max(const struct shard_options *options)
{
    return 4096 + XD_TOPICS_MAX * 80ull + options->facilities_max * 80ull +
           options->partitions_max * 48ull + options->sessions.channels_max * 192ull +
           options->sessions.chains_max * (32ull + 48ull * XD_INFLIGHT_BATCHES_MAX);
}

uint64_t fold_save(struct shard *shard, uint8_t *out, uint64_t out_bytes)
{
    uint64_t bytes = catalog_save(&shard->catalog, out, out_bytes);
    XD_ASSERT(bytes <= out_bytes && bytes % 8 == 0);
    bytes += session_save(&shard->sessions, out + bytes, out_bytes - bytes);
    XD_ASSERT(bytes <= out_bytes);
    return bytes;
}

int fold_load(struct shard *shard, const uint8_t *in, uint64_t in_bytes, char *why)
{
    int64_t catalog = catalog_load(&shard->catalog, in, in_bytes);
    int64_t sessions =
        catalog < 0 ? catalog
                    : session_load(&shard->sessions, in + catalog, in_bytes - (uint64_t)catalog);
    if (sessions == XD_CATALOG_FULL) {
        snprintf(why, XD_DETAIL_BYTES_MAX,
                 "the data folder holds more than the limits allow: raise catalog.facilities_max, "
                 "catalog.partitions_max, produce.channels_max or produce.chains_max");
        return XD_CATALOG_FULL;
    }
    if (sessions < 0 || (uint64_t)(catalog + sessions) != in_bytes) {
        snprintf(why, XD_DETAIL_BYTES_MAX, "the checkpoint's state does not decode");
        return XD_CHECKPOINT_CORRUPT;
    }
    return 0;
}

int fold_append_control(struct shard *shard, enum control_kind kind, const void *body,
                        uint32_t body_bytes, uint64_t *ret_index)
{
    uint8_t *memory;
    int status = log_reserve(shard->log, control_bytes(body_bytes), &memory);
    if (status < 0)
        return status;
    XD_ASSERT(((uintptr_t)memory & (XD_BATCH_ALIGN - 1)) == 0);
    control_encode(kind, body, body_bytes, shard->now_us, memory);
    *ret_index = log_append(shard->log);
    XD_ASSERT(*ret_index == log_last_index(shard->log));
    return 0;
}
