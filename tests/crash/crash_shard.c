/* SPDX-License-Identifier: Apache-2.0
 *
 * Tracing a shard, and asking the shards that start on its crash images.
 */
#include "tests/crash/crash_shard.h"

#include "wire/limits.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <string.h>

#define TRACE_BYTES_MAX (128ull << 20)

static bool broken(struct crash_shard *shard, const char *rule, const char *what,
                   const char *detail)
{
    shard->rule = rule;
    (void)snprintf(shard->failure, sizeof(shard->failure), "%.300s: %.600s", what, detail);
    return false;
}

/* ---- tracing --------------------------------------------------------------------------------- */

/* As sim_broker_start, with the trace between shard and simulator. */
static bool traced_start(struct crash_shard *shard)
{
    struct sim_broker *broker = &shard->traced;
    char bound[1][ENV_ADDRESS_BYTES_MAX];
    uint64_t bytes = shard_bytes_needed(&broker->options);
    struct env_sim_options process;
    void *memory;
    int status;

    env_sim_options_init(&process);
    process.buffer_count = broker->options.net.recv_buffers_max;
    process.buffer_bytes = 16384;
    broker->env = env_trace_process(&shard->trace, env_sim_process(broker->sim, &process));
    memory = env_mem_alloc(broker->env, bytes);
    XD_ASSERT(memory != NULL);
    status = shard_open(broker->env, memory, bytes, &broker->options, &broker->shard, broker->why);
    while (status == 0 && (status = shard_recover_step(broker->shard, broker->why)) == 1)
        status = 0;
    if (status == 0)
        status = shard_listen(broker->shard, bound, broker->why);
    if (status < 0)
        return broken(shard, "start", xd_status_name(status), broker->why);
    memcpy(broker->address, bound[0], sizeof(broker->address));
    return true;
}

/* Adds marks for what was acknowledged since the last call. */
static void mark_acks(struct crash_shard *shard)
{
    for (uint32_t i = 0; i < shard->source.sent_count; i++) {
        if (!shard->source.sent[i].acked || shard->acked[i])
            continue;
        shard->acked[i] = true;
        env_trace_mark(&shard->trace, CRASH_MARK_ACK, i, 0);
    }
}

/* Sends batches with turns in between. */
static bool produce(struct crash_shard *shard, uint32_t batches)
{
    struct crash_client *source = &shard->source;

    for (uint32_t i = 0; i < batches; i++) {
        if (source->outstanding >= XD_INFLIGHT_BATCHES_MAX - 2 && !crash_client_settle(source))
            return false;
        crash_client_produce(source, (uint32_t)prng_below(&shard->prng, CRASH_LANES),
                             1 + (uint32_t)prng_below(&shard->prng, 8));
        env_trace_mark(&shard->trace, CRASH_MARK_APPEND, source->sent_count, 0);
        for (uint64_t turns = prng_below(&shard->prng, 4); turns > 0; turns--)
            if (!crash_client_turn(source))
                return false;
        mark_acks(shard);
    }
    return true;
}

/* Untraced: a folder with a channel, some batches, all acknowledged, and a clean stop. */
static bool earlier_life(struct crash_shard *shard)
{
    struct crash_client *source = &shard->source;
    int status = sim_broker_start(&shard->traced);

    if (status < 0)
        return broken(shard, "start", xd_status_name(status), shard->traced.why);
    if (!crash_client_open(source, 0))
        return false;
    for (uint32_t i = 0; i < 6; i++)
        crash_client_produce(source, i % CRASH_LANES, 1 + i);
    if (!crash_client_settle(source))
        return false;
    wire_client_leave(&source->wire, false);
    status = sim_broker_stop(&shard->traced);
    if (status < 0)
        return broken(shard, "start", "the stop fails", xd_status_name(status));
    sim_snapshot_take(&shard->start, shard->traced.sim);
    shard->start_sent = source->sent_count;
    return true;
}

