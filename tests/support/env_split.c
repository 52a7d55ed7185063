/* SPDX-License-Identifier: Apache-2.0
 *
 * One env as several; see env_split.h.
 */
#include "tests/support/env_split.h"

#include "wire/xassert.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Owners are few, so the upper half of their byte is free for the shard. */
#define SHARD_SHIFT 60u
#define OWNER_MASK ((UINT64_C(1) << SHARD_SHIFT) - 1)
static_assert(ENV_OWNER_COUNT <= 16, "an owner leaves room for the shard");

#define EVENTS_MAX 512u

static struct split_end *end_of(struct env *env)
{
    return (struct split_end *)(void *)env;
}

static struct env *below(struct env *env)
{
    return end_of(env)->split->below;
}

static uint64_t token_below(struct env *env, uint64_t token)
{
    XD_ASSERT((token & ~OWNER_MASK) == 0);
    return token | (uint64_t)end_of(env)->shard << SHARD_SHIFT;
}

/* "wal.00" of shard 1 lies in "s1" there; a folder of the shard is one beside that. */
static const char *name_below(struct env *env, const char *name, char *memory)
{
    const char *slash = strchr(name, '/');
    int written;
    if (slash != NULL)
        written = snprintf(memory, ENV_NAME_BYTES_MAX, "s%u.%s", end_of(env)->shard, name);
    else
        written = snprintf(memory, ENV_NAME_BYTES_MAX, "s%u%s%s", end_of(env)->shard,
                           name[0] != '\0' ? "/" : "", name);
    return written > 0 && written < (int)ENV_NAME_BYTES_MAX ? memory : "";
}

/* A folder's own name: the shard's, or one of its folders. */
static const char *folder_below(struct env *env, const char *name, char *memory)
{
    int written = snprintf(memory, ENV_NAME_BYTES_MAX, "s%u%s%s", end_of(env)->shard,
                           name[0] != '\0' ? "." : "", name);
    return written > 0 && written < (int)ENV_NAME_BYTES_MAX ? memory : "";
}

/* ---- clock, randomness, memory --------------------------------------------------------------- */

static uint64_t split_now_mono_ns(struct env *env)
{
    return env_now_mono_ns(below(env));
}

static int64_t split_now_wall_us(struct env *env)
{
    return env_now_wall_us(below(env));
}

static uint64_t split_rand64(struct env *env)
{
    return env_rand64(below(env));
}

static void *split_mem_alloc(struct env *env, size_t bytes)
{
    XD_ASSERT(!end_of(env)->sealed);
    return env_mem_alloc(below(env), bytes);
}

static void split_mem_seal(struct env *env)
{
    struct split *split = end_of(env)->split;
    bool all = true;
    end_of(env)->sealed = true;
    for (uint32_t i = 0; i < split->count; i++)
        all = all && split->ends[i].sealed;
    if (all)
        env_mem_seal(split->below);
}

/* ---- files ----------------------------------------------------------------------------------- */

static int split_file_open(struct env *env, const char *name, uint32_t flags, env_file *ret_file)
{
    char memory[ENV_NAME_BYTES_MAX];
    return env_file_open(below(env), name_below(env, name, memory), flags, ret_file);
}

static void split_file_close(struct env *env, env_file file)
{
    env_file_close(below(env), file);
}

static int split_file_bytes(struct env *env, env_file file, uint64_t *ret_bytes)
{
    return env_file_bytes(below(env), file, ret_bytes);
}

static int split_file_reserve(struct env *env, env_file file, uint64_t bytes)
{
    return env_file_reserve(below(env), file, bytes);
}

static int split_file_rename(struct env *env, const char *from, const char *to)
{
    char memory[2][ENV_NAME_BYTES_MAX];
    return env_file_rename(below(env), name_below(env, from, memory[0]),
                           name_below(env, to, memory[1]));
}

static int split_file_unlink(struct env *env, const char *name)
{
    char memory[ENV_NAME_BYTES_MAX];
    return env_file_unlink(below(env), name_below(env, name, memory));
}

static int split_dir_make(struct env *env, const char *name)
{
    char memory[ENV_NAME_BYTES_MAX];
    return env_dir_make(below(env), folder_below(env, name, memory));
}

static int split_dir_entry(struct env *env, const char *name, uint32_t index, char *ret_name)
{
    char memory[ENV_NAME_BYTES_MAX];
    return env_dir_entry(below(env), folder_below(env, name, memory), index, ret_name);
}

