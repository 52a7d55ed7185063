/* SPDX-License-Identifier: Apache-2.0
 *
 * The io_uring engine of log_run.h. A stop is env_uring_close: it waits for operations in flight
 * and drops their events without flushing anything, which is what a killed process leaves.
 */
#include "tests/support/log_run_uring.h"

#include "broker/io/env_uring.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each test has its own process, so one folder per process is one per test. */
static char folder[64];

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

static struct env *uring_start(struct run *run)
{
    struct env_uring_options options;
    struct env *env = NULL;
    char why[ENV_URING_WHY_BYTES] = "";
    int status;

    env_uring_options_init(&options);
    options.folder = run->folder;
    options.buffer_count = 1;
    options.connections_max = 1;
    status = env_uring_open(&options, &env, why);
    if (status == -EPERM || status == -ENOSYS || status == -EACCES) {
        folder_remove();
        cr_skip_test("io_uring is not available: %s", why);
    }
    cr_assert_eq(status, 0, "%d: %s", status, why);
    return env;
}

static void uring_stop(struct run *run, enum sim_crash_menu menu)
{
    (void)menu; /* a kernel keeps what it was given */
    env_uring_close(run->env);
    run->env = NULL;
}

static bool uring_dead(const struct run *run)
{
    (void)run;
    return false;
}

static void uring_end(struct run *run)
{
    env_uring_close(run->env);
    folder_remove();
}

/* Rests are short: they pass in real time. */
static const struct run_engine engine_uring = {.name = "io_uring",
                                               .idle_ns_max = 120000000,
                                               .start = uring_start,
                                               .stop = uring_stop,
                                               .dead = uring_dead,
                                               .end = uring_end};

void run_begin_uring(struct run *run)
{
    env_file file;
    int status;

    (void)snprintf(folder, sizeof(folder), "crossdock-log-%d", (int)getpid());
    folder_remove();
    run_begin_on(run, &engine_uring);
    run->folder = folder;
    run->env = uring_start(run);
    status = env_file_open(run->env, "direct", ENV_OPEN_CREATE, &file);
    if (status == -EINVAL || status == -EOPNOTSUPP) {
        run_end(run);
        cr_skip_test("O_DIRECT is refused by the file system of the working folder");
    }
    cr_assert_eq(status, 0, "%s", xd_status_name(status));
    env_file_close(run->env, file);
    cr_assert_eq(env_file_unlink(run->env, "direct"), 0);
    run_crash(run, SIM_CRASH_KEEP_ALL);
}
