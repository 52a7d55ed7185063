/* SPDX-License-Identifier: Apache-2.0
 *
 * What the history is told, and its verdict.
 *
 * An operation of the history is a batch from its first copy to its outcome, however often it is
 * sent; or a source's way back to its channel, however many connections and opens that takes. Each
 * way back makes a new holder: the history's producer epoch is the number of the holder, so that it
 * rises also when the producer epoch of the wire stays (an attach). A recording that finds no
 * memory leaves its status in the history, and note_judge tells.
 */
#include "tests/sim/sim_run.h"

#include "wire/status.h"
#include "wire/xassert.h"

static uint64_t now_ns(const struct run *run)
{
    return sim_now_ns(run->broker.sim);
}

void note_begin(struct run *run)
{
    history_reset(&run->history);
    run->forgeries = 0;
}

void note_mark(struct run *run, enum history_mark mark)
{
    (void)history_mark(&run->history, mark, now_ns(run));
    /* The next process has to find out for itself what is damaged. */
    if (mark == HISTORY_CRASH || mark == HISTORY_STOP)
        history_repaired(&run->history, now_ns(run));
}

/* ---- batches --------------------------------------------------------------------------------- */

uint32_t note_send(struct run *run, const struct source *source, const struct lane *lane,
                   const struct sent *sent, const struct history_record *records, bool hostile)
{
    const struct history_start start = {.time_ns = now_ns(run),
                                        .previous = sent->previous,
                                        .client = source->number,
                                        .channel = source->number,
                                        .producer_epoch = sent->holder,
                                        .partition = lane->partition,
                                        .channel_epoch = sent->channel_epoch,
                                        .kind = HISTORY_PRODUCE,
                                        .hostile = hostile};
    int64_t op =
        history_start(&run->history, &start, records, (uint32_t)(sent->last - sent->first + 1));
    return op < 0 ? RUN_OP_NONE : (uint32_t)op;
}

static void end(struct run *run, uint32_t op, struct history_end outcome)
{
    outcome.time_ns = now_ns(run);
    outcome.partition = HISTORY_PARTITION_NONE;
    if (op != RUN_OP_NONE)
        (void)history_end(&run->history, op, &outcome);
}

void note_success(struct run *run, uint32_t op, const struct xd_ack *ack, uint64_t offset)
{
    _Static_assert((int)XD_DURABILITY_FSYNC == (int)HISTORY_FSYNC, "levels are those of the wire");
    _Static_assert((int)XD_DURABILITY_WRITTEN == (int)HISTORY_WRITTEN, "");
    _Static_assert((int)XD_DURABILITY_MEMORY == (int)HISTORY_MEMORY, "");
    if (ack->durability >= XD_DURABILITY_COUNT)
        return RUN_FAIL(run, "an ack of durability %u", ack->durability);
    end(run, op,
        (struct history_end){.base_offset = offset,
                             .log_index = ack->log_index,
                             .outcome = HISTORY_OK,
                             .level = ack->durability,
                             .duplicate = ack->status == XD_DUPLICATE});
}

void note_settled(struct run *run, const struct sent *sent)
{
    static const uint8_t outcomes[] = {
        [SENT_KNOWN] = HISTORY_OK, [SENT_MAYBE] = HISTORY_UNKNOWN, [SENT_NEVER] = HISTORY_FAIL};
    XD_ASSERT(sent->state == SENT_KNOWN || sent->state == SENT_MAYBE || sent->state == SENT_NEVER);
    /* A crash may have taken what a weak answer told, its offset too. */
    if (sent->weak)
        end(run, sent->op, (struct history_end){.outcome = HISTORY_UNKNOWN});
    end(run, sent->op,
        (struct history_end){.base_offset = HISTORY_NONE, .outcome = outcomes[sent->state]});
}

void note_forgery(struct run *run, struct forgery *forgery, const struct xd_ack *ack)
{
    XD_ASSERT(forgery->op != RUN_OP_NONE);
    if (ack != NULL && ack->status >= 0) {
        note_success(run, forgery->op, ack, ack->base_offset);
        if (ack->durability != XD_DURABILITY_FSYNC)
            return;
    } else {
        bool refused = ack != NULL && xd_status_class(ack->status) != XD_CLASS_UNKNOWN;
        end(run, forgery->op,
            (struct history_end){.outcome = refused ? HISTORY_FAIL : HISTORY_UNKNOWN});
    }
    forgery->op = RUN_OP_NONE;
}

