/* SPDX-License-Identifier: Apache-2.0
 *
 * The catalog: topics, facilities, and the partitions that follow from them. A fold of the log's
 * CONFIG entries.
 *
 * A topic has `width` partitions in every facility, the global one (number 0) included. Partition
 * numbers are dense and given in the sequence of the entries, so every replica and every rebuild
 * gives the same ones.
 *
 * A facility lives on one shard, which is part of its entry: chosen when it is added, by the
 * highest hash of name and shard, and never again. The global facility is shard 0's. Every shard
 * holds the whole catalog; shard 0 decides, the others take its entries in the same sequence.
 *
 * Entries take effect when they are appended, because verdicts fall over applied and pending
 * entries; replies wait until they are durable. When the same entry is applied later it must change
 * nothing. After a fence the whole table is thrown away and folded anew from the disk.
 *
 * Must not do I/O; memory comes from the arena at start.
 */
#ifndef CROSSDOCK_PARTITION_CATALOG_H
#define CROSSDOCK_PARTITION_CATALOG_H

#include "broker/base/arena.h"
#include "broker/partition/control.h"
#include "wire/batch.h"
#include "wire/limits.h"
#include "wire/request.h"

#include <stdint.h>

struct topic {
    uint32_t number;              /* from 1 */
    uint8_t strategy;             /* enum xd_strategy */
    uint8_t width;                /* partitions per facility */
    uint8_t name_bytes;           /* */
    char name[XD_NAME_BYTES_MAX]; /* not terminated, rest zero */
};

struct facility {
    uint32_t number;              /* from 1; 0 is the global facility, without a name */
    uint16_t shard;               /* that owns it */
    uint8_t name_bytes;           /* */
    char name[XD_NAME_BYTES_MAX]; /* */
};

/* One unit of sequence. `appended` runs ahead of `durable` by what is staged. */
struct partition {
    uint32_t topic;          /* registry number */
    uint32_t facility;       /* registry number */
    uint32_t base;           /* first partition of the placement */
    uint32_t width;          /* partitions in it */
    uint64_t appended;       /* next offset to give out */
    uint64_t durable;        /* offset behind the last record that was applied */
    int64_t append_time_us;  /* of the newest appended batch; append times never fall */
    int64_t durable_time_us; /* of the newest applied batch */
    uint64_t record_bytes;   /* batch bytes applied, for people */
};

struct catalog {
    struct topic *topics;         /* topic n at [n - 1] */
    struct facility *facilities;  /* facility n at [n - 1] */
    struct partition *partitions; /* by partition number */
    uint32_t *placements;         /* [topic - 1][facility 0..facility_max]: first partition */
    uint32_t topic_count;
    uint32_t facility_count;
    uint32_t partition_count;
    uint32_t facility_max; /* limits given at start */
    uint32_t partition_max;
    uint32_t shard_count;   /* facilities are given to shards 0 .. shard_count - 1 */
    uint64_t epoch;         /* CONFIG entries appended so far */
    uint64_t pending_index; /* log index of the newest one; durable when the log says so */
};

uint64_t catalog_bytes_needed(uint32_t facility_max, uint32_t partition_max);
/* An empty catalog of one shard. -ENOMEM when the arena is too small. */
int catalog_init(struct catalog *catalog, struct arena *arena, uint32_t facility_max,
                 uint32_t partition_max);
/* The catalog of a broker with 1..XD_SHARDS_MAX shards; while it is empty. */
void catalog_set_shards(struct catalog *catalog, uint32_t shard_count);

/* ---- look up --------------------------------------------------------------------------------- */
/* NULL when there is none. */
const struct topic *catalog_topic(const struct catalog *catalog, uint32_t number);
const struct topic *catalog_topic_find(const struct catalog *catalog, struct xd_text name);
const struct facility *catalog_facility(const struct catalog *catalog, uint32_t number);
/* Number of a facility by name, 0 for the empty name, or XD_FACILITY_UNKNOWN. */
int64_t catalog_facility_find(const struct catalog *catalog, struct xd_text name);
struct partition *catalog_partition(struct catalog *catalog, uint32_t number);
/* Shard that owns a facility; 0 for the global one. The number must exist. */
uint32_t catalog_shard(const struct catalog *catalog, uint32_t facility);
/* First partition of a placement; both numbers must exist. */
uint32_t catalog_placement(const struct catalog *catalog, uint32_t topic, uint32_t facility);

/* ---- change ---------------------------------------------------------------------------------- */
/* Verdict on a wish, and the entry that fulfils it. 1: append *ret_entry; 0: it exists just so,
 * nothing to do; XD_EXISTS (other properties), XD_NAME_INVALID, XD_FIELD_INVALID, XD_CATALOG_FULL.
 */
int catalog_plan_topic(const struct catalog *catalog, struct xd_text name, uint32_t strategy,
                       uint32_t width, struct control_config *ret_entry);
int catalog_plan_facility(const struct catalog *catalog, struct xd_text name,
                          struct control_config *ret_entry);
/* Takes an entry in when it is appended, and again (without effect) when it is applied; alone
 * during recovery. 0, or XD_LOG_CORRUPT with *ret_why when it contradicts the table. */
int catalog_take(struct catalog *catalog, const struct control_config *entry, uint64_t log_index,
                 const char **ret_why);

/* How far a catalog is; one with less of a given one lacks the entries behind its own. */
struct catalog_extent {
    uint32_t topic_count;
    uint32_t facility_count;
    uint32_t partition_count;
};
struct catalog_extent catalog_extent(const struct catalog *catalog);
/* The entry that follows `extent`, so that a catalog which takes one after the other becomes equal
 * to this one. 1 and *ret_entry; 0: nothing is lacking; XD_LOG_CORRUPT: `extent` is none that this
 * catalog ever had. */
int catalog_entry_after(const struct catalog *catalog, const struct catalog_extent *extent,
                        struct control_config *ret_entry);

/* Applies a batch of records: offsets must be dense, append times must not fall. 0, or
 * XD_LOG_CORRUPT with *ret_why. */
int catalog_apply(struct catalog *catalog, const struct xd_batch_header *batch,
                  const char **ret_why);

/* ---- routes ---------------------------------------------------------------------------------- */
/* Checks that `body` (the raw body of a record batch whose header passed) holds exactly
 * record_count records, each with the batch's channel, epoch and a rising sequence inside
 * first..last, of the partition's facility, and routing to the partition. 0, XD_RECORD_MALFORMED or
 * XD_PARTITION_WRONG; *ret_field names the field, *ret_record the number of the record in the
 * batch, from 0. */
int catalog_check_records(const struct catalog *catalog, const struct xd_batch_header *batch,
                          const uint8_t *body, uint32_t body_bytes, uint32_t *ret_record,
                          const char **ret_field);

/* ---- checkpoint ------------------------------------------------------------------------------ */
/* Bytes that catalog_save writes at most now. */
uint64_t catalog_save_bytes(const struct catalog *catalog);
/* Serialises the applied state; pending_index must be durable. Returns bytes written (multiple of
 * 8). */
uint64_t catalog_save(const struct catalog *catalog, uint8_t *out, uint64_t out_bytes);
/* Fills an empty catalog. Returns bytes consumed, or XD_CHECKPOINT_CORRUPT / XD_CATALOG_FULL
 * (limits lower than the data folder needs). */
int64_t catalog_load(struct catalog *catalog, const uint8_t *in, uint64_t in_bytes);

#endif
