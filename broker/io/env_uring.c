/* SPDX-License-Identifier: Apache-2.0
 *
 * The io_uring env: opening and closing.
 *
 * Normal path: check the options, open what the engines share, allocate the tables, open the ring,
 * register the receive buffers, lock the ring down, watch the bell. Turns are in uring_turn.c.
 *
 * Failure path: every step words its own explanation; env_uring_close() takes back what was
 * acquired. Shutdown: file operations in flight are awaited, the ring goes, then descriptors,
 * memory and the lock. Must not decide anything about files, records or connections.
 */
#include "broker/io/env_uring.h"

#include "broker/io/probe.h"
#include "broker/io/uring_env.h"
#include "wire/status.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Bound of the loop that waits for file operations at close: disks answer, or the machine is lost.
 */
#define DRAIN_TURNS_MAX 3000u
#define DRAIN_TURN_NS (10ull * 1000 * 1000)

static_assert(ENV_URING_WHY_BYTES == HOST_WHY_BYTES, "explanations are handed on as they are");
static_assert(ENV_URING_BUFFERS_MAX == HOST_BUFFERS_MAX, "one range");
static_assert(ENV_URING_BUFFER_BYTES_MIN == HOST_BUFFER_BYTES_MIN, "one range");
static_assert(ENV_URING_BUFFER_BYTES_MAX == HOST_BUFFER_BYTES_MAX, "one range");
static_assert(ENV_URING_CONNECTIONS_MAX == HOST_CONNECTIONS_MAX, "one range");
static_assert(ENV_URING_FILES_MAX == HOST_FILES_MAX, "one range");
static_assert(ENV_URING_FILE_OPS_MAX == HOST_FILE_OPS_MAX, "one range");

static const struct env_ops OPS = {
    .now_mono_ns = host_now_mono_ns,
    .now_wall_us = host_now_wall_us,
    .rand64 = host_rand64,
    .mem_alloc = host_mem_alloc,
    .mem_seal = host_mem_seal,
    .file_open = host_file_open,
    .file_close = host_file_close,
    .file_bytes = host_file_bytes,
    .file_reserve = host_file_reserve,
    .file_rename = host_file_rename,
    .file_unlink = host_file_unlink,
    .dir_make = host_dir_make,
    .dir_entry = host_dir_entry,
    .dir_sync = host_dir_sync,
    .disk_free = host_disk_free,
    .file_write = uring_file_write,
    .file_read = uring_file_read,
    .file_sync = uring_file_sync,
    .net_listen = host_net_listen,
    .net_accept = uring_net_accept,
    .net_accept_stop = uring_net_accept_stop,
    .net_recv = uring_net_recv,
    .net_recv_stop = uring_net_recv_stop,
    .buffer_release = uring_buffer_release,
    .buffers_free = uring_buffers_free,
    .net_send = uring_net_send,
    .net_close = uring_net_close,
    .net_peer = uring_net_peer,
    .net_origin = uring_net_origin,
    .wait = uring_wait,
    .bell = host_bell,
    .crash_point = host_crash_point,
    .buggify = host_buggify,
};

/* --- open and close --------------------------------------------------------------------------- */

void env_uring_options_init(struct env_uring_options *options)
{
    XD_ASSERT(options);
    *options = (struct env_uring_options){
        .entries = 1024,
        .buffer_count = 128,
        .buffer_bytes = 64 * 1024,
        .connections_max = 1024,
        .files_max = 256,
        .file_ops_max = 1024,
        .mode_best = URING_MODE_DEFER,
    };
}

static struct host_options shared_options(const struct env_uring_options *options)
{
    return (struct host_options){
        .folder = options->folder,
        .memory_bytes_max = options->memory_bytes_max,
        .bells = options->bells,
        .bell = options->bell,
        .shared = options->shared,
        .buffer_count = options->buffer_count,
        .buffer_bytes = options->buffer_bytes,
        .connections_max = options->connections_max,
        .files_max = options->files_max,
        .file_ops_max = options->file_ops_max,
    };
}

/* Name of the first option outside its range, or NULL. */
static const char *options_check(const struct env_uring_options *options)
{
    const struct host_options shared = shared_options(options);
    const char *wrong = host_options_check(&shared);
    if (wrong)
        return wrong;
    if (options->entries < ENV_URING_ENTRIES_MIN || options->entries > ENV_URING_ENTRIES_MAX ||
        (options->entries & (options->entries - 1)) != 0)
        return "entries";
    return options->mode_best >= URING_MODE_COUNT ? "mode_best" : NULL;
}

