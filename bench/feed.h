/* SPDX-License-Identifier: Apache-2.0
 *
 * A feed: one connection with one producer that keeps a window of batches in flight, or keeps a
 * schedule.
 *
 * Closed loop (interval_ns 0): a unit is posted as soon as the window has room.
 * Open loop: units are due every interval_ns, whether or not the broker keeps up. Time counts from
 * when a unit was due, so a stall is charged to every unit that had to wait (no coordinated
 * omission), and units due before the end are still sent and counted after it.
 *
 * A unit is a batch of encoded records, a run of posted ones, or a single record.
 *
 * How long a unit took is known in one of two ways. `count`: outcomes come in posting sequence, as
 * they do within one partition, so unit n is through when as many records have an outcome; this
 * costs nothing per record. `each`: every record's outcome is taken, and carries its time.
 *
 * Failure path: a status of the library ends the run; xdock_client_error has the detail.
 */
#ifndef CROSSDOCK_BENCH_FEED_H
#define CROSSDOCK_BENCH_FEED_H

#include "bench/cargo.h"
#include "bench/histogram.h"
#include "bench/judge/judge.h"

#include <stdbool.h>
#include <stdint.h>

#include <crossdock/crossdock.h>

enum feed_how {
    FEED_POST,    /* xdock_post, the library batches */
    FEED_ENCODED, /* xdock_post_encoded of whole batches */
    FEED_SEND     /* one record per request, the next one after its outcome */
};

/* What all feeds of a run share. */
struct feed_plan {
    const xdock_options_t *options; /* of the client */
    struct judge *judge;            /* is told everything, if `each` or `blocking`; NULL = none */
    const char *topic;              /* */
    const char *source;             /* */
    enum feed_how how;              /* */
    bool blocking;                  /* FEED_SEND through xdock_send: there is one feed only */
    bool each;                      /* see above */
    uint32_t keys;                  /* SKUs of a feed */
    uint32_t record_bytes;          /* encoded */
    uint32_t batch_bytes;           /* */
    uint32_t inflight;              /* batches */
    uint8_t level;                  /* enum xdock_durability that the options ask for */
    uint64_t base_ns;               /* before everything: times in user words count from here */
    uint64_t begin_ns;              /* outcomes of units from here ... */
    uint64_t end_ns;                /* ... to here are measured; nothing later is posted */
    uint64_t interval_ns;           /* between two units of one feed; 0 = closed loop */
};

/* What all feeds of a run add up. */
struct feed_sum {
    struct latency latency; /* from due, or posted, to outcome */
    uint64_t records;       /* with an outcome, from the start */
    uint64_t failed;        /* of these refused */
    uint64_t waited;        /* units posted later than due, because the window was full */
    int first_failure;      /* status of the first refused one */
};

/* Records posted at one time. */
struct feed_mark {
    uint64_t end;    /* records posted so far, these included */
    uint64_t due_ns; /* */
};

struct feed {
    const struct feed_plan *plan; /* */
    struct feed_sum *sum;         /* */
    xdock_client_t *client;       /* */
    xdock_producer_t *producer;   /* */
    struct cargo cargo;           /* */
    struct feed_mark *marks;      /* ring of units without outcome, for `count` */
    uint32_t mark_mask;           /* its size - 1 */
    uint64_t mark_first;          /* counters into the ring */
    uint64_t mark_end;            /* */
    uint32_t unit_records;        /* */
    uint32_t window_records;      /* that may be without outcome */
    uint64_t posted;              /* records */
    uint64_t done;                /* of these with an outcome */
    uint64_t due_ns;              /* open loop: of the next unit */
    uint64_t turn_ns;             /* the newest turn began then */

    uint32_t number;                     /* among the feeds of the run */
    char facility[80];                   /* */
    char document[JUDGE_DOCUMENT_BYTES]; /* of every record */
};

#define FEED_WHY_BYTES 512u

/* Connects, opens channel `number` of the source at the facility, makes the cargo. 0 or a status,
 * explained in `ret_why` (FEED_WHY_BYTES). Afterwards, also on failure, feed_close. Blocking. */
int feed_open(struct feed *feed, const struct feed_plan *plan, struct feed_sum *sum,
              uint32_t number, const char *facility, char *ret_why);
/* The schedule begins: the first unit is due at that time. */
void feed_start(struct feed *feed, uint64_t due_ns);

/* Takes outcomes, posts what is due and fits, moves bytes. 0 or a status. Blocks only when
 * plan->blocking. */
int feed_turn(struct feed *feed);
/* When a turn is wanted even without an event on the descriptor; UINT64_MAX = never. */
uint64_t feed_wanted_ns(const struct feed *feed, uint64_t now_ns);
/* Nothing is due before the end and nothing is without outcome. */
bool feed_idle(const struct feed *feed);
/* Takes the outcomes that were kept. Called once in a while, and at the end. */
void feed_collect_failures(struct feed *feed);

/* Returns records without a known outcome. */
int feed_close(struct feed *feed, uint32_t timeout_ms);

#endif