/* The process is killed and started again; what has no answer is sent again. */
static bool killed_and_back(struct crash_shard *shard)
{
    struct crash_client *source = &shard->source;
    uint64_t acked = 0;

    for (uint32_t i = 0; i < source->sent_count; i++)
        acked = source->sent[i].acked ? source->sent[i].last : acked;
    (void)sim_broker_crash(&shard->traced, SIM_CRASH_KEEP_ALL);
    wire_client_leave(&source->wire, true);
    if (!traced_start(shard) || !crash_client_open(source, acked))
        return false;
    for (uint32_t i = 0; i < source->sent_count; i++)
        if (!source->sent[i].acked)
            crash_client_resend(source, i);
    if (!crash_client_settle(source))
        return false;
    mark_acks(shard);
    return true;
}

static bool script(struct crash_shard *shard)
{
    if (!earlier_life(shard))
        return false;
    memset(shard->acked, 0, sizeof(shard->acked));
    memset(shard->acked, 1, shard->start_sent * sizeof(bool));
    if (!traced_start(shard) || !crash_client_open(&shard->source, shard->source.sequence) ||
        !produce(shard, 16 + (uint32_t)prng_below(&shard->prng, 10)))
        return false;
    return killed_and_back(shard) && produce(shard, 6);
}

bool crash_shard_run(struct crash_shard *shard, uint64_t seed)
{
    struct sim_options world;
    bool good;

    sim_options_init(&world, seed);
    prng_seed(&shard->prng, prng_mix(seed) + 0x5a);
    sim_broker_reset(&shard->traced, &world);
    if (prng_below(&shard->prng, 2) == 0)
        shard->traced.options.log.sync = LOG_SYNC_DSYNC;
    shard->traced.options.log.checkpoint_every_bytes = 4096u << prng_below(&shard->prng, 6);
    crash_client_reset(&shard->source);
    env_trace_deinit(&shard->trace);
    env_trace_init(&shard->trace, TRACE_BYTES_MAX);
    shard->failure[0] = '\0';
    good = script(shard);
    wire_client_leave(&shard->source.wire, true);
    (void)sim_broker_crash(&shard->traced, SIM_CRASH_KEEP_NONE);
    if (!good && shard->source.failure[0] != '\0')
        return broken(shard, "content", "the source", shard->source.failure);
    shard->judged.options.log = shard->traced.options.log;
    memset(shard->seen, 0, sizeof(shard->seen));
    shard->seen_count = 0;
    memset(shard->acked, 0, sizeof(shard->acked));
    memset(shard->acked, 1, shard->start_sent * sizeof(bool));
    shard->acked_count = shard->start_sent;
    shard->sent_count = shard->start_sent;
    return good && !shard->trace.full;
}

/* ---- judging --------------------------------------------------------------------------------- */

static void take_mark(void *context, const struct env_trace_row *row)
{
    struct crash_shard *shard = context;

    if (row->file == CRASH_MARK_APPEND) {
        shard->sent_count = (uint32_t)row->value;
    } else if (row->file == CRASH_MARK_ACK) {
        XD_ASSERT(row->value < shard->sent_count);
        shard->acked[row->value] = true;
        shard->acked_count++;
    }
}

/* True the first time that this image is asked for as much. */
static bool is_new(struct crash_shard *shard, uint64_t hash)
{
    uint64_t key = hash ^ prng_mix(shard->acked_count + 1ull);
    uint32_t at = (uint32_t)key & (CRASH_SHARD_SEEN_MAX - 1);

    key += key == 0;
    XD_ASSERT(2 * shard->seen_count < CRASH_SHARD_SEEN_MAX);
    while (shard->seen[at] != 0 && shard->seen[at] != key)
        at = (at + 1) & (CRASH_SHARD_SEEN_MAX - 1);
    if (shard->seen[at] == key)
        return false;
    shard->seen[at] = key;
    shard->seen_count++;
    return true;
}

/* The chains of the open: whole batches, none acknowledged behind them. */
static bool judge_chains(struct crash_shard *shard)
{
    const struct crash_client *asker = &shard->asker;
    bool ends[CRASH_LANES] = {false};

    for (uint32_t lane = 0; lane < CRASH_LANES; lane++)
        ends[lane] = asker->durable[lane] == 0;
    for (uint32_t i = 0; i < asker->sent_count; i++) {
        const struct crash_sent *sent = &asker->sent[i];

        ends[sent->lane] = ends[sent->lane] || asker->durable[sent->lane] == sent->last;
        if (shard->acked[i] && sent->last > asker->durable[sent->lane])
            return broken(shard, "lost", "a chain ends before", "an acknowledged batch");
    }
    for (uint32_t lane = 0; lane < CRASH_LANES; lane++)
        if (!ends[lane])
            return broken(shard, "content", "a chain ends at", "no batch that was sent");
    return true;
}

