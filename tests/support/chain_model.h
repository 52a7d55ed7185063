/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions beside a plain list of all log entries. Random clients send, resend, lie and open again;
 * applying lags behind; checkpoints and crashes come at any moment. Each verdict is compared with
 * what the list says, and a crash continues from a checkpoint as a restarted broker does.
 *
 * Normal path: chain_model_open, chain_model_run, chain_model_compare_rebuilds, chain_model_close.
 * Failures are Criterion assertions that name the seed and the step.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_CHAIN_MODEL_H
#define CROSSDOCK_TESTS_SUPPORT_CHAIN_MODEL_H

#include "broker/base/prng.h"
#include "tests/support/session_kit.h"

#define MODEL_CHANNELS 3u
#define MODEL_PARTITIONS 4u
#define MODEL_ENTRIES 4096u
#define MODEL_SAVE_BYTES 65536u

/* One entry of the made-up log. */
struct model_entry {
    bool session;                   /* else a batch */
    struct control_session control; /* session */
    struct xd_batch_header batch;   /* batch, base_offset final */
    uint64_t log_index;             /* */
};

struct chain_model {
    struct session_kit kit; /* under test */
    struct prng prng;
    uint64_t seed;
    uint64_t step;
    struct model_entry entries[MODEL_ENTRIES];
    uint32_t count;                     /* entries, staged ones included */
    uint32_t applied;                   /* of these applied */
    uint64_t offsets[MODEL_PARTITIONS]; /* next offset */
    uint64_t log_index;                 /* of the newest entry */
    uint64_t assigned[MODEL_CHANNELS];  /* highest sequence ever made up, per channel */
    uint8_t checkpoint[MODEL_SAVE_BYTES];
    uint64_t checkpoint_bytes; /* 0 = none */
    uint32_t checkpoint_at;    /* entries in it */
    /* what came up */
    uint32_t appended, duplicates, refused, checkpoints, crashes;
};

static inline void model_tables(struct chain_model *model)
{
    kit_begin(&model->kit, MODEL_CHANNELS, MODEL_CHANNELS * MODEL_PARTITIONS,
              prng_next(&model->prng));
}

static inline struct chain_model *chain_model_open(uint64_t seed)
{
    struct chain_model *model = calloc(1, sizeof *model);
    cr_assert_not_null(model);
    model->seed = seed;
    prng_seed(&model->prng, seed);
    model_tables(model);
    return model;
}

static inline void chain_model_close(struct chain_model *model)
{
    kit_end(&model->kit);
    free(model);
}

/* Takes an entry in as recovery does: nothing is staged. */
static inline void model_fold(struct session_kit *kit, const struct model_entry *entry)
{
    const char *why = NULL;
    if (entry->session) {
        cr_assert_eq(session_take(&kit->sessions, &entry->control, &why), 0, "%s", why);
        session_take_durable(&kit->sessions, &entry->control);
    } else {
        cr_assert_eq(session_apply(&kit->sessions, &entry->batch, entry->log_index, &why), 0, "%s",
                     why);
    }
}

static inline struct model_entry *model_append(struct chain_model *model)
{
    cr_assert(model->count < MODEL_ENTRIES);
    model->log_index += prng_below(&model->prng, 3) == 0 ? 1 : 0; /* a few share a block */
    struct model_entry *entry = &model->entries[model->count++];
    *entry = (struct model_entry){.log_index = model->log_index};
    return entry;
}

static inline void model_apply(struct chain_model *model, uint32_t count)
{
    for (; count > 0 && model->applied < model->count; count--) {
        const struct model_entry *entry = &model->entries[model->applied++];
        const char *why = NULL;
        if (entry->session)
            session_take_durable(&model->kit.sessions, &entry->control);
        else
            cr_assert_eq(session_apply(&model->kit.sessions, &entry->batch, entry->log_index, &why),
                         0, "seed %llu step %llu: %s", (unsigned long long)model->seed,
                         (unsigned long long)model->step, why);
    }
}

/* ---- what the list says ---------------------------------------------------------------------- */

static inline bool model_in_chain(const struct model_entry *entry,
                                  const struct xd_batch_header *batch)
{
    return !entry->session && entry->batch.producer_id == batch->producer_id &&
           entry->batch.partition == batch->partition;
}

static inline bool model_same(const struct xd_batch_header *a, const struct xd_batch_header *b)
{
    return a->channel_epoch == b->channel_epoch && a->first_sequence == b->first_sequence &&
           a->last_sequence == b->last_sequence && a->batch_xxh3 == b->batch_xxh3 &&
           a->record_count == b->record_count;
}

/* The verdict by the table. `*ret_optional`: the original is so old that its proof may be gone, so
 * that SEQUENCE_REUSED is allowed in place of DUPLICATE. */