static int tables_alloc(struct env_uring *uring, const struct env_uring_options *options)
{
    struct memory *memory = &uring->host.memory;
    uint32_t fixed = URING_FIXED_CONN + options->connections_max * URING_CONN_OPS;
    struct op *table = memory_alloc(memory, sizeof(*table) * (options->file_ops_max + fixed));
    struct uring_conn *conns = memory_alloc(memory, sizeof(*conns) * options->connections_max);
    if (!table || !conns)
        return -ENOMEM;
    uring->conns = conns;
    uring->connections_max = options->connections_max;
    ops_init(&uring->ops, table, options->file_ops_max, fixed);
    uring_net_init(uring);
    return uring_buffers_open(&uring->buffers, memory, options->buffer_count,
                              options->buffer_bytes);
}

/* The ring with its receive buffers, ready to be used. What fails here is the kernel's refusal. */
static int ring_open(struct env_uring *uring, const struct env_uring_options *options,
                     char *ret_why)
{
    int status = uring_ring_open(&uring->ring, options->entries,
                                 (enum uring_mode)options->mode_best, ret_why);
    if (status == 0) {
        status = uring_buffers_register(&uring->buffers, &uring->ring);
        if (status < 0) {
            struct probe_facts facts;
            probe_facts(&facts);
            probe_explain("receive buffers", status, &facts, ret_why);
        }
    }
    if (status == 0)
        status = uring_ring_enable(&uring->ring, ret_why);
    if (options->ret_refused)
        *options->ret_refused = status < 0;
    return status;
}

/* Acquires in sequence; env_uring_close() takes any prefix of it back. */
static int uring_open(struct env_uring *uring, const struct env_uring_options *options,
                      char *ret_why)
{
    const struct host_options shared = shared_options(options);
    int status = host_open(&uring->host, &shared, ret_why);
    if (status < 0)
        return status;
    status = tables_alloc(uring, options);
    if (status < 0)
        return host_fail(status, "memory for connections and receive buffers", HOST_NO_MEMORY_HINT,
                         ret_why);
    status = ring_open(uring, options, ret_why);
    if (status < 0)
        return status;
    (void)snprintf(uring->host.reason, sizeof(uring->host.reason), "ring with %s%s",
                   uring_mode_name(uring->ring.mode),
                   uring->ring.mode == URING_MODE_DEFER || options->mode_best != URING_MODE_DEFER
                       ? ""
                       : "; Linux 6.1 or newer has deferred task work");
    if (options->bells)
        uring_bell_start(uring);
    return 0;
}

int env_uring_open(const struct env_uring_options *options, struct env **ret_env, char *ret_why)
{
    XD_ASSERT(options && ret_env && ret_why);
    const char *wrong = options_check(options);
    if (wrong) {
        (void)snprintf(ret_why, ENV_URING_WHY_BYTES, "%s is outside its range", wrong);
        return XD_OPTION_INVALID;
    }
    struct env_uring *uring = calloc(1, sizeof(*uring));
    if (!uring)
        return host_fail(-ENOMEM, "memory for the env", HOST_NO_MEMORY_HINT, ret_why);
    host_init(&uring->host, "io_uring", &OPS);

    int status = uring_open(uring, options, ret_why);
    if (status < 0) {
        env_uring_close(&uring->host.env);
        return status;
    }
    *ret_env = &uring->host.env;
    return 0;
}

/* Waits for the file operations in flight: no write of ours may land after the lock is gone. */
static void files_drain(struct env_uring *uring)
{
    struct env_event events[16];
    for (uint32_t i = 0; uring->ops.pool_used > 0 && i < DRAIN_TURNS_MAX; i++) {
        int count = uring_wait(&uring->host.env, events, 16,
                               env_now_mono_ns(&uring->host.env) + DRAIN_TURN_NS);
        if (count < 0)
            return;
        for (int k = 0; k < count; k++) {
            if (events[k].buffer != ENV_BUFFER_NONE)
                uring_buffers_release(&uring->buffers, events[k].buffer);
        }
    }
}

void env_uring_stop(struct env *env)
{
    struct env_uring *uring = uring_of(env);
    XD_ASSERT(env->ops == &OPS);
    if (uring->ring.is_open)
        files_drain(uring);
    uring_ring_close(&uring->ring);
    uring_buffers_close(&uring->buffers);
    uring_net_close_all(uring);
    host_stop(&uring->host);
}

void env_uring_close(struct env *env)
{
    if (!env)
        return;
    env_uring_stop(env);
    host_close(&uring_of(env)->host);
    free(uring_of(env));
}
