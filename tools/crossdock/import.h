/* SPDX-License-Identifier: Apache-2.0
 *
 * An import: records of one input into the channels of one source, each of them once.
 *
 * Normal path: import_record for every line, import_finish, then the numbers of `channels`.
 * A channel is opened when its facility first comes up. A record whose number the broker has in the
 * record's partition already is skipped: that is what makes a second run harmless. In a channel
 * that was named, other files may have gone past a number that never came: such a record cannot be
 * appended any more, and is refused instead of skipped. Outcomes come in while records go out; a
 * refused record is told with its line.
 * Failure paths: a status that ends the import (broker gone, fenced); what was sent stays sent.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_IMPORT_H
#define CROSSDOCK_TOOLS_CROSSDOCK_IMPORT_H

#include <crossdock/producer.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/common/progress.h"
#include "tools/crossdock/input.h"
#include "tools/crossdock/ranges.h"
#include "tools/crossdock/tool.h"

#define IMPORT_CHANNELS_MAX 256u
#define IMPORT_NAME_BYTES 65u
#define IMPORT_WHY_BYTES 208u
/* Wrong lines that the report holds; the others are counted. */
#define IMPORT_ERRORS_MAX 100u

/* One facility of the file and its channel. */
struct import_channel {
    char facility[IMPORT_NAME_BYTES]; /* "" = the global one */
    char name[IMPORT_NAME_BYTES];     /* */
    xdock_producer_t *producer;       /* NULL in a dry run, and when it is closed */
    bool unknown;                     /* the broker has no such facility: its lines are wrong */
    char why[IMPORT_WHY_BYTES];       /* of `unknown` */
    uint64_t records;                 /* good lines */
    uint64_t already;                 /* of them, in the log before */
    uint64_t appended;                /* by this run */
};

struct import {
    struct tool *tool;        /* */
    const char *topic;        /* */
    const char *source;       /* */
    const char *channel;      /* --channel, NULL = by content */
    const char *facility;     /* of records that name none, "" = global */
    const char *path;         /* for messages */
    FILE *rejects;            /* NULL = none wanted */
    struct progress progress; /* of the present pass */
    char content[33];         /* digest of topic and content */
    bool field_sequence;      /* numbers come from the field, not the line */
    bool dry_run;             /* nothing is opened or sent */
    bool present_known;       /* `present` is filled */
    struct ranges present;    /* named channel: its numbers that the log holds */
    uint64_t lines;           /* good and wrong records seen */
    uint64_t rejected;        /* wrong lines and refused records */
    uint64_t first_sequence;  /* of the first good record, 0 = none */
    uint64_t last_sequence;   /* of the last record, they must rise */
    uint64_t log_index;       /* highest that an acknowledgement rests on, 0 = none came */
    json_t *errors;           /* array of the first of them */
    uint32_t channel_count;   /* */
    struct import_channel channels[IMPORT_CHANNELS_MAX];
};

/* Notes a wrong line: on standard error, in `errors`, in the file of rejects. */
void import_reject(struct import *import, const struct input *input, int status);
/* What a record needs beyond its fields: facility, channel, a rising number. 0,
 * XDOCK_FIELD_INVALID (see input->fields), or a status that ends the import. */
int import_place(struct import *import, struct input *input, struct import_channel **ret_channel);
/* Dry run: counts a placed record. 0 or a status. */
int import_count(struct import *import, struct input *input, struct import_channel *channel);
/* Sends a placed record. 0, or a status that ends the import. */
int import_send(struct import *import, struct input *input, struct import_channel *channel);
/* Waits for all outcomes and closes the channels. 0 or a status. */
int import_finish(struct import *import);
/* Dry run: how many records of each channel the broker has. 0 or a status. */
int import_ask(struct import *import);

#endif
