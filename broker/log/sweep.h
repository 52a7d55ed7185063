/* SPDX-License-Identifier: Apache-2.0
 *
 * The sweep: reads that wait for the disk, and which of them it is given to next.
 *
 * A log block holds batches of many partitions, so one load serves many readers if they come to it
 * together, and is made once for each of them if they do not. Readers drift apart by themselves: a
 * partition with few batches gets further in the log with each read than one with many. The sweep
 * brings them together again.
 *
 * Normal path: a read whose block is neither in memory nor in an extent waits here. The wait that
 * is furthest back in the log is next, so that who lags comes up to the others, over blocks that
 * they still have in the cache, and goes on with them. When a load has arrived, every wait whose
 * block lies in it is over, and the extent stays until the last of these has been taken: what was
 * read is given to all who asked before it makes room. Failure paths: the waits for a block that is
 * corrupt, unreadable or was dropped by retention are over too; the read then says what became of
 * it. No wait starves: after SWEEP_PASSED_MAX loads for others, and one more for each that waits,
 * it is next wherever it is.
 *
 * Must not start reads: extent.c does, and asks here for what.
 */
#ifndef CROSSDOCK_LOG_SWEEP_H
#define CROSSDOCK_LOG_SWEEP_H

#include "broker/base/list.h"
#include "broker/log/log.h"

#include <stdbool.h>
#include <stdint.h>

/* Loads for others that a wait lets pass, beside one for each wait there is: 16 of 1 MiB take the
 * reference machine 12 ms. */
#define SWEEP_PASSED_MAX 16u
/* log_wait.extent: none. */
#define SWEEP_NO_EXTENT UINT32_MAX

struct sweep {
    struct list waiting;    /* waits for a load, oldest first */
    struct list over;       /* waits whose block has come, or will not come */
    uint64_t loads;         /* loads begun so far */
    uint32_t waiting_count; /* waits in `waiting` */
};

void sweep_init(struct sweep *sweep);

/* The wait to load for: one whose block is not on its way already; NULL when there is none.
 * *ret_end is the log position behind the last block that some wait needs within one extent from
 * there. */
const struct log_wait *sweep_pick(const struct log *log, uint64_t *ret_end);

/* An extent has arrived: the waits for its blocks are over. */
void sweep_loaded(struct log *log, uint32_t extent);
/* The waits for blocks in the range are over: nothing comes. Those that are over by an extent there
 * keep it no longer. */
void sweep_failed(struct log *log, uint64_t position, uint64_t bytes);

#endif
