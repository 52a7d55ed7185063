/* SPDX-License-Identifier: Apache-2.0
 *
 * Recording for the judge of histories; see judge.h.
 *
 * A record of a feed is known by its document, which names run and feed, and its sequence. One
 * operation of the history is one record, so that any answer finds it by its sequence.
 */
#include "bench/judge/judge.h"

#include "bench/check.h"
#include "bench/machine.h"
#include "tests/support/history_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_MS 5u
/* What was acknowledged below fsync may be read when it is durable, which is by then. */
#define DURABLE_NS 2000000000u
#define SOMEBODY (UINT64_C(1) << 63) /* in ids of records that no feed has sent */
#define SOMEBODY_CHANNEL (1u << 16)  /* added to registry numbers */
#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)
#define HASH_FACTOR UINT64_C(0x100000001b3)

struct sent_feed {
    struct judge_feed options; /* */
    uint64_t *ops;             /* of the history, by sequence - options.resume - 1 */
    uint64_t count;            /* records sent */
    uint64_t room;             /* allocated */
};

/* Where a reader is. */
struct place {
    uint64_t *next; /* by partition: offset behind what was read, HISTORY_NONE = nothing yet */
    uint32_t room;  /* allocated */
};

struct judge {
    struct history history;
    struct sent_feed *feeds; /* */
    struct place *places;    /* of readers */
    uint64_t *strangers;     /* ids of records that nobody had sent; open addressing, 0 = free */
    uint64_t stranger_count; /* */
    uint64_t stranger_room;  /* a power of two */
    uint64_t begin_ns;       /* */
    uint64_t acked;          /* records, as appended, at any level */
    uint64_t read;           /* records */
    uint64_t read_own;       /* of these sent by the feeds */
    uint32_t feed_count;     /* */
    uint32_t place_count;    /* */
    uint32_t reader;         /* of the newest reply */
    uint32_t partition;      /* likewise; HISTORY_PARTITION_NONE = it is over */
    uint32_t run;            /* tells this run's records from others */
    int status;              /* first failure of a recording that the history does not know of */
};

static uint64_t hash(uint64_t begin, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < bytes; i++)
        begin = (begin ^ at[i]) * HASH_FACTOR;
    return begin;
}

static uint64_t hash_text(uint64_t begin, const char *text)
{
    return hash(begin, text, strlen(text) + 1);
}

static uint64_t hash_bytes(uint64_t begin, xdock_bytes_t bytes)
{
    return hash(begin, bytes.data, bytes.bytes);
}

static uint32_t fold(uint64_t value)
{
    return (uint32_t)(value ^ value >> 32);
}

/* What routes a record, and what must come back unchanged of it. */
static uint32_t key_of(const char *facility, xdock_bytes_t sku)
{
    return fold(hash_bytes(hash_text(HASH_BEGIN, facility), sku));
}

static uint32_t content_of(xdock_bytes_t location, xdock_bytes_t document, xdock_bytes_t payload)
{
    return fold(hash_bytes(hash_bytes(hash_bytes(HASH_BEGIN, location), document), payload));
}

static xdock_bytes_t text(const char *chars)
{
    return xdock_bytes(chars, chars != NULL ? strlen(chars) : 0);
}

static uint64_t id_of(uint32_t feed, uint64_t sequence)
{
    return (uint64_t)(feed + 1) << 40 | sequence;
}

/* ---- life ------------------------------------------------------------------------------------ */

int judge_make(uint32_t feeds, uint32_t readers, struct judge **ret_judge)
{
    struct judge *judge = calloc(1, sizeof *judge);
    if (judge == NULL)
        return -ENOMEM;
    judge->feeds = calloc(feeds + 1, sizeof *judge->feeds);
    judge->places = calloc(readers, sizeof *judge->places);
    judge->stranger_room = 1024;
    judge->strangers = calloc(judge->stranger_room, sizeof *judge->strangers);
    judge->feed_count = feeds;
    judge->place_count = readers;
    history_init(&judge->history);
    if (judge->feeds == NULL || judge->places == NULL || judge->strangers == NULL) {
        judge_free(&judge);
        return -ENOMEM;
    }
    judge->partition = HISTORY_PARTITION_NONE;
    judge->begin_ns = machine_now_ns();
    judge->run = fold((uint64_t)machine_wall_us() * HASH_FACTOR ^ (uint64_t)getpid());
    *ret_judge = judge;
    return 0;
}

