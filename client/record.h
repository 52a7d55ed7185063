/* SPDX-License-Identifier: Apache-2.0
 *
 * From the public record to the wire's: what the encoder needs, and the fields that routing looks
 * at. Pure. Must not know producers or partitions.
 */
#ifndef CROSSDOCK_CLIENT_RECORD_H
#define CROSSDOCK_CLIENT_RECORD_H

#include <stdint.h>

#include <crossdock/record.h>

#include "wire/record.h"
#include "wire/route.h"

/* Fills *ret_build from a record; texts and payload stay borrowed from it. Left to the caller:
 * event id and event time where the record has none, channel, epoch, facility, sequence, route key.
 * 0, or XD_FIELD_INVALID / XD_RECORD_MALFORMED with the field's public name. */
int xd_record_prepare(const xdock_record_t *record, struct xd_record_build *ret_build,
                      const char **ret_field);

/* Route key of a prepared record under a strategy. Computes the keys of the fields that the
 * strategy looks at, and the others only when it falls back. */
uint32_t xd_record_route_key(enum xd_strategy strategy, const struct xd_record_build *build);

/* A UUIDv7: time of the clock, then 74 random bits of a generator that the caller seeds once. */
void xd_event_id(uint8_t ret_id[16], int64_t time_us, uint64_t *random_state);

#endif
