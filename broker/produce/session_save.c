/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoint bytes of sessions: the applied view alone.
 *
 * Channels in rising number, then chains in the sequence of their first batch: both are decided by
 * the log, so a rebuild gives identical bytes. A chain keeps its newest XD_INFLIGHT_BATCHES_MAX
 * applied proofs, zeros where it has fewer.
 */
#include "broker/produce/session.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <string.h>

#define SAVE_MAGIC 0x31534458u /* session section, version 1 */

struct save_head {
    uint32_t magic;         /* 0 SAVE_MAGIC */
    uint32_t channel_count; /* 4 */
    uint32_t chain_count;   /* 8 */
    uint32_t proofs;        /* 12 XD_INFLIGHT_BATCHES_MAX */
};
struct save_channel {
    struct control_session entry; /*   0 */
    uint64_t last_sequence;       /* 144 */
    uint64_t first_sequence;      /* 152 */
    uint64_t record_count;        /* 160 */
    int64_t append_time_us;       /* 168 */
};
struct save_chain {
    uint32_t channel;                                   /*  0 */
    uint32_t partition;                                 /*  4 */
    uint32_t proof_count;                               /*  8 valid ones below */
    uint16_t epoch;                                     /* 12 */
    uint16_t reserved;                                  /* 14 zero */
    uint64_t last_sequence;                             /* 16 */
    uint64_t last_offset;                               /* 24 */
    struct chain_proof proofs[XD_INFLIGHT_BATCHES_MAX]; /* 32 oldest first */
};
static_assert(sizeof(struct save_head) == 16, "session section head");
static_assert(sizeof(struct save_channel) == 176, "session section channel");
static_assert(sizeof(struct chain_proof) == 48, "proofs are saved as they are");
static_assert(sizeof(struct save_chain) == 32 + 48 * XD_INFLIGHT_BATCHES_MAX, "chain");

static int channel_applied(const struct channel *channel)
{
    return channel->applied_channel_epoch != 0;
}

uint64_t session_save_bytes(const struct sessions *sessions)
{
    return sizeof(struct save_head) +
           (uint64_t)sessions->channel_count * sizeof(struct save_channel) +
           (uint64_t)sessions->chain_count * sizeof(struct save_chain);
}

static void save_channel(const struct channel *channel, struct save_channel *ret)
{
    XD_ASSERT(channel->applied_producer_epoch > 0);
    XD_ASSERT(channel->applied_producer_epoch <= channel->producer_epoch);
    struct save_channel saved = {.entry = {.channel = channel->number,
                                           .facility = channel->facility,
                                           .producer_epoch = channel->applied_producer_epoch,
                                           .channel_epoch = channel->applied_channel_epoch,
                                           .source_bytes = channel->source_bytes,
                                           .name_bytes = channel->name_bytes},
                                 .last_sequence = channel->last_sequence,
                                 .first_sequence = channel->first_sequence,
                                 .record_count = channel->record_count,
                                 .append_time_us = channel->append_time_us};
    memcpy(saved.entry.source, channel->source, sizeof saved.entry.source);
    memcpy(saved.entry.name, channel->name, sizeof saved.entry.name);
    *ret = saved;
}

/* Writes where it is to stay: with 100,000 chains this is most of a checkpoint's turn. */
static void save_chain(const struct chain *chain, struct save_chain *ret)
{
    uint32_t count = chain->applied_count < XD_INFLIGHT_BATCHES_MAX ? (uint32_t)chain->applied_count
                                                                    : XD_INFLIGHT_BATCHES_MAX;
    XD_ASSERT(count > 0 && chain->applied_count <= chain->staged_count);
    XD_ASSERT(chain->staged_count - (chain->applied_count - count) <= SESSION_PROOFS);
    ret->channel = chain->channel;
    ret->partition = chain->partition;
    ret->proof_count = count;
    ret->epoch = chain->applied_epoch;
    ret->reserved = 0;
    ret->last_sequence = chain->applied_last;
    ret->last_offset = chain->applied_offset;
    uint32_t first = (uint32_t)((chain->applied_count - count) % SESSION_PROOFS);
    uint32_t ahead = count < SESSION_PROOFS - first ? count : SESSION_PROOFS - first;
    memcpy(ret->proofs, chain->proofs + first, ahead * sizeof(struct chain_proof));
    memcpy(ret->proofs + ahead, chain->proofs, (count - ahead) * sizeof(struct chain_proof));
    memset(ret->proofs + count, 0, (XD_INFLIGHT_BATCHES_MAX - count) * sizeof(struct chain_proof));
}

