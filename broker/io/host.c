/* SPDX-License-Identifier: Apache-2.0
 *
 * Clock, randomness, memory, the bell; opening and closing of what the engines share.
 *
 * Normal path: host_open() makes room for descriptors, locks the folder, allocates the table of
 * files, seeds the random numbers. Failure path: every step words its own explanation; host_close()
 * takes back what was acquired. Must not decide anything about files, records or connections.
 */
#include "broker/io/host.h"

#include "wire/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000ull

/* Descriptors besides connections and files: standard streams, ring or epoll, folder, lock,
 * the bell, listeners, and some for the libraries. */
#define DESCRIPTORS_EXTRA 64u

/* --- clock and randomness --------------------------------------------------------------------- */

uint64_t host_now_mono_ns(struct env *env)
{
    (void)env;
    struct timespec now;
    int status = clock_gettime(CLOCK_MONOTONIC, &now);
    XD_ASSERT(status == 0);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

int64_t host_now_wall_us(struct env *env)
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
uint64_t host_rand64(struct env *env)
{
    uint64_t *s = host_of(env)->random;
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

static int random_seed(struct host *host)
{
    ssize_t bytes = getrandom(host->random, sizeof(host->random), 0);
    if (bytes != (ssize_t)sizeof(host->random))
        return bytes < 0 ? -errno : -EIO;
    host->random[0] |= 1; /* The state may be anything but all zero. */
    return 0;
}

/* --- memory ----------------------------------------------------------------------------------- */

void *host_mem_alloc(struct env *env, size_t bytes)
{
    struct host *host = host_of(env);
    XD_ASSERT(!host->sealed);
    return memory_alloc(&host->memory, bytes);
}

void host_mem_seal(struct env *env)
{
    host_of(env)->sealed = true;
}

/* --- faults: not here ------------------------------------------------------------------------- */

void host_crash_point(struct env *env, enum env_crash_point point)
{
    (void)env;
    XD_ASSERT(point < ENV_CRASH_COUNT);
}

bool host_buggify(struct env *env, enum env_buggify site)
{
    (void)env;
    XD_ASSERT(site < ENV_BUGGIFY_COUNT);
    return false;
}

/* --- bell ------------------------------------------------------------------------------------- */

bool host_bell_take(struct host *host, struct env_event *ret_event)
{
    XD_ASSERT(host->bells);
    if (!bells_take(host->bells, host->bell))
        return false;
    *ret_event = (struct env_event){
        .token = env_token(ENV_OWNER_BELL, 0, 0),
        .buffer = ENV_BUFFER_NONE,
        .op = ENV_OP_BELL,
        .more = 1,
    };
    return true;
}

void host_bell(struct env *env, uint32_t to)
{
    XD_ASSERT(host_of(env)->bells);
    bells_ring(host_of(env)->bells, to);
}

/* --- open and close --------------------------------------------------------------------------- */

static bool is_power_of_two(uint32_t value)
{
    return value > 0 && (value & (value - 1)) == 0;
}

const char *host_options_check(const struct host_options *options)
{
    if (!options->folder || options->folder[0] == '\0')
        return "folder";
    if (!is_power_of_two(options->buffer_count) || options->buffer_count > HOST_BUFFERS_MAX)
        return "buffer_count";
    if (options->buffer_bytes < HOST_BUFFER_BYTES_MIN ||
        options->buffer_bytes > HOST_BUFFER_BYTES_MAX ||
        options->buffer_bytes % HOST_BUFFER_BYTES_MIN != 0)
        return "buffer_bytes";
    if (options->connections_max == 0 || options->connections_max > HOST_CONNECTIONS_MAX)
        return "connections_max";
    if (options->files_max == 0 || options->files_max > HOST_FILES_MAX)
        return "files_max";
    if (options->file_ops_max == 0 || options->file_ops_max > HOST_FILE_OPS_MAX)
        return "file_ops_max";
    return options->bells && options->bell >= options->bells->count ? "bell" : NULL;
}

int host_fail(int status, const char *what, const char *hint, char *ret_why)
{
    XD_ASSERT(status < 0 && what && hint && ret_why);
    (void)snprintf(ret_why, HOST_WHY_BYTES, "%s: %s; %s", what, xd_status_name(status), hint);
    return status;
}

void host_init(struct host *host, const char *engine, const struct env_ops *ops)
{
    XD_ASSERT(engine && ops);
    host->env = (struct env){.ops = ops, .engine = engine, .engine_reason = host->reason};
    host->folder_fd = -1;
    host->lock_fd = -1;
    for (uint32_t i = 0; i < HOST_LISTENERS_MAX; i++)
        host->listeners[i].fd = -1;
}

int host_open(struct host *host, const struct host_options *options, char *ret_why)
{
    XD_ASSERT(host->env.ops && !host->files);
    host->bells = options->bells;
    host->bell = options->bell;
    host->shared = options->shared;
    uint64_t descriptors =
        (uint64_t)options->connections_max + options->files_max + DESCRIPTORS_EXTRA;
    int status = probe_descriptors(descriptors, ret_why);
    if (status < 0)
        return status;
    status = host_folder_open(host, options->folder, ret_why);
    if (status < 0)
        return status;
    memory_init(&host->memory, options->memory_bytes_max);
    host->files = memory_alloc(&host->memory, sizeof(*host->files) * options->files_max);
    if (!host->files)
        return host_fail(-ENOMEM, "memory for the table of files", HOST_NO_MEMORY_HINT, ret_why);
    host->files_max = options->files_max;
    for (uint32_t i = 0; i < host->files_max; i++)
        host->files[i].fd = -1;
    status = random_seed(host);
    if (status == 0)
        return 0;
    return host_fail(status, "random numbers from the kernel",
                     "allow getrandom() in the profile of the sandbox", ret_why);
}

void host_stop(struct host *host)
{
    host_listeners_close(host);
    host_files_close(host);
    host->files = NULL;
}

void host_close(struct host *host)
{
    host_stop(host);
    memory_free_all(&host->memory);
}
