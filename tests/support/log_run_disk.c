/* SPDX-License-Identifier: Apache-2.0
 *
 * The production engines of log_run.h. A stop is engine_close: it waits for operations in flight
 * and drops their events without flushing anything, which is what a killed process leaves.
 */
#include "tests/support/log_run_disk.h"

#include "broker/io/engine.h"

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

/* Of the run, zeroed while no process runs. */
static struct engine running;

static struct env *disk_start(struct run *run, enum engine_choice choice)
{
    struct engine_options options;
    char why[ENGINE_WHY_BYTES] = "";
    int status;

    engine_options_init(&options);
    options.choice = choice;
    options.env.folder = run->folder;
    options.env.buffer_count = 1;
    options.env.connections_max = 1;
    status = engine_open(&options, &running, why);
    if (choice == ENGINE_IO_URING && (status == -EPERM || status == -ENOSYS || status == -EACCES)) {
        folder_remove();
        cr_skip_test("io_uring is not available: %s", why);
    }
    cr_assert_eq(status, 0, "%d: %s", status, why);
    return running.env;
}

static struct env *uring_start(struct run *run)
{
    return disk_start(run, ENGINE_IO_URING);
}

static struct env *epoll_start(struct run *run)
{
    return disk_start(run, ENGINE_EPOLL);
}

static void disk_stop(struct run *run, enum sim_crash_menu menu)
{
    (void)menu; /* a kernel keeps what it was given */
    engine_close(&running);
    run->env = NULL;
}

static bool disk_dead(const struct run *run)
{
    (void)run;
    return false;
}

static void disk_end(struct run *run)
{
    engine_close(&running);
    run->env = NULL;
    folder_remove();
}

/* Rests are short: they pass in real time. */
static const struct run_engine engine_uring = {.name = "io_uring",
                                               .idle_ns_max = 120000000,
                                               .start = uring_start,
                                               .stop = disk_stop,
                                               .dead = disk_dead,
                                               .end = disk_end};
static const struct run_engine engine_epoll = {.name = "epoll",
                                               .idle_ns_max = 120000000,
                                               .start = epoll_start,
                                               .stop = disk_stop,
                                               .dead = disk_dead,
                                               .end = disk_end};

static void run_begin_disk(struct run *run, const struct run_engine *engine)
{
    env_file file;
    int status;

    (void)snprintf(folder, sizeof(folder), "crossdock-log-%d", (int)getpid());
    folder_remove();
    run_begin_on(run, engine);
    run->folder = folder;
    run->env = engine->start(run);
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

void run_begin_uring(struct run *run)
{
    run_begin_disk(run, &engine_uring);
}

void run_begin_epoll(struct run *run)
{
    run_begin_disk(run, &engine_epoll);
}
