/* SPDX-License-Identifier: Apache-2.0
 *
 * One run of the program: its arguments, how it prints, its connection. Every verb gets one of
 * these and nothing else.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_TOOL_H
#define CROSSDOCK_TOOLS_CROSSDOCK_TOOL_H

#include <crossdock/base.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/crossdock/args.h"

/* Exit statuses; stable. */
enum exit_status {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,       /* wrong arguments or configuration */
    EXIT_NOT_FOUND = 3,   /* no such topic, facility, source ... */
    EXIT_DENIED = 4,      /* not permitted */
    EXIT_UNREACHABLE = 5, /* no broker answers, or not in time */
    EXIT_WARNING = 6,     /* a check is above its first threshold */
    EXIT_CRITICAL = 7,    /* a check is not well */
    EXIT_INTERRUPTED = 130
};

enum output { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_JSON, OUTPUT_JSONL, OUTPUT_TSV, OUTPUT_NAME };

/* Bytes of a failure's detail, terminator included. */
#define DETAIL_BYTES 1024u

struct tool {
    struct args args;          /* */
    const char *program;       /* argv[0] */
    enum output output;        /* --output */
    bool output_given;         /* it was on the command line */
    bool color;                /* colours on standard output */
    bool verbose;              /* --verbose */
    bool progress;             /* standard error is a terminal */
    bool stream;               /* JSON is one object a line, as with VERB_STREAM */
    uint32_t timeout_ms;       /* --timeout */
    xdock_client_t *client;    /* NULL until the first call */
    uint32_t shards;           /* of the broker that it is connected to, 0 = not asked yet */
    FILE *text_stream;         /* standard output while a text is collected, else NULL */
    char *text;                /* what was collected */
    size_t text_bytes;         /* */
    char detail[DETAIL_BYTES]; /* of the last failure, "" = the status says all */
};

/* The value of an option, NULL when it was not given. */
const char *tool_option(const struct tool *tool, const char *name);
bool tool_flag(const struct tool *tool, const char *name);
/* Positional argument number `index` behind the verb, NULL when it is not there. */
const char *tool_argument(const struct tool *tool, unsigned index);
/* True after SIGINT or SIGTERM. */
bool tool_interrupted(void);

#endif
