/* SPDX-License-Identifier: Apache-2.0
 *
 * The model of history_model.h. One operation is one batch; the broker appends a batch when its
 * predecessor is the last one of its chain, and then holds it in memory until it is flushed.
 */
#include "tests/support/history_model.h"

#include "broker/base/prng.h"
#include "wire/xassert.h"

#include <stdlib.h>
#include <string.h>

#define STEP_NS 3000000u
#define STEPS_MAX 2000u
#define KEYS 4u /* per partition */

/* An operation that clients and broker know of. */
struct model_op {
    uint64_t base;        /* offset in the log, HISTORY_NONE = not there */
    uint64_t log_index;   /* of its entry */
    uint64_t first;       /* sequences */
    uint64_t last;        /* */
    uint64_t previous;    /* */
    uint32_t first_entry; /* number of its first record in the history */
    uint16_t epoch;       /* of its channel */
    uint8_t channel;      /* */
    uint8_t partition;    /* */
    uint8_t level;        /* that its client waits for */
    bool waiting;         /* its client wants an outcome, and sends it again until it has one */
    bool resent;          /* the broker has met it before: it answers that it is a duplicate */
    bool weak_ok;         /* was ok below fsync */
};

/* A partition as the broker has it. */
struct model_log {
    uint32_t ops[MODEL_LOG_MAX]; /* operation of each offset */
    int64_t stamps[MODEL_LOG_MAX];
    uint64_t count;        /* appended */
    uint64_t durable;      /* of these */
    uint64_t floor;        /* */
    uint64_t damage_first; /* damaged range; first > last = none */
    uint64_t damage_last;  /* */
};

struct model {
    struct history *history;
    struct prng prng;
    uint64_t now_ns;
    uint64_t log_index;
    uint32_t op_count;
    uint16_t epochs[MODEL_CHANNELS];                 /* of channels */
    uint32_t holders[MODEL_CHANNELS];                /* producer epochs */
    uint64_t sequences[MODEL_CHANNELS];              /* given out last */
    uint64_t ends[MODEL_CHANNELS][MODEL_PARTITIONS]; /* sequence sent last there */
    struct model_op ops[MODEL_OPS_MAX];
    struct model_log logs[MODEL_PARTITIONS];
};

static uint64_t below(struct model *model, uint64_t limit)
{
    return prng_below(&model->prng, limit);
}

/* ---- the broker ------------------------------------------------------------------------------ */

/* Whether the broker has its predecessor as the last of the chain. */
static bool fits(const struct model *model, const struct model_op *op)
{
    const struct model_log *log = &model->logs[op->partition];
    for (uint64_t offset = log->count; offset-- > 0;) {
        const struct model_op *other = &model->ops[log->ops[offset]];
        if (other->channel == op->channel)
            return other->epoch == op->epoch ? other->last == op->previous
                                             : other->epoch < op->epoch && op->previous == 0;
    }
    return op->previous == 0;
}

static void deliver(struct model *model, struct model_op *op)
{
    struct model_log *log = &model->logs[op->partition];
    if (op->base != HISTORY_NONE) {
        op->resent = true;
        return;
    }
    if (!fits(model, op))
        return;
    op->base = log->count;
    op->resent = false;
    op->log_index = ++model->log_index;
    for (uint64_t sequence = op->first; sequence <= op->last; sequence++) {
        XD_ASSERT(log->count < MODEL_LOG_MAX);
        log->ops[log->count] = (uint32_t)(op - model->ops);
        log->stamps[log->count++] = (int64_t)(model->now_ns / 1000);
    }
}

/* The client learns what the broker has, as far as it may be told. */
static void answer(struct model *model, struct model_op *op)
{
    const struct model_log *log = &model->logs[op->partition];
    if (op->base == HISTORY_NONE)
        return;
    bool durable = op->base + (op->last - op->first) < log->durable;
    uint8_t level = durable ? HISTORY_FSYNC : op->level;
    if (!durable && level == HISTORY_FSYNC)
        return;
    const struct history_end end = {.time_ns = model->now_ns,
                                    .base_offset = op->base,
                                    .log_index = op->log_index,
                                    .partition = HISTORY_PARTITION_NONE,
                                    .outcome = HISTORY_OK,
                                    .level = level,
                                    .duplicate = op->resent};
    (void)history_end(model->history, (uint64_t)(op - model->ops), &end);
    op->weak_ok = !durable;
    /* Every second client trusts a weak answer and forgets. */
    if (durable || op->channel % 2 == 0)
        op->waiting = false;
}

/* ---- clients --------------------------------------------------------------------------------- */

