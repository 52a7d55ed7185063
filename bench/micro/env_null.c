/* SPDX-License-Identifier: Apache-2.0
 *
 * An env without a world; see env_null.h.
 */
#include "bench/micro/env_null.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FILES_MAX 64u
#define HEAD_BYTES (64u * 1024u)
#define EVENTS_MAX 1024u
#define BLOCKS_MAX 16u
#define PAGE_BYTES 4096u

struct null_file {
    char name[ENV_NAME_BYTES_MAX]; /* "" = free */
    uint64_t bytes;                /* */
    uint8_t head[HEAD_BYTES];      /* the first bytes; the others read as zero */
};

struct env_null {
    struct env env;                      /* first member */
    struct null_file files[FILES_MAX];   /* handle = index */
    struct env_event events[EVENTS_MAX]; /* for the next wait */
    uint32_t event_count;                /* */
    void *blocks[BLOCKS_MAX];            /* of mem_alloc */
    uint32_t block_count;                /* */
    uint64_t random;                     /* state */
};

static struct env_null *null_of(struct env *env)
{
    return (struct env_null *)(void *)env;
}

static struct null_file *file_of(struct env *env, env_file file)
{
    XD_ASSERT(file >= 0 && (uint32_t)file < FILES_MAX);
    XD_ASSERT(null_of(env)->files[file].name[0] != '\0');
    return &null_of(env)->files[file];
}

/* ---- clock, randomness, memory --------------------------------------------------------------- */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    int status = clock_gettime(clock, &time);
    XD_ASSERT(status == 0);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t null_mono_ns(struct env *env)
{
    (void)env; /* one clock for all */
    return clock_ns(CLOCK_MONOTONIC);
}

static int64_t null_wall_us(struct env *env)
{
    (void)env; /* one clock for all */
    return (int64_t)(clock_ns(CLOCK_REALTIME) / 1000u);
}

static uint64_t null_rand64(struct env *env)
{
    struct env_null *null = null_of(env);
    null->random = null->random * 6364136223846793005ull + 1442695040888963407ull;
    return null->random;
}

