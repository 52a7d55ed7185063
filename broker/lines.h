/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines of the process: `time level event key=value ...`, one per event, to one stream.
 *
 * A line that comes more than LINES_BURST times within LINES_WINDOW_US is held back; how many were
 * is said when the window has ended. Lines about start and stop are few and never held back.
 * Any thread may write. Must not be called per record.
 */
#ifndef CROSSDOCK_BROKER_LINES_H
#define CROSSDOCK_BROKER_LINES_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#define LINES_BURST 20u
#define LINES_WINDOW_US 10000000ll
#define LINES_EVENTS_MAX 64u /* different events watched for repeats; others are not limited */

enum lines_level { LINES_INFO, LINES_WARNING, LINES_ERROR, LINES_LEVEL_COUNT };

/* One event that has come. */
struct lines_repeat {
    const char *event;   /* static text */
    int64_t since_us;    /* start of its window */
    uint32_t count;      /* in this window, written or not */
    uint32_t suppressed; /* of these not written */
};

struct lines {
    pthread_mutex_t lock; /* of all that follows */
    FILE *out;            /* the caller's */
    struct lines_repeat repeats[LINES_EVENTS_MAX];
    uint32_t repeat_count;
};

void lines_init(struct lines *lines, FILE *out);
/* `event` is static text; `text` is "key=value ..." or "". Clock: now. */
void lines_write(struct lines *lines, enum lines_level level, const char *event, const char *text);
/* The same at a given time, in us since 1970. */
void lines_write_at(struct lines *lines, int64_t now_us, enum lines_level level, const char *event,
                    const char *text);
/* A line of another form, `bytes` long without its end; never held back. */
void lines_print(struct lines *lines, const char *text, uint32_t bytes);
/* Says what is still held back, whether its window has ended or not. */
void lines_finish(struct lines *lines);

/* `value` for the text of a line: in double quotes when it has blanks, quotes escaped. Returns
 * ret_text, which has `bytes`; what does not fit is cut. */
const char *lines_quote(const char *value, char *ret_text, uint32_t bytes);

#endif
