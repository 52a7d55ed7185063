/* SPDX-License-Identifier: Apache-2.0
 *
 * What `top` shows: two samples of a broker's numbers, and what changed between them.
 *
 * A sample is what verbs metrics, partition list and source list answered. Rates are whole numbers
 * a second. Counters that fell, because the broker was started again, count from nothing. Must not
 * print and must not ask.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_SAMPLE_H
#define CROSSDOCK_TOOLS_CROSSDOCK_SAMPLE_H

#include <jansson.h>
#include <stdint.h>

/* Rows of the busiest partitions and channels. */
#define SAMPLE_ROWS_MAX 10u

struct sample {
    int64_t at_us;      /* monotonic */
    int64_t wall_us;    /* since 1970 UTC */
    json_t *metrics;    /* name -> number, of all shards together */
    json_t *shards;     /* array of the same by shard number; NULL = not asked for */
    json_t *partitions; /* array of rows; NULL = too many to ask for */
    json_t *channels;   /* array of rows; NULL = too many to ask for */
};

/* Accepts an empty sample. */
void sample_deinit(struct sample *sample);
/* The data of one tick; the caller owns it. `now` is later than `before`. */
json_t *sample_compare(const struct sample *before, const struct sample *now);

#endif