static void *null_mem_alloc(struct env *env, size_t bytes)
{
    struct env_null *null = null_of(env);
    size_t rounded = (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    XD_ASSERT(null->block_count < BLOCKS_MAX);
    void *block = aligned_alloc(PAGE_BYTES, rounded);
    if (block != NULL) {
        memset(block, 0, rounded);
        null->blocks[null->block_count++] = block;
    }
    return block;
}

static void null_mem_seal(struct env *env)
{
    (void)env; /* nothing hangs on it here */
}

/* ---- files ----------------------------------------------------------------------------------- */

static int find(struct env_null *null, const char *name)
{
    for (uint32_t i = 0; i < FILES_MAX; i++)
        if (strcmp(null->files[i].name, name) == 0)
            return (int)i;
    return -ENOENT;
}

static int null_file_open(struct env *env, const char *name, uint32_t flags, env_file *ret_file)
{
    struct env_null *null = null_of(env);
    int at = find(null, name);
    if (at < 0 && (flags & ENV_OPEN_CREATE) == 0)
        return -ENOENT;
    if (at >= 0 && (flags & ENV_OPEN_EXCLUSIVE) != 0)
        return -EEXIST;
    if (at < 0) {
        at = find(null, "");
        if (at < 0)
            return -ENOSPC;
        size_t bytes = strlen(name) + 1;
        XD_ASSERT(bytes <= ENV_NAME_BYTES_MAX);
        memset(&null->files[at], 0, sizeof null->files[at]);
        memcpy(null->files[at].name, name, bytes);
    }
    *ret_file = at;
    return 0;
}

static void null_file_close(struct env *env, env_file file)
{
    (void)file_of(env, file); /* the name keeps the file */
}

static int null_file_bytes(struct env *env, env_file file, uint64_t *ret_bytes)
{
    *ret_bytes = file_of(env, file)->bytes;
    return 0;
}

static int null_file_reserve(struct env *env, env_file file, uint64_t bytes)
{
    file_of(env, file)->bytes = bytes;
    return 0;
}

static int null_file_unlink(struct env *env, const char *name)
{
    int at = find(null_of(env), name);
    if (at < 0)
        return at;
    null_of(env)->files[at].name[0] = '\0';
    return 0;
}

static int null_file_rename(struct env *env, const char *from, const char *to)
{
    size_t bytes = strlen(to) + 1;
    int at = find(null_of(env), from);
    if (at < 0)
        return at;
    XD_ASSERT(bytes <= ENV_NAME_BYTES_MAX);
    (void)null_file_unlink(env, to); /* what is not there need not go */
    memcpy(null_of(env)->files[at].name, to, bytes);
    return 0;
}

static int null_dir_make(struct env *env, const char *name)
{
    (void)env; /* a name with a folder in it is a name like others */
    (void)name;
    return 0;
}

static int null_dir_entry(struct env *env, const char *name, uint32_t index, char *ret_name)
{
    (void)env; /* an empty folder, whoever asks */
    (void)name;
    (void)index;
    (void)ret_name;
    return -ENOENT;
}

static int null_dir_sync(struct env *env, const char *name)
{
    return null_dir_make(env, name);
}

static int null_disk_free(struct env *env, uint64_t *ret_free_bytes, uint64_t *ret_total_bytes)
{
    (void)env; /* room without end */
    *ret_free_bytes = 1ull << 40;
    *ret_total_bytes = 1ull << 40;
    return 0;
}

static void finish(struct env *env, enum env_op op, uint32_t result, uint64_t token)
{
    struct env_null *null = null_of(env);
    XD_ASSERT(null->event_count < EVENTS_MAX);
    null->events[null->event_count++] = (struct env_event){
        .token = token, .result = (int32_t)result, .buffer = ENV_BUFFER_NONE, .op = (uint8_t)op};
}

/* How many bytes from `position` on lie in the part that is remembered. */
static uint32_t head_bytes(uint64_t position, uint32_t bytes)
{
    uint64_t left = position < HEAD_BYTES ? HEAD_BYTES - position : 0;
    return left < bytes ? (uint32_t)left : bytes;
}

static void null_file_write(struct env *env, env_file file, const void *data, uint32_t bytes,
                            uint64_t position, uint32_t flags, uint64_t token)
{
    struct null_file *f = file_of(env, file);
    uint32_t kept = head_bytes(position, bytes);
    (void)flags; /* everything is durable at once */
    if (kept > 0)
        memcpy(f->head + position, data, kept);
    if (f->bytes < position + bytes)
        f->bytes = position + bytes;
    finish(env, ENV_OP_WRITE, bytes, token);
}

static void null_file_read(struct env *env, env_file file, void *data, uint32_t bytes,
                           uint64_t position, uint64_t token)
{
    struct null_file *f = file_of(env, file);
    uint64_t left = position < f->bytes ? f->bytes - position : 0;
    uint32_t got = left < bytes ? (uint32_t)left : bytes;
    uint32_t kept = head_bytes(position, got);
    memset(data, 0, got);
    if (kept > 0)
        memcpy(data, f->head + position, kept);
    finish(env, ENV_OP_READ, got, token);
}

static void null_file_sync(struct env *env, env_file file, uint64_t token)
{
    (void)file_of(env, file); /* everything is durable already */
    finish(env, ENV_OP_SYNC, 0, token);
}

/* ---- the turn -------------------------------------------------------------------------------- */

/* Never sleeps: with nothing under way the deadline counts as reached. */
static int null_wait(struct env *env, struct env_event *events, uint32_t events_max,
                     uint64_t deadline_ns)
{
    struct env_null *null = null_of(env);
    uint32_t count = null->event_count < events_max ? null->event_count : events_max;
    (void)deadline_ns;
    memcpy(events, null->events, count * sizeof *events);
    memmove(null->events, null->events + count, (null->event_count - count) * sizeof *events);
    null->event_count -= count;
    return (int)count;
}

static void null_crash_point(struct env *env, enum env_crash_point point)
{
    (void)env; /* nothing dies here */
    (void)point;
}

static bool null_buggify(struct env *env, enum env_buggify site)
{
    (void)env; /* the normal path only */
    (void)site;
    return false;
}

static const struct env_ops null_ops = {.now_mono_ns = null_mono_ns,
                                        .now_wall_us = null_wall_us,
                                        .rand64 = null_rand64,
                                        .mem_alloc = null_mem_alloc,
                                        .mem_seal = null_mem_seal,
                                        .file_open = null_file_open,
                                        .file_close = null_file_close,
                                        .file_bytes = null_file_bytes,
                                        .file_reserve = null_file_reserve,
                                        .file_rename = null_file_rename,
                                        .file_unlink = null_file_unlink,
                                        .dir_make = null_dir_make,
                                        .dir_entry = null_dir_entry,
                                        .dir_sync = null_dir_sync,
                                        .disk_free = null_disk_free,
                                        .file_write = null_file_write,
                                        .file_read = null_file_read,
                                        .file_sync = null_file_sync,
                                        .wait = null_wait,
                                        .crash_point = null_crash_point,
                                        .buggify = null_buggify};

struct env *env_null_open(void)
{
    struct env_null *null = calloc(1, sizeof *null);
    if (null == NULL)
        return NULL;
    null->env = (struct env){.ops = &null_ops, .engine = "none", .engine_reason = "measurement"};
    null->random = 1;
    return &null->env;
}

void env_null_close(struct env *env)
{
    struct env_null *null = null_of(env);
    if (env == NULL)
        return;
    for (uint32_t i = 0; i < null->block_count; i++)
        free(null->blocks[i]);
    free(null);
}
