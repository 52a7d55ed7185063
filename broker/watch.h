/* SPDX-License-Identifier: Apache-2.0
 *
 * What the supervisor knows about its workers, for the pages: it reads what they publish, and asks
 * them for a sample of their numbers when the newest one is old.
 *
 * Belongs to the supervisor's thread. Failure path: a shard that does not answer within
 * WATCH_WAIT_MS, because it is recovering or stuck, is left out of the numbers; the other pages say
 * why. Must not wait longer: the supervisor has other things to do.
 */
#ifndef CROSSDOCK_BROKER_WATCH_H
#define CROSSDOCK_BROKER_WATCH_H

#include "broker/admin/metrics.h"
#include "broker/pages.h"

#include <stdint.h>

#define WATCH_WAIT_MS 250

struct watch;
struct worker;

/* For `count` workers, which are borrowed. NULL when there is no memory. */
struct watch *watch_open(struct worker *workers, uint32_t count);
void watch_close(struct watch *watch); /* accepts NULL */

/* What is known now; borrowed until the next call. Returns their count. */
uint32_t watch_shards(struct watch *watch, const struct pages_shard **ret_shards);
/* Text of all numbers; borrowed until the next call. Returns bytes. */
uint64_t watch_metrics(struct watch *watch, enum metrics_form form, const char **ret_text);

#endif
