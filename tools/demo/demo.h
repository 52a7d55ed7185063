/* SPDX-License-Identifier: Apache-2.0
 *
 * One run of the demonstration: what was asked for, its parts, what happened.
 */
#ifndef CROSSDOCK_TOOLS_DEMO_DEMO_H
#define CROSSDOCK_TOOLS_DEMO_DEMO_H

#include "tools/demo/picks.h"
#include "tools/demo/process.h"
#include "tools/demo/readback.h"
#include "tools/demo/sender.h"

#include <stdbool.h>
#include <stdint.h>

struct demo_options {
    const char *broker;     /* --broker, path of crossdockd */
    const char *picks_path; /* --picks, NULL = generate */
    const char *data;       /* --data, NULL = DEMO_DATA, which is emptied first */
    const char *facility;   /* --facility */
    uint64_t seed;          /* --seed, of a generated list */
    uint32_t count;         /* --count, lines of a generated list */
    uint32_t seconds;       /* --seconds that paced sending takes */
    bool keep;              /* --keep: the broker is left running */
};

#define DEMO_DATA_PARENT "crossdock-data"
#define DEMO_DATA DEMO_DATA_PARENT "/demo"

struct demo {
    struct demo_options options;
    struct process broker;
    struct picks picks;
    struct sender sender;
    struct readback readback;
    uint64_t started_ns;           /* monotonic: the broker is up, sending begins */
    uint64_t sending_ns;           /* from then to the last outcome, trouble included */
    uint32_t kill_count;           /* of the broker */
    uint32_t lost_count;           /* picks on the wire without an answer, over all kills */
    char tool[PROCESS_PATH_BYTES]; /* command line program, for the commands to try next */
    char why[PICKS_WHY_BYTES];     /* about picks */
};

/* Sends all picks with two kills of the broker and one restart of the program in between, then
 * reads back. 0, or a negative status that has been told on stderr. -EINTR: the user has had
 * enough. */
int scenario_run(struct demo *demo);

/* What is printed: the head, one line of the course of events, the summary. */
void show_head(const struct demo *demo);
void show_event(const struct demo *demo, const char *text);
/* Prints the summary and the verdict; true when the run has shown what it is to show. */
bool show_summary(const struct demo *demo);
void show_next(const struct demo *demo);
/* "1,234,567". Returns ret_text, of 32 bytes. */
const char *show_number(uint64_t number, char *ret_text);

#endif
