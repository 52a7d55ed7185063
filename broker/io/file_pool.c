/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads for file operations.
 *
 * Normal path of a thread: lock, hand back the job that is done, take the oldest one, unlock, one
 * system call. Failure path: the system call's error is the job's result; a kernel that does not
 * know RWF_DSYNC gets a write and an fdatasync in its place, which promise the same. Shutdown: the
 * queue is worked off, then the threads end.
 */
#include "broker/io/file_pool.h"

#include "wire/xassert.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/uio.h>
#include <unistd.h>

/* Of one thread, in bytes: it calls the kernel and nothing deep. Sanitizers need more of it. */
#define STACK_BYTES ((size_t)256 * 1024)

/* ---- one job --------------------------------------------------------------------------------- */

/* A write that is on stable storage when it returns. */
static ssize_t write_dsync(const struct file_job *job)
{
    const struct iovec piece = {.iov_base = job->data, .iov_len = job->bytes};
    ssize_t written = pwritev2(job->fd, &piece, 1, (off_t)job->position, RWF_DSYNC);
    /* EPERM is what older profiles of containers say to calls that they have never heard of; where
     * it is meant, the plain write says it too. */
    if (written >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EPERM))
        return written;
    written = pwrite(job->fd, job->data, job->bytes, (off_t)job->position);
    return written > 0 && fdatasync(job->fd) != 0 ? -1 : written;
}

static void job_do(struct file_job *job)
{
    ssize_t result = -1;
    /* Signals are blocked in these threads, so that no call ends early with EINTR. */
    switch ((enum file_job_kind)job->kind) {
    case FILE_JOB_WRITE:
        result = pwrite(job->fd, job->data, job->bytes, (off_t)job->position);
        break;
    case FILE_JOB_WRITE_DSYNC:
        result = write_dsync(job);
        break;
    case FILE_JOB_READ:
        result = pread(job->fd, job->data, job->bytes, (off_t)job->position);
        break;
    case FILE_JOB_SYNC:
        result = fdatasync(job->fd);
        break;
    }
    job->result = result < 0 ? -errno : (int32_t)result;
}

/* ---- threads --------------------------------------------------------------------------------- */

/* Under the lock: the oldest job, waited for; NULL when it is time to end. */
static struct file_job *next_job(struct file_pool *pool)
{
    struct file_job *job;
    while (!(job = file_jobs_take(&pool->queue)) && !pool->stopping) {
        pool->idle++;
        int status = pthread_cond_wait(&pool->more, &pool->lock);
        XD_ASSERT(status == 0);
        pool->idle--;
    }
    return job;
}

static void bell_ring(int bell_fd)
{
    const uint64_t one = 1;
    ssize_t bytes = write(bell_fd, &one, sizeof one);
    XD_ASSERT(bytes == (ssize_t)sizeof one); /* The counter has room for longer than we live. */
}

