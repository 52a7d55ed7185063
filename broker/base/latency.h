/* SPDX-License-Identifier: Apache-2.0
 *
 * Latency by stage: how often a stage took how long, in fixed buckets of 1, 2 and 5 from 10 us to
 * 10 s, which any collector adds up over shards and time. The table of stages is latency.def.
 *
 * Normal path: whoever ends a stage records its nanoseconds; whoever reports adds buckets up from
 * below, because a collector wants each bucket with all smaller ones.
 *
 * Must not allocate or use floating point; is used by one thread. Fewer buckets than histogram.h,
 * which answers quantiles exactly but is too large to be sent with every sample.
 */
#ifndef CROSSDOCK_BROKER_BASE_LATENCY_H
#define CROSSDOCK_BROKER_BASE_LATENCY_H

#include <stdint.h>

/* Buckets with an upper end; one more holds what took longer. */
#define LATENCY_BOUNDS 19u

enum latency_stage {
#define X(name, text, look) LATENCY_##name,
#include "broker/base/latency.def"
#undef X
    LATENCY_STAGES
};

struct latency_row {
    const char *name; /* "commit_duration_ns" */
    const char *text; /* one line for people */
    const char *look; /* what makes an operator look at it */
};

/* Zeroed memory is empty. */
struct latency {
    uint64_t counts[LATENCY_BOUNDS + 1]; /* values by bucket, each in one */
    uint64_t sum_ns;                     /* of all values */
};

/* Description of a stage, or NULL from LATENCY_STAGES on. Static memory. O(1). */
const struct latency_row *latency_row(unsigned stage);

/* Upper end of bucket number `bucket` < LATENCY_BOUNDS, in ns: what took exactly that is in it. */
uint64_t latency_bound_ns(unsigned bucket);

/* Counts one value. O(LATENCY_BOUNDS). */
void latency_record(struct latency *latency, uint64_t value_ns);

/* Adds what `from` holds to `into`. */
void latency_sum(struct latency *into, const struct latency *from);

/* Values recorded. */
uint64_t latency_count(const struct latency *latency);

/* What `per_million` of a million values did not exceed, as the upper end of a bucket in ns: 500000
 * = median, 1000000 = largest. 0 when there is none; UINT64_MAX when it took longer than the last
 * bound. */
uint64_t latency_at_most_ns(const struct latency *latency, uint32_t per_million);

/* ---- the last minute ------------------------------------------------------------------------- */

/* What all stages had recorded a minute or two ago. Zeroed memory begins with the first note. */
struct latency_window {
    struct latency marks[2][LATENCY_STAGES]; /* copies, a minute apart */
    uint64_t marked_ns[2];                   /* when they were taken, monotonic */
    uint32_t older;                          /* mark that the window begins at */
};

/* Lets the window begin later once it is longer than two minutes: to be called at least that
 * often. `all` is of LATENCY_STAGES, here and below. */
void latency_window_note(struct latency_window *window, const struct latency *all, uint64_t now_ns);

/* What a stage has recorded since the window began. */
void latency_window_read(const struct latency_window *window, const struct latency *all,
                         enum latency_stage stage, struct latency *ret_recent);

/* Length of the window, in ns. */
uint64_t latency_window_ns(const struct latency_window *window, uint64_t now_ns);

#endif