static inline struct session_verdict model_verdict(const struct chain_model *model,
                                                   const struct xd_batch_header *batch,
                                                   bool *ret_optional)
{
    struct session_verdict verdict = {0};
    const struct model_entry *original = NULL;
    uint32_t original_age = 0, age = 0, inflight = 0;
    *ret_optional = false;
    for (uint32_t i = model->count; i-- > 0;) {
        const struct model_entry *entry = &model->entries[i];
        if (!model_in_chain(entry, batch))
            continue;
        if (age++ == 0 && entry->batch.channel_epoch == batch->channel_epoch)
            verdict.resume_sequence = entry->batch.last_sequence;
        inflight += i >= model->applied;
        if (original == NULL && model_same(&entry->batch, batch)) {
            original = entry;
            original_age = age;
        }
    }
    uint64_t last = verdict.resume_sequence;
    if (batch->previous_sequence == last) {
        verdict.status = inflight >= XD_INFLIGHT_BATCHES_MAX ? XD_INFLIGHT_EXCEEDED : 0;
    } else if (batch->last_sequence <= last) {
        verdict.status = original != NULL ? XD_DUPLICATE : XD_SEQUENCE_REUSED;
        *ret_optional = original != NULL && original_age > XD_INFLIGHT_BATCHES_MAX;
        if (original != NULL) {
            verdict.base_offset = original->batch.base_offset;
            verdict.log_index = original->log_index;
        }
    } else {
        verdict.status = batch->first_sequence <= last ? XD_OVERLAP : XD_OUT_OF_SEQUENCE;
    }
    return verdict;
}

