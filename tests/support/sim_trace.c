/* SPDX-License-Identifier: Apache-2.0
 *
 * Trace rows: hashed always, printed when asked.
 */
#include "tests/support/sim_trace.h"

#include "tests/support/env_sim.h"
#include "wire/checksum.h"
#include "wire/xassert.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>

static const struct {
    const char *name;
    const char *arguments[3];
} kinds[SIM_TRACE_KIND_COUNT] = {
#define X(name, a, b, c) {#name, {a, b, c}},
    SIM_TRACE_KINDS(X)
#undef X
};

/* Names of enum env_op and enum sim_op, which are equal as far as the first one goes. */
static const char *const op_names[SIM_OP_COUNT] = {
    [SIM_OP_WRITE] = "write",
    [SIM_OP_READ] = "read",
    [SIM_OP_SYNC] = "sync",
    [SIM_OP_ACCEPT] = "accept",
    [SIM_OP_RECV] = "recv",
    [SIM_OP_SEND] = "send",
    [SIM_OP_CLOSE] = "close",
    [SIM_OP_LISTEN] = "listen",
    [SIM_OP_FILE_OPEN] = "file_open",
    [SIM_OP_FILE_RESERVE] = "file_reserve",
    [SIM_OP_FILE_RENAME] = "file_rename",
    [SIM_OP_FILE_UNLINK] = "file_unlink",
    [SIM_OP_DIR_MAKE] = "dir_make",
    [SIM_OP_DIR_SYNC] = "dir_sync",
    [SIM_OP_DISK_FREE] = "disk_free",
    [SIM_OP_MEM_ALLOC] = "mem_alloc",
};
static_assert((int)SIM_OP_WRITE == (int)ENV_OP_WRITE, "one table names both");
static_assert((int)SIM_OP_CLOSE == (int)ENV_OP_CLOSE, "one table names both");

void trace_reset(struct sim_trace *trace, uint64_t seed)
{
    trace->hash = seed;
    trace->count = 0;
}

/* Prints " name=value"; an argument without name is not printed. */
static void argument_print(const char *name, uint64_t value, FILE *file)
{
    if (name[0] != '\0')
        fprintf(file, " %s=%" PRId64, name, (int64_t)value);
}

static void row_print(const struct sim_trace_row *row, FILE *file)
{
    bool of_op = row->kind == SIM_TRACE_START || row->kind == SIM_TRACE_CALL ||
                 row->kind == SIM_TRACE_EVENT;
    const char *const *arguments;

    XD_ASSERT(row->kind < SIM_TRACE_KIND_COUNT);
    arguments = kinds[row->kind].arguments;
    fprintf(file, "%14" PRIu64 " %-11s", row->now_ns, kinds[row->kind].name);
    if (of_op)
        fprintf(file, " %s", op_names[row->a]);
    else
        argument_print(arguments[0], row->a, file);
    argument_print(arguments[1], row->b, file);
    argument_print(arguments[2], row->c, file);
    if (row->data_hash != 0)
        fprintf(file, " data=%016" PRIx64, row->data_hash);
    fputc('\n', file);
}

void trace_add(struct sim_trace *trace, uint64_t now_ns, enum sim_trace_kind kind, uint64_t a,
               uint64_t b, uint64_t c, uint64_t data_hash)
{
    struct sim_trace_row *row = &trace->rows[trace->count % SIM_TRACE_ROWS];

    *row = (struct sim_trace_row){
        .now_ns = now_ns, .kind = kind, .a = a, .b = b, .c = c, .data_hash = data_hash};
    trace->hash = xd_xxh3_seeded(row, sizeof(*row), trace->hash);
    trace->count++;
    if (trace->file != NULL)
        row_print(row, trace->file);
}

void trace_dump(const struct sim_trace *trace, FILE *file)
{
    uint64_t first = trace->count > SIM_TRACE_ROWS ? trace->count - SIM_TRACE_ROWS : 0;

    for (uint64_t i = first; i < trace->count; i++)
        row_print(&trace->rows[i % SIM_TRACE_ROWS], file);
}
