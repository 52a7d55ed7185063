/* SPDX-License-Identifier: Apache-2.0
 *
 * A bar on standard error that says how far a long run has come, where that is a terminal.
 *
 * Normal path: progress_begin, progress_show as often as one likes, progress_end, which leaves no
 * trace. Runs of less than 0.3 s show nothing; CROSSDOCK_PROGRESS_AFTER_MS is another time. Whoever
 * else writes to standard error in between calls progress_clear first. Failure path: none; a
 * terminal that is gone is not this file's news.
 */
#ifndef CROSSDOCK_TOOLS_COMMON_PROGRESS_H
#define CROSSDOCK_TOOLS_COMMON_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest line, terminator included. */
#define PROGRESS_LINE_BYTES 512u

struct progress {
    const char *label; /* "picks.csv" */
    uint64_t total;    /* what `done` ends at */
    int64_t begun_ms;  /* monotonic */
    int64_t drawn_ms;  /* monotonic, of the last drawing */
    bool on;           /* it is shown at all */
    bool color;        /* the bar has a colour */
    bool drawn;        /* it stands on the terminal */
};

/* `wanted` false, a `total` of 0, no terminal or a dumb one: nothing is ever shown. Colour: not
 * with NO_COLOR. */
void progress_begin(struct progress *progress, bool wanted, const char *label, uint64_t total);
void progress_show(struct progress *progress, uint64_t done);
/* Takes the bar off the terminal; the next progress_show draws it again. */
void progress_clear(struct progress *progress);
void progress_end(struct progress *progress);

/* The line for a terminal of `columns`: label, bar, percent, time left. Pure. */
void progress_line(const struct progress *progress, uint64_t done, int64_t elapsed_ms,
                   unsigned columns, char ret_line[PROGRESS_LINE_BYTES]);

#endif