static void send(struct model *model, bool refused)
{
    struct history_record records[MODEL_RECORDS_MAX];
    if (model->op_count == MODEL_OPS_MAX)
        return;
    uint8_t channel = (uint8_t)below(model, MODEL_CHANNELS);
    uint8_t partition = (uint8_t)below(model, MODEL_PARTITIONS);
    uint32_t count = 1 + (uint32_t)below(model, MODEL_RECORDS_MAX);
    struct model_op *op = &model->ops[model->op_count];
    *op = (struct model_op){.base = HISTORY_NONE,
                            .first = model->sequences[channel] + 1,
                            .last = model->sequences[channel] + count,
                            .previous = model->ends[channel][partition],
                            .first_entry = (uint32_t)model->history->record_count,
                            .epoch = model->epochs[channel],
                            .channel = channel,
                            .partition = partition,
                            .level = (uint8_t)(below(model, 3) == 0
                                                   ? 1 + below(model, HISTORY_LEVEL_COUNT - 1)
                                                   : HISTORY_FSYNC),
                            .waiting = !refused};
    for (uint32_t i = 0; i < count; i++)
        records[i] =
            (struct history_record){.id = (uint64_t)model->op_count * MODEL_RECORDS_MAX + i,
                                    .sequence = op->first + i,
                                    .key = (uint32_t)(partition * KEYS + below(model, KEYS)),
                                    .content = (uint32_t)prng_next(&model->prng)};
    const struct history_start start = {.time_ns = model->now_ns,
                                        .previous = op->previous,
                                        .client = channel,
                                        .channel = channel,
                                        .producer_epoch = model->holders[channel],
                                        .partition = partition,
                                        .channel_epoch = op->epoch,
                                        .hostile = refused};
    (void)history_start(model->history, &start, records, count);
    model->sequences[channel] = op->last;
    model->op_count++;
    if (!refused) {
        model->ends[channel][partition] = op->last;
        return;
    }
    const struct history_end end = {
        .time_ns = model->now_ns + 1, .partition = HISTORY_PARTITION_NONE, .outcome = HISTORY_FAIL};
    (void)history_end(model->history, model->op_count - 1, &end);
}

static void say_unknown(struct model *model, const struct model_op *op)
{
    const struct history_end end = {
        .time_ns = model->now_ns, .partition = HISTORY_PARTITION_NONE, .outcome = HISTORY_UNKNOWN};
    (void)history_end(model->history, (uint64_t)(op - model->ops), &end);
}

/* The channel gives up all that has no outcome and begins at 1. */
static void number_anew(struct model *model, uint8_t channel)
{
    for (uint32_t i = 0; i < model->op_count; i++) {
        struct model_op *op = &model->ops[i];
        if (op->channel == channel && op->waiting) {
            say_unknown(model, op);
            op->waiting = false;
        }
    }
    model->epochs[channel]++;
    model->sequences[channel] = 0;
    memset(model->ends[channel], 0, sizeof model->ends[channel]);
}

/* Sends what has no outcome, from the oldest on; the connection may break on the way. */
static void send_again(struct model *model, bool all)
{
    for (uint32_t i = 0; i < model->op_count; i++) {
        struct model_op *op = &model->ops[i];
        if (op->waiting && (all || below(model, 4) > 0))
            deliver(model, op);
    }
}

static void answer_some(struct model *model, bool all)
{
    for (uint32_t i = 0; i < model->op_count; i++)
        if (model->ops[i].waiting && (all || below(model, 3) == 0))
            answer(model, &model->ops[i]);
}

/* ---- the world ------------------------------------------------------------------------------- */

/* Of each partition the durable part stays and a part of the rest; batches stay whole. */
static void crash(struct model *model)
{
    (void)history_mark(model->history, HISTORY_CRASH, model->now_ns);
    for (uint32_t p = 0; p < MODEL_PARTITIONS; p++) {
        struct model_log *log = &model->logs[p];
        uint64_t keep = log->durable + below(model, log->count - log->durable + 1);
        while (keep > log->durable && keep < log->count && log->ops[keep] == log->ops[keep - 1])
            keep--;
        for (uint64_t offset = keep; offset < log->count; offset++)
            model->ops[log->ops[offset]].base = HISTORY_NONE;
        log->count = log->durable = keep;
    }
    for (uint32_t i = 0; i < model->op_count; i++) {
        struct model_op *op = &model->ops[i];
        if (op->weak_ok && !op->waiting && op->base == HISTORY_NONE &&
            op->epoch == model->epochs[op->channel])
            number_anew(model, op->channel); /* Its client has forgotten what the broker lost. */
    }
    model->now_ns += STEP_NS;
    (void)history_mark(model->history, HISTORY_RESTART, model->now_ns);
}

static void retain(struct model *model)
{
    uint32_t p = (uint32_t)below(model, MODEL_PARTITIONS);
    struct model_log *log = &model->logs[p];
    log->floor += below(model, log->durable - log->floor + 1) / 2;
    if (below(model, 2) == 0)
        (void)history_floor(model->history, p, log->floor, model->now_ns);
}