/* ---- channels -------------------------------------------------------------------------------- */

void note_opening(struct run *run, struct source *source)
{
    if (source->open_op != RUN_OP_NONE)
        return;
    const struct history_start start = {.time_ns = now_ns(run),
                                        .previous = HISTORY_NONE,
                                        .client = source->number,
                                        .channel = source->number,
                                        .producer_epoch = ++source->holders,
                                        .partition = HISTORY_PARTITION_NONE,
                                        .kind = HISTORY_CALL};
    int64_t op = history_start(&run->history, &start, NULL, 0);
    source->open_op = op < 0 ? RUN_OP_NONE : (uint32_t)op;
}

void note_opened(struct run *run, struct source *source)
{
    XD_ASSERT(source->holder < source->holders);
    end(run, source->open_op,
        (struct history_end){.base_offset = HISTORY_NONE, .outcome = HISTORY_OK});
    source->open_op = RUN_OP_NONE;
    source->holder = source->holders;
}

/* ---- reads ----------------------------------------------------------------------------------- */

void note_reply(struct run *run, uint32_t reader, uint64_t asked_ns, uint64_t requested,
                const struct xd_read_reply *reply, const uint8_t *batches)
{
    const struct history_reply told = {.start_ns = asked_ns,
                                       .end_ns = now_ns(run),
                                       .requested = requested,
                                       .first_offset = reply->first_offset,
                                       .end_offset = reply->end_offset,
                                       .reader = reader,
                                       .partition = reply->partition};
    const char *field = "";
    uint64_t next = reply->next_offset;
    if (reply->first_offset > 0)
        (void)history_floor(&run->history, reply->partition, reply->first_offset, told.end_ns);
    (void)history_read(&run->history, &told);
    for (uint32_t at = 0; at < reply->batches_bytes && !run_failed(run);) {
        const struct xd_batch_header *batch = (const void *)(batches + at);
        if (xd_batch_check_stored(batch, reply->batches_bytes - at, &field) < 0 ||
            xd_batch_check_hash(batch) < 0)
            return RUN_FAIL(run, "a batch that was served is damaged: %s", field);
        if (batch->partition != reply->partition)
            return RUN_FAIL(run, "a batch of another partition is served");
        batch_read(run, batch);
        next = batch->base_offset + batch->record_count;
        at += xd_batch_stride(batch);
    }
    if (next != reply->next_offset)
        RUN_FAIL(run, "a READ ends elsewhere than it says");
}

void note_damage(struct run *run, uint32_t partition, uint64_t first, uint64_t last)
{
    XD_ASSERT(partition < RUN_PARTITIONS);
    (void)history_quarantine(&run->history, partition, first, last, now_ns(run));
}

/* ---- the verdict ----------------------------------------------------------------------------- */

void note_judge(struct run *run, bool damaged)
{
    const struct log_options *log = &run->broker.options.log;
    struct history_options options;
    struct history_report report;
    history_options_init(&options);
    options.retention = log->retention_bytes > 0 || log->retention_us > 0;
    options.floor_per_process = true; /* retention frees segments in memory alone */
    /* By age alone, and by a clock that goes as the world's time does. */
    if (log->retention_bytes == 0 && log->retention_us > 0 && !plan_has(&run->plan, FAULT_CLOCK))
        options.retention_ns = (uint64_t)log->retention_us * 1000;
    options.quarantine_record_max = damaged ? UINT64_MAX : 0;
    int broken = history_check(&run->history, &options, &report);
    if (broken < 0)
        return RUN_FAIL(run, "the history cannot be judged: %s %s", xd_status_name(broken),
                        report.malformed);
    if (broken > 0 && run->trace != NULL)
        history_report_print(&report, run->trace);
    for (unsigned i = 0; i < HISTORY_PROPERTY_COUNT; i++)
        if (report.properties[i].count > 0)
            RUN_FAIL(run, "%s: %s", history_property_name((enum history_property)i),
                     report.properties[i].first);
}
