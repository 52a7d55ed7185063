/* SPDX-License-Identifier: Apache-2.0
 *
 * Channels: registration, epochs, and the verdict on an open. Chains are in chain.c, checkpoint
 * bytes in session_save.c.
 */
#include "broker/produce/session.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

uint64_t session_bytes_needed(const struct session_options *options)
{
    return (uint64_t)options->channels_max * sizeof(struct channel) +
           (uint64_t)options->chains_max * sizeof(struct chain) +
           (uint64_t)hashmap_slot_count(options->chains_max) * sizeof(struct hashmap_slot) + 3 * 64;
}

int session_init(struct sessions *sessions, struct arena *arena,
                 const struct session_options *options, uint64_t hash_seed)
{
    XD_ASSERT(options->channels_max >= 1 && options->channels_max <= 65536);
    XD_ASSERT(options->chains_max >= 1 && options->shard < XD_SHARDS_MAX);
    memset(sessions, 0, sizeof *sessions);
    uint32_t slots = hashmap_slot_count(options->chains_max);
    arena_budget(arena, "sessions");
    sessions->channels = arena_alloc(arena, options->channels_max * sizeof(struct channel), 64);
    sessions->chains = arena_alloc(arena, options->chains_max * sizeof(struct chain), 64);
    struct hashmap_slot *map = arena_alloc(arena, slots * sizeof(struct hashmap_slot), 64);
    if (sessions->channels == NULL || sessions->chains == NULL || map == NULL)
        return -ENOMEM;
    hashmap_init(&sessions->chain_map, map, slots, hash_seed);
    sessions->options = *options;
    return 0;
}

struct channel *session_channel(struct sessions *sessions, uint64_t number)
{
    uint64_t first = session_number(sessions, 0);
    XD_ASSERT(sessions->channel_count <= sessions->options.channels_max);
    if (number < first || number - first >= sessions->channel_count)
        return NULL;
    struct channel *channel = &sessions->channels[number - first];
    XD_ASSERT(channel->number == number);
    return channel;
}

uint32_t session_index(const struct sessions *sessions, const struct channel *channel)
{
    uint32_t index = channel->number - session_number(sessions, 0);
    XD_ASSERT(index < sessions->channel_count && channel == &sessions->channels[index]);
    return index;
}

struct channel *session_channel_find(struct sessions *sessions, struct xd_text source,
                                     struct xd_text name, uint32_t facility)
{
    for (uint32_t i = 0; i < sessions->channel_count; i++) {
        struct channel *channel = &sessions->channels[i];
        if (channel->facility == facility && channel->source_bytes == source.bytes &&
            channel->name_bytes == name.bytes &&
            memcmp(channel->source, source.data, source.bytes) == 0 &&
            memcmp(channel->name, name.data, name.bytes) == 0)
            return channel;
    }
    return NULL;
}

/* What the client remembers against what the broker knows. Numbers of the staged epoch. */
static int check_acked(const struct channel *channel, const struct xd_open *open, char *detail)
{
    if (open->acked_sequence > channel->staged_last) {
        snprintf(detail, XD_DETAIL_BYTES_MAX,
                 "acked_sequence %llu: the broker knows this channel only up to %llu; records that "
                 "it acknowledged are missing, do not resend before an operator has looked",
                 (unsigned long long)open->acked_sequence,
                 (unsigned long long)channel->staged_last);
        return XD_ACKED_MISSING;
    }
    return 0;
}

static int check_memory(const struct channel *channel, const struct xd_open *open, char *detail)
{
    if (open->flags & XD_OPEN_NO_MEMORY)
        return 0;
    int status = check_acked(channel, open, detail);
    if (status < 0)
        return status;
    if (channel->staged_last > open->assigned_sequence) {
        snprintf(detail, XD_DETAIL_BYTES_MAX,
                 "assigned_sequence %llu: the broker already holds up to %llu; the source was "
                 "restored from an older state, open channel epoch %u",
                 (unsigned long long)open->assigned_sequence,
                 (unsigned long long)channel->staged_last, channel->channel_epoch + 1u);
        return XD_SEQUENCE_REGRESSED;
    }
    return 0;
}

static void entry_of(const struct channel *channel, struct control_session *ret_entry)
{
    struct control_session entry = {.channel = channel->number,
                                    .facility = channel->facility,
                                    .producer_epoch = channel->producer_epoch + 1,
                                    .channel_epoch = channel->channel_epoch,
                                    .source_bytes = channel->source_bytes,
                                    .name_bytes = channel->name_bytes};
    memcpy(entry.source, channel->source, sizeof entry.source);
    memcpy(entry.name, channel->name, sizeof entry.name);
    *ret_entry = entry;
}

/* An open of a channel that is registered. */
static int plan_known(const struct channel *channel, const struct xd_open *open,
                      struct control_session *ret_entry, char *detail)
{
    if (open->producer_epoch != 0) { /* attach again */
        if (open->producer_epoch == channel->producer_epoch &&
            (open->channel_epoch == 0 || open->channel_epoch == channel->channel_epoch))
            return check_acked(channel, open, detail);
        snprintf(detail, XD_DETAIL_BYTES_MAX,
                 "producer_epoch %u: the channel was opened again since, epoch %u",
                 open->producer_epoch, channel->producer_epoch);
        return XD_FENCED;
    }
    uint16_t epoch = open->channel_epoch != 0 ? open->channel_epoch : channel->channel_epoch;
    if (epoch != channel->channel_epoch && epoch != channel->channel_epoch + 1u) {
        snprintf(detail, XD_DETAIL_BYTES_MAX,
                 "channel_epoch %u: the channel is in epoch %u; name that or the next", epoch,
                 channel->channel_epoch);
        return XD_FIELD_INVALID;
    }
    if (epoch == channel->channel_epoch) {
        int status = check_memory(channel, open, detail);
        if (status < 0)
            return status;
    }
    entry_of(channel, ret_entry);
    ret_entry->channel_epoch = epoch;
    return 1;
}

