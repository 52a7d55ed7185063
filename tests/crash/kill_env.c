/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes the daemon kill itself at a crash point. It is linked with everything of crossdockd, and
 * the linker sends calls of engine_open, engine_stop and engine_close here (--wrap), so nothing of
 * the daemon is built in another way and the shipped one holds no trace of this.
 *
 * Normal path: the env of either engine is opened as ever and gets another table of operations, the
 * same but for crash_point; at the hit that KILL_AT names, the last words go to standard error and
 * the process sends itself SIGKILL. An engine gets its own table back before it stops. What it had
 * given to the kernel may still reach the disk, what it had not submitted never does: as with any
 * kill. Failure path: a KILL_AT that names no point, or no memory for the table, ends the process
 * by an assertion; a test must not run without its fault.
 */
#include "broker/io/engine.h"
#include "tests/crash/kill_point.h"
#include "wire/xassert.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The table of an env, and what the crash point needs to know: it is found through the table. */
struct kill_ops {
    struct env_ops ops;         /* first: env->ops points to it */
    const struct env_ops *real; /* of the env */
    enum env_crash_point point; /* */
    uint32_t hit;               /* that kills, from 1 */
    uint32_t hits;              /* so far */
};

/* The linker's names for the wrapped functions and for the real ones. */
int __wrap_engine_open(const struct engine_options *options, struct engine *ret_engine,
                       char *ret_why);
int __real_engine_open(const struct engine_options *options, struct engine *ret_engine,
                       char *ret_why);
void __wrap_engine_stop(struct engine *engine);
void __real_engine_stop(struct engine *engine);
void __wrap_engine_close(struct engine *engine);
void __real_engine_close(struct engine *engine);

/* The table was made here and is not constant. */
static struct kill_ops *kill_of(struct env *env)
{
    return (struct kill_ops *)(uintptr_t)env->ops;
}

static void die(const struct kill_ops *kill_ops)
{
    char words[sizeof KILL_LAST_WORDS + KILL_TEXT_BYTES];
    int bytes = snprintf(words, sizeof words, "%s%s:%u\n", KILL_LAST_WORDS,
                         kill_point_name(kill_ops->point), kill_ops->hit);
    XD_ASSERT(bytes > 0 && bytes < (int)sizeof words);
    ssize_t written = write(STDERR_FILENO, words, (size_t)bytes);
    XD_ASSERT(written == bytes);
    int status = kill(getpid(), SIGKILL);
    XD_ASSERT(status == 0);
}

static void crash_point(struct env *env, enum env_crash_point point)
{
    struct kill_ops *kill_ops = kill_of(env);
    XD_ASSERT(point < ENV_CRASH_COUNT);
    if (point == kill_ops->point && ++kill_ops->hits == kill_ops->hit)
        die(kill_ops);
}

/* Gives an env its own table back. */
static void table_restore(struct env *env)
{
    if (env == NULL || env->ops->crash_point != crash_point)
        return;
    struct kill_ops *kill_ops = kill_of(env);
    env->ops = kill_ops->real;
    free(kill_ops);
}

int __wrap_engine_open(const struct engine_options *options, struct engine *ret_engine,
                       char *ret_why)
{
    const char *text = getenv(KILL_VARIABLE);
    int status = __real_engine_open(options, ret_engine, ret_why);
    if (status < 0 || text == NULL)
        return status;
    struct env *env = ret_engine->env;
    struct kill_ops *kill_ops = calloc(1, sizeof *kill_ops);
    XD_ASSERT(kill_ops != NULL);
    bool known = kill_point_parse(text, &kill_ops->point, &kill_ops->hit);
    XD_ASSERT(known);
    kill_ops->real = env->ops;
    memcpy(&kill_ops->ops, kill_ops->real, sizeof kill_ops->ops);
    kill_ops->ops.crash_point = crash_point;
    env->ops = &kill_ops->ops;
    return status;
}

void __wrap_engine_stop(struct engine *engine)
{
    table_restore(engine->env);
    __real_engine_stop(engine);
}

void __wrap_engine_close(struct engine *engine)
{
    table_restore(engine->env);
    __real_engine_close(engine);
}
