/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of a log: the parts that log.c ties together, and what they ask of each other.
 *
 * To be included by the files of this folder only. Each part owns its struct; a part reads the
 * fields of another but changes them only through its functions. Exceptions are `table`, whose
 * slots are moved from state to state by append (roll), prepare and retain, and `meta`, filled by
 * whoever calls meta_file_write.
 */
#ifndef CROSSDOCK_LOG_LOG_STATE_H
#define CROSSDOCK_LOG_LOG_STATE_H

#include "broker/log/append.h"
#include "broker/log/block.h"
#include "broker/log/local.h"
#include "broker/log/checkpoint.h"
#include "broker/log/durable.h"
#include "broker/log/extent.h"
#include "broker/log/flush.h"
#include "broker/log/index.h"
#include "broker/log/log.h"
#include "broker/log/meta.h"
#include "broker/log/meta_file.h"
#include "broker/log/page.h"
#include "broker/log/prepare.h"
#include "broker/log/read.h"
#include "broker/log/recover.h"
#include "broker/log/retain.h"
#include "broker/log/segment.h"
#include "broker/log/tail.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

/* Kinds of tokens of ENV_OWNER_LOG while the log runs. */
enum log_token {
    LOG_TOKEN_BLOCK_WRITE = 32,  /* value: counter of the block in the tail */
    LOG_TOKEN_BLOCK_SYNC,        /* value: counter up to which it covers */
    LOG_TOKEN_PREPARE_WRITE,     /* value: row of prepare.writes */
    LOG_TOKEN_PREPARE_SYNC,      /* */
    LOG_TOKEN_PREPARE_HEADER,    /* */
    LOG_TOKEN_CHECKPOINT_WRITE,  /* value: bytes asked for */
    LOG_TOKEN_CHECKPOINT_SYNC,   /* */
    LOG_TOKEN_CHECKPOINT_HEADER, /* */
    LOG_TOKEN_META,              /* */
    LOG_TOKEN_READ,              /* value: number of the extent */
    LOG_TOKEN_QUARANTINE,        /* */
    LOG_TOKEN_SELFTEST           /* */
};

enum log_phase {
    LOG_OPENED,  /* log_recover_next goes on */
    LOG_RUNNING, /* log_recover_end gave 0 */
    LOG_CLOSING  /* log_close_begin was called */
};

#define LOG_NEWS_RING 64u

struct log {
    struct env *env;            /* */
    struct counters *counters;  /* of the shard */
    struct log_options options; /* as given to log_open */
    uint8_t phase;              /* enum log_phase */
    int fenced;                 /* 0, or the status that fenced the log */
    enum log_sync sync;         /* chosen way to durable, never AUTO while running */
    uint32_t outstanding;       /* operations whose event has not arrived */

    struct segment_table table;
    struct meta meta; /* what the next meta write says */
    struct meta_file meta_file;
    struct tail tail;
    struct append append;
    struct prepare prepare;
    struct index index;
    struct extents extents;
    struct checkpoint checkpoint;
    struct retain retain;

    /* start-up */
    struct recover recover;
    struct recover_block recovered; /* block whose entries are being given; block NULL = none */
    uint32_t recovered_cursor;      /* bytes of its payload given */
    uint32_t recovered_ordinal;     /* batches given */
    uint64_t local_first_no;        /* oldest segment of the checkpoint, 0 = no checkpoint */

    /* news */
    struct ring news_ring; /* of `news` */
    struct log_news news[LOG_NEWS_RING];
};

/* A token of ours. */
static inline uint64_t log_token(enum log_token kind, uint64_t value)
{
    return env_token(ENV_OWNER_LOG, (uint8_t)kind, value);
}

/* Every operation is started through one of these, which count it in `outstanding`. */
void log_write(struct log *log, env_file file, const void *data, uint32_t bytes, uint64_t at,
               uint32_t flags, uint64_t token);
void log_sync_file(struct log *log, env_file file, uint64_t token);
void log_read_file(struct log *log, env_file file, void *data, uint32_t bytes, uint64_t at,
                   uint64_t token);

/* The first storage failure: nothing becomes durable any more. Later ones are counted only. */
void log_fence(struct log *log, int status, enum env_op op, uint64_t position);

/* Adds to what log_news_next gives; the oldest is lost when nobody listens. */
void log_news_add(struct log *log, enum log_news_kind kind, uint64_t a, uint64_t b, uint64_t c);

/* Bytes of a write or read that count: whole pages. `result` is a non-negative event result. */
static inline uint32_t log_whole_pages(int32_t result)
{
    return (uint32_t)result & ~(XD_BLOCK_ALIGN - 1u);
}

/* What became of the write of one page: 0 = it is there; 1 = short, to be done again; else -errno,
 * also when it was short too often. *stalls counts the short ones, from 0. */
static inline int log_page_written(int32_t result, uint8_t *stalls)
{
    if (result < 0)
        return result;
    if (result >= (int32_t)XD_BLOCK_ALIGN)
        return 0;
    return ++*stalls < LOG_STALLS_MAX ? 1 : -EIO;
}

/* Errors that time or an operator heals, on a file that nothing depends on yet. */
static inline bool log_lacks_space(int status)
{
    return status == -ENOSPC || status == -EDQUOT || status == -EMFILE;
}

#endif