static int split_dir_sync(struct env *env, const char *name)
{
    char memory[ENV_NAME_BYTES_MAX];
    int status = env_dir_sync(below(env), folder_below(env, name, memory));
    /* Below, the shard's folders stand beside each other. */
    return status < 0 || name[0] != '\0' ? status : env_dir_sync(below(env), "");
}

static int split_disk_free(struct env *env, uint64_t *ret_free_bytes, uint64_t *ret_total_bytes)
{
    return env_disk_free(below(env), ret_free_bytes, ret_total_bytes);
}

static void split_file_write(struct env *env, env_file file, const void *data, uint32_t bytes,
                             uint64_t position, uint32_t flags, uint64_t token)
{
    env_file_write(below(env), file, data, bytes, position, flags, token_below(env, token));
}

static void split_file_read(struct env *env, env_file file, void *data, uint32_t bytes,
                            uint64_t position, uint64_t token)
{
    env_file_read(below(env), file, data, bytes, position, token_below(env, token));
}

static void split_file_sync(struct env *env, env_file file, uint64_t token)
{
    env_file_sync(below(env), file, token_below(env, token));
}

/* ---- network --------------------------------------------------------------------------------- */

void split_address(const char *address, uint32_t shard, char *ret_address)
{
    const char *colon = strrchr(address, ':');
    XD_ASSERT(colon != NULL);
    unsigned long port = strtoul(colon + 1, NULL, 10);
    int written = snprintf(ret_address, ENV_ADDRESS_BYTES_MAX, "%.*s:%lu", (int)(colon - address),
                           address, port + shard);
    XD_ASSERT(written > 0 && written < (int)ENV_ADDRESS_BYTES_MAX);
}

static int split_net_listen(struct env *env, const char *address, env_listener *ret_listener,
                            char *ret_address)
{
    char own[ENV_ADDRESS_BYTES_MAX];
    split_address(address, end_of(env)->shard, own);
    return env_net_listen(below(env), own, ret_listener, ret_address);
}

static void split_net_accept(struct env *env, env_listener listener, uint64_t token)
{
    env_net_accept(below(env), listener, token_below(env, token));
}

static void split_net_accept_stop(struct env *env, env_listener listener)
{
    env_net_accept_stop(below(env), listener);
}

static void split_net_recv(struct env *env, env_conn conn, uint64_t token)
{
    env_net_recv(below(env), conn, token_below(env, token));
}

static void split_net_recv_stop(struct env *env, env_conn conn)
{
    env_net_recv_stop(below(env), conn);
}

static void split_buffer_release(struct env *env, uint16_t buffer)
{
    env_buffer_release(below(env), buffer);
}

static uint32_t split_buffers_free(struct env *env)
{
    return env_buffers_free(below(env));
}

static void split_net_send(struct env *env, env_conn conn, const struct iovec *pieces,
                           uint32_t piece_count, uint64_t token)
{
    env_net_send(below(env), conn, pieces, piece_count, token_below(env, token));
}

static void split_net_close(struct env *env, env_conn conn, uint64_t token)
{
    env_net_close(below(env), conn, token_below(env, token));
}

static void split_net_peer(struct env *env, env_conn conn, char *ret_address)
{
    env_net_peer(below(env), conn, ret_address);
}

static void split_net_origin(struct env *env, env_conn conn, struct env_origin *ret_origin)
{
    env_net_origin(below(env), conn, ret_origin);
}

/* ---- turns ----------------------------------------------------------------------------------- */

static void bring(struct split_end *end, const struct env_event *event)
{
    if (end->event_count == end->event_room) {
        uint32_t room = end->event_room > 0 ? 2 * end->event_room : EVENTS_MAX;
        end->events = realloc(end->events, room * sizeof *end->events);
        XD_ASSERT(end->events != NULL);
        end->event_room = room;
    }
    end->events[end->event_count++] = *event;
}

/* Hands what the env below gives to the shards. */
static int take(struct split *split, uint64_t deadline_ns)
{
    struct env_event events[EVENTS_MAX];
    int count = env_wait(split->below, events, EVENTS_MAX, deadline_ns);
    for (int i = 0; i < count; i++) {
        uint64_t shard = events[i].token >> SHARD_SHIFT;
        XD_ASSERT(shard < split->count);
        events[i].token &= OWNER_MASK;
        bring(&split->ends[shard], &events[i]);
    }
    return count;
}

static int split_wait(struct env *env, struct env_event *events, uint32_t events_max,
                      uint64_t deadline_ns)
{
    struct split_end *end = end_of(env);
    uint32_t count = 0;
    while (!end->turning && end->event_count == 0) {
        int status = take(end->split, deadline_ns);
        if (status < 0)
            return status;
        if (status == 0 && env_now_mono_ns(below(env)) >= deadline_ns)
            return 0;
    }
    end->turning = false;
    while (count < events_max && end->event_head < end->event_count)
        events[count++] = end->events[end->event_head++];
    if (end->event_head == end->event_count)
        end->event_head = end->event_count = 0;
    return (int)count;
}

