/* SPDX-License-Identifier: Apache-2.0
 *
 * The io_uring env: the conformance suite on the real kernel, file system and loopback, in all
 * modes of the ring, and its options. What it has in common with the epoll env is in
 * test_io_engine.c.
 *
 * Without io_uring every test is skipped with the operator's hint as the notice.
 */
#include "broker/io/env_uring.h"

#include "broker/io/uring_ring.h"
#include "tests/support/conformance_sockets.h"
#include "tests/support/data_folder.h"
#include "tests/support/env_conformance.h"
#include "wire/status.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

/* --- the kit ---------------------------------------------------------------------------------- */

static struct env *open_or_skip(const struct env_uring_options *options)
{
    struct env *env = NULL;
    char why[ENV_URING_WHY_BYTES] = "";
    int status = env_uring_open(options, &env, why);
    if (status == -EPERM || status == -ENOSYS || status == -EACCES)
        cr_skip_test("io_uring is not available: %s", why);
    cr_assert_eq(status, 0, "%d: %s", status, why);
    return env;
}

/* The env's own bell is number 0. */
static struct bells bells;
/* None of them is. */
static const struct bells no_bells;

static struct env_uring_options options_make(void)
{
    struct env_uring_options options;
    env_uring_options_init(&options);
    options.folder = folder;
    return options;
}

/* The context is the mode of the ring. Few entries, so that the queue is full now and then. */
static struct env *env_open(void *context, const struct conformance_need *need)
{
    struct env_uring_options options = options_make();
    options.entries = 64;
    options.buffer_count = need->buffer_count;
    options.buffer_bytes = need->buffer_bytes;
    options.connections_max = need->connections_max;
    options.mode_best = *(const uint32_t *)context;
    cr_assert_eq(bells_open(&bells, 1), 0);
    options.bells = &bells;
    return open_or_skip(&options);
}

static void env_shut(void *context, struct env *env)
{
    (void)context;
    env_uring_close(env);
    bells_close(&bells);
    folder_remove();
}

static const struct conformance_kit *kit_of(uint32_t mode)
{
    static uint32_t context;
    static const struct conformance_kit kit = {
        .context = &context,
        .address = "127.0.0.1:0",
        .bells = true,
        .env_open = env_open,
        .env_close = env_shut,
        .peer_connect = tcp_connect,
        .peer_send = peer_send,
        .peer_recv = peer_recv,
        .peer_finish = peer_finish,
        .peer_reset = peer_reset,
        .peer_free = peer_free,
    };
    context = mode;
    folder_setup();
    return &kit;
}

#define DEFER_CASE(name)                                                                           \
    Test(io_env_uring, name)                                                                       \
    {                                                                                              \
        conformance_##name(kit_of(URING_MODE_DEFER));                                              \
    }
#define COOP_CASE(name)                                                                            \
    Test(io_env_uring_coop, name)                                                                  \
    {                                                                                              \
        conformance_##name(kit_of(URING_MODE_COOP));                                               \
    }
#define PLAIN_CASE(name)                                                                           \
    Test(io_env_uring_plain, name)                                                                 \
    {                                                                                              \
        conformance_##name(kit_of(URING_MODE_PLAIN));                                              \
    }

ENV_CONFORMANCE_CASES(DEFER_CASE)
ENV_CONFORMANCE_CASES(COOP_CASE)
ENV_CONFORMANCE_CASES(PLAIN_CASE)

/* --- options ---------------------------------------------------------------------------------- */

/* Every option outside its range is refused by name, before anything is touched. */
Test(io_env_uring, refuses_options_outside_their_ranges, .init = folder_setup)
{
    struct env_uring_options good = options_make();
    struct {
        const char *name;
        struct env_uring_options options;
    } cases[11];
    for (size_t i = 0; i < 11; i++)
        cases[i].options = good;
    cases[0].name = "folder", cases[0].options.folder = "";
    cases[1].name = "entries", cases[1].options.entries = 100;
    cases[2].name = "entries", cases[2].options.entries = 65536;
    cases[3].name = "buffer_count", cases[3].options.buffer_count = 3;
    cases[4].name = "buffer_bytes", cases[4].options.buffer_bytes = 5000;
    cases[5].name = "connections_max", cases[5].options.connections_max = 0;
    cases[6].name = "files_max", cases[6].options.files_max = 5000;
    cases[7].name = "file_ops_max", cases[7].options.file_ops_max = 0;
    cases[8].name = "mode_best", cases[8].options.mode_best = 3;
    cases[9].name = "bell", cases[9].options.bells = &no_bells;
    cases[10].name = "buffer_bytes", cases[10].options.buffer_bytes = 2 << 20;
    for (size_t i = 0; i < 11; i++) {
        struct env *env = NULL;
        char why[ENV_URING_WHY_BYTES] = "";
        cr_assert_eq(env_uring_open(&cases[i].options, &env, why), XD_OPTION_INVALID);
        cr_assert_eq(strncmp(why, cases[i].name, strlen(cases[i].name)), 0, "%s", why);
        cr_assert_null(env);
    }
    cr_assert_neq(access(folder, F_OK), 0, "the folder was made all the same");
}
