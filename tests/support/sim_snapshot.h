/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole disk at rest: names, sizes and contents, to be taken from a simulated world or put into
 * one that has no process. Pages are shared with the world whose pool they come from, so putting
 * the same few megabytes into a world thousands of times costs pointers, not copies.
 *
 * Must not be used while the pool's world is closed; knows no un-synced state: a snapshot taken is
 * what a crash with KEEP_NONE leaves, a snapshot put is durable.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_SIM_SNAPSHOT_H
#define CROSSDOCK_TESTS_SUPPORT_SIM_SNAPSHOT_H

#include "tests/support/env_sim.h"
#include "tests/support/sim_disk.h"
#include "tests/support/sim_pages.h"

#include <stdbool.h>
#include <stdint.h>

struct sim_snapshot_file {
    char name[SIM_NAME_ROOM]; /* "wal.00", "quarantine/x" */
    struct sim_image image;   /* contents; empty for a folder */
    uint64_t bytes;           /* size */
    bool folder;              /* */
};

struct sim_snapshot {
    struct sim_pages *pages;         /* pool of all images */
    struct sim_snapshot_file *files; /* in name sequence when taken; folders before their files */
    uint32_t count;                  /* in use */
    uint32_t capacity;               /* allocated; the images of unused rows are empty */
};

/* An empty disk whose pages belong to the pool of `sim`. */
void sim_snapshot_init(struct sim_snapshot *snapshot, struct sim *sim);
/* Empty again, memory kept. */
void sim_snapshot_clear(struct sim_snapshot *snapshot);
void sim_snapshot_deinit(struct sim_snapshot *snapshot);

/* A new, empty row; valid until the next call. */
struct sim_snapshot_file *sim_snapshot_add(struct sim_snapshot *snapshot, const char *name,
                                           uint64_t bytes, bool folder);
/* Replaces the contents by what is durable in `from`, which may be any world. */
void sim_snapshot_take(struct sim_snapshot *snapshot, const struct sim *from);
/* Replaces the disk of `to`, which must be without a process: shares pages with the world of the
 * pool, copies them into any other. */
void sim_snapshot_put(const struct sim_snapshot *snapshot, struct sim *to);

#endif
