/* SPDX-License-Identifier: Apache-2.0
 *
 * Judges one crash image: production recovery on it, in a simulated world without faults.
 *
 * The rules, by what a failure is called:
 *   start      a crash alone never makes a folder that is refused
 *   lost       every batch acknowledged before the crash is there
 *   content    every batch there is the one appended, bytes, index, offset and sequence, none
 * between is missing, none is invented again      another start, after a crash right behind the
 * first or after a clean stop, gives the same batches, the same point to go on from, and finds no
 * tail to cut goes_on    what is appended then is durable when the log says so, read back as it
 * was, and there after one more start (on a sample)
 *
 * The same image is judged once per trace; seen again, only `lost` is asked anew, against what had
 * been acknowledged by then.
 */
#ifndef CROSSDOCK_TESTS_CRASH_CRASH_COURT_H
#define CROSSDOCK_TESTS_CRASH_CRASH_COURT_H

#include "tests/crash/crash_log.h"
#include "tests/support/sim_snapshot.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* One image in this many also goes on appending; the choice follows from its hash. */
#define CRASH_GOES_ON_EVERY 16u
/* One in this many is damaged as well. */
#define CRASH_DAMAGE_EVERY 16u

struct crash_seen {
    uint64_t hash;    /* of the image, 0 = free */
    uint64_t batches; /* that the start found */
};

struct crash_court {
    struct sim *sim;           /* world of the recoveries; its pool holds all images */
    struct crash_log log;      /* the log of the process in it */
    struct crash_line line;    /* as the images' logs may hold it, at the point being judged */
    struct crash_seen *seen;   /* images of this trace, open addressing */
    uint32_t seen_room;        /* power of two */
    uint32_t seen_count;       /* */
    uint64_t images;           /* distinct ones judged, over all traces */
    uint64_t repeats;          /* states that gave an image already judged */
    uint64_t cuts;             /* images whose tail was cut */
    uint64_t restarts_clean;   /* second starts behind a clean stop */
    uint64_t restarts_crashed; /* behind a crash */
    uint64_t went_on;          /* images that were appended to */
    uint64_t blocks_damaged;   /* images started once more with a damaged block */
    uint64_t slots_damaged;    /* with a damaged meta slot */
    uint64_t shorter;          /* images that lost batches nobody had acknowledged */
    FILE *trace;               /* what happens is told here, NULL = nowhere */
    const char *rule;          /* broken by the last image, see above; NULL = none */
    char failure[CRASH_FAILURE_BYTES]; /* and how */
};

void crash_court_init(struct crash_court *court);
void crash_court_deinit(struct crash_court *court);
/* Another trace: images are new again. `line` is how it begins. */
void crash_court_begin(struct crash_court *court, const struct crash_line *line,
                       const struct log_options *options);

/* Whether the image is a good one. `acknowledged` batches of court->line must be there. */
bool crash_court_judge(struct crash_court *court, const struct sim_snapshot *image, uint64_t hash,
                       uint64_t acknowledged);

#endif
