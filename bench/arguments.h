/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line of one command, from one table that also prints its help.
 *
 * Normal path: a table of arguments with pointers to their values, which hold the defaults;
 * arguments_parse overwrites what is given. Failure path: a text that names the argument and what
 * was expected. Must not know what an argument means.
 */
#ifndef CROSSDOCK_BENCH_ARGUMENTS_H
#define CROSSDOCK_BENCH_ARGUMENTS_H

#include <stdint.h>
#include <stdio.h>

enum argument_kind {
    ARGUMENT_COUNT,    /* uint64_t, decimal */
    ARGUMENT_BYTES,    /* uint64_t, "64KiB" */
    ARGUMENT_DURATION, /* uint64_t in us, "500ms"; without a unit: seconds */
    ARGUMENT_FLAG,     /* uint64_t, 1 when given */
    ARGUMENT_CHOICE,   /* uint64_t, number of the word in `range` */
    ARGUMENT_TEXT,     /* const char *, borrowed from argv */
};

struct argument {
    const char *name;        /* "batch-bytes", without dashes */
    char letter;             /* 'o', or 0 */
    enum argument_kind kind; /* */
    uint64_t *number;        /* value, but for a text */
    const char **text;       /* value of a text */
    uint64_t low, high;      /* bounds of a number, inclusive */
    const char *range;       /* words of a choice "a|b|c"; else what the help shows */
    const char *help;        /* one line */
};

#define ARGUMENTS_WHY_BYTES 256u

/* 0; 1 when --help is among them; -EINVAL with `ret_why` (ARGUMENTS_WHY_BYTES). */
int arguments_parse(int argc, char *const *argv, const struct argument *table, uint32_t count,
                    char *ret_why);

void arguments_help(const struct argument *table, uint32_t count, FILE *out);

/* The word of a choice as it stands in `range`. Returns its bytes, the word is not terminated. */
int arguments_word(const char *range, uint64_t number, const char **ret_word);

#endif
