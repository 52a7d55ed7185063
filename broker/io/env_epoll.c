/* SPDX-License-Identifier: Apache-2.0
 *
 * The epoll env: opening and closing.
 *
 * Normal path: check the options, open what the engines share, allocate the tables and buffers,
 * open epoll and the bell, start the threads for files, watch the bell. Turns are in epoll_turn.c.
 *
 * Failure path: every step words its own explanation; env_epoll_close() takes back what was
 * acquired. Shutdown: all file operations are done, the threads end, then descriptors, memory and
 * the lock go. Must not decide anything about files, records or connections.
 */
#include "broker/io/env_epoll.h"

#include "broker/io/epoll_env.h"
#include "broker/io/probe.h"
#include "wire/status.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static_assert(ENV_EPOLL_WHY_BYTES == HOST_WHY_BYTES, "explanations are handed on as they are");
static_assert(ENV_EPOLL_FILE_THREADS_MAX == FILE_POOL_THREADS_MAX, "one range");

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
    .file_write = epoll_file_write,
    .file_read = epoll_file_read,
    .file_sync = epoll_file_sync,
    .net_listen = epoll_net_listen,
    .net_accept = epoll_net_accept,
    .net_accept_stop = epoll_net_accept_stop,
    .net_recv = epoll_net_recv,
    .net_recv_stop = epoll_net_recv_stop,
    .buffer_release = epoll_buffer_release,
    .buffers_free = epoll_buffers_free,
    .net_send = epoll_net_send,
    .net_close = epoll_net_close,
    .net_peer = epoll_net_peer,
    .net_origin = epoll_net_origin,
    .wait = epoll_env_wait,
    .bell = host_bell,
    .crash_point = host_crash_point,
    .buggify = host_buggify,
};

void env_epoll_options_init(struct env_epoll_options *options)
{
    XD_ASSERT(options);
    *options = (struct env_epoll_options){
        .reason = "asked for",
        .file_threads = 2,
        .buffer_count = 128,
        .buffer_bytes = 64 * 1024,
        .connections_max = 1024,
        .files_max = 256,
        .file_ops_max = 1024,
    };
}

static struct host_options shared_options(const struct env_epoll_options *options)
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
static const char *options_check(const struct env_epoll_options *options)
{
    const struct host_options shared = shared_options(options);
    if (options->file_threads == 0 || options->file_threads > ENV_EPOLL_FILE_THREADS_MAX)
        return "file_threads";
    return options->reason ? host_options_check(&shared) : "reason";
}

static int tables_alloc(struct env_epoll *epoll, const struct env_epoll_options *options)
{
    struct memory *memory = &epoll->host.memory;
    uint32_t fixed = EPOLL_FIXED_CONN + options->connections_max * EPOLL_CONN_OPS;
    struct op *table = memory_alloc(memory, sizeof(*table) * (options->file_ops_max + fixed));
    struct epoll_conn *conns = memory_alloc(memory, sizeof(*conns) * options->connections_max);
    epoll->jobs = memory_alloc(memory, sizeof(*epoll->jobs) * options->file_ops_max);
    if (!table || !conns || !epoll->jobs)
        return -ENOMEM;
    epoll->conns = conns;
    epoll->connections_max = options->connections_max;
    ops_init(&epoll->ops, table, options->file_ops_max, fixed);
    epoll_net_init(epoll);
    return epoll_buffers_open(&epoll->buffers, memory, options->buffer_count,
                              options->buffer_bytes);
}

static int kernel_open(struct env_epoll *epoll)
{
    epoll->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll->epoll_fd < 0)
        return -errno;
    epoll_clock_probe(epoll);
    epoll->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (epoll->bell_fd < 0)
        return -errno;
    return epoll_watch_add(epoll, epoll->bell_fd, EPOLL_WATCH_FILES, 0);
}

/* Acquires in sequence; env_epoll_close() takes any prefix of it back. */
static int epoll_open(struct env_epoll *epoll, const struct env_epoll_options *options,
                      char *ret_why)
{
    const struct host_options shared = shared_options(options);
    int status = host_open(&epoll->host, &shared, ret_why);
    if (status < 0)
        return status;
    status = tables_alloc(epoll, options);
    if (status < 0)
        return host_fail(status, "memory for connections and receive buffers", HOST_NO_MEMORY_HINT,
                         ret_why);
    status = kernel_open(epoll);
    if (status < 0)
        return host_fail(status, "epoll and an eventfd", probe_remedy(status), ret_why);
    status = file_pool_open(&epoll->pool, options->file_threads, epoll->bell_fd);
    if (status < 0)
        return host_fail(status, "threads for files",
                         "raise TasksMax of the service, RLIMIT_NPROC or the memory limit",
                         ret_why);
    if (options->bells)
        status =
            epoll_watch_add(epoll, bells_fd(options->bells, options->bell), EPOLL_WATCH_BELL, 0);
    if (status < 0)
        return host_fail(status, "the bell", probe_remedy(status), ret_why);
    (void)snprintf(epoll->host.reason, sizeof(epoll->host.reason), "%.*s; file threads: %u%s",
                   (int)(HOST_WHY_BYTES - 1), options->reason, options->file_threads,
                   epoll->coarse ? "; no epoll_pwait2 here, so waits are rounded up to 1 ms" : "");
    return 0;
}

int env_epoll_open(const struct env_epoll_options *options, struct env **ret_env, char *ret_why)
{
    XD_ASSERT(options && ret_env && ret_why);
    const char *wrong = options_check(options);
    if (wrong) {
        (void)snprintf(ret_why, ENV_EPOLL_WHY_BYTES, "%s is outside its range", wrong);
        return XD_OPTION_INVALID;
    }
    struct env_epoll *epoll = calloc(1, sizeof(*epoll));
    if (!epoll)
        return host_fail(-ENOMEM, "memory for the env", HOST_NO_MEMORY_HINT, ret_why);
    host_init(&epoll->host, "epoll", &OPS);
    epoll->epoll_fd = -1;
    epoll->bell_fd = -1;

    int status = epoll_open(epoll, options, ret_why);
    if (status < 0) {
        env_epoll_close(&epoll->host.env);
        return status;
    }
    *ret_env = &epoll->host.env;
    return 0;
}

void env_epoll_stop(struct env *env)
{
    struct env_epoll *epoll = epoll_of(env);
    XD_ASSERT(env->ops == &OPS);
    if (epoll->stopped)
        return;
    epoll->stopped = true;
    file_pool_close(&epoll->pool); /* No write of ours may land after the lock is gone. */
    epoll_net_close_all(epoll);
    epoll_buffers_close(&epoll->buffers);
    if (epoll->bell_fd >= 0)
        (void)close(epoll->bell_fd);
    if (epoll->epoll_fd >= 0)
        (void)close(epoll->epoll_fd);
    host_stop(&epoll->host);
}

void env_epoll_close(struct env *env)
{
    if (!env)
        return;
    env_epoll_stop(env);
    host_close(&epoll_of(env)->host);
    free(epoll_of(env));
}
