/* SPDX-License-Identifier: Apache-2.0
 *
 * The sequence chain: the verdict on each batch and the two views of what was appended.
 *
 * Cost per batch: one hash probe, and a compare with the chain's last sequence. Proofs are searched
 * only when a batch looks like a resend.
 */
#include "broker/produce/session.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <stdbool.h>
#include <string.h>

static uint64_t chain_key(uint64_t channel, uint32_t partition)
{
    return channel << 32 | partition;
}

static struct chain *chain_find(const struct sessions *sessions, uint64_t channel,
                                uint32_t partition)
{
    uint32_t index;
    if (hashmap_find(&sessions->chain_map, chain_key(channel, partition), &index) < 0)
        return NULL;
    XD_ASSERT(index < sessions->chain_count);
    return &sessions->chains[index];
}

/* A new chain, linked to its channel; NULL when the table is full. */
static struct chain *chain_add(struct sessions *sessions, struct channel *channel,
                               uint32_t partition)
{
    if (sessions->chain_count == sessions->options.chains_max)
        return NULL;
    uint32_t index = sessions->chain_count++;
    int status = hashmap_insert(&sessions->chain_map, chain_key(channel->number, partition), index);
    XD_ASSERT(status == 0);
    struct chain *chain = &sessions->chains[index];
    memset(chain, 0, sizeof *chain);
    chain->channel = channel->number;
    chain->partition = partition;
    chain->next_chain = channel->first_chain;
    channel->first_chain = index + 1;
    channel->chain_count++;
    return chain;
}

static struct chain_proof *proof_at(struct chain *chain, uint64_t number)
{
    XD_ASSERT(number < chain->staged_count);
    XD_ASSERT(chain->staged_count - number <= SESSION_PROOFS);
    return &chain->proofs[number % SESSION_PROOFS];
}

static void proof_push(struct chain *chain, const struct xd_batch_header *batch, uint64_t log_index)
{
    XD_ASSERT(chain->partition == batch->partition && chain->channel == batch->producer_id);
    XD_ASSERT(batch->record_count > 0);
    chain->proofs[chain->staged_count++ % SESSION_PROOFS] =
        (struct chain_proof){.first_sequence = batch->first_sequence,
                             .last_sequence = batch->last_sequence,
                             .hash = batch->batch_xxh3,
                             .base_offset = batch->base_offset,
                             .log_index = log_index,
                             .record_count = batch->record_count,
                             .channel_epoch = batch->channel_epoch};
    chain->staged_epoch = batch->channel_epoch;
    chain->staged_last = batch->last_sequence;
}

static const struct chain_proof *proof_find(struct chain *chain,
                                            const struct xd_batch_header *batch)
{
    uint64_t kept = chain->staged_count < SESSION_PROOFS ? chain->staged_count : SESSION_PROOFS;
    for (uint64_t i = 0; i < kept; i++) {
        const struct chain_proof *proof = proof_at(chain, chain->staged_count - 1 - i);
        if (proof->first_sequence == batch->first_sequence &&
            proof->last_sequence == batch->last_sequence && proof->hash == batch->batch_xxh3 &&
            proof->record_count == batch->record_count &&
            proof->channel_epoch == batch->channel_epoch)
            return proof;
    }
    return NULL;
}

static struct session_verdict verdict(int status, uint64_t resume_sequence)
{
    return (struct session_verdict){.status = status, .resume_sequence = resume_sequence};
}

struct session_verdict session_check(struct sessions *sessions, const struct xd_batch_header *batch)
{
    struct channel *channel = session_channel(sessions, batch->producer_id);
    if (channel == NULL || batch->producer_epoch > channel->producer_epoch)
        return verdict(XD_PRODUCER_UNKNOWN, 0);
    if (batch->producer_epoch < channel->producer_epoch ||
        batch->channel_epoch < channel->channel_epoch)
        return verdict(XD_FENCED, 0);
    if (batch->channel_epoch > channel->channel_epoch)
        return verdict(XD_FIELD_INVALID, 0);

    struct chain *chain = chain_find(sessions, batch->producer_id, batch->partition);
    uint64_t last =
        chain != NULL && chain->staged_epoch == batch->channel_epoch ? chain->staged_last : 0;
    XD_ASSERT(last <= channel->staged_last);
    XD_ASSERT(chain == NULL || chain->applied_count <= chain->staged_count);
    if (batch->previous_sequence == last) {
        if (chain == NULL && sessions->chain_count == sessions->options.chains_max)
            return verdict(XD_THROTTLED, last);
        if (chain != NULL && chain->staged_count - chain->applied_count >= XD_INFLIGHT_BATCHES_MAX)
            return verdict(XD_INFLIGHT_EXCEEDED, last);
        return verdict(0, last);
    }
    if (batch->last_sequence <= last) {
        const struct chain_proof *proof = proof_find(chain, batch);
        if (proof == NULL)
            return verdict(XD_SEQUENCE_REUSED, last);
        return (struct session_verdict){.status = XD_DUPLICATE,
                                        .base_offset = proof->base_offset,
                                        .log_index = proof->log_index,
                                        .resume_sequence = last};
    }
    return verdict(batch->first_sequence <= last ? XD_OVERLAP : XD_OUT_OF_SEQUENCE, last);
}

