/* SPDX-License-Identifier: Apache-2.0
 *
 * The epoll env under its own threads: writes, reads and syncs of random size, started in bursts by
 * a loop that sometimes sleeps and sometimes does not, on several files at once.
 *
 *   test_threads_files FILE-THREADS ROUNDS      1..8, 1..1000000
 *
 * Normal path: every block of every file has at most one operation on its way; what is read must be
 * what was written last. In each round some operations are started, then one turn is taken, which
 * waits when the round's number says so. In the end everything is awaited, and the env is closed
 * and opened again with operations on their way, whose bytes must be there all the same. Failure
 * path: what went wrong first is printed. Exit: 0 all as expected, 1 not, 2 wrong usage. A data
 * race is the thread sanitizer's to find.
 */
#include "broker/base/prng.h"
#include "broker/io/env_epoll.h"
#include "tests/support/data_folder.h"
#include "wire/status.h"

#include <stdlib.h>
#include <string.h>

#define FILES 4u
#define BLOCKS 64u /* of one file */
#define BLOCK_BYTES 4096u
#define BURST_MAX 12u
#define EVENTS_MAX 8u
#define WAIT_NS 2000000ull
#define DRAIN_NS 20000000000ull

struct block {
    uint8_t *bytes;   /* of the operation on its way */
    uint32_t version; /* written last, 0 = zeros */
    bool busy;
    bool writing;
};

struct work {
    struct env *env;
    struct prng random;
    env_file files[FILES];
    struct block blocks[FILES * BLOCKS];
    uint32_t busy;  /* operations on blocks on their way */
    uint32_t syncs; /* on their way */
    uint64_t done;  /* operations answered */
};

static int fail(const char *what, int64_t value)
{
    fprintf(stderr, "%s: %lld\n", what, (long long)value);
    return 1;
}

/* Content of a block: nothing in it is alike in two versions or two blocks. */
static void content(uint8_t *bytes, uint32_t block, uint32_t version)
{
    for (uint32_t i = 0; i < BLOCK_BYTES; i++)
        bytes[i] = version == 0 ? 0 : (uint8_t)(i * 31 + block * 7 + version * 13 + (i >> 8));
}

static int open_all(struct work *work, uint32_t file_threads)
{
    struct env_epoll_options options;
    char why[ENV_EPOLL_WHY_BYTES], name[ENV_NAME_BYTES_MAX];
    env_epoll_options_init(&options);
    options.folder = folder;
    options.file_threads = file_threads;
    options.buffer_count = 1;
    options.connections_max = 1;
    int status = env_epoll_open(&options, &work->env, why);
    if (status < 0)
        return fail(why, status);
    for (uint32_t i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "file.%u", i);
        status =
            env_file_open(work->env, name, ENV_OPEN_CREATE | ENV_OPEN_BUFFERED, &work->files[i]);
        if (status == 0)
            status = env_file_reserve(work->env, work->files[i], BLOCKS * BLOCK_BYTES);
        if (status < 0)
            return fail(xd_status_name(status), i);
    }
    uint8_t *memory = env_mem_alloc(work->env, (size_t)FILES * BLOCKS * BLOCK_BYTES);
    if (memory == NULL)
        return fail("no memory", 0);
    for (uint32_t i = 0; i < FILES * BLOCKS; i++)
        work->blocks[i].bytes = memory + (size_t)i * BLOCK_BYTES;
    return 0;
}

static void start_one(struct work *work)
{
    uint32_t at = (uint32_t)prng_below(&work->random, FILES * BLOCKS);
    struct block *block = &work->blocks[at];
    env_file file = work->files[at / BLOCKS];
    uint64_t position = (uint64_t)(at % BLOCKS) * BLOCK_BYTES;
    if (prng_below(&work->random, 20) == 0) {
        env_file_sync(work->env, file, env_token(ENV_OWNER_TEST, 1, 0));
        work->syncs++;
        return;
    }
    if (block->busy)
        return;
    block->busy = true;
    block->writing = prng_below(&work->random, 2) == 0;
    work->busy++;
    uint64_t token = env_token(ENV_OWNER_TEST, 2, at);
    if (block->writing) {
        uint32_t flags = prng_below(&work->random, 8) == 0 ? ENV_WRITE_DSYNC : 0;
        content(block->bytes, at, ++block->version);
        env_file_write(work->env, file, block->bytes, BLOCK_BYTES, position, flags, token);
    } else {
        memset(block->bytes, 0xee, BLOCK_BYTES);
        env_file_read(work->env, file, block->bytes, BLOCK_BYTES, position, token);
    }
}

