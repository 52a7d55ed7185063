/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines for the owner to report: events with stable names and keyed values, never one per record.
 */
#include "broker/shard/state.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>

/* Lines about the same thing that clients can bring about come no more often, in ns. */
#define SAY_AGAIN_NS 10000000000ull

void lines_say(struct shard *shard, bool warning, const char *event, const char *text)
{
    XD_ASSERT(event != NULL && text != NULL);
    if (ring_free_count(&shard->lines_ring) == 0) {
        shard->lines_lost++;
        return;
    }
    struct shard_line *line = &shard->lines[ring_push(&shard->lines_ring)];
    line->event = event;
    line->warning = warning;
    snprintf(line->text, sizeof line->text, "%s", text);
}

bool shard_line_next(struct shard *shard, struct shard_line *ret_line)
{
    if (ring_count(&shard->lines_ring) > 0) {
        *ret_line = shard->lines[ring_pop(&shard->lines_ring)];
        XD_ASSERT(ret_line->event != NULL);
        return true;
    }
    if (shard->lines_lost == 0)
        return false;
    *ret_line = (struct shard_line){.event = "lines_lost", .warning = true};
    snprintf(ret_line->text, sizeof ret_line->text, "count=%" PRIu64, shard->lines_lost);
    shard->lines_lost = 0;
    return true;
}

/* Whether a line of a kind that may come with every connection is due again. */
static bool is_due(const struct shard *shard, uint64_t said_ns)
{
    return said_ns == 0 || shard->now_ns - said_ns >= SAY_AGAIN_NS;
}

void lines_refused(struct shard *shard, enum net_refusal refusal, uint64_t count)
{
    char text[SHARD_LINE_BYTES_MAX];
    struct refused *refused = &shard->refused[refusal];
    XD_ASSERT(refusal > NET_TAKEN && refusal < NET_REFUSAL_COUNT && count > 0);
    refused->count += count;
    if (!is_due(shard, refused->said_ns))
        return;
    snprintf(text, sizeof text, "reason=%s count=%" PRIu64, net_refusal_name(refusal),
             refused->count);
    lines_say(shard, true, "connection_refused", text);
    *refused = (struct refused){.said_ns = shard->now_ns};
}

void lines_memory(struct shard *shard)
{
    char text[SHARD_LINE_BYTES_MAX];
    enum net_memory memory = net_memory(shard->net);
    XD_ASSERT(shard->memory_said < NET_MEMORY_COUNT);
    if (memory == shard->memory_said || !is_due(shard, shard->memory_said_ns))
        return;
    snprintf(text, sizeof text, "state=%s", net_memory_name(memory));
    lines_say(shard, memory != NET_MEMORY_NORMAL, "memory_state", text);
    shard->memory_said = memory;
    shard->memory_said_ns = shard->now_ns;
}

static const char *sync_name(uint64_t sync)
{
    return sync == LOG_SYNC_DSYNC ? "dsync" : "fdatasync";
}

/* Why a segment is gone. */
static const char *drop_reason(uint64_t reason)
{
    static const char *const names[] = {"size", "age", "missing"};
    XD_ASSERT(reason >= 1 && reason <= sizeof names / sizeof names[0]);
    return names[reason - 1];
}

/* Keyed values of one news; true when an operator should look. */
static bool news_text(const struct log_news *news, char *text, size_t bytes)
{
    switch (news->kind) { /* GCOVR_EXCL_BR_LINE the log has no news of other kinds */
    case LOG_NEWS_CREATED:
        snprintf(text, bytes, "%s", "");
        return false;
    case LOG_NEWS_TAIL_CUT:
        snprintf(text, bytes, "bytes=%" PRIu64 " first_index=%" PRIu64, news->a, news->b);
        return true;
    case LOG_NEWS_LOCAL_BLOCK_LOST:
        snprintf(text, bytes, "position=%" PRIu64, news->a);
        return false;
    case LOG_NEWS_CORRUPT:
        snprintf(text, bytes,
                 "position=%" PRIu64 " bytes=%" PRIu64 " next=\"crossdock log verify\"", news->a,
                 news->b);
        return true;
    case LOG_NEWS_CHECKPOINT_FALLBACK:
        snprintf(text, bytes, "bad_generation=%" PRIu64, news->a);
        return true;
    case LOG_NEWS_META_SLOT_DAMAGED:
        snprintf(text, bytes, "file=meta slot=%" PRIu64 " kept_generation=%" PRIu64, news->a,
                 news->b);
        return true;
    case LOG_NEWS_SEGMENT_ROLLED:
        snprintf(text, bytes, "segment=%" PRIu64, news->a);
        return false;
    case LOG_NEWS_SEGMENT_DROPPED:
        snprintf(text, bytes, "segment=%" PRIu64 " reason=%s", news->a, drop_reason(news->b));
        return news->b == 3; /* recycled after the last checkpoint, or lost: nobody can tell */
    case LOG_NEWS_CLOCK_JUMPED:
        snprintf(text, bytes, "seconds=%" PRIu64 " direction=%s no_drop_by_age_seconds=%" PRIu64,
                 news->a, news->b != 0 ? "back" : "ahead", news->c);
        return true;
    case LOG_NEWS_CHECKPOINT:
        snprintf(text, bytes, "generation=%" PRIu64 " index=%" PRIu64 " bytes=%" PRIu64, news->a,
                 news->b, news->c);
        return false;
    case LOG_NEWS_SYNC_CHOSEN:
        snprintf(text, bytes, "sync=%s dsync_us=%" PRIu64 " fdatasync_us=%" PRIu64,
                 sync_name(news->a), news->b, news->c);
        return false;
    case LOG_NEWS_NOT_READY:
        snprintf(text, bytes, "segments_ready=%" PRIu64, news->a);
        return true;
    case LOG_NEWS_FENCED:
        snprintf(text, bytes, "error=%s position=%" PRIu64, xd_status_name(-(int)news->a), news->c);
        return true;
    case LOG_NEWS_COUNT:
        break;
    }
    XD_ASSERT(false);
    return true;
}

void lines_take_news(struct shard *shard)
{
    struct log_news news;
    char text[SHARD_LINE_BYTES_MAX];
    while (log_news_next(shard->log, &news)) {
        bool warning = news_text(&news, text, sizeof text);
        lines_say(shard, warning, log_news_name(news.kind), text);
    }
}
