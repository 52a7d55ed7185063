/* SPDX-License-Identifier: Apache-2.0
 *
 * The load of append.h on a real disk: a data folder of its own, io_uring, the broker's log.
 * Must not print. One thread: the one that opened it.
 */
#ifndef CROSSDOCK_BENCH_DISK_DISK_H
#define CROSSDOCK_BENCH_DISK_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* Batches of one turn's result, and the largest window. */
#define DISK_BATCHES_MAX 4096u
#define DISK_WHY_BYTES 512u
#define DISK_BATCH_BYTES_MIN 128u
#define DISK_BATCH_BYTES_MAX (1008u * 1024u)

struct disk_options {
    const char *folder;     /* made when missing; must not hold a log */
    uint64_t segment_bytes; /* */
    uint32_t batch_bytes;   /* DISK_BATCH_BYTES_MIN..MAX, multiple of 8 */
    uint32_t inflight;      /* batches that are not durable, 1..DISK_BATCHES_MAX */
    uint32_t writes;        /* block writes under way at once */
    uint32_t group_bytes;   /* wait for this much before the third */
    uint32_t sync;          /* 0 auto, 1 dsync, 2 fdatasync */
};

struct disk;

/* 0 and *ret_disk, or a status explained in `ret_why` (DISK_WHY_BYTES). */
int disk_open(const struct disk_options *options, struct disk **ret_disk, char *ret_why);
/* As append_load_turn(). */
int disk_turn(struct disk *disk, bool append_more, uint64_t until_ns, uint64_t *ret_times_ns);
/* Batches that are not durable. */
uint32_t disk_pending(const struct disk *disk);
/* "dsync" or "fdatasync": what is used. */
const char *disk_sync(const struct disk *disk);
/* Closes the log; the folder stays. Accepts NULL. */
int disk_close(struct disk *disk);

#endif
