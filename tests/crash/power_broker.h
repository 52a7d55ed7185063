/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon under power cuts: small, so that it starts fast and its log rolls, recycles and makes
 * checkpoints all the time; and what it said.
 *
 * Normal path: power_broker_init, power_broker_start after every mount, power_broker_kill.
 * power_broker_said counts log lines by event.
 * Failure path: 0 or -errno with a sentence in process.why.
 * Must not know the disk.
 */
#ifndef CROSSDOCK_TESTS_CRASH_POWER_BROKER_H
#define CROSSDOCK_TESTS_CRASH_POWER_BROKER_H

#include "tools/demo/process.h"

#include <stdint.h>

#define POWER_RETENTION_BYTES (24u << 20) /* of the log; what is older may go */

/* Events that are counted. */
enum power_event {
    POWER_TAIL_CUT,
    POWER_FENCED,
    POWER_ROLLED,
    POWER_DROPPED,
    POWER_CHECKPOINT,
    POWER_SLOT_DAMAGED,
    POWER_FALLBACK,
    POWER_EVENT_COUNT
};

struct power_broker {
    struct process process;             /* */
    uint64_t counts[POWER_EVENT_COUNT]; /* lines of the log file so far */
    long counted_to;                    /* byte of the log file behind the last whole line */
};

/* `folder` gets the log file; the data folder lies on the file system at `disk`. */
int power_broker_init(struct power_broker *broker, const char *program, const char *folder,
                      const char *disk);
/* One attempt: a refused start is what the test looks for. */
int power_broker_start(struct power_broker *broker, const char *sync, uint32_t timeout_ms);
/* kill -9 by its process number. A daemon that crashed before is -EIO; it may have given up. */
int power_broker_kill(struct power_broker *broker);
/* Lines of the event so far, over all starts. */
uint64_t power_broker_said(struct power_broker *broker, enum power_event event);
const char *power_event_name(enum power_event event);

#endif
