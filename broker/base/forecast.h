/* SPDX-License-Identifier: Apache-2.0
 *
 * When a level that falls will have reached zero, if it goes on as in the last hour.
 *
 * Normal path: the owner notes the level as often as it knows it; one mark a minute is kept, for an
 * hour. The fall since the oldest mark is taken as the rate. A level that does not fall, or is
 * known for less than ten minutes, is not foreseen to reach zero: FORECAST_SECONDS_MAX, a year.
 *
 * Must not use floating point. The time comes in as a parameter and never falls.
 */
#ifndef CROSSDOCK_BROKER_BASE_FORECAST_H
#define CROSSDOCK_BROKER_BASE_FORECAST_H

#include <stdint.h>

#define FORECAST_MARKS 61u
#define FORECAST_MARK_SECONDS 60u
#define FORECAST_LEAST_SECONDS 600u
#define FORECAST_SECONDS_MAX (365u * 86400u)

struct forecast_mark {
    uint64_t at_s;  /* of the owner's clock */
    uint64_t level; /* then, in MiB */
};

/* Zeroed memory knows nothing yet. */
struct forecast {
    struct forecast_mark marks[FORECAST_MARKS]; /* a ring, one mark a minute */
    struct forecast_mark last;                  /* what was noted last */
    uint32_t count;                             /* marks in use */
    uint32_t next;                              /* the one that is written next */
};

void forecast_note(struct forecast *forecast, uint64_t now_ns, uint64_t level_bytes);

/* Seconds from the last note until the level is zero, at most FORECAST_SECONDS_MAX. */
uint64_t forecast_seconds(const struct forecast *forecast);

#endif
