/* SPDX-License-Identifier: Apache-2.0
 *
 * The turn of the epoll env: hand file jobs over, ask the kernel once, make events.
 *
 * Normal path: show new jobs to the pool, one epoll_pwait2 (without waiting when there is something
 * to do already), note all that the kernel told, then events: answers that are ready, files,
 * the bell, connections, bytes.
 *
 * Failure paths: a kernel without epoll_pwait2 gets waits rounded up to a millisecond; an epoll
 * that cannot be asked at all is reported as the return value of wait.
 *
 * Must not decide anything about files or connections: epoll_file.c and epoll_net.c do.
 */
#include "broker/io/epoll_env.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

#define NS_PER_SECOND 1000000000ull
#define NS_PER_MS 1000000ull

/* Longest stay in the kernel in seconds; a wait without deadline goes round again. */
#define STAY_SECONDS_MAX 3600u

/* What the kernel tells at once; the rest comes with the next turn. */
#define NEWS_MAX 128

/* Accepted in one turn, so that a crowd at the door keeps nobody inside waiting. */
#define ACCEPTS_PER_TURN 16u

int epoll_watch_add(struct env_epoll *epoll, int fd, enum epoll_watch what, uint32_t slot)
{
    struct epoll_event watch = {.events = (uint32_t)EPOLLIN | (uint32_t)EPOLLRDHUP | EPOLLET,
                                .data.u64 = (uint64_t)what << 32 | slot};
    XD_ASSERT(fd >= 0 && epoll->epoll_fd >= 0);
    return epoll_ctl(epoll->epoll_fd, EPOLL_CTL_ADD, fd, &watch) != 0 ? -errno : 0;
}

/* --- the kernel ------------------------------------------------------------------------------- */

void epoll_clock_probe(struct env_epoll *epoll)
{
    const struct timespec at_once = {0};
    struct epoll_event news;
    /* Linux 5.11. Profiles of containers that do not know it say EPERM. */
    epoll->coarse = epoll_pwait2(epoll->epoll_fd, &news, 1, &at_once, NULL) < 0;
}

/* Asks once what there is, for at most wait_ns. How many news, or -errno. */
static int ask(struct env_epoll *epoll, struct epoll_event *news, uint64_t wait_ns)
{
    uint64_t stay_ns =
        wait_ns < STAY_SECONDS_MAX * NS_PER_SECOND ? wait_ns : STAY_SECONDS_MAX * NS_PER_SECOND;
    int count;
    if (epoll->coarse) {
        int stay_ms = (int)((stay_ns + NS_PER_MS - 1) / NS_PER_MS);
        count = epoll_wait(epoll->epoll_fd, news, NEWS_MAX, stay_ms);
    } else {
        const struct timespec stay = {.tv_sec = (time_t)(stay_ns / NS_PER_SECOND),
                                      .tv_nsec = (long)(stay_ns % NS_PER_SECOND)};
        count = epoll_pwait2(epoll->epoll_fd, news, NEWS_MAX, &stay, NULL);
    }
    if (count < 0)
        return errno == EINTR ? 0 : -errno; /* EINTR: a signal that is not ours */
    return count;
}

/* Notes all news. Nothing is closed in between, so each meets what it was told about. */
static int look(struct env_epoll *epoll, uint64_t wait_ns)
{
    struct epoll_event news[NEWS_MAX];
    int count = ask(epoll, news, wait_ns);
    for (int i = 0; i < count; i++) {
        uint32_t slot = (uint32_t)news[i].data.u64;
        switch ((enum epoll_watch)(news[i].data.u64 >> 32)) {
        case EPOLL_WATCH_FILES:
            break; /* Being awake is all it asks for; edges need not be read away. */
        case EPOLL_WATCH_BELL:
            epoll->bell_due = true;
            break;
        case EPOLL_WATCH_LISTENER:
            XD_ASSERT(slot < HOST_LISTENERS_MAX);
            epoll->listeners_due |= 1u << slot;
            break;
        case EPOLL_WATCH_CONN:
            epoll_conn_told(epoll, slot, news[i].events);
            break;
        }
    }
    return count < 0 ? count : 0;
}

/* --- events ----------------------------------------------------------------------------------- */

static uint32_t drain_ready(struct env_epoll *epoll, struct env_event *events, uint32_t room)
{
    uint32_t count = 0;
    struct op *op;
    while (count < room && (op = op_next(&epoll->ops))) {
        int32_t handle = op->handle;
        bool closed = op->op == ENV_OP_CLOSE && handle >= 0;
        op_finish(&epoll->ops, op, op->result, false, &events[count++]);
        if (closed)
            epoll_conn_free(epoll, handle);
    }
    return count;
}

static uint32_t drain_files(struct env_epoll *epoll, struct env_event *events, uint32_t room)
{
    uint32_t count = 0;
    struct file_job *job;
    while (count < room && (job = file_jobs_take(&epoll->done)))
        epoll_file_finish(epoll, job, &events[count++]);
    return count;
}

static uint32_t drain_bell(struct env_epoll *epoll, struct env_event *events, uint32_t room)
{
    if (room == 0 || !epoll->bell_due)
        return 0;
    epoll->bell_due = false; /* an edge comes with each ring */
    return host_bell_take(&epoll->host, events) ? 1 : 0;
}

static uint32_t drain_net(struct env_epoll *epoll, struct env_event *events, uint32_t room)
{
    uint32_t count = 0;
    while (count < room && count < ACCEPTS_PER_TURN && epoll_accept_due(epoll)) {
        if (epoll_accept_next(epoll, &events[count]))
            count++;
    }
    while (count < room && !list_empty(&epoll->due)) {
        if (epoll_recv_next(epoll, &events[count]))
            count++;
    }
    return count;
}

static uint32_t drain(struct env_epoll *epoll, struct env_event *events, uint32_t room)
{
    uint32_t count = drain_ready(epoll, events, room);
    count += drain_files(epoll, events + count, room - count);
    count += drain_bell(epoll, events + count, room - count);
    return count + drain_net(epoll, events + count, room - count);
}

/* Whether there is something to do without the kernel's news. */
static bool has_work(const struct env_epoll *epoll)
{
    return epoll->ops.ready_head != OP_NONE || epoll->done.first || epoll->bell_due ||
           !list_empty(&epoll->due) || epoll_accept_due(epoll);
}

int epoll_env_wait(struct env *env, struct env_event *events, uint32_t events_max,
                   uint64_t deadline_ns)
{
    struct env_epoll *epoll = epoll_of(env);
    XD_ASSERT(events && events_max > 0);
    for (;;) {
        uint64_t now = deadline_ns == 0 || has_work(epoll) ? deadline_ns : env_now_mono_ns(env);
        uint64_t wait_ns = now >= deadline_ns ? 0 : deadline_ns - now;
        file_pool_turn(&epoll->pool, wait_ns > 0, &epoll->done);
        int status = look(epoll, epoll->done.first ? 0 : wait_ns);
        if (status < 0)
            return status;
        if (wait_ns > 0) /* What was done while we slept, or what the bell rang for. */
            file_pool_turn(&epoll->pool, false, &epoll->done);
        uint32_t count = drain(epoll, events, events_max);
        if (count > 0)
            return (int)count;
        if (deadline_ns == 0 || env_now_mono_ns(env) >= deadline_ns)
            return 0;
    }
}
