/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads for file operations: results and errors, when the bell rings, closing, and kernels that
 * do not know a flag or give no thread. Races are tests/threads/files.c's to provoke.
 */
#include "broker/io/file_pool.h"

#include "tests/support/forbid.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <criterion/criterion.h>

#define PATIENCE_MS 20000
#define PIECE 512u

static struct file_pool pool;
static int bell = -1;
static int file = -1;

static void setup_files(void)
{
    char path[] = "crossdock-pool-XXXXXX";
    bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    cr_assert_geq(bell, 0);
    file = mkstemp(path);
    cr_assert_geq(file, 0);
    cr_assert_eq(unlink(path), 0);
}

static void setup(void)
{
    setup_files();
    cr_assert_eq(file_pool_open(&pool, 2, bell), 0);
}

static void teardown(void)
{
    file_pool_close(&pool);
    close(file);
    close(bell);
}

/* Whether the bell rings within the time; it is silent afterwards. */
static bool bell_rings(int ms)
{
    uint64_t count;
    struct pollfd watch = {.fd = bell, .events = POLLIN};
    return poll(&watch, 1, ms) == 1 && read(bell, &count, sizeof count) == sizeof count;
}

/* Does the job and waits for it as a loop does. */
static int32_t result_of(struct file_job *job)
{
    struct file_jobs done = {0};
    file_pool_add(&pool, job);
    file_pool_turn(&pool, true, &done);
    while (!done.first) {
        cr_assert(bell_rings(PATIENCE_MS), "the job does not end");
        file_pool_turn(&pool, true, &done);
    }
    cr_assert_eq(file_jobs_take(&done), job);
    cr_assert_null(done.first);
    cr_assert_eq(pool.in_flight, 0);
    return job->result;
}

static int32_t do_job(enum file_job_kind kind, int fd, void *data, uint32_t bytes,
                      uint64_t position)
{
    struct file_job job = {
        .kind = (uint8_t)kind, .fd = fd, .data = data, .bytes = bytes, .position = position};
    return result_of(&job);
}

/* Every kind of job answers what the kernel answers, short counts and errors as they are. */
Test(io_file_pool, answers_what_the_kernel_answers, .init = setup, .fini = teardown)
{
    char text[] = "gr8 pallets", back[64] = "";
    cr_assert_eq(do_job(FILE_JOB_WRITE, file, text, 4, 0), 4);
    cr_assert_eq(do_job(FILE_JOB_WRITE_DSYNC, file, text + 4, 7, 4), 7);
    cr_assert_eq(do_job(FILE_JOB_SYNC, file, NULL, 0, 0), 0);
    cr_assert_eq(do_job(FILE_JOB_READ, file, back, sizeof back, 0), 11);
    cr_assert_str_eq(back, text);
    cr_assert_eq(do_job(FILE_JOB_READ, file, back, sizeof back, 11), 0);
    for (int kind = FILE_JOB_WRITE; kind <= FILE_JOB_SYNC; kind++)
        cr_assert_eq(do_job((enum file_job_kind)kind, -1, back, 1, 0), -EBADF);
}

/* The bell rings when the loop said that it may sleep, once for it, and else not. */
Test(io_file_pool, rings_only_for_a_loop_that_sleeps, .init = setup, .fini = teardown)
{
    char byte = 1;
    struct file_jobs done = {0};
    struct file_job first = {.kind = FILE_JOB_WRITE, .fd = file, .data = &byte, .bytes = 1};
    struct file_job second = first;
    file_pool_turn(&pool, true, &done);
    cr_assert_not(bell_rings(0), "nothing is in flight");

    file_pool_add(&pool, &first);
    for (int ms = 0; !done.first && ms < PATIENCE_MS; ms++) {
        file_pool_turn(&pool, false, &done);
        cr_assert_not(bell_rings(1), "nobody sleeps");
    }
    cr_assert_eq(file_jobs_take(&done), &first);

    file_pool_add(&pool, &first);
    file_pool_add(&pool, &second);
    for (uint32_t seen = 0; seen < 2;) {
        file_pool_turn(&pool, true, &done);
        if (!done.first)
            cr_assert(bell_rings(PATIENCE_MS), "the loop sleeps for ever");
        while (file_jobs_take(&done))
            seen++;
    }
    file_pool_turn(&pool, false, &done);
    cr_assert_not(bell_rings(50), "nobody sleeps");
}

