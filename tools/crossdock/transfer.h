/* SPDX-License-Identifier: Apache-2.0
 *
 * One file into a topic, each of its records once.
 *
 * Normal path: transfer_open, transfer_run, transfer_data for the report, transfer_close. The
 * file's channels are named by its content; --all-or-nothing reads it twice: nothing is sent unless
 * every line is good. A dry run reads it once and asks the broker what it has.
 * Failure paths: wrong lines are told and counted; a status of the broker ends the run, and the
 * data say what was sent until then. Must not print data.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_TRANSFER_H
#define CROSSDOCK_TOOLS_CROSSDOCK_TRANSFER_H

#include "tools/crossdock/import.h"
#include "tools/crossdock/input.h"
#include "tools/crossdock/map.h"

/* What is the same for every file of a run. */
struct transfer_options {
    struct tool *tool;     /* */
    const char *topic;     /* */
    const char *source;    /* */
    const char *channel;   /* NULL = named by the content */
    const char *facility;  /* of records that name none, "" = global */
    const char *format;    /* "jsonl", "csv", "fixed"; NULL = by the name of the file */
    const struct map *map; /* NULL = none */
    bool field_sequence;   /* numbers come from the field, not the line */
    bool all_or_nothing;   /* */
    bool dry_run;          /* */
};

struct transfer {
    const struct transfer_options *options; /* borrowed */
    struct input input;                     /* */
    struct import import;                   /* */
};

/* From the command line, `map` is filled when it names one. 0, or a status with tool->detail. */
int transfer_options_init(struct transfer_options *options, struct tool *tool, struct map *map);

/* Opens the file; `path` is borrowed until transfer_close. 0; XDOCK_FIELD_INVALID for a wrong
 * header row; -errno; with tool->detail. */
int transfer_open(struct transfer *transfer, const struct transfer_options *options,
                  const char *path);
/* Sends it. `rejects` gets the wrong lines, NULL = nobody wants them. 0, or a status that ended the
 * run, with tool->detail; -EINTR after a signal. */
int transfer_run(struct transfer *transfer, FILE *rejects);
/* The report as an object; the caller owns it. */
json_t *transfer_data(const struct transfer *transfer);
/* Accepts a transfer that could not be opened. */
void transfer_close(struct transfer *transfer);

#endif
