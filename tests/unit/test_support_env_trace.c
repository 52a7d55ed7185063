/* SPDX-License-Identifier: Apache-2.0
 *
 * The tracing env changes nothing for its user: the conformance suite around the simulator and
 * around io_uring. And it writes down what happened: each operation that matters for a crash, in
 * sequence, with its bytes.
 */
#include "tests/support/env_trace.h"

#include "broker/io/env_uring.h"
#include "tests/support/conformance_sim.h"
#include "tests/support/conformance_sockets.h"
#include "tests/support/env_conformance.h"
#include "tests/support/sim_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#define PAGE 4096u
#define TRACE_BYTES_MAX (64u << 20)

/* ---- conformance ----------------------------------------------------------------------------- */

/* One trace per process, as each test has its own. */
static struct env_trace trace;
static char folder[64];

static struct env *wrap(struct env *inner)
{
    env_trace_init(&trace, TRACE_BYTES_MAX);
    return env_trace_process(&trace, inner);
}

static struct env *sim_env_open(void *context, const struct conformance_need *need)
{
    return wrap(kit_env_open(context, need));
}

static void sim_env_close(void *context, struct env *env)
{
    env_trace_deinit(&trace);
    kit_env_close(context, env);
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *ftw)
{
    (void)about;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void folder_remove(void)
{
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* may not exist */
}

/* The env's own bell is number 0. */
static struct bells bells;

static struct env *uring_env_open(void *context, const struct conformance_need *need)
{
    struct env_uring_options options;
    struct env *env = NULL;
    char why[ENV_URING_WHY_BYTES] = "";
    int status;

    (void)context;
    env_uring_options_init(&options);
    options.folder = folder;
    options.entries = 64;
    options.buffer_count = need->buffer_count;
    options.buffer_bytes = need->buffer_bytes;
    options.connections_max = need->connections_max;
    cr_assert_eq(bells_open(&bells, 1), 0);
    options.bells = &bells;
    status = env_uring_open(&options, &env, why);
    if (status == -EPERM || status == -ENOSYS || status == -EACCES)
        cr_skip_test("io_uring is not available: %s", why);
    cr_assert_eq(status, 0, "%d: %s", status, why);
    return wrap(env);
}

static void uring_env_close(void *context, struct env *env)
{
    struct env *inner = trace.inner;

    (void)context;
    (void)env;
    env_trace_deinit(&trace);
    env_uring_close(inner);
    bells_close(&bells);
    folder_remove();
}

static void around_sim(void (*conform)(const struct conformance_kit *kit))
{
    struct kit_world world = {.seed = 1};
    struct conformance_kit kit = {
        .context = &world,
        .address = "127.0.0.1:0",
        .env_open = sim_env_open,
        .env_close = sim_env_close,
        .peer_connect = kit_peer_connect,
        .peer_send = kit_peer_send,
        .peer_recv = kit_peer_recv,
        .peer_finish = kit_peer_finish,
        .peer_reset = kit_peer_reset,
        .peer_free = kit_peer_free,
    };

    conform(&kit);
}

static void around_uring(void (*conform)(const struct conformance_kit *kit))
{
    struct conformance_kit kit = {
        .address = "127.0.0.1:0",
        .bells = true,
        .env_open = uring_env_open,
        .env_close = uring_env_close,
        .peer_connect = tcp_connect,
        .peer_send = peer_send,
        .peer_recv = peer_recv,
        .peer_finish = peer_finish,
        .peer_reset = peer_reset,
        .peer_free = peer_free,
    };

    (void)snprintf(folder, sizeof(folder), "crossdock-trace-%d", (int)getpid());
    folder_remove();
    conform(&kit);
}

#define SIM_CASE(name)                                                                             \
    Test(support_env_trace_sim, name)                                                              \
    {                                                                                              \
        around_sim(conformance_##name);                                                            \
    }
#define URING_CASE(name)                                                                           \
    Test(support_env_trace_uring, name)                                                            \
    {                                                                                              \
        around_uring(conformance_##name);                                                          \
    }

ENV_CONFORMANCE_CASES(SIM_CASE)
ENV_CONFORMANCE_CASES(URING_CASE)

/* ---- what is written down -------------------------------------------------------------------- */

static struct sim *sim;
static struct env *env;
static uint8_t *pages; /* two pages of ones, one of zeros */

static void world_setup(void)
{
    struct sim_options options;

    sim_options_init(&options, 1);
    sim = sim_open(&options);
    env = wrap(env_sim_process(sim, NULL));
    pages = env_mem_alloc(env, 3 * PAGE);
    memset(pages, 1, 2 * PAGE);
}

static void world_end(void)
{
    env_trace_deinit(&trace);
    sim_close(sim);
}

static int32_t await(uint64_t token)
{
    struct env_event event;

    cr_assert_eq(env_wait(env, &event, 1, UINT64_MAX), 1);
    cr_assert_eq(event.token, token);
    return event.result;
}

/* The n-th row of a kind. */
static const struct env_trace_row *row_of(enum env_trace_kind kind, uint32_t nth)
{
    for (uint32_t i = 0; i < trace.row_count; i++)
        if (trace.rows[i].kind == kind && nth-- == 0)
            return &trace.rows[i];
    cr_assert_fail("no row %s", env_trace_kind_name(kind));
    return NULL;
}

/* A write has a row when it starts, with its bytes, and one when it ends that names the first. */
Test(support_env_trace, writes_are_told_at_start_and_end, .init = world_setup, .fini = world_end)
{
    env_file file;
    cr_assert_eq(env_file_open(env, "data", ENV_OPEN_CREATE, &file), 0);
    env_file_write(env, file, pages, 2 * PAGE, PAGE, ENV_WRITE_DSYNC, 77);
    const struct env_trace_row *start = row_of(ENV_TRACE_WRITE, 0);
    cr_assert_eq(start->file, 0);
    cr_assert_eq(start->position, PAGE);
    cr_assert_eq(start->bytes, 2 * PAGE);
    cr_assert_eq(start->value, 1);
    cr_assert_eq(memcmp(trace.data + start->data, pages, 2 * PAGE), 0);
    uint32_t number = trace.row_count - 1;
    cr_assert_eq(await(77), 2 * PAGE);
    const struct env_trace_row *end = row_of(ENV_TRACE_WRITE_DONE, 0);
    cr_assert_eq(end->of, number);
    cr_assert_eq(end->result, 2 * PAGE);
    env_file_write(env, file, pages + 2 * PAGE, PAGE, 0, 0, 78);
    cr_assert_eq(row_of(ENV_TRACE_WRITE, 1)->data, ENV_TRACE_ZEROS);
    cr_assert_eq(row_of(ENV_TRACE_WRITE, 1)->value, 0);
    cr_assert_eq(await(78), PAGE);
}

/* Syncs, sizes, names and folder syncs stand in the trace in the sequence of the calls. */
Test(support_env_trace, everything_else_is_told_in_sequence, .init = world_setup, .fini = world_end)
{
    static const uint8_t expected[] = {
        ENV_TRACE_PROCESS, ENV_TRACE_DIR_MAKE, ENV_TRACE_OPEN,      ENV_TRACE_RESERVE,
        ENV_TRACE_SYNC,    ENV_TRACE_MARK,     ENV_TRACE_SYNC_DONE, ENV_TRACE_READ_DONE,
        ENV_TRACE_RENAME,  ENV_TRACE_DIR_SYNC, ENV_TRACE_OPEN,      ENV_TRACE_UNLINK,
    };
    env_file file, again;
    cr_assert_eq(env_dir_make(env, "sub"), 0);
    cr_assert_eq(env_dir_make(env, "sub"), 0, "the second time it is there");
    cr_assert_eq(env_file_open(env, "a", ENV_OPEN_CREATE, &file), 0);
    cr_assert_eq(env_file_reserve(env, file, PAGE), 0);
    env_file_sync(env, file, 5);
    env_trace_mark(&trace, 3, 4, 5);
    cr_assert_eq(await(5), 0);
    env_file_read(env, file, pages, PAGE, 0, 6);
    cr_assert_eq(await(6), PAGE);
    cr_assert_eq(env_file_rename(env, "a", "sub/b"), 0);
    cr_assert_eq(env_dir_sync(env, "sub"), 0);
    cr_assert_eq(env_file_open(env, "sub/b", ENV_OPEN_CREATE, &again), 0);
    cr_assert_eq(env_file_unlink(env, "sub/b"), 0);
    cr_assert_eq(env_file_unlink(env, "sub/b"), -ENOENT);
    cr_assert_eq(trace.row_count, sizeof(expected));
    for (uint32_t i = 0; i < sizeof(expected); i++)
        cr_assert_eq(trace.rows[i].kind, expected[i], "row %u is %s", i,
                     env_trace_kind_name((enum env_trace_kind)trace.rows[i].kind));
    cr_assert_eq(row_of(ENV_TRACE_OPEN, 0)->value, 1, "created");
    cr_assert_eq(row_of(ENV_TRACE_OPEN, 1)->value, 0, "found");
    cr_assert_eq(row_of(ENV_TRACE_OPEN, 1)->file, 1, "every open has a number of its own");
    const struct env_trace_row *rename = row_of(ENV_TRACE_RENAME, 0);
    cr_assert_str_eq(env_trace_text(&trace, rename), "a");
    cr_assert_str_eq(env_trace_text_second(&trace, rename), "sub/b");
    cr_assert_eq(row_of(ENV_TRACE_MARK, 0)->value, 4);
}

/* A planned failure is answered and told, once; the bytes can be read all the same. */
Test(support_env_trace, planned_operations_fail_once, .init = world_setup, .fini = world_end)
{
    env_file file;
    cr_assert_eq(env_file_open(env, "data", ENV_OPEN_CREATE, &file), 0);
    env_trace_fail_write(&trace, 2);
    env_trace_fail_sync(&trace, 1);
    env_file_write(env, file, pages, PAGE, 0, 0, 1);
    cr_assert_eq(await(1), PAGE);
    env_file_write(env, file, pages, PAGE, PAGE, 0, 2);
    cr_assert_eq(await(2), -EIO);
    cr_assert_eq(row_of(ENV_TRACE_WRITE_DONE, 1)->result, -EIO);
    env_file_sync(env, file, 3);
    cr_assert_eq(await(3), -EIO);
    env_file_sync(env, file, 4);
    cr_assert_eq(await(4), 0);
    cr_assert_eq(row_of(ENV_TRACE_SYNC_DONE, 0)->result, -EIO);
    cr_assert_eq(row_of(ENV_TRACE_SYNC_DONE, 1)->result, 0);
    env_file_read(env, file, pages + 2 * PAGE, PAGE, PAGE, 5);
    cr_assert_eq(await(5), PAGE);
    cr_assert_eq(pages[2 * PAGE], 1);
}

/* A second process goes on in the same trace; its files have new numbers. */
Test(support_env_trace, outlives_a_killed_process, .init = world_setup, .fini = world_end)
{
    env_file file;
    cr_assert_eq(env_file_open(env, "data", ENV_OPEN_CREATE, &file), 0);
    env_file_write(env, file, pages, PAGE, 0, 0, 1);
    sim_crash(sim, SIM_CRASH_KEEP_ALL);
    env = env_trace_process(&trace, env_sim_process(sim, NULL));
    cr_assert_eq(env_file_open(env, "data", 0, &file), 0);
    cr_assert_eq(row_of(ENV_TRACE_PROCESS, 1) - trace.rows, 3);
    cr_assert_eq(row_of(ENV_TRACE_OPEN, 1)->file, 1);
    env_file_sync(env, file, 9);
    cr_assert_eq(await(9), 0);
    cr_assert_eq(row_of(ENV_TRACE_SYNC_DONE, 0)->file, 1);
}

/* At its bound the trace stops as a whole and says so; the env goes on. */
Test(support_env_trace, stops_at_its_bound, .init = world_setup, .fini = world_end)
{
    env_file file;
    env_trace_deinit(&trace);
    env_trace_init(&trace, 4 * PAGE);
    env = env_trace_process(&trace, &sim->env);
    cr_assert_eq(env_file_open(env, "data", ENV_OPEN_CREATE, &file), 0);
    for (uint64_t i = 0; i < 10; i++) {
        env_file_write(env, file, pages, PAGE, i * PAGE, 0, i);
        cr_assert_eq(await(i), PAGE);
    }
    cr_assert(trace.full);
    uint32_t rows = trace.row_count;
    cr_assert_eq(env_file_unlink(env, "data"), 0);
    cr_assert_eq(trace.row_count, rows);
    cr_assert_leq(trace.data_bytes + rows * sizeof(struct env_trace_row), 4 * PAGE);
}