/* Everything once more. */
static bool judge_resends(struct crash_shard *shard)
{
    struct crash_client *asker = &shard->asker;

    for (uint32_t i = 0; i < asker->sent_count; i++) {
        if (asker->outstanding >= XD_INFLIGHT_BATCHES_MAX - 2 && !crash_client_settle(asker))
            return false;
        crash_client_resend(asker, i);
    }
    if (!crash_client_settle(asker))
        return false;
    for (uint32_t i = 0; i < asker->sent_count; i++) {
        const struct crash_sent *sent = &asker->sent[i];
        bool known = sent->last <= asker->durable[sent->lane];

        if (!sent->acked)
            return broken(shard, "lost", "a batch sent again", "is not answered");
        if (sent->duplicate != known)
            return broken(shard, known ? "lost" : "content", "a batch sent again",
                          known ? "is not called a duplicate" : "is called a duplicate");
        shard->duplicates += known;
        shard->taken += !known;
    }
    return crash_client_read_all(asker);
}

static bool judge_new(struct crash_shard *shard)
{
    struct crash_client *asker = &shard->asker;
    uint64_t acked = 0;
    int status = sim_broker_start(&shard->judged);

    if (status < 0)
        return broken(shard, "start", xd_status_name(status), shard->judged.why);
    crash_client_copy(asker, &shard->source, shard->sent_count);
    for (uint32_t i = 0; i < shard->sent_count; i++)
        acked = shard->acked[i] ? asker->sent[i].last : acked;
    if (!crash_client_open(asker, acked))
        return broken(shard, "lost", "the channel cannot be opened", asker->failure);
    if (!judge_chains(shard))
        return false;
    if (!judge_resends(shard)) {
        if (asker->failure[0] != '\0')
            return broken(shard, "content", "sending again", asker->failure);
        return false;
    }
    return true;
}

static bool judge_image(void *context, const struct sim_snapshot *image, uint64_t hash,
                        uint64_t acknowledged)
{
    struct crash_shard *shard = context;
    bool good;

    (void)acknowledged; /* acknowledgements are per batch here: `acked` */
    if (!is_new(shard, hash))
        return true;
    shard->rule = NULL;
    sim_snapshot_put(image, shard->judged.sim);
    good = judge_new(shard);
    wire_client_leave(&shard->asker.wire, true);
    (void)sim_broker_crash(&shard->judged, SIM_CRASH_KEEP_NONE);
    shard->images++;
    return good;
}

static uint64_t image_count(const void *context)
{
    return ((const struct crash_shard *)context)->images;
}

struct crash_judge crash_shard_judge(struct crash_shard *shard)
{
    return (struct crash_judge){
        .context = shard, .mark = take_mark, .image = judge_image, .count = image_count};
}

/* ---- life ------------------------------------------------------------------------------------ */

void crash_shard_init(struct crash_shard *shard)
{
    struct sim_options world;

    memset(shard, 0, sizeof(*shard));
    sim_options_init(&world, 1);
    sim_broker_open(&shard->traced, &world);
    sim_broker_open(&shard->judged, &world);
    crash_client_init(&shard->source, &shard->traced);
    crash_client_init(&shard->asker, &shard->judged);
    env_trace_init(&shard->trace, TRACE_BYTES_MAX);
    sim_snapshot_init(&shard->start, shard->judged.sim);
}

void crash_shard_deinit(struct crash_shard *shard)
{
    sim_snapshot_clear(&shard->start);
    sim_snapshot_deinit(&shard->start);
    env_trace_deinit(&shard->trace);
    crash_client_deinit(&shard->source);
    crash_client_deinit(&shard->asker);
    sim_broker_close(&shard->traced);
    sim_broker_close(&shard->judged);
}