static void *thread_run(void *context)
{
    struct file_pool *pool = context;
    int status = pthread_mutex_lock(&pool->lock);
    XD_ASSERT(status == 0);
    struct file_job *job;
    while ((job = next_job(pool))) {
        (void)pthread_mutex_unlock(&pool->lock); /* Held by this thread: it cannot fail. */
        job_do(job);
        status = pthread_mutex_lock(&pool->lock);
        XD_ASSERT(status == 0);
        file_jobs_append(&pool->done, job);
        if (!pool->asleep)
            continue;
        pool->asleep = false;
        /* Not under the lock, which is the first thing that the loop wants when it wakes up. */
        (void)pthread_mutex_unlock(&pool->lock);
        bell_ring(pool->bell_fd);
        status = pthread_mutex_lock(&pool->lock);
        XD_ASSERT(status == 0);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* The new thread inherits the signal mask, which must be that of file_pool_open(). */
static int thread_start(struct file_pool *pool, const pthread_attr_t *attributes)
{
    int status = pthread_create(&pool->threads[pool->thread_count], attributes, thread_run, pool);
    if (status == 0)
        pool->thread_count++;
    return -status;
}

static int threads_start(struct file_pool *pool, uint32_t count)
{
    pthread_attr_t attributes;
    sigset_t all, former;
    int status = -pthread_attr_init(&attributes);
    if (status < 0)
        return status;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    status = -pthread_attr_setstacksize(&attributes, STACK_BYTES);
    XD_ASSERT(status == 0);
#endif
    sigfillset(&all);
    status = -pthread_sigmask(SIG_SETMASK, &all, &former);
    XD_ASSERT(status == 0);
    for (uint32_t i = 0; i < count && status == 0; i++)
        status = thread_start(pool, &attributes);
    int restored = pthread_sigmask(SIG_SETMASK, &former, NULL);
    XD_ASSERT(restored == 0);
    (void)pthread_attr_destroy(&attributes); /* Owns nothing. */
    return status;
}

int file_pool_open(struct file_pool *pool, uint32_t thread_count, int bell_fd)
{
    XD_ASSERT(thread_count >= 1 && thread_count <= FILE_POOL_THREADS_MAX);
    XD_ASSERT(bell_fd >= 0);
    *pool = (struct file_pool){.bell_fd = bell_fd};
    int status = -pthread_mutex_init(&pool->lock, NULL);
    if (status < 0)
        return status;
    status = -pthread_cond_init(&pool->more, NULL);
    if (status < 0) {
        (void)pthread_mutex_destroy(&pool->lock); /* Nobody has used it. */
        return status;
    }
    pool->is_open = true;
    status = threads_start(pool, thread_count);
    if (status < 0)
        file_pool_close(pool);
    return status;
}

void file_pool_close(struct file_pool *pool)
{
    if (!pool->is_open)
        return;
    struct file_jobs done = {0};
    file_pool_turn(pool, false, &done); /* What was added is still done. */
    int status = pthread_mutex_lock(&pool->lock);
    XD_ASSERT(status == 0);
    pool->stopping = true;
    pool->asleep = false;
    (void)pthread_cond_broadcast(&pool->more);
    (void)pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->thread_count; i++) {
        status = pthread_join(pool->threads[i], NULL);
        XD_ASSERT(status == 0);
    }
    XD_ASSERT(!pool->queue.first || pool->thread_count == 0);
    (void)pthread_cond_destroy(&pool->more);
    (void)pthread_mutex_destroy(&pool->lock);
    *pool = (struct file_pool){0};
}

/* ---- the loop -------------------------------------------------------------------------------- */

void file_pool_add(struct file_pool *pool, struct file_job *job)
{
    XD_ASSERT(pool->is_open);
    XD_ASSERT(job->kind == FILE_JOB_SYNC || (job->data && job->bytes <= INT32_MAX));
    file_jobs_append(&pool->added, job);
    pool->in_flight++;
}

/* Moves all of `from` behind `to`; how many there were. */
static uint32_t jobs_move(struct file_jobs *to, struct file_jobs *from)
{
    uint32_t count = 0;
    struct file_job *job;
    while ((job = file_jobs_take(from))) {
        file_jobs_append(to, job);
        count++;
    }
    return count;
}

void file_pool_turn(struct file_pool *pool, bool may_sleep, struct file_jobs *done)
{
    if (pool->in_flight == 0)
        return;
    int status = pthread_mutex_lock(&pool->lock);
    XD_ASSERT(status == 0);
    uint32_t wake = jobs_move(&pool->queue, &pool->added);
    wake = wake < pool->idle ? wake : pool->idle;
    for (uint32_t i = 0; i < wake; i++)
        (void)pthread_cond_signal(&pool->more);
    uint32_t taken = jobs_move(done, &pool->done);
    pool->asleep = may_sleep && taken == 0;
    (void)pthread_mutex_unlock(&pool->lock);
    XD_ASSERT(taken <= pool->in_flight);
    pool->in_flight -= taken;
}
