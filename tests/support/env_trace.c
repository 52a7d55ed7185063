/* SPDX-License-Identifier: Apache-2.0
 *
 * Passing on and writing down. Tokens of file operations are replaced by the number of a row of
 * `ops`, so that two operations with one token can be told apart; every event of a file operation
 * comes back through that row. Network and signals keep their tokens.
 */
#include "tests/support/env_trace.h"

#include "tests/support/env_trace_rows.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NONE ENV_TRACE_NO_ROW

static struct env_trace *trace_of(struct env *env)
{
    return (struct env_trace *)(void *)env;
}

static struct env *inner_of(struct env *env)
{
    return trace_of(env)->inner;
}

/* ---- operations in flight -------------------------------------------------------------------- */

static uint32_t number_of(const struct env_trace *trace, env_file file)
{
    return file < 0 || (uint32_t)file >= trace->number_room ? ENV_TRACE_NO_FILE
                                                            : trace->numbers[file];
}

/* Takes a row for an operation; its number is the token for the inner env. */
static struct env_trace_op *op_begin(struct env_trace *trace, env_file file, uint64_t token,
                                     uint64_t *ret_token)
{
    struct env_trace_op *op;

    if (trace->op_free == NONE) {
        uint32_t room = trace->op_room == 0 ? 64 : 2 * trace->op_room;

        trace->ops = env_trace_grown(trace->ops, room, sizeof(struct env_trace_op));
        for (uint32_t i = room; i-- > trace->op_room;) {
            trace->ops[i].next = trace->op_free;
            trace->op_free = i;
        }
        trace->op_room = room;
    }
    *ret_token = trace->op_free;
    op = &trace->ops[trace->op_free];
    trace->op_free = op->next;
    *op = (struct env_trace_op){
        .token = token, .file = number_of(trace, file), .row = NONE, .next = NONE};
    return op;
}

/* The row that tells the end of an operation. */
static void row_done(struct env_trace *trace, const struct env_trace_op *op, uint8_t kind,
                     int32_t result)
{
    struct env_trace_row row = {
        .kind = kind, .file = op->file, .of = op->row, .result = result, .position = op->position};

    if (op->file == ENV_TRACE_NO_FILE)
        return;
    if (kind == ENV_TRACE_READ_DONE) {
        if (result <= 0)
            return;
        row.bytes = (uint32_t)result;
    } else if (op->row == NONE) {
        return;
    }
    (void)env_trace_row_add(trace, &row);
}

/* An event of a file operation: gets its token back, and its planned failure. */
static void op_end(struct env_trace *trace, struct env_event *event, uint8_t kind)
{
    struct env_trace_op *op;

    XD_ASSERT(event->token < trace->op_room);
    op = &trace->ops[event->token];
    if (op->result != 0 && event->result >= 0)
        event->result = op->result;
    row_done(trace, op, kind, event->result);
    op->next = trace->op_free;
    trace->op_free = (uint32_t)event->token;
    event->token = op->token;
}

