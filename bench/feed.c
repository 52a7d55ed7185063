/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection under load; see feed.h.
 */
#include "bench/feed.h"

#include "bench/check.h"
#include "bench/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_TIMEOUT_MS 10000u
#define SEND_TIMEOUT_MS 10000u
/* Records posted under one reading of the clock. */
#define POST_RUN_RECORDS 64u
/* Units of one turn, so that the other feeds and the end come round. */
/* Between two turns of a schedule that nothing else asks for: with a system call for every record a
 * load of 300,000 a second would keep its CPU, and the kernel's threads there, from everything
 * else. */
#define TURN_NS_MIN 33000u
#define TURN_UNITS 64u
#define ACKS_ROOM 1024u
/* Of records that no judge must know again. */
#define DOCUMENT "SO4711"
/* An ack's user word holds the time in ns above, the record's place in its batch below. */
#define USER_PLACE_BITS 16u

static uint64_t user_word(const struct feed *feed, uint64_t due_ns)
{
    BENCH_ASSERT(due_ns >= feed->plan->base_ns);
    return (due_ns - feed->plan->base_ns) << USER_PLACE_BITS;
}

/* ---- outcomes -------------------------------------------------------------------------------- */

static bool measured(const struct feed *feed, uint64_t due_ns)
{
    return due_ns >= feed->plan->begin_ns && due_ns < feed->plan->end_ns;
}

static void note(struct feed *feed, uint64_t due_ns, uint64_t now_ns, uint64_t records)
{
    if (measured(feed, due_ns))
        latency_add(&feed->sum->latency, now_ns > due_ns ? now_ns - due_ns : 0, records);
}

static void note_failure(struct feed *feed, int status)
{
    feed->sum->failed++;
    if (feed->sum->first_failure == 0)
        feed->sum->first_failure = status;
}

static void take_outcomes(struct feed *feed)
{
    xdock_ack_t acks[ACKS_ROOM];
    int count;
    do {
        count = xdock_acks(feed->producer, acks, ACKS_ROOM, 0);
        uint64_t now_ns = count > 0 ? machine_now_ns() : 0;
        for (int i = 0; i < count; i++) {
            if (feed->plan->each)
                note(feed, feed->plan->base_ns + (acks[i].user >> USER_PLACE_BITS), now_ns, 1);
            if (acks[i].status < 0)
                note_failure(feed, acks[i].status);
            if (feed->plan->judge != NULL)
                judge_acked(feed->plan->judge, feed->number, &acks[i]);
        }
    } while (count == (int)ACKS_ROOM);
}

static void count_outcomes(struct feed *feed)
{
    uint64_t pending = xdock_producer_pending(feed->producer);
    BENCH_ASSERT(pending <= feed->posted);
    uint64_t done = feed->posted - pending;
    if (done == feed->done)
        return;
    uint64_t now_ns = feed->plan->each ? 0 : machine_now_ns();
    uint64_t counted = feed->done;
    feed->sum->records += done - feed->done;
    feed->done = done;
    while (feed->mark_first != feed->mark_end) {
        const struct feed_mark *mark = &feed->marks[feed->mark_first & feed->mark_mask];
        if (mark->end > done)
            break;
        note(feed, mark->due_ns, now_ns, mark->end - counted);
        counted = mark->end;
        feed->mark_first++;
    }
}

static void collect(struct feed *feed)
{
    if (feed->plan->each)
        take_outcomes(feed);
    count_outcomes(feed);
}

/* Asking for outcomes moves bytes too, so there may be new ones to count. */
void feed_collect_failures(struct feed *feed)
{
    if (feed->plan->blocking)
        return;
    take_outcomes(feed);
    count_outcomes(feed);
}

/* ---- posting --------------------------------------------------------------------------------- */

static void mark_posted(struct feed *feed, uint64_t due_ns, uint32_t records)
{
    feed->posted += records;
    if (feed->plan->each)
        return;
    BENCH_ASSERT(feed->mark_end - feed->mark_first <= feed->mark_mask);
    feed->marks[feed->mark_end++ & feed->mark_mask] =
        (struct feed_mark){.end = feed->posted, .due_ns = due_ns};
}

/* Records that follow the first `ahead` of those that are not marked as posted yet. */
static void tell_judge(struct feed *feed, uint32_t ahead, uint32_t count,
                       const xdock_record_t *record)
{
    if (feed->plan->judge != NULL)
        judge_sent(feed->plan->judge, feed->number, feed->posted + ahead, count, record);
}