/* What was added is done before the threads end, shown to them or not. */
Test(io_file_pool, close_does_all_jobs, .init = setup)
{
    enum { JOBS = 500 };
    static uint8_t out[JOBS * PIECE], in[JOBS * PIECE];
    static struct file_job jobs[JOBS];
    struct file_jobs done = {0};
    for (uint32_t i = 0; i < JOBS; i++) {
        memset(out + i * PIECE, (int)(i % 251) + 1, PIECE);
        jobs[i] = (struct file_job){.kind = FILE_JOB_WRITE,
                                    .fd = file,
                                    .data = out + i * PIECE,
                                    .bytes = PIECE,
                                    .position = i * PIECE};
        file_pool_add(&pool, &jobs[i]);
        if (i == JOBS / 2)
            file_pool_turn(&pool, true, &done);
    }
    file_pool_close(&pool);
    cr_assert_eq(pread(file, in, sizeof in, 0), (ssize_t)sizeof in);
    cr_assert_arr_eq(in, out, sizeof in);
    file_pool_close(&pool); /* Accepts a closed one. */
}

/* Where RWF_DSYNC is not known a write and a sync take its place; a write's own error stays. */
static void without_dsync(int error)
{
    char text[] = "order", back[6] = "";
    const struct forbid_call call = {SYS_pwritev2, error};
    if (forbid_calls(&call, 1) != 0)
        cr_skip_test("seccomp: %s", strerror(errno));
    setup();
    cr_assert_eq(do_job(FILE_JOB_WRITE_DSYNC, file, text, 5, 0), 5);
    cr_assert_eq(pread(file, back, 5, 0), 5);
    cr_assert_str_eq(back, text);
    cr_assert_eq(do_job(FILE_JOB_WRITE_DSYNC, bell + 1000, text, 5, 0), -EBADF);
    teardown();
}
Test(io_file_pool, serves_where_the_flag_is_not_supported)
{
    without_dsync(EOPNOTSUPP);
}
Test(io_file_pool, serves_where_the_call_is_not_known)
{
    without_dsync(ENOSYS);
}
Test(io_file_pool, serves_where_the_call_is_not_permitted)
{
    without_dsync(EPERM);
}

/* The sync that takes the place of the flag is a promise: its error is the job's. */
Test(io_file_pool, the_sync_in_place_of_the_flag_may_fail)
{
    char byte = 1;
    const struct forbid_call calls[] = {{SYS_pwritev2, EOPNOTSUPP}, {SYS_fdatasync, EIO}};
    if (forbid_calls(calls, 2) != 0)
        cr_skip_test("seccomp: %s", strerror(errno));
    setup();
    cr_assert_eq(do_job(FILE_JOB_WRITE_DSYNC, file, &byte, 1, 0), -EIO);
    cr_assert_eq(do_job(FILE_JOB_WRITE, file, &byte, 1, 0), 1);
    teardown();
}

/* A machine that gives no thread is told so, and nothing is left behind. */
Test(io_file_pool, threads_that_cannot_be_had_end_the_opening)
{
    const struct forbid_call call = {SYS_clone3, EAGAIN};
    if (forbid_calls(&call, 1) != 0)
        cr_skip_test("seccomp: %s", strerror(errno));
    setup_files();
    cr_assert_eq(file_pool_open(&pool, 2, bell), -EAGAIN);
    cr_assert_not(pool.is_open);
    teardown();
}

/* Signals stay with the loop's thread: none is taken by a thread for files. */
Test(io_file_pool, threads_block_all_signals, .init = setup_files)
{
    sigset_t wanted, former, after;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR1);
    cr_assert_eq(pthread_sigmask(SIG_SETMASK, NULL, &former), 0);
    cr_assert_eq(file_pool_open(&pool, 2, bell), 0);
    cr_assert_eq(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    cr_assert_eq(memcmp(&former, &after, sizeof after), 0, "the caller's mask is another one");
    /* Blocked here, and only here: if a thread would take it, the process would end. */
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, &wanted, NULL), 0);
    cr_assert_eq(kill(getpid(), SIGUSR1), 0);
    const struct timespec soon = {.tv_sec = 5};
    cr_assert_eq(sigtimedwait(&wanted, NULL, &soon), SIGUSR1);
    teardown();
}
