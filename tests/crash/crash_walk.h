/* SPDX-License-Identifier: Apache-2.0
 *
 * Goes through one trace and hands the crash states of its points to a judge: the state of the disk
 * moves on row by row, and with it what had been appended and acknowledged.
 *
 * A state has a name, "workload:seed:point:choice"; crash_walk_one makes the same state again.
 */
#ifndef CROSSDOCK_TESTS_CRASH_CRASH_WALK_H
#define CROSSDOCK_TESTS_CRASH_CRASH_WALK_H

#include "tests/crash/crash_choice.h"
#include "tests/crash/crash_disk.h"
#include "tests/crash/crash_log.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CRASH_RANDOM_FIRST 1000u /* choices from here on are random at every point */
#define CRASH_ID_BYTES 80u

static_assert(CRASH_RANDOM_FIRST > 2 + CRASH_WHOLE_MAX, "behind those that are enumerated");

/* What is walked through. */
struct crash_path {
    const char *name;                 /* of the workload */
    uint64_t seed;                    /* of the trace */
    const struct env_trace *trace;    /* */
    const struct sim_snapshot *start; /* the disk before the first row */
    uint64_t acknowledged;            /* batches of the line before the first row */
};

/* Who judges. Row numbers and marks come in sequence, images in between. */
struct crash_judge {
    void *context;
    void (*mark)(void *context, const struct env_trace_row *row);
    /* False ends the walk. */
    bool (*image)(void *context, const struct sim_snapshot *image, uint64_t hash,
                  uint64_t acknowledged);
    /* Images that were new to the judge so far. */
    uint64_t (*count)(const void *context);
};

struct crash_walk {
    struct crash_path path;
    struct crash_judge judge;
    struct crash_disk disk;
    struct crash_plan plan;
    struct sim_snapshot image;
    uint64_t acknowledged;               /* at the point */
    uint64_t states;                     /* made so far, by all walks */
    uint64_t classes[CRASH_CLASS_COUNT]; /* of them */
    uint64_t points;                     /* visited so far, by all walks */
    char id[CRASH_ID_BYTES];             /* of the newest state */
    uint32_t point;                      /* likewise */
    uint32_t choice;                     /* likewise */
    FILE *out;                           /* crash_walk_one tells the state here; NULL = nowhere */
    const char *left;                    /* and leaves it in this folder; NULL = nowhere */
};

/* Walks, making about `budget` images that are new to the judge; UINT64_MAX = everything there is.
 * False when the judge has ended it: id names the state. */
bool crash_walk_all(struct crash_walk *walk, const struct crash_path *path,
                    const struct crash_judge *judge, uint64_t budget);
/* Only one state. */
bool crash_walk_one(struct crash_walk *walk, const struct crash_path *path,
                    const struct crash_judge *judge, uint32_t point, uint32_t choice);
void crash_walk_deinit(struct crash_walk *walk);

#endif