static int answered(struct work *work, const struct env_event *event)
{
    static uint8_t expected[BLOCK_BYTES];
    work->done++;
    if (env_token_kind(event->token) == 1) {
        work->syncs--;
        return event->result == 0 ? 0 : fail("sync", event->result);
    }
    uint32_t at = (uint32_t)env_token_value(event->token);
    struct block *block = &work->blocks[at];
    if (!block->busy)
        return fail("answered twice", at);
    block->busy = false;
    work->busy--;
    if (event->result != (int32_t)BLOCK_BYTES)
        return fail(block->writing ? "write" : "read", event->result);
    content(expected, at, block->version);
    if (memcmp(expected, block->bytes, BLOCK_BYTES) != 0)
        return fail("other bytes than written", at);
    return 0;
}

static int turn(struct work *work, uint64_t wait_ns)
{
    struct env_event events[EVENTS_MAX];
    uint64_t deadline = wait_ns == 0 ? 0 : env_now_mono_ns(work->env) + wait_ns;
    int count = env_wait(work->env, events, EVENTS_MAX, deadline);
    if (count < 0)
        return fail("wait", count);
    for (int i = 0; i < count; i++)
        if (answered(work, &events[i]) != 0)
            return 1;
    return 0;
}

/* Until nothing is on its way; a bell that does not ring shows as a wait to its end. */
static int drain(struct work *work)
{
    while (work->busy > 0 || work->syncs > 0) {
        uint64_t before = work->done;
        if (turn(work, DRAIN_NS) != 0)
            return 1;
        if (work->done == before)
            return fail("no answer to operations", work->busy + work->syncs);
    }
    return 0;
}

static int rounds(struct work *work, uint32_t count)
{
    for (uint32_t round = 0; round < count; round++) {
        uint32_t burst = (uint32_t)prng_below(&work->random, BURST_MAX + 1);
        for (uint32_t i = 0; i < burst; i++)
            start_one(work);
        if (turn(work, round % 3 == 0 ? WAIT_NS : 0) != 0)
            return 1;
        if (round % 64 == 63 && drain(work) != 0)
            return 1;
    }
    return drain(work);
}

/* Operations on their way at close are done; their events are lost. */
static int close_and_check(struct work *work, uint32_t file_threads)
{
    for (uint32_t i = 0; i < FILES * BLOCKS; i++)
        start_one(work);
    env_epoll_close(work->env);
    work->busy = 0;
    work->syncs = 0;
    if (open_all(work, file_threads) != 0)
        return 1;
    for (uint32_t i = 0; i < FILES * BLOCKS; i++) {
        work->blocks[i].busy = true;
        work->blocks[i].writing = false;
        work->busy++;
        env_file_read(work->env, work->files[i / BLOCKS], work->blocks[i].bytes, BLOCK_BYTES,
                      (uint64_t)(i % BLOCKS) * BLOCK_BYTES, env_token(ENV_OWNER_TEST, 2, i));
    }
    return drain(work);
}

int main(int argc, char **argv)
{
    static struct work work;
    long threads = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
    long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    if (threads < 1 || threads > ENV_EPOLL_FILE_THREADS_MAX || count < 1 || count > 1000000) {
        fprintf(stderr, "usage: test_threads_files FILE-THREADS ROUNDS\n");
        return 2;
    }
    folder_setup();
    prng_seed(&work.random, (uint64_t)threads);
    int status = open_all(&work, (uint32_t)threads);
    if (status == 0)
        status = rounds(&work, (uint32_t)count);
    if (status == 0)
        status = close_and_check(&work, (uint32_t)threads);
    env_epoll_close(work.env);
    folder_remove();
    printf("%llu operations\n", (unsigned long long)work.done);
    return status;
}
