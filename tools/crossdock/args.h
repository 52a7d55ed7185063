/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line: which verb, which options, which positional arguments.
 *
 * Normal path: args_parse once. Options may stand anywhere: `-o json`, `-ojson`, `--output json`,
 * `--output=json`; `--` ends them. The verb is one or two words. Failure path: XDOCK_OPTION_UNKNOWN
 * or XDOCK_OPTION_INVALID and a text that names the nearest known word.
 * Everything is borrowed from argv. Must not print.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_ARGS_H
#define CROSSDOCK_TOOLS_CROSSDOCK_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/crossdock/verbs.h"

#define ARGS_POSITIONALS_MAX 64u
#define ARGS_OPTIONS_MAX 32u

struct args_option {
    const struct option_row *row; /* */
    const char *value;            /* NULL for a flag */
};

struct args {
    const struct verb *verb;                       /* NULL: none was given */
    const char *family;                            /* no verb, but "topic" of "topic show" */
    const char *positionals[ARGS_POSITIONALS_MAX]; /* behind the verb */
    unsigned positional_count;                     /* */
    struct args_option options[ARGS_OPTIONS_MAX];  /* as given; the last of a name counts */
    unsigned option_count;                         /* */
};

int args_parse(int argc, const char *const *argv, struct args *ret_args, char *why,
               size_t why_bytes);

#endif
