/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading by partition and offset.
 *
 * Normal path: the index names the block, extent_block finds its bytes in the memory tail or on
 * disk, the batches of the partition are copied out as stored, suppression bitmaps included.
 * Failure path: a block that is corrupt stops the copy in front of it; what was copied is returned
 * first, the next call gets XD_RANGE_QUARANTINED.
 */
#ifndef CROSSDOCK_LOG_READ_H
#define CROSSDOCK_LOG_READ_H

#include <stdint.h>

struct log;

int read_batches(struct log *log, uint32_t partition, uint64_t offset, uint8_t *out,
                 uint32_t out_bytes, uint64_t *ret_next); /* log_read */

#endif