/* A unit of single records. XDOCK_BUFFER_FULL when not all of them found room. */
static int post_records(struct feed *feed, uint64_t due_ns)
{
    uint32_t count = 0;
    int status = 0;
    while (count < feed->unit_records && status == 0) {
        uint32_t key = feed->cargo.next;
        const xdock_record_t *record = cargo_next_record(&feed->cargo);
        tell_judge(feed, count, 1, record);
        status = xdock_post(feed->producer, record, user_word(feed, due_ns), 0);
        count += status == 0;
        if (status != 0)
            feed->cargo.next = key;
    }
    if (count > 0)
        mark_posted(feed, due_ns, count);
    return status;
}

static int post_body(struct feed *feed, uint64_t due_ns)
{
    struct cargo *cargo = &feed->cargo;
    uint32_t key = cargo->next;
    tell_judge(feed, 0, cargo->batch_records, cargo_next_record(cargo));
    cargo->next = key;
    int status =
        xdock_post_encoded(feed->producer, feed->plan->topic, cargo_next_body(cargo),
                           cargo->body_bytes, cargo->batch_records, user_word(feed, due_ns), 0);
    if (status == 0)
        mark_posted(feed, due_ns, cargo->batch_records);
    else
        cargo->next = key;
    return status;
}

/* The outcome is the call's own. */
static int send_record(struct feed *feed, uint64_t due_ns)
{
    const xdock_record_t *record = cargo_next_record(&feed->cargo);
    xdock_ack_t ack;
    tell_judge(feed, 0, 1, record);
    int status = xdock_send(feed->producer, record, &ack, SEND_TIMEOUT_MS);
    if (status < 0)
        return status;
    if (feed->plan->judge != NULL)
        judge_acked(feed->plan->judge, feed->number, &ack);
    feed->posted++;
    feed->done++;
    feed->sum->records++;
    note(feed, due_ns, machine_now_ns(), 1);
    return 0;
}

static int post_unit(struct feed *feed, uint64_t due_ns)
{
    switch (feed->plan->how) {
    case FEED_ENCODED:
        return post_body(feed, due_ns);
    case FEED_SEND:
        return feed->plan->blocking ? send_record(feed, due_ns) : post_records(feed, due_ns);
    case FEED_POST:
        return post_records(feed, due_ns);
    }
    BENCH_ASSERT(false);
    return 0;
}

static bool window_has_room(const struct feed *feed)
{
    return feed->posted - feed->done + feed->unit_records <= feed->window_records;
}

/* Posts what is due and fits; 1 when something was posted, 0, or a status. */
static int post_due(struct feed *feed)
{
    const struct feed_plan *plan = feed->plan;
    int posted = 0;
    for (uint32_t i = 0; i < TURN_UNITS && window_has_room(feed); i++) {
        uint64_t now_ns = machine_now_ns();
        uint64_t due_ns = plan->interval_ns > 0 ? feed->due_ns : now_ns;
        if (due_ns > now_ns || due_ns >= plan->end_ns)
            break;
        int status = post_unit(feed, due_ns);
        if (status == XDOCK_BUFFER_FULL)
            break;
        if (status < 0)
            return status;
        posted = 1;
        if (plan->interval_ns > 0) {
            feed->sum->waited += measured(feed, due_ns) && now_ns - due_ns > plan->interval_ns;
            feed->due_ns += plan->interval_ns;
        }
        if (plan->blocking)
            break;
    }
    return posted;
}

int feed_turn(struct feed *feed)
{
    int status = 0;
    feed->turn_ns = machine_now_ns();
    if (!feed->plan->blocking)
        status = xdock_client_step(feed->client, 0);
    if (status < 0)
        return status;
    collect(feed);
    status = post_due(feed);
    if (status > 0 && !feed->plan->blocking) {
        status = xdock_client_step(feed->client, 0);
        collect(feed);
    }
    return status < 0 ? status : 0;
}

uint64_t feed_wanted_ns(const struct feed *feed, uint64_t now_ns)
{
    uint64_t wanted_ns = UINT64_MAX;
    uint32_t wait_ms = xdock_client_deadline(feed->client);
    if (wait_ms != XDOCK_FOREVER)
        wanted_ns = now_ns + (uint64_t)wait_ms * 1000000u;
    if (!window_has_room(feed))
        return wanted_ns;
    uint64_t due_ns = feed->plan->interval_ns > 0 ? feed->due_ns : now_ns;
    if (due_ns >= feed->plan->end_ns)
        return wanted_ns;
    /* Units of a tight schedule go a few at a time; they are charged for the wait. */
    if (feed->plan->interval_ns > 0 && due_ns < feed->turn_ns + TURN_NS_MIN)
        due_ns = feed->turn_ns + TURN_NS_MIN;
    return due_ns < wanted_ns ? due_ns : wanted_ns;
}

