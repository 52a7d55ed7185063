/* SPDX-License-Identifier: Apache-2.0
 *
 * The meta file: the only bytes of a shard that are overwritten in place, in two slots of 4 KiB
 * that are written in turn with DSYNC; the highest valid generation wins. Epoch, term and vote are
 * in both slots before anything relies on them. It names the current checkpoint: one 4 KiB write is
 * the atomic replacement.
 *
 * Format functions only; reading and writing are recover.c's and checkpoint.c's.
 */
#ifndef CROSSDOCK_LOG_META_H
#define CROSSDOCK_LOG_META_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define META_MAGIC 0x314d4458u /* "XDM1" */
#define META_VERSION 1u
#define META_SLOT_BYTES 4096u
#define META_SLOTS 2u

struct meta {
    uint64_t xxh3;                  /*   0 of bytes 8..4095, seed 0 */
    uint32_t magic;                 /*   8 */
    uint16_t version;               /*  12 */
    uint16_t reserved0;             /*  14 zero */
    uint64_t generation;            /*  16 +1 with every write; slot = generation % 2 */
    uint8_t log_uuid[16];           /*  24 of the data folder */
    uint32_t shard;                 /*  40 */
    uint32_t shard_count;           /*  44 of the data folder; another count stops the start */
    uint64_t segment_bytes;         /*  48 fixed when the folder was made */
    uint64_t epoch;                 /*  56 */
    uint64_t epoch_first_index;     /*  64 first index that may carry this epoch */
    uint64_t epoch_position;        /*  72 log position where this epoch starts */
    uint64_t epoch_chain;           /*  80 chain value before it */
    uint64_t epoch_sequence;        /*  88 block_sequence of its first block */
    uint64_t term;                  /*  96 1 with one replica */
    uint64_t vote;                  /* 104 0 with one replica */
    uint64_t commit_index;          /* 112 = durable_index with one replica */
    uint64_t durable_index;         /* 120 known durable when this slot was written */
    uint64_t checkpoint_generation; /* 128 0 = none; file checkpoint.(generation % 2) */
    uint64_t checkpoint_xxh3;       /* 136 of the checkpoint's header */
    uint8_t reserved1[3952];        /* 144 zero */
};
static_assert(sizeof(struct meta) == META_SLOT_BYTES, "meta slot size");

void meta_seal(struct meta *meta);
/* 0, XD_LOG_CORRUPT, or XD_FORMAT_UNKNOWN (valid hash, newer version). */
int meta_check(const struct meta *meta, const char **ret_why);
/* The slot to believe of the two read from disk: 0 or 1; XD_LOG_CORRUPT when neither is valid,
 * XD_FORMAT_UNKNOWN when the newest is from a newer release. */
int meta_choose(const struct meta slots[META_SLOTS], const char **ret_why);
/* Whether the log ran with this meta: a start writes it twice for its epoch and, once the log's
 * first segment is made, a third time; whatever else is written comes later. */
static inline bool meta_ran(const struct meta *meta)
{
    return meta->generation > META_SLOTS * meta->epoch;
}
/* What is wrong with the slot that was not chosen, static text; NULL when it is whole, or when the
 * chosen one was the first ever written. A write that a crash cut short leaves such a slot too. */
const char *meta_damaged(const struct meta slots[META_SLOTS], int chosen);

#endif
