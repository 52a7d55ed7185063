/* SPDX-License-Identifier: Apache-2.0
 *
 * Shard: the broker proper. One thread, one log, the tables that are folded from it, and the
 * connections that it serves. The only place where the modules of ranks 3 to 7 meet.
 *
 * A turn (shard_turn): wait for events; hand them to log and net; handle whole frames until there
 * are none or something is full; write a block; fold what became durable; answer what rests on it;
 * serve readers; start sends. Nothing blocks, nothing is unbounded.
 *
 * Failure paths: the log fences itself on any I/O error. Then producers get XD_STORAGE_FENCED,
 * nothing is acknowledged any more, and shard_turn reports it; the owner drops the shard and opens
 * the folder again. Shutdown: shard_stop, turns until shard_stopped.
 *
 * A broker may have several shards, each with a thread of its own: log.shard of log.shard_count.
 * They have the same options and share `links`; see peers.h.
 *
 * Files: start.c until it serves; shard.c turns and stop; fold.c state from entries; answers.c what
 * waits for durability; lines.c what the owner reports; on_session.c greeting, catalog, opens and
 * closes; on_produce.c batches; on_read.c readers; on_admin.c verbs; state.h the tables that they
 * share.
 */
#ifndef CROSSDOCK_SHARD_SHARD_H
#define CROSSDOCK_SHARD_SHARD_H

#include "broker/admin/metrics.h"
#include "broker/base/arena.h"
#include "broker/base/counters.h"
#include "broker/io/env.h"
#include "broker/link/link.h"
#include "broker/log/log.h"
#include "broker/net/net.h"
#include "broker/produce/session.h"

#include <stdbool.h>
#include <stdint.h>

/* Events that one turn takes, and so connections that may arrive in it. */
#define SHARD_EVENTS_MAX 512u

/* A topic that is created when the data folder is new. */
struct shard_topic {
    const char *name;  /* 1..64 name characters */
    uint32_t strategy; /* enum xd_strategy */
    uint32_t width;    /* 1..XD_PARTITION_WIDTH_MAX */
};

struct shard_options {
    struct log_options log;
    struct net_options net;
    struct session_options sessions;
    struct links *links;     /* of all shards, borrowed for good; NULL when log.shard_count is 1 */
    uint32_t facilities_max; /* 1..XD_FACILITIES_MAX, default 1024 */
    uint32_t partitions_max; /* 1..XD_PARTITIONS_MAX, default 16,384 */
    uint32_t acks_max;       /* answers waiting for durability, default 65,536 */
    uint32_t waiters_max;    /* READ requests waiting, default 4,096 */
    uint32_t connection_bytes; /* produce bytes a connection may have unanswered, default 8 MiB */
    uint32_t stall_ms;         /* a batch that finds no room is refused after this, default 2,000 */
    enum xd_durability default_durability; /* for clients that do not ask */
    const struct shard_topic *topics;      /* topic_count of them, borrowed for shard_open */
    uint32_t topic_count;
    const char *const *addresses; /* address_count of them, borrowed until shard_listen, which skips
                                     empty ones */
    uint32_t address_count;       /* 0..8 */
    const char *version;          /* release; static */
    const char *commit;           /* of the build, "" when unknown; static */
    const char *config_json;      /* all options for verb "config show"; static */
};
void shard_options_init(struct shard_options *options);

struct shard; /* lives in its own arena */

/* Messages to one other shard that may be outstanding: what `links` is to be made for. */
uint32_t shard_messages_max(const struct shard_options *options);

/* Memory that a shard with these options needs, in bytes. */
uint64_t shard_bytes_needed(const struct shard_options *options);

/* Opening is done in steps so that its owner can report progress:
 *   shard_open          takes `memory`, opens the log
 *   shard_recover_step  0 when recovered, 1 while there is more (call again), or a status
 *   shard_join          several shards: turns follow until shard_joined, when all have one catalog
 *   shard_listen        binds the addresses; turns may follow
 * On failure `why` (XD_DETAIL_BYTES_MAX) says what, where and what to do. */
int shard_open(struct env *env, void *memory, uint64_t memory_bytes,
               const struct shard_options *options, struct shard **ret_shard, char *why);
int shard_recover_step(struct shard *shard, char *why);
/* May be left out with one shard. A turn that answers a status while the shards join, or later one
 * other than the log's fence, has its reason in shard_trouble(). */
int shard_join(struct shard *shard, char *why);
bool shard_joined(const struct shard *shard);
const char *shard_trouble(const struct shard *shard);
uint32_t shard_recover_percent(const struct shard *shard);
/* `ret_addresses`: address_count texts of ENV_ADDRESS_BYTES_MAX, the bound ones. */
int shard_listen(struct shard *shard, char (*ret_addresses)[ENV_ADDRESS_BYTES_MAX], char *why);

/* When the next turn is due even if nothing happens, in ns of the monotonic clock; 0 = now. */
uint64_t shard_deadline_ns(struct shard *shard);
/* One turn; waits at most until wait_until_ns for something to do. Returns the number of events
 * handled, or the status that fenced the log, or -errno of a broken engine. */
int shard_turn(struct shard *shard, uint64_t wait_until_ns);

/* Stops accepting, answers what is in flight, marks and flushes the log. */
void shard_stop(struct shard *shard);
bool shard_stopped(const struct shard *shard);
/* Whether it has nothing on its way, so that shard_close may follow. */
bool shard_closable(const struct shard *shard);
/* Closes files: after shard_stopped(), or when opening or recovery failed. A shard that was serving
 * and did not stop has operations in flight, whose memory and files are the env's: close the env
 * instead. Accepts NULL. */
void shard_close(struct shard *shard);

/* ---- what its owner reports ------------------------------------------------------------------ */
#define SHARD_LINE_BYTES_MAX 240u
struct shard_line {
    const char *event;               /* stable name, "segment_rolled" */
    bool warning;                    /* an operator should look */
    char text[SHARD_LINE_BYTES_MAX]; /* "segment=12 reason=size" */
};
/* The oldest line not taken yet; lost ones are counted in a line of their own. */
bool shard_line_next(struct shard *shard, struct shard_line *ret_line);
const struct counters *shard_counters(const struct shard *shard);
/* All numbers at this moment. Returns the state, for a page about it. */
enum admin_state shard_sample(struct shard *shard, struct metrics_sample *ret_sample);
/* JSON of verb "status" into out (XD_ADMIN_REPLY_BYTES_MAX). Returns bytes. */
uint32_t shard_status_json(struct shard *shard, char *out, uint32_t out_bytes);
/* The fold state as a checkpoint holds it: equal bytes for equal logs. For tests and verification.
 * Batches that are staged are not part of it. Returns bytes written to `out` (at least
 * shard_state_bytes_max() of them), 0 while a catalog entry is staged. */
uint64_t shard_state_bytes_max(const struct shard *shard);
uint64_t shard_state_save(struct shard *shard, uint8_t *out, uint64_t out_bytes);

#endif
