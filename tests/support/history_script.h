/* SPDX-License-Identifier: Apache-2.0
 *
 * A small language for histories, so that a test of the judge reads as a story:
 *
 *   send a1-3; ok a1-3 at 0; crash; restart; read end 3 at 0 a1-3
 *
 * Statements are separated by semicolons; each takes a second. NAMEs are records by channel and
 * sequence: a7, or a7-9 for a batch; a2/7 in channel epoch 2; a7x another record with the number of
 * a7 (any letter); a7:5 with key 5 (else the number of the partition); a7#5 with content 5
 * (else 0); a7@40 appended at 40 us (reads; else the offset). Words in brackets may be left out, in
 * any sequence.
 *
 *   send NAME [in PARTITION] [after SEQUENCE] [epoch PRODUCER-EPOCH] [hostile] [anywhere]
 *   call NAME [epoch PRODUCER-EPOCH]             an operation without records; with an epoch an
 * open ok NAME [at OFFSET] [in PARTITION] [index LOG-INDEX] [written] [memory] [dup] fail NAME |
 * unknown NAME ask                                          the next read begins here read [in
 * PARTITION] [from OFFSET] [floor OFFSET] [end OFFSET] [by READER] [at OFFSET NAME...] +2 among the
 * names skips two offsets, -2 goes back crash | restart | stop | faults | heal floor OFFSET [in
 * PARTITION] damage FIRST LAST [in PARTITION] repair wait SECONDS together the statement behind it
 * takes no time
 *
 * Partition, reader and client are 0 where they are not named; the client is the channel.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_HISTORY_SCRIPT_H
#define CROSSDOCK_TESTS_SUPPORT_HISTORY_SCRIPT_H

#include "tests/support/history.h"

/* Records what the script tells. NULL, or the statement that is not understood. */
const char *history_script(struct history *history, const char *script);

#endif
