/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of a trace: memory that grows up to its bound, texts, marks.
 */
#include "tests/support/env_trace_rows.h"

#include "wire/xassert.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory that grows ----------------------------------------------------------------------- */

void *env_trace_grown(void *memory, uint64_t count, uint64_t element_bytes)
{
    memory = realloc(memory, count * element_bytes);
    XD_ASSERT(memory != NULL);
    return memory;
}

/* Whether `bytes` more fit under the bound. Once they did not, nothing is added any more: a trace
 * with a gap would tell lies. */
bool env_trace_has_room(struct env_trace *trace, uint64_t bytes)
{
    uint64_t used = trace->data_bytes + (trace->row_count + 1ull) * sizeof(struct env_trace_row);

    if (used + bytes > trace->bytes_max)
        trace->full = true;
    return !trace->full;
}

/* Copies bytes behind the data; the place where they stand. */
uint64_t env_trace_data_add(struct env_trace *trace, const void *data, uint64_t bytes)
{
    uint64_t at = trace->data_bytes;

    if (at + bytes > trace->data_room) {
        trace->data_room = 2 * (at + bytes) + 4096;
        trace->data = env_trace_grown(trace->data, trace->data_room, 1);
    }
    memcpy(trace->data + at, data, bytes);
    trace->data_bytes += bytes;
    return at;
}

/* Number of the added row, ENV_TRACE_NO_ROW when the trace is full. */
uint32_t env_trace_row_add(struct env_trace *trace, const struct env_trace_row *row)
{
    XD_ASSERT(row->kind < ENV_TRACE_KIND_COUNT);
    if (!env_trace_has_room(trace, 0))
        return ENV_TRACE_NO_ROW;
    if (trace->row_count == trace->row_room) {
        trace->row_room = trace->row_room == 0 ? 1024 : 2 * trace->row_room;
        trace->rows = env_trace_grown(trace->rows, trace->row_room, sizeof(struct env_trace_row));
    }
    trace->rows[trace->row_count] = *row;
    return trace->row_count++;
}

/* A row with one or two names. */
void env_trace_row_text(struct env_trace *trace, struct env_trace_row *row, const char *first,
                        const char *second)
{
    uint64_t first_bytes = strlen(first) + 1;
    uint64_t second_bytes = second == NULL ? 0 : strlen(second) + 1;

    if (!env_trace_has_room(trace, first_bytes + second_bytes))
        return;
    row->data = env_trace_data_add(trace, first, first_bytes);
    if (second != NULL)
        (void)env_trace_data_add(trace, second, second_bytes); /* stands right behind the first */
    (void)env_trace_row_add(trace, row);
}

bool env_trace_all_zero(const uint8_t *data, uint64_t bytes)
{
    return data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0;
}

void env_trace_mark(struct env_trace *trace, uint32_t kind, uint64_t value, uint64_t position)
{
    struct env_trace_row row = {
        .kind = ENV_TRACE_MARK, .file = kind, .value = value, .position = position};

    (void)env_trace_row_add(trace, &row);
}

/* ---- reading --------------------------------------------------------------------------------- */

const char *env_trace_text(const struct env_trace *trace, const struct env_trace_row *row)
{
    XD_ASSERT(row->data < trace->data_bytes);
    return (const char *)trace->data + row->data;
}

const char *env_trace_text_second(const struct env_trace *trace, const struct env_trace_row *row)
{
    const char *first = env_trace_text(trace, row);

    XD_ASSERT(row->kind == ENV_TRACE_RENAME);
    return first + strlen(first) + 1;
}

const char *env_trace_kind_name(enum env_trace_kind kind)
{
    static const char *const names[ENV_TRACE_KIND_COUNT] = {
        [ENV_TRACE_PROCESS] = "process",
        [ENV_TRACE_OPEN] = "open",
        [ENV_TRACE_RESERVE] = "reserve",
        [ENV_TRACE_RENAME] = "rename",
        [ENV_TRACE_UNLINK] = "unlink",
        [ENV_TRACE_DIR_MAKE] = "folder",
        [ENV_TRACE_DIR_SYNC] = "folder sync",
        [ENV_TRACE_WRITE] = "write",
        [ENV_TRACE_WRITE_DONE] = "write done",
        [ENV_TRACE_SYNC] = "sync",
        [ENV_TRACE_SYNC_DONE] = "sync done",
        [ENV_TRACE_READ_DONE] = "read done",
        [ENV_TRACE_MARK] = "mark",
    };

    XD_ASSERT(kind < ENV_TRACE_KIND_COUNT);
    return names[kind];
}
