/* SPDX-License-Identifier: Apache-2.0
 *
 * The model of the kill test; see kill_model.h.
 */
#include "tests/e2e/kill_model.h"

#include "wire/checksum.h"
#include "wire/xassert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KILLS_MANY 10u /* from here on something must have been sent again */

static const char *const fault_names[] = {
    "refused", "two outcomes", "no outcome", "acknowledged below fsync", "strange", "too tame",
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

int model_init(struct model *model, uint64_t seed)
{
    memset(model, 0, sizeof *model);
    history_init(&model->history);
    model->seed = seed;
    model->partition = HISTORY_PARTITION_NONE;
    model->next_offsets = calloc(MODEL_PARTITIONS_MAX, sizeof *model->next_offsets);
    return model->next_offsets == NULL ? -ENOMEM : 0;
}

void model_deinit(struct model *model)
{
    history_deinit(&model->history);
    free(model->next_offsets);
    memset(model, 0, sizeof *model);
}

/* Counts a violation; the first of its kind is told. */
static void violate(struct model *model, enum model_fault fault, uint32_t channel,
                    uint64_t sequence, uint64_t detail)
{
    if (model->faults[fault]++ == 0)
        fprintf(stderr, "crossdock-killtest: %s: channel %u sequence %" PRIu64 " (%" PRIu64 ")\n",
                fault_names[fault], channel, sequence, detail);
}

/* ---- records --------------------------------------------------------------------------------- */

static void make_content(uint64_t seed, uint32_t channel, uint64_t sequence,
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

static uint64_t hash_bytes(xdock_bytes_t bytes, uint64_t seed)
{
    return xd_xxh3_seeded(bytes.data, bytes.bytes, seed);
}

static xdock_bytes_t text(const char *text)
{
    return xdock_bytes(text, strlen(text));
}

/* What must come back, as one number; each part is the seed of the next. */
static uint32_t hash_content(uint16_t type, xdock_bytes_t sku, xdock_bytes_t location,
                             xdock_bytes_t document, xdock_bytes_t payload)
{
    uint64_t hash = hash_bytes(sku, type);
    hash = hash_bytes(location, hash);
    hash = hash_bytes(document, hash);
    return (uint32_t)hash_bytes(payload, hash);
}

static uint64_t record_id(uint32_t channel, uint64_t sequence)
{
    return (uint64_t)(channel + 1) << 48 ^ sequence;
}

int64_t model_send(struct model *model, uint32_t channel, uint64_t now_ns,
                   struct model_content *ret_content)
{
    XD_ASSERT(channel < MODEL_CHANNELS);
    uint64_t sequence = ++model->sent[channel];
    make_content(model->seed, channel, sequence, ret_content);
    xdock_bytes_t sku = text(ret_content->sku);
    const struct history_record record = {
        .id = record_id(channel, sequence),
        .sequence = sequence,
        .key = (uint32_t)hash_bytes(sku, 0),
        .content = hash_content(XDOCK_STOCK_MOVED, sku, text(ret_content->location),
                                text(ret_content->document),
                                xdock_bytes(ret_content->payload, ret_content->payload_bytes))};
    const struct history_start start = {.time_ns = now_ns,
                                        .previous = HISTORY_NONE,
                                        .channel = channel,
                                        .partition = HISTORY_PARTITION_NONE,
                                        .channel_epoch = 1};
    return history_start(&model->history, &start, &record, 1);
}

void model_ack(struct model *model, uint32_t channel, const xdock_ack_t *ack, uint64_t now_ns)
{
    XD_ASSERT(channel < MODEL_CHANNELS);
    if (ack->user >= model->history.op_count) {
        violate(model, MODEL_STRANGE, channel, ack->sequence, ack->user);
        return;
    }
    const struct history_op *op = &model->history.ops[ack->user];
    if (op->channel != channel ||
        model->history.records[op->first_record].sequence != ack->sequence) {
        violate(model, MODEL_STRANGE, channel, ack->sequence, ack->user);
        return;
    }
    if (op->outcome != HISTORY_PENDING)
        violate(model, MODEL_ACKED_TWICE, channel, ack->sequence, ack->offset);
    struct history_end end = {.time_ns = now_ns,
                              .base_offset = ack->offset,
                              .log_index = ack->log_index,
                              .partition = ack->partition,
                              .outcome = ack->status < 0 ? HISTORY_FAIL : HISTORY_OK,
                              .duplicate = ack->status == XDOCK_DUPLICATE};
    if (ack->status >= 0 && ack->durability != XDOCK_FSYNC) {
        violate(model, MODEL_WEAK, channel, ack->sequence, ack->durability);
        end.level = HISTORY_MEMORY;
    }
    (void)history_end(&model->history, ack->user, &end); /* model_judge tells of a failure. */
    if (ack->status < 0)
        violate(model, MODEL_REFUSED, channel, ack->sequence, (uint64_t)-ack->status);
    model->duplicates += ack->status == XDOCK_DUPLICATE;
    model->appended += ack->status >= 0 && ack->status != XDOCK_DUPLICATE;
}

/* Records of one partition that come behind each other are one reply to the judge: it was asked for
 * what is next there. */
static void begin_reply(struct model *model, uint32_t partition, uint64_t end_offset,
                        uint64_t now_ns)
{
    if (model->reading_ns == 0)
        model->reading_ns = now_ns;
    model->partition = partition;
    model->end_offset = end_offset;
    const struct history_reply reply = {.start_ns = model->reading_ns,
                                        .end_ns = now_ns,
                                        .requested = model->next_offsets[partition],
                                        .first_offset = HISTORY_NONE,
                                        .end_offset = end_offset,
                                        .partition = partition};
    (void)history_read(&model->history, &reply); /* model_judge tells of a failure. */
}

void model_read(struct model *model, uint32_t channel, const xdock_view_t *view,
                uint64_t end_offset, uint64_t now_ns)
{
    char scratch[3][20];
    xdock_bytes_t sku = xdock_view_sku(view, scratch[0]);
    model->read_count++;
    model->payload_bytes += view->payload.bytes;
    if (view->partition >= MODEL_PARTITIONS_MAX || channel >= MODEL_CHANNELS) {
        violate(model, MODEL_STRANGE, channel, view->sequence, view->offset);
        return;
    }
    if (view->partition != model->partition || end_offset != model->end_offset)
        begin_reply(model, view->partition, end_offset, now_ns);
    const struct history_entry entry = {
        .id = record_id(channel, view->sequence),
        .sequence = view->sequence,
        .append_time_us = view->append_time_us,
        .key = (uint32_t)hash_bytes(sku, 0),
        .content = hash_content(view->type, sku, xdock_view_location(view, scratch[1]),
                                xdock_view_document(view, scratch[2]), view->payload)};
    (void)history_read_record(&model->history, view->offset, &entry); /* See above. */
    model->next_offsets[view->partition] = view->offset + 1;
}

/* ---- the end --------------------------------------------------------------------------------- */

int model_judge(struct model *model, uint32_t kill_count)
{
    struct history_options options;
    struct history_totals totals = {0};
    history_options_init(&options);
    int status = history_check(&model->history, &options, &model->report);
    history_report_print(&model->report, stderr);
    for (uint64_t i = 0; i < model->history.op_count; i++) {
        const struct history_op *op = &model->history.ops[i];
        if (op->outcome == HISTORY_PENDING)
            violate(model, MODEL_NOT_ACKED, op->channel,
                    model->history.records[op->first_record].sequence, 0);
    }
    history_totals(&model->history, &totals);
    if (kill_count >= KILLS_MANY && (totals.counts[HISTORY_TOTAL_DUPLICATES] == 0 ||
                                     totals.counts[HISTORY_TOTAL_OVER_CRASH] == 0))
        violate(model, MODEL_TAME, 0, 0, kill_count);
    return status < 0 ? status : 0;
}

uint64_t model_faults(const struct model *model)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < MODEL_FAULT_COUNT; i++)
        sum += model->faults[i];
    for (unsigned i = 0; i < HISTORY_PROPERTY_COUNT; i++)
        sum += model->report.properties[i].count;
    return sum;
}