static void damage(struct model *model)
{
    uint32_t p = (uint32_t)below(model, MODEL_PARTITIONS);
    struct model_log *log = &model->logs[p];
    if (log->damage_first <= log->damage_last || log->durable == log->floor)
        return;
    log->damage_first = log->floor + below(model, log->durable - log->floor);
    log->damage_last = log->damage_first + below(model, 3);
    if (log->damage_last >= log->durable)
        log->damage_last = log->durable - 1;
    (void)history_quarantine(model->history, p, log->damage_first, log->damage_last, model->now_ns);
}

/* One reply from an offset on; the offset behind it, or HISTORY_NONE at the end. */
static uint64_t read_from(struct model *model, uint32_t p, uint64_t requested, uint64_t max)
{
    const struct model_log *log = &model->logs[p];
    uint64_t offset = requested < log->floor ? log->floor : requested;
    if (offset >= log->damage_first && offset <= log->damage_last)
        offset = log->damage_last + 1;
    const struct history_reply reply = {.start_ns = model->now_ns,
                                        .end_ns = model->now_ns + below(model, 3 * STEP_NS),
                                        .requested = requested,
                                        .first_offset = log->floor,
                                        .end_offset = log->durable,
                                        .reader = (uint32_t)below(model, 3),
                                        .partition = p};
    (void)history_read(model->history, &reply);
    for (; max-- > 0 && offset < log->durable; offset++) {
        if (offset == log->damage_first && offset <= log->damage_last)
            break;
        const struct model_op *op = &model->ops[log->ops[offset]];
        const struct history_record *record =
            &model->history->records[op->first_entry + (offset - op->base)];
        const struct history_entry entry = {.id = record->id,
                                            .sequence = record->sequence,
                                            .append_time_us = log->stamps[offset],
                                            .key = record->key,
                                            .content = record->content};
        (void)history_read_record(model->history, offset, &entry);
    }
    return offset >= log->durable ? HISTORY_NONE : offset;
}

static void read_somewhere(struct model *model)
{
    uint32_t p = (uint32_t)below(model, MODEL_PARTITIONS);
    uint64_t from = below(model, model->logs[p].durable + 1);
    (void)read_from(model, p, from, 1 + below(model, 8));
}

static void flush(struct model *model, uint32_t p)
{
    model->logs[p].durable = model->logs[p].count;
}

static void step(struct model *model)
{
    uint64_t choice = below(model, 1000);
    model->now_ns += 1 + below(model, STEP_NS);
    if (choice < 300)
        send(model, false);
    else if (choice < 320)
        send(model, true);
    else if (choice < 550)
        send_again(model, false);
    else if (choice < 700)
        flush(model, (uint32_t)below(model, MODEL_PARTITIONS));
    else if (choice < 850)
        answer_some(model, false);
    else if (choice < 955)
        read_somewhere(model);
    else if (choice < 965)
        crash(model);
    else if (choice < 970)
        number_anew(model, (uint8_t)below(model, MODEL_CHANNELS));
    else if (choice < 978)
        model->holders[below(model, MODEL_CHANNELS)]++;
    else if (choice < 985)
        retain(model);
    else if (choice < 987)
        damage(model);
    else if (model->op_count > 0)
        for (uint32_t i = model->op_count - 1; i > 0 && model->ops[i].waiting; i--)
            if (below(model, 2) == 0)
                say_unknown(model, &model->ops[i]);
}

/* Everything gets its outcome. */
static void settle(struct model *model)
{
    model->now_ns += STEP_NS;
    send_again(model, true);
    for (uint32_t p = 0; p < MODEL_PARTITIONS; p++)
        flush(model, p);
    model->now_ns += STEP_NS;
    answer_some(model, true);
}

bool model_run(struct history *history, uint64_t seed, uint32_t steps)
{
    XD_ASSERT(steps <= STEPS_MAX);
    struct model *model = calloc(1, sizeof *model);
    if (model == NULL)
        return false;
    history_reset(history);
    model->history = history;
    prng_seed(&model->prng, seed);
    for (uint32_t i = 0; i < MODEL_CHANNELS; i++)
        model->epochs[i] = 1, model->holders[i] = 1;
    for (uint32_t p = 0; p < MODEL_PARTITIONS; p++)
        model->logs[p].damage_first = 1;
    (void)history_mark(history, HISTORY_FAULTS, model->now_ns);
    for (uint32_t i = 0; i < steps; i++)
        step(model);
    model->now_ns += 4 * STEP_NS;
    (void)history_mark(history, HISTORY_HEALED, model->now_ns);
    for (uint32_t i = 0; i < 3; i++) {
        send(model, false);
        settle(model);
    }
    model->now_ns += STEP_NS;
    for (uint32_t p = 0; p < MODEL_PARTITIONS; p++) {
        uint64_t next = 0;
        while (next != HISTORY_NONE)
            next = read_from(model, p, next, 1 + below(model, 16));
        model->now_ns += 4 * STEP_NS;
    }
    free(model);
    return history->status == 0;
}