uint64_t session_save(const struct sessions *sessions, uint8_t *out, uint64_t out_bytes)
{
    XD_ASSERT(session_save_bytes(sessions) <= out_bytes && ((uintptr_t)out & 7u) == 0);
    struct save_head head = {.magic = SAVE_MAGIC, .proofs = XD_INFLIGHT_BATCHES_MAX};
    uint8_t *at = out + sizeof head;
    for (uint32_t i = 0; i < sessions->channel_count; i++) {
        if (!channel_applied(&sessions->channels[i]))
            break; /* the ones behind it were registered later still */
        struct save_channel saved;
        save_channel(&sessions->channels[i], &saved);
        memcpy(at, &saved, sizeof saved);
        at += sizeof saved;
        head.channel_count++;
    }
    for (uint32_t i = 0; i < sessions->chain_count; i++) {
        if (sessions->chains[i].applied_count == 0)
            continue; /* its first batch is still staged */
        save_chain(&sessions->chains[i], (struct save_chain *)(void *)at);
        at += sizeof(struct save_chain);
        head.chain_count++;
    }
    memcpy(out, &head, sizeof head);
    XD_ASSERT((uint64_t)(at - out) <= session_save_bytes(sessions));
    XD_ASSERT((at - out) % 8 == 0);
    return (uint64_t)(at - out);
}

static int load_channel(struct sessions *sessions, const struct save_channel *saved)
{
    const struct control_session *entry = &saved->entry;
    if (entry->channel != session_number(sessions, sessions->channel_count) ||
        entry->producer_epoch == 0 || entry->channel_epoch == 0 ||
        entry->source_bytes > XD_NAME_BYTES_MAX || entry->name_bytes > XD_NAME_BYTES_MAX)
        return XD_CHECKPOINT_CORRUPT;
    struct channel *channel = &sessions->channels[sessions->channel_count++];
    *channel = (struct channel){.number = entry->channel,
                                .facility = entry->facility,
                                .producer_epoch = entry->producer_epoch,
                                .applied_producer_epoch = entry->producer_epoch,
                                .channel_epoch = entry->channel_epoch,
                                .applied_channel_epoch = entry->channel_epoch,
                                .source_bytes = entry->source_bytes,
                                .name_bytes = entry->name_bytes,
                                .staged_last = saved->last_sequence,
                                .last_sequence = saved->last_sequence,
                                .first_sequence = saved->first_sequence,
                                .record_count = saved->record_count,
                                .append_time_us = saved->append_time_us};
    memcpy(channel->source, entry->source, sizeof channel->source);
    memcpy(channel->name, entry->name, sizeof channel->name);
    return 0;
}

static int load_chain(struct sessions *sessions, const struct save_chain *saved)
{
    struct channel *channel = session_channel(sessions, saved->channel);
    uint64_t key = (uint64_t)saved->channel << 32 | saved->partition;
    uint32_t index = sessions->chain_count;
    if (channel == NULL || saved->proof_count > XD_INFLIGHT_BATCHES_MAX ||
        saved->proof_count == 0 || saved->epoch > channel->channel_epoch ||
        (saved->epoch == channel->channel_epoch && saved->last_sequence > channel->last_sequence) ||
        hashmap_insert(&sessions->chain_map, key, index) < 0)
        return XD_CHECKPOINT_CORRUPT;
    struct chain *chain = &sessions->chains[sessions->chain_count++];
    memset(chain, 0, sizeof *chain);
    chain->channel = saved->channel;
    chain->partition = saved->partition;
    chain->next_chain = channel->first_chain;
    channel->first_chain = index + 1;
    channel->chain_count++;
    chain->staged_count = chain->applied_count = saved->proof_count;
    chain->staged_epoch = chain->applied_epoch = saved->epoch;
    chain->staged_last = chain->applied_last = saved->last_sequence;
    chain->applied_offset = saved->last_offset;
    memcpy(chain->proofs, saved->proofs, saved->proof_count * sizeof(struct chain_proof));
    return 0;
}

int64_t session_load(struct sessions *sessions, const uint8_t *in, uint64_t in_bytes)
{
    XD_ASSERT(sessions->channel_count == 0 && sessions->chain_count == 0);
    struct save_head head;
    if (in_bytes < sizeof head)
        return XD_CHECKPOINT_CORRUPT;
    memcpy(&head, in, sizeof head);
    if (head.magic != SAVE_MAGIC || head.proofs != XD_INFLIGHT_BATCHES_MAX)
        return XD_CHECKPOINT_CORRUPT;
    if (head.channel_count > sessions->options.channels_max ||
        head.chain_count > sessions->options.chains_max)
        return XD_CATALOG_FULL;
    uint64_t channels_bytes = (uint64_t)head.channel_count * sizeof(struct save_channel);
    uint64_t bytes =
        sizeof head + channels_bytes + (uint64_t)head.chain_count * sizeof(struct save_chain);
    if (bytes > in_bytes)
        return XD_CHECKPOINT_CORRUPT;

    const uint8_t *at = in + sizeof head;
    int status = 0;
    for (uint32_t i = 0; i < head.channel_count && status == 0; i++) {
        struct save_channel saved;
        memcpy(&saved, at + (uint64_t)i * sizeof saved, sizeof saved);
        status = load_channel(sessions, &saved);
    }
    at += channels_bytes;
    for (uint32_t i = 0; i < head.chain_count && status == 0; i++) {
        struct save_chain saved;
        memcpy(&saved, at + (uint64_t)i * sizeof saved, sizeof saved);
        status = load_chain(sessions, &saved);
    }
    return status < 0 ? status : (int64_t)bytes;
}
