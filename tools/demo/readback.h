/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads back what a sender has sent, with a client of its own, and compares it with the source
 * field by field. Counts every difference; the first is described. Must not trust anything that the
 * sender's client said but its acknowledgements, which are compared too.
 */
#ifndef CROSSDOCK_TOOLS_DEMO_READBACK_H
#define CROSSDOCK_TOOLS_DEMO_READBACK_H

#include "tools/demo/sender.h"

#include <stdint.h>

struct readback {
    uint64_t read_count;          /* records read */
    uint64_t missing;             /* picks that were not read */
    uint64_t doubled;             /* picks that were read more than once */
    uint64_t unknown;             /* records that nobody sent */
    uint64_t different;           /* fields that are not as sent, over all records */
    uint64_t elsewhere;           /* records at another offset than acknowledged */
    uint64_t sku_out_of_sequence; /* records behind a later one of their SKU */
    uint64_t offset_gaps;         /* offsets that do not follow the one before in their partition */
    uint64_t skus_kept;           /* SKUs whose picks were all read in sequence */
    uint32_t partition_count;     /* partitions that held records */
    uint64_t elapsed_ns;          /* of reading and comparing */
    char first[256];              /* the first difference, "" = none */
    char why[SENDER_WHY_BYTES];   /* when reading itself failed */
};

/* 0, also when there are differences, or a negative status when it cannot be read. */
int readback_run(const struct sender *sender, uint32_t timeout_ms, struct readback *ret_readback);
/* Sum of everything that is wrong. */
uint64_t readback_faults(const struct readback *readback);

#endif
