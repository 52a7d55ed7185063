/* SPDX-License-Identifier: Apache-2.0
 *
 * Admin verbs: JSON in, JSON out. Looks at the shard's tables and changes none of them: a verb that
 * changes something answers with the log entry that the shard is to append, and the reply is
 * rendered again when that entry is durable.
 *
 * One table (verbs.def) lists verbs, arguments and texts; dispatcher, docs and did-you-mean come
 * from it. This is the only module that includes jansson; it allocates through it, per call, within
 * the request limits of limits.h, and is never on a hot path.
 */
#ifndef CROSSDOCK_ADMIN_ADMIN_H
#define CROSSDOCK_ADMIN_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/arena.h"
#include "broker/base/counters.h"
#include "broker/io/env.h"
#include "broker/log/log.h"
#include "broker/partition/catalog.h"
#include "broker/produce/session.h"
#include "wire/request.h"

/* States of a broker, worst last. */
enum admin_state {
    ADMIN_STATE_RUNNING,
    ADMIN_STATE_THROTTLING, /* producers wait for room */
    ADMIN_STATE_READ_ONLY,  /* the disk is nearly full: consumers are served, producers wait */
    ADMIN_STATE_FENCED,     /* storage failed: nothing is acknowledged until recovery */
    ADMIN_STATE_DRAINING,   /* stopping */
    ADMIN_STATE_COUNT
};
const char *admin_state_name(enum admin_state state); /* "running" */

/* Memory for received bytes. */
enum admin_memory {
    ADMIN_MEMORY_NORMAL,
    ADMIN_MEMORY_THROTTLED, /* senders of large frames are not read from */
    ADMIN_MEMORY_REFUSING,  /* also, new connections are refused, but for unix sockets */
    ADMIN_MEMORY_COUNT
};

/* What the verbs look at. Borrowed for the call. */
struct admin_view {
    struct env *env;
    struct log *log;
    const struct catalog *catalog;
    const struct sessions *sessions;
    const struct counters *counters;
    const struct latency_window *recent; /* begin of the last minute of their latencies */
    const struct arena *arena;           /* budgets */
    const char *config_json;             /* every option with value and source: broker.c made it */
    const char *version;                 /* release */
    const char *commit;                  /* of the build, "unknown" when unknown */
    uint64_t started_mono_ns;            /* when the shard became ready */
    uint32_t connections;                /* open now */
    uint32_t readers_waiting;            /* long polls */
    uint32_t connections_limit;          /* that there is room for */
    uint32_t memory_state;               /* enum admin_memory */
    uint64_t acks_waiting;               /* answers that wait for a flush */
    uint64_t ack_oldest_ns;              /* age of the oldest of them, 0 = there is none */
    uint64_t disk_low_bytes;             /* below this free space producers wait; 0 = not watched */
    uint32_t shard;                      /* number of this one */
    uint32_t shard_count;                /* of the broker */
    const uint8_t *cluster_id;           /* 16 bytes, names the broker */
    enum xd_durability default_durability; /* for clients that do not ask */
    enum admin_state state;
};

/* What a verb leads to. */
struct admin_result {
    uint32_t json_bytes;         /* reply in the caller's buffer; 0 when `append` */
    bool append;                 /* the shard appends `entry` and renders when it is durable */
    struct control_config entry; /* valid when `append` */
};

/* Runs one verb. `out` is of out_bytes (>= XD_ADMIN_REPLY_BYTES_MAX). 0 and *ret_result, or a
 * status: XD_NOT_FOUND (unknown verb or object; detail has a did-you-mean), XD_FIELD_INVALID
 * (arguments), XD_EXISTS, XD_SETTING_UNSUPPORTED, ...; `detail` (XD_DETAIL_BYTES_MAX) names the
 * field and the next step. */
int admin_run(const struct admin_view *view, const struct xd_admin_request *request, char *out,
              uint32_t out_bytes, struct admin_result *ret_result, char *detail);

/* Shard that a request is for: shard 0 when its verb changes something, else the one that argument
 * "shard" names, else the caller's. `here` also for a request that is wrong: running it says how.
 */
uint32_t admin_shard(const struct xd_admin_request *request, uint32_t here, uint32_t shard_count);

/* Reply of a change whose entry is durable: the object as "show" gives it. Returns bytes. */
uint32_t admin_render_entry(const struct admin_view *view, const struct control_config *entry,
                            char *out, uint32_t out_bytes);

/* ---- the verb table ----------------------------------------------------------------------------
 */
/* One verb. */
struct admin_verb_row {
    const char *name; /* "topic create" */
    const char *text; /* one line */
    bool changes;     /* appends to the log */
};
enum admin_argument_kind {
    ADMIN_ARGUMENT_TEXT,    /* string */
    ADMIN_ARGUMENT_NUMBER,  /* integer, 0 or more */
    ADMIN_ARGUMENT_FLAG,    /* true or false */
    ADMIN_ARGUMENT_SETTING, /* known, refused: `text` says what this release lacks */
    ADMIN_ARGUMENT_KIND_COUNT
};
/* One argument of a verb. */
struct admin_argument_row {
    const char *name; /* "width" */
    const char *text; /* one line */
    enum admin_argument_kind kind;
    bool required;
};
/* Row number `row` from 0, or NULL behind the last. Static memory. */
const struct admin_verb_row *admin_verb_at(unsigned row);
/* Argument number `argument` from 0 of the verb at `row`, or NULL behind the last. */
const struct admin_argument_row *admin_argument_at(unsigned row, unsigned argument);

#endif
