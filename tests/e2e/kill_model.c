/* SPDX-License-Identifier: Apache-2.0
 *
 * The model of the kill test; see kill_model.h.
 */
#include "tests/e2e/kill_model.h"

#include "wire/xassert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const fault_names[] = {
    "lost",
    "doubled",
    "never sent",
    "altered",
    "offset gap",
    "channel out of sequence",
    "SKU out of sequence",
    "SKU in two partitions",
    "refused",
    "two outcomes",
    "no outcome",
    "acknowledged below fsync",
};
_Static_assert(sizeof fault_names / sizeof fault_names[0] == MODEL_FAULT_COUNT, "a name for each");

uint64_t model_random(uint64_t *state)
{
    /* splitmix64 */
    uint64_t value = (*state += 0x9e3779b97f4a7c15u);
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

const char *model_fault_name(enum model_fault fault)
{
    XD_ASSERT(fault < MODEL_FAULT_COUNT);
    return fault_names[fault];
}

int model_init(struct model *model, uint64_t seed, uint64_t records_max)
{
    memset(model, 0, sizeof *model);
    model->seed = seed;
    model->records_max = records_max;
    model->next_offset = calloc(MODEL_PARTITIONS_MAX, sizeof *model->next_offset);
    model->last_sequence = calloc(MODEL_PARTITIONS_MAX, sizeof *model->last_sequence);
    bool whole = model->next_offset != NULL && model->last_sequence != NULL;
    for (unsigned i = 0; i < MODEL_CHANNELS; i++) {
        struct model_channel *channel = &model->channels[i];
        channel->acked = calloc(records_max / 8 + 1, 1);
        channel->read = calloc(records_max / 8 + 1, 1);
        whole = whole && channel->acked != NULL && channel->read != NULL;
    }
    if (whole)
        return 0;
    model_deinit(model);
    return -ENOMEM;
}

void model_deinit(struct model *model)
{
    for (unsigned i = 0; i < MODEL_CHANNELS; i++) {
        free(model->channels[i].acked);
        free(model->channels[i].read);
    }
    free(model->next_offset);
    free(model->last_sequence);
    memset(model, 0, sizeof *model);
}

void model_content(uint64_t seed, uint32_t channel, uint64_t sequence,
                   struct model_content *ret_content)
{
    struct model_content *content = ret_content;
    uint64_t state = seed ^ ((uint64_t)(channel + 1) << 48) ^ sequence;
    uint64_t first = model_random(&state);
    content->sku_index = (uint32_t)(first % MODEL_SKUS);
    content->payload_bytes =
        MODEL_PAYLOAD_MIN + (uint32_t)((first >> 32) % (MODEL_PAYLOAD_MAX - MODEL_PAYLOAD_MIN + 1));
    snprintf(content->sku, sizeof content->sku, "SKU-%04u", content->sku_index);
    snprintf(content->location, sizeof content->location, "A%02u-%03u",
             (unsigned)(first >> 16 & 15), (unsigned)(first >> 20 & 255));
    snprintf(content->document, sizeof content->document, "W%" PRIu64, sequence / 4);
    for (uint32_t at = 0; at < content->payload_bytes; at += 8) {
        uint64_t word = model_random(&state);
        memcpy(content->payload + at, &word, 8);
    }
}

/* Counts a violation; the first of its kind is told. */
static void violate(struct model *model, enum model_fault fault, uint32_t channel,
                    uint64_t sequence, uint64_t detail)
{
    if (model->faults[fault]++ == 0)
        fprintf(stderr, "crossdock-killtest: %s: channel %u sequence %" PRIu64 " (%" PRIu64 ")\n",
                fault_names[fault], channel, sequence, detail);
}

/* Sets a bit; true when it was set before. */
static bool set_bit(uint8_t *bits, uint64_t index)
{
    uint8_t mask = (uint8_t)(1u << (index & 7));
    bool before = (bits[index >> 3] & mask) != 0;
    bits[index >> 3] |= mask;
    return before;
}

static bool bit(const uint8_t *bits, uint64_t index)
{
    return (bits[index >> 3] >> (index & 7) & 1) != 0;
}

void model_ack(struct model *model, uint32_t channel, const xdock_ack_t *ack)
{
    XD_ASSERT(channel < MODEL_CHANNELS);
    if (ack->sequence == 0 || ack->sequence > model->channels[channel].sent ||
        ack->user != ack->sequence) {
        violate(model, MODEL_NEVER_SENT, channel, ack->sequence, ack->user);
        return;
    }
    if (set_bit(model->channels[channel].acked, ack->sequence))
        violate(model, MODEL_ACKED_TWICE, channel, ack->sequence, ack->offset);
    if (ack->status < 0) {
        violate(model, MODEL_REFUSED, channel, ack->sequence, (uint64_t)-ack->status);
        return;
    }
    if (ack->durability != XDOCK_FSYNC)
        violate(model, MODEL_WEAK, channel, ack->sequence, ack->durability);
    if (ack->status == XDOCK_DUPLICATE)
        model->duplicates++;
    else
        model->appended++;
}

static bool same_text(xdock_bytes_t bytes, const char *text)
{
    return bytes.bytes == strlen(text) && memcmp(bytes.data, text, bytes.bytes) == 0;
}

static bool same_content(const xdock_view_t *view, const struct model_content *content)
{
    char scratch[20];
    return view->type == XDOCK_STOCK_MOVED &&
           same_text(xdock_view_sku(view, scratch), content->sku) &&
           same_text(xdock_view_location(view, scratch), content->location) &&
           same_text(xdock_view_document(view, scratch), content->document) &&
           view->payload.bytes == content->payload_bytes &&
           memcmp(view->payload.data, content->payload, content->payload_bytes) == 0;
}

/* Offset and sequence within the partition. */
static void check_place(struct model *model, uint32_t channel, const xdock_view_t *view)
{
    uint64_t *next = &model->next_offset[view->partition];
    uint64_t *last = &model->last_sequence[view->partition];
    if (view->offset != *next)
        violate(model, MODEL_OFFSET_GAP, channel, view->sequence, view->offset);
    *next = view->offset + 1;
    if (view->sequence <= *last)
        violate(model, MODEL_CHANNEL_SEQUENCE, channel, view->sequence, *last);
    *last = view->sequence;
}

void model_read(struct model *model, uint32_t channel, const xdock_view_t *view)
{
    struct model_content content;
    model->read_count++;
    model->payload_bytes += view->payload.bytes;
    if (channel >= MODEL_CHANNELS || view->partition >= MODEL_PARTITIONS_MAX ||
        view->sequence == 0 || view->sequence > model->channels[channel].sent) {
        violate(model, MODEL_NEVER_SENT, channel, view->sequence, view->offset);
        return;
    }
    struct model_channel *state = &model->channels[channel];
    check_place(model, channel, view);
    if (set_bit(state->read, view->sequence))
        violate(model, MODEL_DOUBLED, channel, view->sequence, view->offset);
    model_content(model->seed, channel, view->sequence, &content);
    if (!same_content(view, &content))
        violate(model, MODEL_ALTERED, channel, view->sequence, view->offset);
    uint64_t *last = &state->sku_last[content.sku_index];
    if (view->sequence <= *last)
        violate(model, MODEL_SKU_SEQUENCE, channel, view->sequence, *last);
    if (*last != 0 && state->sku_partition[content.sku_index] != view->partition)
        violate(model, MODEL_MISPLACED, channel, view->sequence, view->partition);
    *last = view->sequence;
    state->sku_partition[content.sku_index] = view->partition;
}

void model_finish(struct model *model)
{
    for (uint32_t i = 0; i < MODEL_CHANNELS; i++) {
        const struct model_channel *channel = &model->channels[i];
        XD_ASSERT(channel->sent <= model->records_max);
        for (uint64_t sequence = 1; sequence <= channel->sent; sequence++) {
            if (!bit(channel->acked, sequence))
                violate(model, MODEL_NOT_ACKED, i, sequence, 0);
            if (!bit(channel->read, sequence))
                violate(model, MODEL_LOST, i, sequence, bit(channel->acked, sequence));
        }
    }
}

uint64_t model_faults(const struct model *model)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < MODEL_FAULT_COUNT; i++)
        sum += model->faults[i];
    return sum;
}
