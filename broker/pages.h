/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages about the running broker, for machines that watch it: is it alive, does it serve, all
 * numbers.
 *
 *   /livez            every shard takes its turns
 *   /readyz           every shard serves and can write; with ?verbose one line for each check
 *   /metrics          all counters and levels, in the form that was asked for
 *
 * Pure: what is known goes in, text comes out. Must not ask anybody, open anything or hold state.
 */
#ifndef CROSSDOCK_BROKER_PAGES_H
#define CROSSDOCK_BROKER_PAGES_H

#include "broker/admin/metrics.h"

#include <stdbool.h>
#include <stdint.h>

/* A shard that has shown no turn for this long does not live, in ns: ten waits of an idle one. */
#define PAGES_SILENT_NS 10000000000ull

/* What is known about a shard. */
struct pages_shard {
    uint32_t shard;         /* number */
    const char *stage;      /* "recovering", as people read it */
    bool serving;           /* it listens and takes requests */
    bool alive;             /* it can be asked at all: its thread runs */
    uint32_t percent;       /* of recovery */
    uint64_t silent_ns;     /* since its last turn */
    enum admin_state state; /* while it serves */
};

/* Room for the text of livez and readyz, in bytes. */
#define PAGES_TEXT_BYTES 16384u

/* Whether all is well, and the text that says so. `verbose`: one line for each check. Returns bytes
 * of ret_text (PAGES_TEXT_BYTES), which is terminated. */
uint32_t pages_livez(const struct pages_shard *shards, uint32_t count, bool verbose, bool *ret_well,
                     char *ret_text);
uint32_t pages_readyz(const struct pages_shard *shards, uint32_t count, bool verbose,
                      bool *ret_well, char *ret_text);

#endif
