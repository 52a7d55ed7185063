/* SPDX-License-Identifier: Apache-2.0
 *
 * A file of records, line by line: JSON lines, CSV (RFC 4180) with a header row, or columns of
 * fixed width that a map cuts.
 *
 * Normal path: input_open, input_next until it gives 0, input_close; input_rewind for another pass.
 * Failure paths: a wrong line gives XDOCK_FIELD_INVALID, with the field and the sentence in
 * `fields`, and the next call goes on behind it; a file that cannot be read gives -errno.
 * Memory: one line. Must not know where records go.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_INPUT_H
#define CROSSDOCK_TOOLS_CROSSDOCK_INPUT_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tools/crossdock/fields.h"
#include "tools/crossdock/map.h"

#define INPUT_LINE_BYTES_MAX (2u * 1024u * 1024u)
#define INPUT_COLUMNS_MAX 64u

enum input_format { INPUT_JSONL, INPUT_CSV, INPUT_FIXED };

struct input {
    FILE *file;               /* seekable */
    struct stat about;        /* of it, when it was opened */
    enum input_format format; /* */
    const struct map *map;    /* borrowed, NULL = names are ours */
    uint64_t bytes;           /* read so far */
    uint64_t line;            /* number of the first line of the last record, from 1 */
    uint64_t lines;           /* lines read so far */
    char *raw;                /* the last record as it stands in the file, without its newline */
    size_t raw_bytes;         /* */
    char *cells;              /* CSV, fixed: a copy of `raw`, cut into cells */
    char *header;             /* CSV: the header row, cut into names */
    char *header_raw;         /* CSV: the header row as it stands */
    const char *columns[INPUT_COLUMNS_MAX]; /* CSV: our names; NULL = passed over */
    const char *theirs[INPUT_COLUMNS_MAX];  /* CSV: names as they stand, in `header` */
    unsigned column_count;                  /* */
    json_t *object;                         /* JSON: of the last record */
    char numbers[INPUT_COLUMNS_MAX][24];    /* JSON: texts of its numbers */
    struct fields fields;                   /* the last record, or what is wrong with it */
};

/* Opens `path`, "-" = standard input. What is not a regular file is copied to a temporary one.
 * `map` may be NULL, but fixed columns need one; it is borrowed until input_close. 0; -errno; or
 * XDOCK_FIELD_INVALID for a wrong header row, see fields. */
int input_open(struct input *input, const char *path, enum input_format format,
               const struct map *map);
/* 1 and a record, 0 at the end, or a failure. */
int input_next(struct input *input);
/* Back to the first record. 0 or -errno. */
int input_rewind(struct input *input);
/* True when the file's size or time of change is not what it was at input_open. */
bool input_changed(const struct input *input);
void input_close(struct input *input);

#endif