bool feed_idle(const struct feed *feed)
{
    bool due = feed->plan->interval_ns > 0 && feed->due_ns < feed->plan->end_ns;
    return !due && feed->done == feed->posted;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int open_producer(struct feed *feed, uint32_t number, const char *facility, char *why)
{
    char channel[96];
    char detail[FEED_WHY_BYTES];
    int status = xdock_client_open(feed->plan->options, OPEN_TIMEOUT_MS, &feed->client, detail,
                                   sizeof detail);
    if (status < 0) {
        snprintf(why, FEED_WHY_BYTES, "%s", detail);
        return status;
    }
    /* A channel feeds one facility for ever: its name holds both. */
    snprintf(channel, sizeof channel, "%.50s.%u", facility, number);
    status = xdock_producer_open(feed->client, feed->plan->source, channel, facility,
                                 OPEN_TIMEOUT_MS, &feed->producer);
    if (status < 0)
        snprintf(why, FEED_WHY_BYTES, "%s", xdock_client_error(feed->client));
    return status;
}

/* The judge learns what the feed continues, and its records become known to it. */
static int begin_judging(struct feed *feed, char *why)
{
    struct judge_feed options = {.facility = feed->facility,
                                 .resume = xdock_producer_resume(feed->producer),
                                 .partition = -1,
                                 .level = feed->plan->level};
    if (feed->plan->keys == 1) {
        options.partition = xdock_producer_route(feed->producer, &feed->cargo.record);
        if (options.partition < 0) {
            snprintf(why, FEED_WHY_BYTES, "%s", xdock_client_error(feed->client));
            return (int)options.partition;
        }
    }
    judge_feed(feed->plan->judge, feed->number, &options);
    return 0;
}

static int make_marks(struct feed *feed)
{
    uint32_t count = 64;
    /* In the worst case every record is a unit of its own. */
    while (count <= feed->window_records)
        count *= 2;
    feed->marks = calloc(count, sizeof *feed->marks);
    feed->mark_mask = count - 1;
    return feed->marks != NULL ? 0 : -ENOMEM;
}

int feed_open(struct feed *feed, const struct feed_plan *plan, struct feed_sum *sum,
              uint32_t number, const char *facility, char *ret_why)
{
    const struct cargo_options cargo = {.topic = plan->topic,
                                        .document = feed->document,
                                        .first_key = number * plan->keys,
                                        .key_count = plan->keys,
                                        .record_bytes = plan->record_bytes,
                                        .batch_bytes = plan->batch_bytes,
                                        .encoded = plan->how == FEED_ENCODED};
    *feed = (struct feed){.plan = plan, .sum = sum, .number = number};
    snprintf(feed->facility, sizeof feed->facility, "%s", facility);
    snprintf(feed->document, sizeof feed->document, DOCUMENT);
    if (plan->judge != NULL)
        judge_document(plan->judge, number, feed->document);
    int status = open_producer(feed, number, facility, ret_why);
    if (status < 0)
        return status;
    status = cargo_make(feed->producer, &cargo, &feed->cargo, ret_why);
    if (status < 0 && ret_why[0] == '\0')
        snprintf(ret_why, FEED_WHY_BYTES, "%s", xdock_client_error(feed->client));
    if (status < 0)
        return status;
    uint32_t batch_records = feed->cargo.batch_records;
    uint32_t run = batch_records < POST_RUN_RECORDS ? batch_records : POST_RUN_RECORDS;
    feed->window_records = plan->how == FEED_SEND ? 1 : plan->inflight * batch_records;
    feed->unit_records = plan->how == FEED_ENCODED ? batch_records : 1;
    if (plan->how == FEED_POST && plan->interval_ns == 0)
        feed->unit_records = run;
    status = make_marks(feed);
    if (status < 0)
        snprintf(ret_why, FEED_WHY_BYTES, "no memory");
    if (status == 0 && plan->judge != NULL)
        status = begin_judging(feed, ret_why);
    return status;
}

void feed_start(struct feed *feed, uint64_t due_ns)
{
    feed->due_ns = due_ns;
}

int feed_close(struct feed *feed, uint32_t timeout_ms)
{
    int unknown = 0;
    if (feed->producer != NULL)
        unknown = xdock_producer_close(&feed->producer, timeout_ms);
    if (feed->client != NULL)
        xdock_client_close(&feed->client, timeout_ms);
    cargo_free(&feed->cargo);
    free(feed->marks);
    feed->marks = NULL;
    return unknown;
}
