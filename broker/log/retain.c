/* SPDX-License-Identifier: Apache-2.0
 *
 * Drops the oldest segment when it is too much or too old. See retain.h.
 */
#include "broker/log/retain.h"

#include "broker/log/log_state.h"

/* Whether the wall clock may decide. */
static bool clock_steady(struct log *log, uint64_t now_ns, int64_t wall_us)
{
    struct retain *r = &log->retain;
    int64_t ahead_us = wall_us - r->steady_us - (int64_t)((now_ns - r->steady_ns) / 1000);
    uint64_t jump_us = (uint64_t)(ahead_us < 0 ? -ahead_us : ahead_us);

    XD_ASSERT(now_ns >= r->steady_ns);
    if (r->steady_ns == 0 || jump_us > RETAIN_JUMP_US) {
        if (r->steady_ns != 0)
            log_news_add(log, LOG_NEWS_CLOCK_JUMPED, jump_us / 1000000, ahead_us < 0,
                         log->options.clock_steady_ns / 1000000000u);
        r->steady_ns = now_ns;
        r->steady_us = wall_us;
    }
    return now_ns - r->steady_ns >= log->options.clock_steady_ns;
}

/* Whether the oldest FULL segment should go. */
static enum retain_reason reason_to_drop(struct log *log, const struct segment *oldest, bool by_age,
                                         int64_t wall_us)
{
    uint64_t kept = (uint64_t)segment_count(&log->table, SEGMENT_FULL) + 1;

    XD_ASSERT(oldest->state == SEGMENT_FULL);
    XD_ASSERT(oldest->segment_no < log->table.slots[log->table.active].segment_no);
    if (log->options.retention_bytes > 0 &&
        kept * log->table.segment_bytes > log->options.retention_bytes)
        return RETAIN_BY_SIZE;
    if (by_age && oldest->last_time_us > 0 &&
        oldest->last_time_us < wall_us - log->options.retention_us)
        return RETAIN_BY_AGE;
    return RETAIN_KEEP;
}

/* Decides about the oldest segment. */
static void look(struct log *log, uint64_t now_ns)
{
    struct retain *r = &log->retain;
    struct segment *oldest = segment_oldest(&log->table);
    enum retain_reason reason;
    uint64_t kept_from;
    int64_t wall_us = env_now_wall_us(log->env);
    bool by_age = log->options.retention_us > 0 && clock_steady(log, now_ns, wall_us);

    XD_ASSERT(oldest && r->dropping_no == 0);
    r->blocked_at = 0;
    if (oldest->state != SEGMENT_FULL)
        return;
    reason = reason_to_drop(log, oldest, by_age, wall_us);
    if (reason == RETAIN_KEEP)
        return;
    kept_from = (oldest->segment_no + 1) * log->table.segment_bytes;
    if (kept_from > checkpoint_floor(log)) {
        r->blocked_at = kept_from;
        return;
    }
    /* What a restart would read, and what is not folded yet, stays. */
    XD_ASSERT(kept_from <= log->checkpoint.position && kept_from <= log->append.folded.position);
    r->dropping_no = oldest->segment_no;
    r->reason = (uint8_t)reason;
    r->trim_next = 0;
}

/* Trims a slice of partitions; frees the slot behind the last. */
static void drop_continue(struct log *log)
{
    struct retain *r = &log->retain;
    uint64_t kept_from = (r->dropping_no + 1) * log->table.segment_bytes;
    uint32_t end = log->index.partition_count;
    struct segment *segment;

    XD_ASSERT(r->dropping_no != 0 && r->trim_next <= end);
    XD_ASSERT(kept_from <= log->append.folded.position);
    if (end - r->trim_next > RETAIN_PARTITIONS_PER_TURN)
        end = r->trim_next + RETAIN_PARTITIONS_PER_TURN;
    for (; r->trim_next < end; r->trim_next++)
        index_trim(&log->index, r->trim_next, kept_from);
    if (r->trim_next < log->index.partition_count || extent_busy_or_forget(log, r->dropping_no))
        return;
    segment = segment_find(&log->table, r->dropping_no);
    XD_ASSERT(segment && segment->state == SEGMENT_FULL);
    XD_ASSERT(segment == segment_oldest(&log->table));
    segment_free(segment);
    log_news_add(log, LOG_NEWS_SEGMENT_DROPPED, r->dropping_no, r->reason, 0);
    counters_add(log->counters, COUNTER_segments_recycled, 1);
    counters_set(log->counters, COUNTER_log_first_position, kept_from);
    r->dropping_no = 0;
    r->next_check_ns = 0;
    prepare_wake(log);
}

void retain_wake(struct log *log)
{
    log->retain.next_check_ns = 0;
}

void retain_kick(struct log *log, uint64_t now_ns)
{
    struct retain *r = &log->retain;

    XD_ASSERT(r->dropping_no == 0 || r->blocked_at == 0);
    if (log->fenced || log->phase != LOG_RUNNING)
        return;
    if (r->dropping_no == 0 && now_ns >= r->next_check_ns) {
        r->next_check_ns = now_ns + RETAIN_CHECK_NS;
        look(log, now_ns);
    }
    if (r->dropping_no != 0)
        drop_continue(log);
}

uint64_t retain_deadline_ns(const struct log *log)
{
    if (log->fenced || log->phase != LOG_RUNNING)
        return UINT64_MAX;
    if (log->retain.dropping_no == 0)
        return log->retain.next_check_ns;
    if (log->retain.trim_next < log->index.partition_count)
        return 0;
    return UINT64_MAX; /* waits for the event of a read */
}
