/* SPDX-License-Identifier: Apache-2.0
 *
 * An env that wraps another one and writes down, in sequence, everything that decides what a crash
 * may leave on disk: writes started (with their bytes) and completed, syncs, sizes, names, folder
 * syncs, and marks that the caller adds ("acknowledged up to here"). The rows can be replayed into
 * the disk states that a crash at any moment leaves (tests/crash).
 *
 * Normal path: env_trace_init, env_trace_process around the env of a process, use the env it gives,
 * env_trace_mark in between; then read rows[]. A trace outlives processes: env_trace_process again
 * says that the former one was killed, and that what it had in flight reached the device, which may
 * still hold it in a cache. A power cut ends a trace.
 * Failure paths: env_trace_fail_sync and env_trace_fail_write make the n-th operation from now
 * answer -EIO; the bytes stay readable, and nothing says whether they are durable. When the bound
 * of the memory is reached the trace stops growing and `full` is set; the env goes on.
 *
 * Everything else is passed on unchanged. Must not draw conclusions: which write is durable when is
 * for the reader of the rows.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_ENV_TRACE_H
#define CROSSDOCK_TESTS_SUPPORT_ENV_TRACE_H

#include "broker/io/env.h"

#include <stdbool.h>
#include <stdint.h>

enum env_trace_kind {
    ENV_TRACE_PROCESS,    /* a new process; what the former one had in flight was done */
    ENV_TRACE_OPEN,       /* file: its number; value 1 = the name was created; text: name */
    ENV_TRACE_RESERVE,    /* file; value: size at least */
    ENV_TRACE_RENAME,     /* text: from, to */
    ENV_TRACE_UNLINK,     /* text: name */
    ENV_TRACE_DIR_MAKE,   /* text: name of a folder that was not there */
    ENV_TRACE_DIR_SYNC,   /* text: folder, "" = the data folder */
    ENV_TRACE_WRITE,      /* file, position, bytes, data; value 1 = DSYNC */
    ENV_TRACE_WRITE_DONE, /* of, result */
    ENV_TRACE_SYNC,       /* file */
    ENV_TRACE_SYNC_DONE,  /* file, of, result */
    ENV_TRACE_READ_DONE,  /* file, position, bytes read */
    ENV_TRACE_MARK,       /* file: the caller's kind; value, position: the caller's */
    ENV_TRACE_KIND_COUNT
};

#define ENV_TRACE_ZEROS UINT64_MAX /* data of a write that holds nothing but zeros */
#define ENV_TRACE_NO_FILE UINT32_MAX

struct env_trace_row {
    uint64_t position; /* in the file, bytes */
    uint64_t value;    /* by kind */
    uint64_t data;     /* byte in env_trace.data where text or written bytes start */
    uint32_t bytes;    /* written or read */
    uint32_t file;     /* number of the opened file: one per successful open */
    uint32_t of;       /* row that started what is done here */
    int32_t result;    /* as the event said */
    uint8_t kind;      /* enum env_trace_kind */
};

/* A file operation in flight. */
struct env_trace_op {
    uint64_t token;    /* the caller's */
    uint64_t position; /* READ */
    uint32_t row;      /* that started it; READ: none */
    uint32_t file;     /* number; ENV_TRACE_NO_FILE = a handle that is not open */
    int32_t result;    /* to answer instead of a success; 0 = none */
    uint32_t next;     /* free list */
};

/* In the caller's memory; rows and data are for reading. */
struct env_trace {
    struct env env;    /* of the process */
    struct env *inner; /* what it passes on to */
    struct env_trace_row *rows;
    uint8_t *data;       /* names and written bytes */
    uint64_t data_bytes; /* in use */
    uint64_t data_room;  /* allocated */
    uint64_t bytes_max;  /* bound of rows and data together */
    uint32_t row_count;  /* in use */
    uint32_t row_room;   /* allocated */
    uint32_t file_count; /* numbers given to opened files */
    bool full;           /* the bound was reached: rows are missing at the end */
    struct env_trace_op *ops;
    uint32_t op_room;     /* allocated */
    uint32_t op_free;     /* first free one, UINT32_MAX = none */
    uint32_t *numbers;    /* of files by handle of the inner env */
    uint32_t number_room; /* allocated */
    uint32_t fail_sync;   /* syncs until one fails, 0 = none will */
    uint32_t fail_write;  /* writes until one fails, 0 = none will */
};

/* An empty trace of at most `bytes_max`. */
void env_trace_init(struct env_trace *trace, uint64_t bytes_max);
void env_trace_deinit(struct env_trace *trace);

/* The env of a (further) process, valid until the next call and as long as `inner`. */
struct env *env_trace_process(struct env_trace *trace, struct env *inner);

/* Adds a row of the caller's. */
void env_trace_mark(struct env_trace *trace, uint32_t kind, uint64_t value, uint64_t position);

/* The `nth` sync or write started from now, counted from 1, answers -EIO. */
void env_trace_fail_sync(struct env_trace *trace, uint32_t nth);
void env_trace_fail_write(struct env_trace *trace, uint32_t nth);

/* First text of a row, and the one behind it. */
const char *env_trace_text(const struct env_trace *trace, const struct env_trace_row *row);
const char *env_trace_text_second(const struct env_trace *trace, const struct env_trace_row *row);
/* "write done" */
const char *env_trace_kind_name(enum env_trace_kind kind);

#endif