void judge_free(struct judge **judge)
{
    struct judge *gone = *judge;
    if (gone == NULL)
        return;
    for (uint32_t i = 0; gone->feeds != NULL && i < gone->feed_count; i++)
        free(gone->feeds[i].ops);
    for (uint32_t i = 0; gone->places != NULL && i < gone->place_count; i++)
        free(gone->places[i].next);
    free(gone->feeds);
    free(gone->places);
    free(gone->strangers);
    history_deinit(&gone->history);
    free(gone);
    *judge = NULL;
}

/* ---- feeds ----------------------------------------------------------------------------------- */

void judge_document(const struct judge *judge, uint32_t feed, char ret_text[JUDGE_DOCUMENT_BYTES])
{
    snprintf(ret_text, JUDGE_DOCUMENT_BYTES, "J%08" PRIx32 ".%05" PRIu32, judge->run, feed);
}

void judge_feed(struct judge *judge, uint32_t feed, const struct judge_feed *options)
{
    BENCH_ASSERT(feed < judge->feed_count);
    judge->feeds[feed].options = *options;
}

/* Room for one more record of the feed. */
static bool feed_grow(struct judge *judge, struct sent_feed *feed)
{
    uint64_t room = feed->room > 0 ? 2 * feed->room : 1024;
    if (feed->count < feed->room)
        return true;
    uint64_t *ops = realloc(feed->ops, room * sizeof *ops);
    if (ops == NULL) {
        judge->status = -ENOMEM;
        return false;
    }
    feed->ops = ops;
    feed->room = room;
    return true;
}

/* In a feed of one partition each record follows the one before; the first may follow others. */
static uint64_t previous_of(const struct sent_feed *feed)
{
    if (feed->options.partition < 0 || (feed->count == 0 && feed->options.resume > 0))
        return HISTORY_NONE;
    return feed->count > 0 ? feed->options.resume + feed->count : 0;
}

void judge_sent(struct judge *judge, uint32_t number, uint64_t before, uint32_t count,
                const xdock_record_t *record)
{
    BENCH_ASSERT(number < judge->feed_count);
    struct sent_feed *feed = &judge->feeds[number];
    struct history_record sent = {
        .key = key_of(feed->options.facility, text(record->sku)),
        .content = content_of(text(record->location), text(record->document), record->payload)};
    while (feed->count < before + count && feed_grow(judge, feed)) {
        const struct history_start start = {.time_ns = machine_now_ns(),
                                            .previous = previous_of(feed),
                                            .client = number,
                                            .channel = number,
                                            .partition = feed->options.partition < 0
                                                             ? HISTORY_PARTITION_NONE
                                                             : (uint32_t)feed->options.partition,
                                            .kind = HISTORY_PRODUCE};
        sent.sequence = feed->options.resume + feed->count + 1;
        sent.id = id_of(number, sent.sequence);
        int64_t op = history_start(&judge->history, &start, &sent, 1);
        if (op < 0)
            return; /* The history keeps a failure. */
        feed->ops[feed->count++] = (uint64_t)op;
    }
}

void judge_acked(struct judge *judge, uint32_t number, const xdock_ack_t *ack)
{
    BENCH_ASSERT(number < judge->feed_count);
    const struct sent_feed *feed = &judge->feeds[number];
    bool fsync = ack->durability == XDOCK_FSYNC;
    uint64_t row = ack->sequence - feed->options.resume - 1;
    struct history_end end = {.time_ns = machine_now_ns(),
                              .base_offset = HISTORY_NONE,
                              .partition = ack->partition,
                              .outcome = HISTORY_OK,
                              .level = ack->durability,
                              .duplicate = ack->status == XDOCK_DUPLICATE};
    if (row >= feed->count) {
        judge->status = -EBADMSG; /* an answer to what was not sent */
        return;
    }
    judge->acked += ack->status >= 0;
    if (ack->status < 0) {
        bool unknown = xdock_status_class(ack->status) == XDOCK_CLASS_UNKNOWN;
        end.outcome = unknown ? HISTORY_UNKNOWN : HISTORY_FAIL;
    } else if (fsync) {
        end.base_offset = ack->offset;
        end.log_index = ack->log_index;
    }
    /* A weaker level than asked for would be the broker's fault: it counts as asked for. */
    if (end.level > feed->options.level)
        end.level = feed->options.level;
    (void)history_end(&judge->history, feed->ops[row], &end); /* The history keeps a failure. */
}

