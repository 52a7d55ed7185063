/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the epoll env, shared by its source files: the state, and which file implements which
 * rows of struct env_ops. Must not be included outside env_epoll.c, epoll_*.c.
 *
 * Everything is watched edge-triggered and added once: a connection costs one epoll_ctl for its
 * life, and what the kernel has told stays noted here (`readable`) until a call says that there is
 * no more. Stopping and starting a receive, or running out of buffers, then needs no system call.
 */
#ifndef CROSSDOCK_BROKER_IO_EPOLL_ENV_H
#define CROSSDOCK_BROKER_IO_EPOLL_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/list.h"
#include "broker/io/env_epoll.h"
#include "broker/io/epoll_buffers.h"
#include "broker/io/file_pool.h"
#include "broker/io/host.h"
#include "broker/io/op.h"
#include "broker/io/send.h"

/* Fixed operation objects, behind the pooled ones: one accept per listener, then three per
 * connection. */
#define EPOLL_FIXED_ACCEPT 0u
#define EPOLL_FIXED_CONN (EPOLL_FIXED_ACCEPT + HOST_LISTENERS_MAX)
enum epoll_conn_op { EPOLL_CONN_RECV, EPOLL_CONN_SEND, EPOLL_CONN_CLOSE, EPOLL_CONN_OPS };

/* What a watched descriptor is; upper half of epoll's data, the slot is the lower half. */
enum epoll_watch { EPOLL_WATCH_FILES, EPOLL_WATCH_BELL, EPOLL_WATCH_LISTENER, EPOLL_WATCH_CONN };

struct epoll_conn {
    struct list_node due; /* in env_epoll.due while a receive is armed and something to receive */
    int fd;               /* -1 = the slot is free or only events are left */
    uint32_t next_free;   /* next free slot, OP_NONE at the end */
    bool in_use;          /* from ACCEPT event to CLOSE event */
    bool closing;         /* net_close() was called */
    bool readable;        /* a receive may find bytes, the end or an error */
    bool ended;           /* the end or an error was told: readable for good */
    bool watches_out;     /* EPOLLOUT is watched: since a send found no room for the first time */
    struct send send;     /* the send in flight */
};

struct env_epoll {
    struct host host;             /* first member: the seam, and what engines share */
    struct ops ops;               /* operations in flight */
    struct epoll_buffers buffers; /* receive buffers */
    struct file_pool pool;        /* threads for files */
    struct file_job *jobs;        /* one per pooled operation, same index */
    struct file_jobs done;        /* jobs with their results, not yet events */
    struct epoll_conn *conns;     /* connections_max slots */
    struct list due;              /* connections to receive from, oldest first */
    uint32_t connections_max;     /* slots in conns */
    uint32_t conn_free;           /* first free connection slot or OP_NONE */
    uint32_t listeners_due;       /* bit i: listener i may have connections */
    bool bell_due;                /* the bell has been rung */
    bool stopped;                 /* only memory is left */
    bool coarse;                  /* no epoll_pwait2 here: waits are rounded up to 1 ms */
    int epoll_fd;                 /* -1 = not open */
    int bell_fd;                  /* eventfd of the pool, -1 = not open */
};

static inline struct env_epoll *epoll_of(struct env *env)
{
    return (struct env_epoll *)env;
}

/* --- epoll_turn.c ----------------------------------------------------------------------------- */
/* Watches a descriptor for input, edge-triggered. 0 or -errno. */
int epoll_watch_add(struct env_epoll *epoll, int fd, enum epoll_watch what, uint32_t slot);

/* Finds out whether waits can be as short as asked. */
void epoll_clock_probe(struct env_epoll *epoll);

int epoll_env_wait(struct env *env, struct env_event *events, uint32_t events_max,
                   uint64_t deadline_ns);

/* --- epoll_file.c ----------------------------------------------------------------------------- */
void epoll_file_write(struct env *env, env_file file, const void *data, uint32_t bytes,
                      uint64_t position, uint32_t flags, uint64_t token);
void epoll_file_read(struct env *env, env_file file, void *data, uint32_t bytes, uint64_t position,
                     uint64_t token);
void epoll_file_sync(struct env *env, env_file file, uint64_t token);
/* A job that is done becomes an event. */
void epoll_file_finish(struct env_epoll *epoll, const struct file_job *job,
                       struct env_event *ret_event);

/* --- epoll_net.c ------------------------------------------------------------------------------ */
void epoll_net_init(struct env_epoll *epoll);
void epoll_net_close_all(struct env_epoll *epoll);

int epoll_net_listen(struct env *env, const char *address, env_listener *ret_listener,
                     char *ret_address);
void epoll_net_accept(struct env *env, env_listener listener, uint64_t token);
void epoll_net_accept_stop(struct env *env, env_listener listener);
void epoll_net_recv(struct env *env, env_conn conn, uint64_t token);
void epoll_net_recv_stop(struct env *env, env_conn conn);
void epoll_buffer_release(struct env *env, uint16_t buffer);
uint32_t epoll_buffers_free(struct env *env);
void epoll_net_send(struct env *env, env_conn conn, const struct iovec *pieces,
                    uint32_t piece_count, uint64_t token);
void epoll_net_close(struct env *env, env_conn conn, uint64_t token);
void epoll_net_peer(struct env *env, env_conn conn, char *ret_address);
void epoll_net_origin(struct env *env, env_conn conn, struct env_origin *ret_origin);

/* The kernel has told something (EPOLLIN, ...) about a connection. */
void epoll_conn_told(struct env_epoll *epoll, uint32_t slot, uint32_t told);
/* Receives from the connection that has waited longest. Returns whether *ret_event was filled. */
bool epoll_recv_next(struct env_epoll *epoll, struct env_event *ret_event);
/* Whether an armed listener has something due. */
bool epoll_accept_due(const struct env_epoll *epoll);
/* Accepts from the first such listener. Returns whether *ret_event was filled. */
bool epoll_accept_next(struct env_epoll *epoll, struct env_event *ret_event);
/* The CLOSE event is about to be delivered: the slot is free again. */
void epoll_conn_free(struct env_epoll *epoll, env_conn conn);

#endif