void session_append(struct sessions *sessions, const struct xd_batch_header *batch,
                    uint64_t log_index)
{
    struct channel *channel = session_channel(sessions, batch->producer_id);
    XD_ASSERT(channel != NULL);
    XD_ASSERT(batch->producer_epoch == channel->producer_epoch);
    struct chain *chain = chain_find(sessions, batch->producer_id, batch->partition);
    if (chain == NULL)
        chain = chain_add(sessions, channel, batch->partition);
    XD_ASSERT(chain != NULL);
    XD_ASSERT(chain->staged_epoch != batch->channel_epoch ||
              chain->staged_last < batch->first_sequence);
    proof_push(chain, batch, log_index);
    XD_ASSERT(chain->staged_count - chain->applied_count <= XD_INFLIGHT_BATCHES_MAX);
    if (batch->last_sequence > channel->staged_last)
        channel->staged_last = batch->last_sequence;
}

/* Live: the oldest staged proof must be this batch. Recovery: nothing is staged, so it is pushed.
 */
static int chain_confirm(struct chain *chain, const struct xd_batch_header *batch,
                         uint64_t log_index, const char **ret_why)
{
    if (chain->applied_count == chain->staged_count) {
        uint64_t last = chain->applied_epoch == batch->channel_epoch ? chain->applied_last : 0;
        if (batch->previous_sequence != last) {
            *ret_why = "batch does not continue the sequence chain of its channel";
            return XD_LOG_CORRUPT;
        }
        proof_push(chain, batch, log_index);
    }
    const struct chain_proof *proof = proof_at(chain, chain->applied_count);
    XD_ASSERT(proof->log_index == log_index);
    XD_ASSERT(proof->first_sequence == batch->first_sequence);
    XD_ASSERT(proof->base_offset == batch->base_offset);
    chain->applied_count++;
    chain->applied_epoch = batch->channel_epoch;
    chain->applied_last = batch->last_sequence;
    XD_ASSERT(chain->applied_epoch != chain->staged_epoch ||
              chain->applied_last <= chain->staged_last);
    chain->applied_offset = batch->base_offset + batch->record_count - 1;
    return 0;
}

int session_apply(struct sessions *sessions, const struct xd_batch_header *batch,
                  uint64_t log_index, const char **ret_why)
{
    struct channel *channel = session_channel(sessions, batch->producer_id);
    if (channel == NULL || batch->producer_epoch != channel->applied_producer_epoch ||
        batch->channel_epoch != channel->applied_channel_epoch) {
        *ret_why = "batch of a channel or epoch that the log has not opened";
        return XD_LOG_CORRUPT;
    }
    struct chain *chain = chain_find(sessions, batch->producer_id, batch->partition);
    if (chain == NULL)
        chain = chain_add(sessions, channel, batch->partition);
    if (chain == NULL) {
        *ret_why = "the log holds more chains than produce.chains_max allows";
        return XD_LOG_CORRUPT;
    }
    int status = chain_confirm(chain, batch, log_index, ret_why);
    if (status < 0)
        return status;
    if (batch->last_sequence > channel->last_sequence)
        channel->last_sequence = batch->last_sequence;
    if (channel->first_sequence == 0 || batch->first_sequence < channel->first_sequence)
        channel->first_sequence = batch->first_sequence;
    if (channel->staged_last < channel->last_sequence &&
        channel->channel_epoch == channel->applied_channel_epoch)
        channel->staged_last = channel->last_sequence;
    channel->record_count += batch->record_count;
    channel->append_time_us = batch->append_time_us;
    XD_ASSERT(channel->first_sequence <= channel->last_sequence);
    XD_ASSERT(channel->channel_epoch != channel->applied_channel_epoch ||
              channel->last_sequence <= channel->staged_last);
    return 0;
}

/* ---- what an open is told -------------------------------------------------------------------- */

/* Whether an open is told of it: something of the channel's applied epoch is durable in it. */
static bool chain_told(const struct chain *chain, const struct channel *channel)
{
    XD_ASSERT(chain->channel == channel->number);
    return chain->applied_count > 0 && chain->applied_epoch == channel->applied_channel_epoch;
}

/* Lets the element at `at` sink until none below it in the heap of `count` is larger. */
static void sift(struct xd_open_chain *heap, uint32_t count, uint32_t at)
{
    const struct xd_open_chain sinking = heap[at];
    for (uint32_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1].partition > heap[child].partition)
            child++;
        if (heap[child].partition <= sinking.partition)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = sinking;
}

/* A heap sort: a channel may have XD_CHAINS_MAX chains, and nothing may be allocated. */
static void sort_by_partition(struct xd_open_chain *chains, uint32_t count)
{
    XD_ASSERT(count <= XD_CHAINS_MAX);
    for (uint32_t at = count / 2; at-- > 0;)
        sift(chains, count, at);
    for (uint32_t left = count; left > 1;) {
        const struct xd_open_chain largest = chains[0];
        chains[0] = chains[--left];
        chains[left] = largest;
        XD_ASSERT(left + 1 == count || largest.partition < chains[left + 1].partition);
        sift(chains, left, 0);
    }
}

uint32_t session_chains(const struct sessions *sessions, const struct channel *channel,
                        struct xd_open_chain *ret_chains, uint32_t max)
{
    uint32_t count = 0;
    for (uint32_t link = channel->first_chain; link != 0;) {
        XD_ASSERT(link <= sessions->chain_count);
        const struct chain *chain = &sessions->chains[link - 1];
        link = chain->next_chain;
        if (!chain_told(chain, channel))
            continue;
        XD_ASSERT(count < max && count < channel->chain_count);
        XD_ASSERT(chain->applied_last <= channel->last_sequence);
        ret_chains[count++] = (struct xd_open_chain){.partition = chain->partition,
                                                     .last_sequence = chain->applied_last,
                                                     .last_offset = chain->applied_offset};
    }
    sort_by_partition(ret_chains, count);
    return count;
}