/* ---- readers --------------------------------------------------------------------------------- */

/* Adds the id to the set; false when it is there. */
static bool stranger_add(struct judge *judge, uint64_t id)
{
    uint64_t mask = judge->stranger_room - 1;
    uint64_t at = id & mask;
    while (judge->strangers[at] != 0 && judge->strangers[at] != id)
        at = (at + 1) & mask;
    if (judge->strangers[at] == id)
        return false;
    judge->strangers[at] = id;
    judge->stranger_count++;
    return true;
}

/* Makes the set twice as large when it is half full. */
static bool strangers_grow(struct judge *judge)
{
    uint64_t *old = judge->strangers;
    uint64_t room = judge->stranger_room;
    if (2 * judge->stranger_count < room)
        return true;
    uint64_t *larger = calloc(2 * room, sizeof *larger);
    if (larger == NULL) {
        judge->status = -ENOMEM;
        return false;
    }
    judge->strangers = larger;
    judge->stranger_room = 2 * room;
    judge->stranger_count = 0;
    for (uint64_t i = 0; i < room; i++)
        if (old[i] != 0)
            (void)stranger_add(judge, old[i]); /* All of them are different. */
    free(old);
    return true;
}

/* A record that somebody else has sent, some time. */
static void take_stranger(struct judge *judge, const xdock_view_t *view,
                          struct history_entry *entry)
{
    uint64_t id = hash(HASH_BEGIN, &view->channel, sizeof view->channel);
    id = hash(id, &view->channel_epoch, sizeof view->channel_epoch);
    entry->id = hash(id, &view->sequence, sizeof view->sequence) | SOMEBODY;
    if (!strangers_grow(judge) || !stranger_add(judge, entry->id))
        return;
    const struct history_record sent = {
        .id = entry->id, .sequence = entry->sequence, .key = entry->key, .content = entry->content};
    const struct history_start start = {.time_ns = judge->begin_ns,
                                        .previous = HISTORY_NONE,
                                        .channel = SOMEBODY_CHANNEL + (uint32_t)view->channel,
                                        .channel_epoch = view->channel_epoch,
                                        .partition = view->partition,
                                        .kind = HISTORY_PRODUCE};
    const struct history_end end = {.time_ns = machine_now_ns(),
                                    .base_offset = HISTORY_NONE,
                                    .partition = HISTORY_PARTITION_NONE,
                                    .outcome = HISTORY_UNKNOWN};
    int64_t op = history_start(&judge->history, &start, &sent, 1);
    if (op >= 0)
        (void)history_end(&judge->history, (uint64_t)op, &end); /* The history keeps a failure. */
}

/* Feed whose records carry this document, or -1. */
static int64_t feed_of(const struct judge *judge, xdock_bytes_t document)
{
    char copy[JUDGE_DOCUMENT_BYTES];
    uint32_t run;
    uint32_t feed;
    if (document.bytes >= sizeof copy)
        return -1;
    memcpy(copy, document.data, document.bytes);
    copy[document.bytes] = '\0';
    if (sscanf(copy, "J%8" SCNx32 ".%5" SCNu32, &run, &feed) != 2)
        return -1;
    return run == judge->run && feed < judge->feed_count ? (int64_t)feed : -1;
}

/* The reader's place in the partition; NULL without memory. */
static uint64_t *next_of(struct judge *judge, struct place *place, uint32_t partition)
{
    uint32_t room = place->room > 0 ? place->room : 64;
    while (room <= partition)
        room *= 2;
    if (room > place->room) {
        uint64_t *next = realloc(place->next, room * sizeof *next);
        if (next == NULL) {
            judge->status = -ENOMEM;
            return NULL;
        }
        for (uint32_t i = place->room; i < room; i++)
            next[i] = HISTORY_NONE;
        place->next = next;
        place->room = room;
    }
    return &place->next[partition];
}

/* The first record of a partition that a reader is given is the oldest one that there is. */
static void begin_reply(struct judge *judge, uint32_t number, uint32_t partition, uint64_t next,
                        uint64_t offset, uint64_t end_offset)
{
    const struct history_reply reply = {.start_ns = machine_now_ns(),
                                        .end_ns = machine_now_ns(),
                                        .requested = next,
                                        .first_offset = HISTORY_NONE,
                                        .end_offset = end_offset,
                                        .reader = number,
                                        .partition = partition};
    if (next == HISTORY_NONE)
        (void)history_floor(&judge->history, partition, offset, reply.end_ns);
    (void)history_read(&judge->history, &reply); /* The history keeps a failure. */
}

