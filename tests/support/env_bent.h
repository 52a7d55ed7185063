/* SPDX-License-Identifier: Apache-2.0
 *
 * An env of which single calls answer otherwise, for what no simulated fault does: an engine that
 * breaks, events that belong to nobody, a folder without end.
 *
 * Normal path: env_bend() right after the process has started, then set fields of `bent`. One env
 * at a time; it is as before with the next process. Everything not bent goes to the real env.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_ENV_BENT_H
#define CROSSDOCK_TESTS_SUPPORT_ENV_BENT_H

#include "broker/io/env.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* What is bent; zero = nothing. */
static struct env_bent {
    const struct env_ops *real; /* */
    struct env_ops ops;         /* with the calls below in it */
    uint64_t waits;             /* calls of wait so far */
    uint64_t wait_breaks;       /* from this call on wait answers -EBADF, 0 = never */
    uint64_t waits_empty;       /* so many calls bring nothing first */
    uint64_t stray_token;       /* a call brings an event of this token first, 0 = none */
    uint64_t stray_at;          /* number of that call, 0 = the next */
    int bytes_status;           /* file_bytes answers this, 0 = the truth */
    bool entries_endless;       /* a folder has no last entry */
} bent;

static inline int bent_wait(struct env *env, struct env_event *events, uint32_t events_max,
                            uint64_t deadline_ns)
{
    bent.waits++;
    if (bent.wait_breaks > 0 && bent.waits >= bent.wait_breaks)
        return -EBADF;
    if (bent.waits_empty > 0) {
        bent.waits_empty--;
        return 0;
    }
    if (bent.stray_token != 0 && bent.waits >= bent.stray_at) {
        events[0] = (struct env_event){.token = bent.stray_token, .result = 4096};
        bent.stray_token = 0;
        return 1;
    }
    return bent.real->wait(env, events, events_max, deadline_ns);
}

static inline int bent_file_bytes(struct env *env, env_file file, uint64_t *ret_bytes)
{
    return bent.bytes_status < 0 ? bent.bytes_status : bent.real->file_bytes(env, file, ret_bytes);
}

static inline int bent_dir_entry(struct env *env, const char *name, uint32_t index, char *ret_name)
{
    if (!bent.entries_endless)
        return bent.real->dir_entry(env, name, index, ret_name);
    memcpy(ret_name, "entry", sizeof("entry"));
    return 0;
}

/* Nothing is bent yet, but can be. */
static inline struct env *env_bend(struct env *env)
{
    bent = (struct env_bent){.real = env->ops, .ops = *env->ops};
    bent.ops.wait = bent_wait;
    bent.ops.file_bytes = bent_file_bytes;
    bent.ops.dir_entry = bent_dir_entry;
    env->ops = &bent.ops;
    return env;
}

/* Whether the engine has broken as planned. */
static inline bool bent_broke(void)
{
    return bent.wait_breaks > 0 && bent.waits >= bent.wait_breaks;
}

#endif
