/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads that do file operations for a loop that must not block: for the epoll engine, where the
 * kernel offers no other way to write a file without waiting for the device.
 *
 * Normal path: the loop adds jobs during a turn; file_pool_turn() shows all of them to the threads
 * at once and takes all that are done, under one lock. A loop that has nothing else to do says so
 * in the same call, and only then a thread that finishes a job rings the bell (an eventfd). Under
 * load there is neither a bell nor a wait.
 *
 * Who owns what: a job belongs to the caller until file_pool_add(), then to the pool until it comes
 * back from file_pool_turn(); likewise the bytes it names. Threads touch nothing but jobs they have
 * taken under the lock, what those name, and the fields of the pool that say so.
 *
 * Failure paths: a job's error is its result; nothing is retried. Threads that cannot be had end
 * file_pool_open(). Must not allocate after that, know tokens or files, or give an opinion.
 */
#ifndef CROSSDOCK_BROKER_IO_FILE_POOL_H
#define CROSSDOCK_BROKER_IO_FILE_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define FILE_POOL_THREADS_MAX 8u

enum file_job_kind {
    FILE_JOB_WRITE,
    FILE_JOB_WRITE_DSYNC, /* done means: these bytes are on stable storage */
    FILE_JOB_READ,
    FILE_JOB_SYNC, /* data, as fdatasync */
};

struct file_job {
    struct file_job *next; /* the pool's while it has the job */
    void *data;            /* to write from or read into; not for SYNC */
    uint64_t position;     /* in the file, bytes */
    uint32_t bytes;        /* at most INT32_MAX */
    int fd;                /* */
    int32_t result;        /* when done: bytes, 0 for SYNC, or -errno */
    uint8_t kind;          /* enum file_job_kind */
};

/* Jobs in the sequence they came in. */
struct file_jobs {
    struct file_job *first; /* oldest, NULL = none */
    struct file_job *last;  /* newest, meaningful while there is one */
};

struct file_pool {
    /* of the loop */
    struct file_jobs added;                   /* not yet shown to the threads */
    uint32_t in_flight;                       /* added and not taken back */
    uint32_t thread_count;                    /* threads that run */
    int bell_fd;                              /* eventfd, the caller's; written by threads */
    pthread_t threads[FILE_POOL_THREADS_MAX]; /* thread_count of them */
    bool is_open;                             /* there is something for file_pool_close() to do */
    /* of whoever holds the lock */
    pthread_mutex_t lock;
    pthread_cond_t more;    /* there are jobs, or it is time to stop */
    struct file_jobs queue; /* shown to the threads, not taken by one */
    struct file_jobs done;  /* with their results */
    uint32_t idle;          /* threads that wait for `more` */
    bool asleep;            /* the loop is in the kernel and wants the bell */
    bool stopping;          /* threads end when the queue is empty */
};

/* Starts the threads, 1..FILE_POOL_THREADS_MAX, with all signals blocked. The pool must not move
 * afterwards. 0, or -errno with everything taken back. Blocking. */
int file_pool_open(struct file_pool *pool, uint32_t thread_count, int bell_fd);

/* Does all jobs that were added and ends the threads. Accepts a zeroed or closed pool. Blocking. */
void file_pool_close(struct file_pool *pool);

/* A job of the caller's, filled but for `next` and `result`. Costs no lock. */
void file_pool_add(struct file_pool *pool, struct file_job *job);

/* Shows what was added to the threads and appends what is done to *done. With `may_sleep` and
 * nothing done the bell will ring for the next job that is; call again after it, or after any other
 * reason to wake up. Costs nothing while no job is in flight. */
void file_pool_turn(struct file_pool *pool, bool may_sleep, struct file_jobs *done);

static inline void file_jobs_append(struct file_jobs *jobs, struct file_job *job)
{
    job->next = NULL;
    if (jobs->first)
        jobs->last->next = job;
    else
        jobs->first = job;
    jobs->last = job;
}

/* The oldest one, or NULL. */
static inline struct file_job *file_jobs_take(struct file_jobs *jobs)
{
    struct file_job *job = jobs->first;
    if (job)
        jobs->first = job->next;
    return job;
}

#endif
