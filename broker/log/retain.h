/* SPDX-License-Identifier: Apache-2.0
 *
 * Retention: which segment goes, and its way from FULL to FREE.
 *
 * Normal path: looked at after every roll and once a second. When the segments take more than
 * retention_bytes, or the oldest one's newest batch is older than retention_us, the oldest FULL
 * segment goes, once both checkpoints are past it: its index entries are trimmed a slice of
 * partitions per turn, extents of it are forgotten, its slot becomes FREE. One segment at a time,
 * always the oldest.
 * When only a checkpoint is missing, `blocked_at` makes one due.
 * Age goes by the wall clock, which may be wrong. It is believed after it has run along with the
 * monotonic one for options.clock_steady_ns, since the start or since it jumped: whoever sees the
 * line about the jump has that long to set it right.
 */
#ifndef CROSSDOCK_LOG_RETAIN_H
#define CROSSDOCK_LOG_RETAIN_H

#include <stdbool.h>
#include <stdint.h>

struct log;

#define RETAIN_CHECK_NS 1000000000ull
#define RETAIN_JUMP_US 60000000u         /* clocks that are set differ by less */
#define RETAIN_PARTITIONS_PER_TURN 1024u /* at most some 100 us of trimming in a turn */

enum retain_reason {
    RETAIN_KEEP = 0,
    RETAIN_BY_SIZE = 1,
    RETAIN_BY_AGE = 2,
    RETAIN_MISSING = 3 /* not a reason to drop: found gone at start */
};

struct retain {
    uint64_t steady_ns;     /* monotonic: the wall clock runs steadily since then, 0 = not looked */
    int64_t steady_us;      /* wall clock at steady_ns */
    uint64_t next_check_ns; /* monotonic */
    uint64_t dropping_no;   /* segment on its way out, 0 = none */
    uint32_t trim_next;     /* partitions below are trimmed */
    uint8_t reason;         /* enum retain_reason of dropping_no */
    uint64_t blocked_at;    /* log position that both checkpoints must be past before the oldest
                               segment can go; 0 = none should go */
};

void retain_kick(struct log *log, uint64_t now_ns);
/* Looks again at the next kick. */
void retain_wake(struct log *log);
uint64_t retain_deadline_ns(const struct log *log);

#endif
