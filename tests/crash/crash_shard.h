/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole shard over traced disks: a source produces, and every crash image is started as a shard
 * again. There the source attaches and sends all its batches once more, as a client does that has
 * lost its connection.
 *
 * A good image starts; every acknowledged batch is called a duplicate at its old offset; the chains
 * told by the open end at a batch that was sent, not before the last acknowledged one; all other
 * batches are taken, at the offsets that follow; then every partition reads as it was sent.
 */
#ifndef CROSSDOCK_TESTS_CRASH_CRASH_SHARD_H
#define CROSSDOCK_TESTS_CRASH_CRASH_SHARD_H

#include "tests/crash/crash_client.h"
#include "tests/crash/crash_walk.h"
#include "tests/support/env_trace.h"
#include "tests/support/sim_snapshot.h"

#include <stdbool.h>
#include <stdint.h>

#define CRASH_SHARD_SEEN_MAX 65536u /* images of one trace; a power of two */

struct crash_shard {
    struct sim_broker traced;            /* whose disk is traced */
    struct crash_client source;          /* of it */
    struct env_trace trace;              /* */
    struct sim_snapshot start;           /* the disk before the trace; pool of `judged` */
    uint32_t start_sent;                 /* batches sent, and acknowledged, before it */
    struct sim_broker judged;            /* started on images */
    struct crash_client asker;           /* of it */
    struct prng prng;                    /* of the script */
    bool acked[CRASH_SENT_MAX];          /* at the point being judged */
    uint32_t acked_count;                /* of them */
    uint32_t sent_count;                 /* likewise */
    uint64_t seen[CRASH_SHARD_SEEN_MAX]; /* images judged, open addressing, 0 = free */
    uint32_t seen_count;                 /* */
    uint64_t images;                     /* distinct ones judged, over all traces */
    uint64_t duplicates;                 /* batches called duplicates */
    uint64_t taken;                    /* batches that a crash had lost and that were taken again */
    const char *rule;                  /* "start", "lost", "content"; NULL = none is broken */
    char failure[CRASH_FAILURE_BYTES]; /* and how, or why the script does not run */
};

void crash_shard_init(struct crash_shard *shard);
void crash_shard_deinit(struct crash_shard *shard);
/* Makes a trace. */
bool crash_shard_run(struct crash_shard *shard, uint64_t seed);
/* Judges images of that trace; the marks of its walk go to the same judge. */
struct crash_judge crash_shard_judge(struct crash_shard *shard);

#endif
