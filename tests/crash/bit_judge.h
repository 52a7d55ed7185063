/* SPDX-License-Identifier: Apache-2.0
 *
 * Starts a shard on a damaged folder, reads everything, stops, runs `log verify`, and judges:
 *
 *   content   what is served is what was written at that offset, and damaged blocks are not served
 *   missing   what is not damaged is served
 *   silent    damage to bytes that mean something is told, with its file and place
 *   alarm     damage to bytes that mean nothing costs nothing and is called nothing
 *   failure   the shard does what no folder may make it do
 *
 * What means something follows from the map of the whole folder and the disk format, not from what
 * the shard says. Two losses are allowed. A block that is above every index known to be durable
 * looks like a torn tail: it and what follows may be cut. A segment below the checkpoint that no
 * file says to hold any more takes the older ones with it, as if retention had dropped them: a line
 * of the start names each, and the whole batches in them are counted.
 */
#ifndef CROSSDOCK_TESTS_CRASH_BIT_JUDGE_H
#define CROSSDOCK_TESTS_CRASH_BIT_JUDGE_H

#include "tests/crash/bit_damage.h"
#include "tests/crash/bit_verify.h"
#include "tests/support/wire_client.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum bit_outcome {
    BIT_AT_START,  /* refused, or a line of the start names it */
    BIT_AT_READ,   /* a range was refused */
    BIT_BY_VERIFY, /* only the offline check names it */
    BIT_HARMLESS,
    BIT_GAP, /* the published one */
    BIT_OUTCOME_COUNT
};

struct bit_judge {
    struct sim_broker broker;        /* started on damaged folders */
    struct wire_client client;       /* */
    struct bit_verify verify;        /* */
    struct sim_snapshot after;       /* the disk when a start was refused */
    const struct bit_damage *damage; /* being judged */
    int started;                     /* status of the start */
    uint64_t first_line;             /* of the shard's lines in this case */
    uint64_t serving_line;           /* first one behind the start */
    uint64_t gap_from;        /* log index from which on a cut is allowed, UINT64_MAX = none */
    uint64_t lost_no;         /* highest segment number that no file says to hold, 0 = none */
    bool *block_hit;          /* per block of the map */
    uint64_t quarantined;     /* ranges refused to the reader */
    uint64_t served;          /* batches, of all cases */
    uint64_t gone;            /* whole batches that went with a lost segment, of all cases */
    enum bit_outcome outcome; /* */
    FILE *trace;              /* NULL = nowhere */
    const char *rule;         /* one of the above; NULL = none is broken */
    char failure[BIT_FAILURE_BYTES]; /* and how */
};

void bit_judge_init(struct bit_judge *judge);
void bit_judge_deinit(struct bit_judge *judge);
/* False when a rule is broken. */
bool bit_judge(struct bit_judge *judge, const struct bit_damage *damage);

#endif