/* Epochs come before the chain. */
static inline int model_epochs(const struct chain_model *model, const struct xd_batch_header *batch)
{
    const struct control_session *now = NULL;
    for (uint32_t i = model->count; i-- > 0 && now == NULL;)
        if (model->entries[i].session && model->entries[i].control.channel == batch->producer_id)
            now = &model->entries[i].control;
    if (now == NULL || batch->producer_epoch > now->producer_epoch)
        return XD_PRODUCER_UNKNOWN;
    if (batch->producer_epoch < now->producer_epoch || batch->channel_epoch < now->channel_epoch)
        return XD_FENCED;
    return batch->channel_epoch > now->channel_epoch ? XD_FIELD_INVALID : 0;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static inline void model_submit(struct chain_model *model, struct xd_batch_header *batch)
{
    bool optional = false;
    struct session_verdict want = {.status = model_epochs(model, batch)};
    if (want.status == 0)
        want = model_verdict(model, batch, &optional);
    struct session_verdict got = session_check(&model->kit.sessions, batch);
    if (optional && got.status == XD_SEQUENCE_REUSED)
        want = (struct session_verdict){.status = XD_SEQUENCE_REUSED,
                                        .resume_sequence = want.resume_sequence};
    cr_assert(got.status == want.status && got.base_offset == want.base_offset &&
                  got.log_index == want.log_index && got.resume_sequence == want.resume_sequence,
              "seed %llu step %llu: %d, the list says %d", (unsigned long long)model->seed,
              (unsigned long long)model->step, got.status, want.status);
    if (got.status != 0) {
        *(got.status > 0 ? &model->duplicates : &model->refused) += 1;
        return;
    }
    batch->base_offset = model->offsets[batch->partition];
    model->offsets[batch->partition] += batch->record_count;
    struct model_entry *entry = model_append(model);
    entry->batch = *batch;
    session_append(&model->kit.sessions, batch, entry->log_index);
    model->appended++;
}

static inline void model_open(struct chain_model *model)
{
    static const char *const names[MODEL_CHANNELS] = {"a", "b", "c"};
    uint32_t pick = (uint32_t)prng_below(&model->prng, MODEL_CHANNELS);
    struct xd_open_request request = open_of(names[pick]);
    const struct channel *channel =
        session_channel_find(&model->kit.sessions, request.source, request.channel, 0);
    if (channel != NULL && prng_chance(&model->prng, 16384))
        request.fixed.channel_epoch = (uint16_t)(channel->channel_epoch + 1);
    cr_assert_eq(kit_open(&model->kit, &request, 0), 1, "%s", model->kit.detail);
    struct model_entry *entry = model_append(model);
    entry->session = true;
    entry->control = model->kit.entry;
    if (channel == NULL || request.fixed.channel_epoch != 0)
        model->assigned[entry->control.channel - 1] = 0;
}

/* A batch that a client might send: the next one, an old one, or something made up. */
static inline void model_send(struct chain_model *model)
{
    struct prng *prng = &model->prng;
    if (model->kit.sessions.channel_count == 0)
        return;
    uint32_t channel = 1 + (uint32_t)prng_below(prng, model->kit.sessions.channel_count);
    uint32_t partition = (uint32_t)prng_below(prng, MODEL_PARTITIONS);
    uint64_t *assigned = &model->assigned[channel - 1];
    uint64_t first = *assigned + 1 + prng_below(prng, 3);
    uint64_t records = 1 + prng_below(prng, 5);
    struct xd_batch_header batch =
        batch_of(&model->kit, channel, partition, 0, first, first + records - 1);
    bool optional;
    batch.previous_sequence = model_verdict(model, &batch, &optional).resume_sequence;
    if (prng_chance(prng, 50000) && batch.previous_sequence < first) {
        *assigned = batch.last_sequence;
    } else { /* anywhere around what the chain holds */
        uint64_t last = batch.previous_sequence + 8;
        batch.first_sequence = 1 + prng_below(prng, last);
        batch.last_sequence = batch.first_sequence + records - 1;
        batch.previous_sequence = prng_below(prng, batch.first_sequence);
    }
    if (prng_chance(prng, 2000))
        batch.producer_epoch += (uint32_t)prng_below(prng, 3) - 1u;
    if (prng_chance(prng, 2000))
        batch.channel_epoch = (uint16_t)(batch.channel_epoch + prng_below(prng, 3) - 1u);
    model_submit(model, &batch);
}

static inline void model_resend(struct chain_model *model)
{
    struct prng *prng = &model->prng;
    if (model->count == 0)
        return;
    uint64_t back = prng_chance(prng, 49152) ? 40 : model->count;
    uint64_t age = 1 + prng_below(prng, back < model->count ? back : model->count);
    const struct model_entry *entry = &model->entries[model->count - age];
    if (entry->session)
        return;
    struct xd_batch_header batch = entry->batch;
    batch.base_offset = 0;
    if (prng_chance(prng, 4096))
        batch.batch_xxh3 ^= 1;
    model_submit(model, &batch);
}

static inline void model_checkpoint(struct chain_model *model)
{
    model->checkpoint_bytes =
        session_save(&model->kit.sessions, model->checkpoint, sizeof model->checkpoint);
    model->checkpoint_at = model->applied;
    model->checkpoints++;
}

/* New tables from the newest checkpoint and `count` entries of the list. */
static inline void model_rebuild(struct chain_model *model, struct session_kit *ret_kit,
                                 bool from_checkpoint, uint32_t count)
{
    uint32_t from = 0;
    kit_begin(ret_kit, MODEL_CHANNELS, MODEL_CHANNELS * MODEL_PARTITIONS, prng_next(&model->prng));
    if (from_checkpoint && model->checkpoint_bytes > 0) {
        cr_assert_eq(session_load(&ret_kit->sessions, model->checkpoint, model->checkpoint_bytes),
                     (int64_t)model->checkpoint_bytes);
        from = model->checkpoint_at;
    }
    for (uint32_t i = from; i < count; i++)
        model_fold(ret_kit, &model->entries[i]);
}

/* The process dies; some of what was staged had become durable. */
static inline void model_crash(struct chain_model *model)
{
    model->count =
        model->applied + (uint32_t)prng_below(&model->prng, model->count - model->applied + 1);
    kit_end(&model->kit);
    model_rebuild(model, &model->kit, true, model->count);
    model->applied = model->count;
    memset(model->offsets, 0, sizeof model->offsets);
    for (uint32_t i = 0; i < model->count; i++)
        if (!model->entries[i].session)
            model->offsets[model->entries[i].batch.partition] +=
                model->entries[i].batch.record_count;
    model->crashes++;
}

static inline void chain_model_run(struct chain_model *model, uint32_t steps)
{
    for (uint32_t i = 0; i < steps && model->count < MODEL_ENTRIES - 1; i++) {
        uint64_t draw = prng_below(&model->prng, 1000);
        model->step = i;
        if (draw < 450)
            model_send(model);
        else if (draw < 700)
            model_resend(model);
        else if (draw < 730)
            model_open(model);
        else if (draw < 970)
            model_apply(model, (uint32_t)prng_below(&model->prng, 6));
        else if (draw < 985)
            model_checkpoint(model);
        else
            model_crash(model);
    }
}

/* Applied, rebuilt from zero, rebuilt from the newest checkpoint: the same bytes. */
static inline void chain_model_compare_rebuilds(struct chain_model *model)
{
    static uint8_t live[MODEL_SAVE_BYTES];
    static uint8_t other[MODEL_SAVE_BYTES];
    uint64_t bytes = session_save(&model->kit.sessions, live, sizeof live);
    for (int from_checkpoint = 0; from_checkpoint < 2; from_checkpoint++) {
        struct session_kit kit;
        model_rebuild(model, &kit, from_checkpoint, model->applied);
        cr_assert_eq(session_save(&kit.sessions, other, sizeof other), bytes);
        cr_assert_eq(memcmp(live, other, bytes), 0, "seed %llu: rebuilt %s",
                     (unsigned long long)model->seed,
                     from_checkpoint ? "from the checkpoint" : "from zero");
        kit_end(&kit);
    }
}

#endif