void judge_read(struct judge *judge, uint32_t number, xdock_reader_t *reader,
                const xdock_view_t *view)
{
    char sku[20];
    char location[20];
    char scratch[20];
    BENCH_ASSERT(number < judge->place_count && view->partition < UINT32_MAX / 2);
    struct place *place = &judge->places[number];
    xdock_bytes_t document = xdock_view_document(view, scratch);
    int64_t feed = feed_of(judge, document);
    struct history_entry entry = {
        .sequence = view->sequence,
        .append_time_us = view->append_time_us,
        .key =
            key_of(xdock_reader_facility_name(reader, view->facility), xdock_view_sku(view, sku)),
        .content = content_of(xdock_view_location(view, location), document, view->payload)};
    uint64_t *next = next_of(judge, place, view->partition);
    if (next == NULL)
        return;
    if (feed >= 0) {
        entry.id = id_of((uint32_t)feed, view->sequence);
        judge->read_own++;
    } else {
        take_stranger(judge, view, &entry);
    }
    /* Records that one reader is given of one partition, without a gap, are one reply. */
    if (judge->reader != number || judge->partition != view->partition || *next != view->offset)
        begin_reply(judge, number, view->partition, *next, view->offset, HISTORY_NONE);
    (void)history_read_record(&judge->history, view->offset, &entry);
    judge->reader = number;
    judge->partition = view->partition;
    *next = view->offset + 1;
    judge->read++;
}

void judge_read_end(struct judge *judge, uint32_t number, xdock_reader_t *reader)
{
    int64_t partition;
    BENCH_ASSERT(number < judge->place_count);
    struct place *place = &judge->places[number];
    for (unsigned i = 0; (partition = xdock_reader_partition(reader, i)) >= 0; i++) {
        uint64_t offset = 0;
        uint64_t end = 0;
        const uint64_t *next = next_of(judge, place, (uint32_t)partition);
        if (next == NULL || xdock_reader_position(reader, (uint32_t)partition, &offset, &end) < 0)
            continue;
        begin_reply(judge, number, (uint32_t)partition, *next, offset, end);
    }
    judge->partition = HISTORY_PARTITION_NONE;
}

int judge_read_all(struct judge *judge, xdock_client_t *client, const char *topic,
                   uint32_t timeout_ms)
{
    const xdock_selection_t selection = {.struct_bytes = sizeof selection,
                                         .from = XDOCK_FROM_BEGIN,
                                         .topic = topic,
                                         .partition = -1};
    uint64_t deadline_ns = machine_now_ns() + (uint64_t)timeout_ms * 1000000u;
    uint64_t durable_ns = machine_now_ns() + DURABLE_NS;
    xdock_reader_t *reader = NULL;
    int status = xdock_reader_open(client, &selection, timeout_ms, &reader);
    while (status >= 0 && (!xdock_reader_at_end(reader) ||
                           (judge->read_own < judge->acked && machine_now_ns() < durable_ns))) {
        const xdock_view_t *view;
        status = xdock_reader_poll(reader, POLL_MS);
        while (status > 0 && (view = xdock_reader_next(reader)) != NULL)
            judge_read(judge, 0, reader, view);
        if (status == 0 && machine_now_ns() > deadline_ns)
            status = XDOCK_DEADLINE_EXCEEDED;
    }
    if (status >= 0)
        judge_read_end(judge, 0, reader);
    xdock_reader_close(&reader);
    return status < 0 ? status : 0;
}

/* ---- the verdict ----------------------------------------------------------------------------- */

int judge_verdict(const struct judge *judge, const char *who, bool retention, FILE *out)
{
    struct history_options options;
    struct history_report report;
    uint64_t sent = 0;
    history_options_init(&options);
    options.retention = retention;
    if (judge->status < 0)
        return judge->status;
    int status = history_check(&judge->history, &options, &report);
    if (status < 0)
        return status;
    for (uint32_t i = 0; i < judge->feed_count; i++)
        sent += judge->feeds[i].count;
    fprintf(out,
            "%s: judged: %" PRIu64 " records sent, %" PRIu64 " read, %" PRIu64
            " of them sent by others: %s\n",
            who, sent, judge->read, judge->stranger_count,
            status > 0 ? "promises are broken" : "every promise is kept");
    if (status > 0)
        history_report_print(&report, out);
    return status;
}