/* True for the operation that a plan has counted down to. */
static bool plan_reached(uint32_t *plan)
{
    return *plan > 0 && --*plan == 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

static void number_set(struct env_trace *trace, env_file file, uint32_t number)
{
    while ((uint32_t)file >= trace->number_room) {
        uint32_t room = trace->number_room == 0 ? 64 : 2 * trace->number_room;

        trace->numbers = env_trace_grown(trace->numbers, room, sizeof(uint32_t));
        for (uint32_t i = trace->number_room; i < room; i++)
            trace->numbers[i] = ENV_TRACE_NO_FILE;
        trace->number_room = room;
    }
    trace->numbers[file] = number;
}

/* Opens first without creating, to know whether the name is new. */
static int trace_file_open(struct env *env, const char *name, uint32_t flags, env_file *ret_file)
{
    struct env_trace *trace = trace_of(env);
    bool create = (flags & ENV_OPEN_CREATE) != 0;
    bool exclusive = create && (flags & ENV_OPEN_EXCLUSIVE) != 0;
    struct env_trace_row row = {.kind = ENV_TRACE_OPEN};
    int status = -ENOENT;

    if (!exclusive)
        status = env_file_open(trace->inner, name, flags & ~ENV_OPEN_CREATE, ret_file);
    if (status == -ENOENT && create) {
        row.value = 1;
        status = env_file_open(trace->inner, name, flags, ret_file);
    }
    if (status < 0)
        return status;
    row.file = trace->file_count++;
    number_set(trace, *ret_file, row.file);
    env_trace_row_text(trace, &row, name, NULL);
    return status;
}

static void trace_file_close(struct env *env, env_file file)
{
    struct env_trace *trace = trace_of(env);

    if (number_of(trace, file) != ENV_TRACE_NO_FILE)
        number_set(trace, file, ENV_TRACE_NO_FILE);
    env_file_close(trace->inner, file);
}

static int trace_file_bytes(struct env *env, env_file file, uint64_t *ret_bytes)
{
    return env_file_bytes(inner_of(env), file, ret_bytes);
}

static int trace_file_reserve(struct env *env, env_file file, uint64_t bytes)
{
    struct env_trace *trace = trace_of(env);
    struct env_trace_row row = {
        .kind = ENV_TRACE_RESERVE, .file = number_of(trace, file), .value = bytes};
    int status = env_file_reserve(trace->inner, file, bytes);

    if (status == 0)
        (void)env_trace_row_add(trace, &row);
    return status;
}

static int trace_file_rename(struct env *env, const char *from, const char *to)
{
    struct env_trace *trace = trace_of(env);
    struct env_trace_row row = {.kind = ENV_TRACE_RENAME};
    int status = env_file_rename(trace->inner, from, to);

    if (status == 0)
        env_trace_row_text(trace, &row, from, to);
    return status;
}

static int trace_file_unlink(struct env *env, const char *name)
{
    struct env_trace *trace = trace_of(env);
    struct env_trace_row row = {.kind = ENV_TRACE_UNLINK};
    int status = env_file_unlink(trace->inner, name);

    if (status == 0)
        env_trace_row_text(trace, &row, name, NULL);
    return status;
}

/* A folder that was there already answers like a new one, so it is looked for first. */
static int trace_dir_make(struct env *env, const char *name)
{
    struct env_trace *trace = trace_of(env);
    struct env_trace_row row = {.kind = ENV_TRACE_DIR_MAKE};
    char entry[ENV_NAME_BYTES_MAX];
    int before = env_dir_entry(trace->inner, name, 0, entry);
    bool there = before == 0;
    int status;

    for (uint32_t i = 0; !there && env_dir_entry(trace->inner, "", i, entry) == 0; i++)
        there = strcmp(entry, name) == 0;
    status = env_dir_make(trace->inner, name);
    if (status == 0 && !there)
        env_trace_row_text(trace, &row, name, NULL);
    return status;
}

static int trace_dir_entry(struct env *env, const char *name, uint32_t index, char *ret_name)
{
    return env_dir_entry(inner_of(env), name, index, ret_name);
}

static int trace_dir_sync(struct env *env, const char *name)
{
    struct env_trace *trace = trace_of(env);
    struct env_trace_row row = {.kind = ENV_TRACE_DIR_SYNC};
    int status = env_dir_sync(trace->inner, name);

    if (status == 0)
        env_trace_row_text(trace, &row, name, NULL);
    return status;
}

static int trace_disk_free(struct env *env, uint64_t *ret_free, uint64_t *ret_total)
{
    return env_disk_free(inner_of(env), ret_free, ret_total);
}

static void trace_file_write(struct env *env, env_file file, const void *data, uint32_t bytes,
                             uint64_t position, uint32_t flags, uint64_t token)
{
    struct env_trace *trace = trace_of(env);
    uint64_t inner_token;
    struct env_trace_op *op = op_begin(trace, file, token, &inner_token);
    struct env_trace_row row = {.kind = ENV_TRACE_WRITE,
                                .file = op->file,
                                .position = position,
                                .bytes = bytes,
                                .value = (flags & ENV_WRITE_DSYNC) != 0,
                                .data = ENV_TRACE_ZEROS};

    if (op->file != ENV_TRACE_NO_FILE && bytes > 0) {
        bool zeros = env_trace_all_zero(data, bytes);

        if (env_trace_has_room(trace, zeros ? 0 : bytes)) {
            if (!zeros)
                row.data = env_trace_data_add(trace, data, bytes);
            op->row = env_trace_row_add(trace, &row);
        }
        if (plan_reached(&trace->fail_write))
            op->result = -EIO;
    }
    env_file_write(trace->inner, file, data, bytes, position, flags, inner_token);
}

static void trace_file_read(struct env *env, env_file file, void *data, uint32_t bytes,
                            uint64_t position, uint64_t token)
{
    struct env_trace *trace = trace_of(env);
    uint64_t inner_token;

    op_begin(trace, file, token, &inner_token)->position = position;
    env_file_read(trace->inner, file, data, bytes, position, inner_token);
}

static void trace_file_sync(struct env *env, env_file file, uint64_t token)
{
    struct env_trace *trace = trace_of(env);
    uint64_t inner_token;
    struct env_trace_op *op = op_begin(trace, file, token, &inner_token);
    struct env_trace_row row = {.kind = ENV_TRACE_SYNC, .file = op->file};

    if (op->file != ENV_TRACE_NO_FILE) {
        op->row = env_trace_row_add(trace, &row);
        if (plan_reached(&trace->fail_sync))
            op->result = -EIO;
    }
    env_file_sync(trace->inner, file, inner_token);
}

/* ---- the turn -------------------------------------------------------------------------------- */

static int trace_wait(struct env *env, struct env_event *events, uint32_t events_max,
                      uint64_t deadline_ns)
{
    struct env_trace *trace = trace_of(env);
    int count = env_wait(trace->inner, events, events_max, deadline_ns);

    for (int i = 0; i < count; i++) {
        if (events[i].op == ENV_OP_WRITE)
            op_end(trace, &events[i], ENV_TRACE_WRITE_DONE);
        else if (events[i].op == ENV_OP_READ)
            op_end(trace, &events[i], ENV_TRACE_READ_DONE);
        else if (events[i].op == ENV_OP_SYNC)
            op_end(trace, &events[i], ENV_TRACE_SYNC_DONE);
    }
    return count;
}

/* ---- passed on ------------------------------------------------------------------------------- */

static uint64_t trace_now_mono_ns(struct env *env)
{
    return env_now_mono_ns(inner_of(env));
}

static int64_t trace_now_wall_us(struct env *env)
{
    return env_now_wall_us(inner_of(env));
}

static uint64_t trace_rand64(struct env *env)
{
    return env_rand64(inner_of(env));
}

static void *trace_mem_alloc(struct env *env, size_t bytes)
{
    return env_mem_alloc(inner_of(env), bytes);
}

static void trace_mem_seal(struct env *env)
{
    env_mem_seal(inner_of(env));
}

static int trace_net_listen(struct env *env, const char *address, env_listener *ret_listener,
                            char *ret_address)
{
    return env_net_listen(inner_of(env), address, ret_listener, ret_address);
}

static void trace_net_accept(struct env *env, env_listener listener, uint64_t token)
{
    env_net_accept(inner_of(env), listener, token);
}

static void trace_net_accept_stop(struct env *env, env_listener listener)
{
    env_net_accept_stop(inner_of(env), listener);
}

static void trace_net_recv(struct env *env, env_conn conn, uint64_t token)
{
    env_net_recv(inner_of(env), conn, token);
}

static void trace_net_recv_stop(struct env *env, env_conn conn)
{
    env_net_recv_stop(inner_of(env), conn);
}

static void trace_buffer_release(struct env *env, uint16_t buffer)
{
    env_buffer_release(inner_of(env), buffer);
}

static uint32_t trace_buffers_free(struct env *env)
{
    return env_buffers_free(inner_of(env));
}

static void trace_net_send(struct env *env, env_conn conn, const struct iovec *pieces,
                           uint32_t piece_count, uint64_t token)
{
    env_net_send(inner_of(env), conn, pieces, piece_count, token);
}

static void trace_net_close(struct env *env, env_conn conn, uint64_t token)
{
    env_net_close(inner_of(env), conn, token);
}

static void trace_net_peer(struct env *env, env_conn conn, char *ret_address)
{
    env_net_peer(inner_of(env), conn, ret_address);
}

static void trace_net_origin(struct env *env, env_conn conn, struct env_origin *ret_origin)
{
    env_net_origin(inner_of(env), conn, ret_origin);
}

static void trace_bell(struct env *env, uint32_t to)
{
    env_bell(inner_of(env), to);
}

static void trace_crash_point(struct env *env, enum env_crash_point point)
{
    env_crash_point(inner_of(env), point);
}

static bool trace_buggify(struct env *env, enum env_buggify site)
{
    return env_buggify(inner_of(env), site);
}

static const struct env_ops trace_ops = {
    .now_mono_ns = trace_now_mono_ns,
    .now_wall_us = trace_now_wall_us,
    .rand64 = trace_rand64,
    .mem_alloc = trace_mem_alloc,
    .mem_seal = trace_mem_seal,
    .file_open = trace_file_open,
    .file_close = trace_file_close,
    .file_bytes = trace_file_bytes,
    .file_reserve = trace_file_reserve,
    .file_rename = trace_file_rename,
    .file_unlink = trace_file_unlink,
    .dir_make = trace_dir_make,
    .dir_entry = trace_dir_entry,
    .dir_sync = trace_dir_sync,
    .disk_free = trace_disk_free,
    .file_write = trace_file_write,
    .file_read = trace_file_read,
    .file_sync = trace_file_sync,
    .net_listen = trace_net_listen,
    .net_accept = trace_net_accept,
    .net_accept_stop = trace_net_accept_stop,
    .net_recv = trace_net_recv,
    .net_recv_stop = trace_net_recv_stop,
    .buffer_release = trace_buffer_release,
    .buffers_free = trace_buffers_free,
    .net_send = trace_net_send,
    .net_close = trace_net_close,
    .net_peer = trace_net_peer,
    .net_origin = trace_net_origin,
    .wait = trace_wait,
    .bell = trace_bell,
    .crash_point = trace_crash_point,
    .buggify = trace_buggify,
};

/* ---- life ------------------------------------------------------------------------------------ */

void env_trace_init(struct env_trace *trace, uint64_t bytes_max)
{
    XD_ASSERT(bytes_max > sizeof(struct env_trace_row));
    *trace = (struct env_trace){.bytes_max = bytes_max, .op_free = NONE};
}

void env_trace_deinit(struct env_trace *trace)
{
    free(trace->rows);
    free(trace->data);
    free(trace->ops);
    free(trace->numbers);
    *trace = (struct env_trace){.op_free = NONE};
}

struct env *env_trace_process(struct env_trace *trace, struct env *inner)
{
    struct env_trace_row row = {.kind = ENV_TRACE_PROCESS};

    XD_ASSERT(trace->bytes_max > 0);
    free(trace->ops);
    trace->ops = NULL;
    trace->op_room = 0;
    trace->op_free = NONE;
    for (uint32_t i = 0; i < trace->number_room; i++)
        trace->numbers[i] = ENV_TRACE_NO_FILE;
    (void)env_trace_row_add(trace, &row);
    trace->inner = inner;
    trace->env = (struct env){
        .ops = &trace_ops, .engine = inner->engine, .engine_reason = inner->engine_reason};
    return &trace->env;
}

void env_trace_fail_sync(struct env_trace *trace, uint32_t nth)
{
    trace->fail_sync = nth;
}

void env_trace_fail_write(struct env_trace *trace, uint32_t nth)
{
    trace->fail_write = nth;
}
