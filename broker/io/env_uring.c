/* SPDX-License-Identifier: Apache-2.0
 *
 * The io_uring env: clock, randomness, memory, opening, closing.
 *
 * Normal path: check the options, make room for descriptors, lock the folder, allocate the tables,
 * open the ring, register the receive buffers, lock the ring down, watch signals. Turns are in
 * uring_turn.c.
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
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000ull

/* Descriptors besides connections and files: standard streams, ring, folder, lock, signals,
 * listeners, and some for the libraries. */
#define DESCRIPTORS_EXTRA 64u

/* Bound of the loop that waits for file operations at close: disks answer, or the machine is lost.
 */
#define DRAIN_TURNS_MAX 3000u
#define DRAIN_TURN_NS (10ull * 1000 * 1000)

static_assert(ENV_URING_WHY_BYTES == PROBE_WHY_BYTES, "explanations are handed on as they are");

/* --- clock and randomness --------------------------------------------------------------------- */

static uint64_t now_mono_ns(struct env *env)
{
    (void)env;
    struct timespec now;
    int status = clock_gettime(CLOCK_MONOTONIC, &now);
    XD_ASSERT(status == 0);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static int64_t now_wall_us(struct env *env)
{
    (void)env;
    struct timespec now;
    int status = clock_gettime(CLOCK_REALTIME, &now);
    XD_ASSERT(status == 0);
    return (int64_t)now.tv_sec * 1000000 + (int64_t)now.tv_nsec / 1000;
}

static uint64_t rotate_left(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

/* xoshiro256**, seeded by the kernel: for identities and jitter, not for secrets. */
static uint64_t rand64(struct env *env)
{
    uint64_t *s = uring_of(env)->random;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

static int random_seed(struct env_uring *uring)
{
    ssize_t bytes = getrandom(uring->random, sizeof(uring->random), 0);
    if (bytes != (ssize_t)sizeof(uring->random))
        return bytes < 0 ? -errno : -EIO;
    uring->random[0] |= 1; /* The state may be anything but all zero. */
    return 0;
}

/* --- memory ----------------------------------------------------------------------------------- */

static void *mem_alloc(struct env *env, size_t bytes)
{
    struct env_uring *uring = uring_of(env);
    XD_ASSERT(!uring->sealed);
    return uring_memory_alloc(&uring->memory, bytes);
}

static void mem_seal(struct env *env)
{
    uring_of(env)->sealed = true;
}

/* --- faults: not here ------------------------------------------------------------------------- */

static void crash_point(struct env *env, enum env_crash_point point)
{
    (void)env;
    XD_ASSERT(point < ENV_CRASH_COUNT);
}

static bool buggify(struct env *env, enum env_buggify site)
{
    (void)env;
    XD_ASSERT(site < ENV_BUGGIFY_COUNT);
    return false;
}

static const struct env_ops OPS = {
    .now_mono_ns = now_mono_ns,
    .now_wall_us = now_wall_us,
    .rand64 = rand64,
    .mem_alloc = mem_alloc,
    .mem_seal = mem_seal,
    .file_open = uring_file_open,
    .file_close = uring_file_close,
    .file_bytes = uring_file_bytes,
    .file_reserve = uring_file_reserve,
    .file_rename = uring_file_rename,
    .file_unlink = uring_file_unlink,
    .dir_make = uring_dir_make,
    .dir_entry = uring_dir_entry,
    .dir_sync = uring_dir_sync,
    .disk_free = uring_disk_free,
    .file_write = uring_file_write,
    .file_read = uring_file_read,
    .file_sync = uring_file_sync,
    .net_listen = uring_net_listen,
    .net_accept = uring_net_accept,
    .net_accept_stop = uring_net_accept_stop,
    .net_recv = uring_net_recv,
    .net_recv_stop = uring_net_recv_stop,
    .buffer_release = uring_buffer_release,
    .buffers_free = uring_buffers_free,
    .net_send = uring_net_send,
    .net_close = uring_net_close,
    .net_peer = uring_net_peer,
    .wait = uring_wait,
    .crash_point = crash_point,
    .buggify = buggify,
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

static bool is_power_of_two(uint32_t value)
{
    return value > 0 && (value & (value - 1)) == 0;
}

/* Name of the first option outside its range, or NULL. */
static const char *options_check(const struct env_uring_options *options)
{
    if (!options->folder || options->folder[0] == '\0')
        return "folder";
    if (!is_power_of_two(options->entries) || options->entries < ENV_URING_ENTRIES_MIN ||
        options->entries > ENV_URING_ENTRIES_MAX)
        return "entries";
    if (!is_power_of_two(options->buffer_count) || options->buffer_count > ENV_URING_BUFFERS_MAX)
        return "buffer_count";
    if (options->buffer_bytes < ENV_URING_BUFFER_BYTES_MIN ||
        options->buffer_bytes > ENV_URING_BUFFER_BYTES_MAX ||
        options->buffer_bytes % ENV_URING_BUFFER_BYTES_MIN != 0)
        return "buffer_bytes";
    if (options->connections_max == 0 || options->connections_max > ENV_URING_CONNECTIONS_MAX)
        return "connections_max";
    if (options->files_max == 0 || options->files_max > ENV_URING_FILES_MAX)
        return "files_max";
    if (options->file_ops_max == 0 || options->file_ops_max > ENV_URING_FILE_OPS_MAX)
        return "file_ops_max";
    if (options->mode_best >= URING_MODE_COUNT)
        return "mode_best";
    return options->signals >> 31 ? "signals" : NULL;
}

static int tables_alloc(struct env_uring *uring, const struct env_uring_options *options)
{
    uring_memory_init(&uring->memory, options->memory_bytes_max);
    uint32_t fixed = URING_FIXED_CONN + options->connections_max * URING_CONN_OPS;
    struct uring_op *table =
        uring_memory_alloc(&uring->memory, sizeof(*table) * (options->file_ops_max + fixed));
    uring->files = uring_memory_alloc(&uring->memory, sizeof(*uring->files) * options->files_max);
    uring->conns =
        uring_memory_alloc(&uring->memory, sizeof(*uring->conns) * options->connections_max);
    uring->files_max = options->files_max;
    uring->connections_max = options->connections_max;
    if (!table || !uring->files || !uring->conns) {
        uring->files = NULL;
        uring->conns = NULL;
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < uring->files_max; i++)
        uring->files[i].fd = -1;
    uring_ops_init(&uring->ops, table, options->file_ops_max, fixed);
    uring_net_init(uring);
    return 0;
}

static int signals_open(struct env_uring *uring, uint64_t signals)
{
    sigset_t set;
    sigemptyset(&set);
    for (int number = 1; number < 32; number++) {
        if (signals >> (number - 1) & 1)
            sigaddset(&set, number);
    }
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -errno;
    uring->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return uring->signal_fd < 0 ? -errno : 0;
}

static int fail_text(int status, const char *what, char *ret_why)
{
    (void)snprintf(ret_why, ENV_URING_WHY_BYTES, "%s: %s", what, xd_status_name(status));
    return status;
}

/* Acquires in sequence; env_uring_close() takes any prefix of it back. */
static int uring_open(struct env_uring *uring, const struct env_uring_options *options,
                      char *ret_why)
{
    uint64_t descriptors =
        (uint64_t)options->connections_max + options->files_max + DESCRIPTORS_EXTRA;
    int status = probe_descriptors(descriptors, ret_why);
    if (status < 0)
        return status;
    status = uring_folder_open(uring, options->folder, ret_why);
    if (status < 0)
        return status;
    status = tables_alloc(uring, options);
    if (status < 0)
        return fail_text(status, "memory for the tables of files and connections", ret_why);
    status = random_seed(uring);
    if (status < 0)
        return fail_text(status, "random numbers from the kernel", ret_why);
    status = uring_ring_open(&uring->ring, options->entries, (enum uring_mode)options->mode_best,
                             ret_why);
    if (status < 0)
        return status;
    status = uring_buffers_open(&uring->buffers, &uring->ring, &uring->memory,
                                options->buffer_count, options->buffer_bytes);
    if (status < 0) {
        struct probe_facts facts;
        probe_facts(&facts);
        probe_explain("receive buffers", status, &facts, ret_why);
        return status;
    }
    status = uring_ring_enable(&uring->ring, ret_why);
    if (status < 0)
        return status;
    (void)snprintf(uring->reason, sizeof(uring->reason), "ring with %s%s",
                   uring_mode_name(uring->ring.mode),
                   uring->ring.mode == URING_MODE_DEFER || options->mode_best != URING_MODE_DEFER
                       ? ""
                       : "; Linux 6.1 or newer has deferred task work");
    if (options->signals == 0)
        return 0;
    status = signals_open(uring, options->signals);
    if (status < 0)
        return fail_text(status, "signals", ret_why);
    uring_signal_start(uring);
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
        return fail_text(-ENOMEM, "memory for the env", ret_why);
    uring->env = (struct env){.ops = &OPS, .engine = "io_uring", .engine_reason = uring->reason};
    uring->folder_fd = -1;
    uring->lock_fd = -1;
    uring->signal_fd = -1;
    for (uint32_t i = 0; i < URING_LISTENERS_MAX; i++)
        uring->listeners[i].fd = -1;

    int status = uring_open(uring, options, ret_why);
    if (status < 0) {
        env_uring_close(&uring->env);
        return status;
    }
    *ret_env = &uring->env;
    return 0;
}

/* Waits for the file operations in flight: no write of ours may land after the lock is gone. */
static void files_drain(struct env_uring *uring)
{
    struct env_event events[16];
    for (uint32_t i = 0; uring->ops.pool_used > 0 && i < DRAIN_TURNS_MAX; i++) {
        int count = uring_wait(&uring->env, events, 16, now_mono_ns(&uring->env) + DRAIN_TURN_NS);
        if (count < 0)
            return;
        for (int k = 0; k < count; k++) {
            if (events[k].buffer != ENV_BUFFER_NONE)
                uring_buffers_release(&uring->buffers, events[k].buffer);
        }
    }
}

void env_uring_close(struct env *env)
{
    if (!env)
        return;
    struct env_uring *uring = uring_of(env);
    XD_ASSERT(env->ops == &OPS);
    if (uring->ring.is_open)
        files_drain(uring);
    uring_ring_close(&uring->ring);
    uring_buffers_close(&uring->buffers);
    uring_net_close_all(uring);
    if (uring->signal_fd >= 0)
        (void)close(uring->signal_fd); /* The signals stay blocked. */
    uring_files_close(uring);
    uring_memory_free_all(&uring->memory);
    free(uring);
}
