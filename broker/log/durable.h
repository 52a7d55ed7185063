/* SPDX-License-Identifier: Apache-2.0
 *
 * From durable to folded: walks the batches of blocks that became durable, in log sequence,
 * straight in the tail's memory, and adds them to the partition index on the way. So the index, and
 * with it every reader, knows durable batches only.
 *
 * A block may leave the memory tail once its last batch was given and the next call came.
 */
#ifndef CROSSDOCK_LOG_DURABLE_H
#define CROSSDOCK_LOG_DURABLE_H

#include <stdint.h>

struct log;
struct log_entry;

int durable_next(struct log *log, struct log_entry *ret_entry); /* log_durable_next */
/* Log position behind the last durable block: what may be read from disk ends here. */
uint64_t durable_position(const struct log *log);

#endif
