/* SPDX-License-Identifier: Apache-2.0
 *
 * The choice of the production env; see engine.h.
 */
#include "broker/io/engine.h"

#include "broker/io/env_epoll.h"
#include "wire/xassert.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

static_assert(ENGINE_WHY_BYTES == ENV_URING_WHY_BYTES, "explanations are handed on as they are");
static_assert(ENGINE_WHY_BYTES == ENV_EPOLL_WHY_BYTES, "explanations are handed on as they are");

void engine_options_init(struct engine_options *options)
{
    XD_ASSERT(options);
    struct env_epoll_options epoll;
    env_epoll_options_init(&epoll);
    *options = (struct engine_options){.choice = ENGINE_AUTO, .file_threads = epoll.file_threads};
    env_uring_options_init(&options->env);
}

static int open_uring(const struct engine_options *options, struct engine *ret_engine,
                      bool *ret_refused, char *ret_why)
{
    struct env *env = NULL;
    struct env_uring_options uring = options->env;
    uring.ret_refused = ret_refused;
    int status = env_uring_open(&uring, &env, ret_why);
    if (status == 0)
        *ret_engine = (struct engine){.env = env, .which = ENGINE_IO_URING};
    return status;
}

static int open_epoll(const struct engine_options *options, const char *reason,
                      struct engine *ret_engine, char *ret_why)
{
    struct env *env = NULL;
    struct env_epoll_options epoll;
    env_epoll_options_init(&epoll);
    epoll.folder = options->env.folder;
    epoll.reason = reason;
    epoll.file_threads = options->file_threads;
    epoll.buffer_count = options->env.buffer_count;
    epoll.buffer_bytes = options->env.buffer_bytes;
    epoll.connections_max = options->env.connections_max;
    epoll.files_max = options->env.files_max;
    epoll.file_ops_max = options->env.file_ops_max;
    epoll.memory_bytes_max = options->env.memory_bytes_max;
    epoll.bells = options->env.bells;
    epoll.bell = options->env.bell;
    epoll.shared = options->env.shared;
    int status = env_epoll_open(&epoll, &env, ret_why);
    if (status == 0)
        *ret_engine = (struct engine){.env = env, .which = ENGINE_EPOLL};
    return status;
}

/* Whether a refused ring means that there is none to be had here, and not that something is wrong
 * with it. */
static bool is_unavailable(int status)
{
    switch (-status) {
    case EPERM:
    case EACCES:
    case ENOSYS:
    case EINVAL:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return true;
    default:
        return false;
    }
}

int engine_open(const struct engine_options *options, struct engine *ret_engine, char *ret_why)
{
    XD_ASSERT(options && ret_engine && ret_why);
    XD_ASSERT(options->choice <= ENGINE_EPOLL);
    if (options->choice == ENGINE_EPOLL)
        return open_epoll(options, "asked for", ret_engine, ret_why);
    bool refused = false;
    int status = open_uring(options, ret_engine, &refused, ret_why);
    if (options->choice == ENGINE_IO_URING || !refused || !is_unavailable(status))
        return status;
    char reason[ENGINE_WHY_BYTES];
    (void)snprintf(reason, sizeof(reason), "no io_uring: %.490s", ret_why);
    return open_epoll(options, reason, ret_engine, ret_why);
}

void engine_stop(struct engine *engine)
{
    XD_ASSERT(engine);
    if (!engine->env)
        return;
    if (engine->which == ENGINE_IO_URING)
        env_uring_stop(engine->env);
    else
        env_epoll_stop(engine->env);
}

void engine_close(struct engine *engine)
{
    XD_ASSERT(engine);
    if (engine->env && engine->which == ENGINE_IO_URING)
        env_uring_close(engine->env);
    else
        env_epoll_close(engine->env);
    *engine = (struct engine){0};
}