static void split_bell(struct env *env, uint32_t to)
{
    struct split *split = end_of(env)->split;
    XD_ASSERT(to < split->count);
    split->ends[to].rung = true;
}

static bool due(const struct split_end *end, uint64_t deadline_ns, uint64_t now_ns)
{
    return end->rung || end->event_count > 0 || deadline_ns <= now_ns;
}

int split_round(struct split *split, const uint64_t *deadlines, uint32_t *ret_shards)
{
    uint64_t earliest = UINT64_MAX, now_ns = env_now_mono_ns(split->below);
    uint32_t count = 0;
    for (uint32_t i = 0; i < split->count; i++)
        earliest = deadlines[i] < earliest ? deadlines[i] : earliest;
    for (uint32_t i = 0; i < split->count; i++)
        if (due(&split->ends[i], deadlines[i], now_ns))
            earliest = 0; /* only what is there already */
    int status = take(split, earliest);
    if (status < 0)
        return status;
    now_ns = env_now_mono_ns(split->below);
    for (uint32_t i = 0; i < split->count; i++) {
        if (!due(&split->ends[i], deadlines[i], now_ns))
            continue;
        split->ends[i].rung = false;
        split->ends[i].turning = true;
        uint32_t at = (uint32_t)prng_below(&split->prng, count + 1);
        memmove(ret_shards + at + 1, ret_shards + at, (count - at) * sizeof *ret_shards);
        ret_shards[at] = i;
        count++;
    }
    return (int)count;
}

/* ---- faults, life ---------------------------------------------------------------------------- */

static void split_crash_point(struct env *env, enum env_crash_point point)
{
    env_crash_point(below(env), point);
}

static bool split_buggify(struct env *env, enum env_buggify site)
{
    return env_buggify(below(env), site);
}

static const struct env_ops split_ops = {
    .now_mono_ns = split_now_mono_ns,
    .now_wall_us = split_now_wall_us,
    .rand64 = split_rand64,
    .mem_alloc = split_mem_alloc,
    .mem_seal = split_mem_seal,
    .file_open = split_file_open,
    .file_close = split_file_close,
    .file_bytes = split_file_bytes,
    .file_reserve = split_file_reserve,
    .file_rename = split_file_rename,
    .file_unlink = split_file_unlink,
    .dir_make = split_dir_make,
    .dir_entry = split_dir_entry,
    .dir_sync = split_dir_sync,
    .disk_free = split_disk_free,
    .file_write = split_file_write,
    .file_read = split_file_read,
    .file_sync = split_file_sync,
    .net_listen = split_net_listen,
    .net_accept = split_net_accept,
    .net_accept_stop = split_net_accept_stop,
    .net_recv = split_net_recv,
    .net_recv_stop = split_net_recv_stop,
    .buffer_release = split_buffer_release,
    .buffers_free = split_buffers_free,
    .net_send = split_net_send,
    .net_close = split_net_close,
    .net_peer = split_net_peer,
    .net_origin = split_net_origin,
    .wait = split_wait,
    .bell = split_bell,
    .crash_point = split_crash_point,
    .buggify = split_buggify,
};

void split_init(struct split *split, struct env *below_env, uint32_t count, uint64_t seed)
{
    XD_ASSERT(count >= 1 && count <= SPLIT_SHARDS_MAX);
    *split = (struct split){.below = below_env, .count = count};
    prng_seed(&split->prng, seed);
    for (uint32_t i = 0; i < count; i++) {
        char name[ENV_NAME_BYTES_MAX];
        split->ends[i] = (struct split_end){.env = {.ops = &split_ops,
                                                    .engine = below_env->engine,
                                                    .engine_reason = below_env->engine_reason},
                                            .split = split,
                                            .shard = i};
        /* The folder that a broker's engine would have made; a process that dies here is noticed
         * by the shard that cannot open its files. */
        (void)env_dir_make(below_env, folder_below(&split->ends[i].env, "", name));
    }
    (void)env_dir_sync(below_env, "");
}

void split_deinit(struct split *split)
{
    for (uint32_t i = 0; i < split->count; i++)
        free(split->ends[i].events);
    split->count = 0;
}

struct env *split_env(struct split *split, uint32_t shard)
{
    XD_ASSERT(shard < split->count);
    return &split->ends[shard].env;
}
