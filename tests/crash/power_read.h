/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading everything back into a history, and what sender and reader must agree on: how a record
 * says who it is, and what of it must come back unchanged.
 *
 * Normal path: read_all. Failure path: a status of the library, or XDOCK_DEADLINE_EXCEEDED when the
 * ends were not reached in time. What is read is not looked at here; that is the judge's task.
 */
#ifndef CROSSDOCK_TESTS_CRASH_POWER_READ_H
#define CROSSDOCK_TESTS_CRASH_POWER_READ_H

#include "tests/support/history.h"

#include <crossdock/crossdock.h>

/* First bytes of each payload. */
struct read_stamp {
    uint64_t id;       /* */
    uint32_t channel;  /* of the sender's table */
    uint32_t reserved; /* zero */
};

uint64_t read_id(uint32_t channel, uint64_t sequence);
uint32_t read_key(xdock_bytes_t sku);
uint32_t read_content(xdock_bytes_t location, xdock_bytes_t document, xdock_bytes_t payload);

/* Reads topic "stock" from the oldest offset of every partition to its end; adds to *count. */
int read_all(xdock_client_t *client, struct history *history, uint32_t timeout_ms, uint64_t *count);

#endif