struct xd_text session_channel_name(const struct xd_open_request *request)
{
    static const struct xd_text global = {"global", 6};
    if (request->channel.bytes != 0)
        return request->channel;
    return request->facility.bytes != 0 ? request->facility : global;
}

int session_plan_open(struct sessions *sessions, const struct xd_open_request *request,
                      uint32_t facility, struct control_session *ret_entry, char *detail)
{
    struct xd_text name = session_channel_name(request);
    detail[0] = '\0';
    if (xd_name_check(request->source) < 0 || xd_name_check(name) < 0) {
        snprintf(detail, XD_DETAIL_BYTES_MAX,
                 "source, channel: 1 to 64 characters of [A-Za-z0-9._-]");
        return XD_NAME_INVALID;
    }
    const struct channel *channel = session_channel_find(sessions, request->source, name, facility);
    if (channel != NULL)
        return plan_known(channel, &request->fixed, ret_entry, detail);

    const struct xd_open *open = &request->fixed;
    struct channel fresh = {.channel_epoch = 1};
    if (open->producer_epoch != 0) {
        snprintf(detail, XD_DETAIL_BYTES_MAX,
                 "producer_epoch %u: the broker does not know this channel", open->producer_epoch);
        return XD_ACKED_MISSING;
    }
    if (open->channel_epoch > 1) {
        snprintf(detail, XD_DETAIL_BYTES_MAX, "channel_epoch %u: a new channel starts with 1",
                 open->channel_epoch);
        return XD_FIELD_INVALID;
    }
    int status = check_memory(&fresh, open, detail);
    if (status < 0)
        return status;
    if (sessions->channel_count == sessions->options.channels_max) {
        snprintf(detail, XD_DETAIL_BYTES_MAX,
                 "channel: all %u channels are in use; raise produce.channels_max",
                 sessions->options.channels_max);
        return XD_CATALOG_FULL;
    }
    fresh.number = session_number(sessions, sessions->channel_count);
    fresh.facility = facility;
    fresh.source_bytes = (uint8_t)request->source.bytes;
    fresh.name_bytes = (uint8_t)name.bytes;
    memcpy(fresh.source, request->source.data, request->source.bytes);
    memcpy(fresh.name, name.data, name.bytes);
    entry_of(&fresh, ret_entry);
    return 1;
}

int session_take(struct sessions *sessions, const struct control_session *entry,
                 const char **ret_why)
{
    struct channel *channel = session_channel(sessions, entry->channel);
    if (channel == NULL) {
        if (entry->channel != session_number(sessions, sessions->channel_count) ||
            entry->producer_epoch != 1 || entry->channel_epoch != 1) {
            *ret_why = "session entry of an unknown channel";
            return XD_LOG_CORRUPT;
        }
        if (sessions->channel_count == sessions->options.channels_max) {
            *ret_why = "the log holds more channels than produce.channels_max allows";
            return XD_LOG_CORRUPT;
        }
        channel = &sessions->channels[sessions->channel_count++];
        *channel = (struct channel){.number = entry->channel,
                                    .facility = entry->facility,
                                    .source_bytes = entry->source_bytes,
                                    .name_bytes = entry->name_bytes};
        memcpy(channel->source, entry->source, sizeof channel->source);
        memcpy(channel->name, entry->name, sizeof channel->name);
    } else if (channel->facility != entry->facility ||
               memcmp(channel->source, entry->source, sizeof channel->source) != 0 ||
               memcmp(channel->name, entry->name, sizeof channel->name) != 0 ||
               entry->producer_epoch != channel->producer_epoch + 1 ||
               (entry->channel_epoch != channel->channel_epoch &&
                entry->channel_epoch != channel->channel_epoch + 1)) {
        *ret_why = "session entry contradicts its channel";
        return XD_LOG_CORRUPT;
    }
    if (entry->channel_epoch != channel->channel_epoch)
        channel->staged_last = 0;
    channel->producer_epoch = entry->producer_epoch;
    channel->channel_epoch = entry->channel_epoch;
    channel->low = 0;
    XD_ASSERT(channel->applied_producer_epoch < channel->producer_epoch);
    XD_ASSERT(channel->applied_channel_epoch <= channel->channel_epoch);
    return 0;
}

void session_take_durable(struct sessions *sessions, const struct control_session *entry)
{
    struct channel *channel = session_channel(sessions, entry->channel);
    XD_ASSERT(channel != NULL);
    XD_ASSERT(entry->producer_epoch == channel->applied_producer_epoch + 1);
    if (entry->channel_epoch != channel->applied_channel_epoch) {
        channel->last_sequence = 0;
        channel->first_sequence = 0;
        channel->record_count = 0;
    }
    channel->applied_producer_epoch = entry->producer_epoch;
    channel->applied_channel_epoch = entry->channel_epoch;
    XD_ASSERT(channel->applied_producer_epoch <= channel->producer_epoch);
    XD_ASSERT(channel->applied_channel_epoch <= channel->channel_epoch);
}
