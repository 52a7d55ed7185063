/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the io_uring env, shared by its source files: the state, and which file implements
 * which rows of struct env_ops. Must not be included outside env_uring.c, uring_*.c.
 */
#ifndef CROSSDOCK_BROKER_IO_URING_ENV_H
#define CROSSDOCK_BROKER_IO_URING_ENV_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "broker/io/env_uring.h"
#include "broker/io/host.h"
#include "broker/io/op.h"
#include "broker/io/send.h"
#include "broker/io/uring_buffers.h"
#include "broker/io/uring_ring.h"

/* Fixed operation objects, behind the pooled ones: the watch of the bell, one accept per listener,
 * then three per connection. */
#define URING_FIXED_BELL 0u
#define URING_FIXED_ACCEPT 1u
#define URING_FIXED_CONN (URING_FIXED_ACCEPT + HOST_LISTENERS_MAX)
enum uring_conn_op { URING_CONN_RECV, URING_CONN_SEND, URING_CONN_CLOSE, URING_CONN_OPS };

struct uring_conn {
    int fd;             /* -1 = the slot is free or only its CLOSE event is left */
    uint32_t next_free; /* next free slot, OP_NONE at the end */
    bool in_use;        /* from ACCEPT event to CLOSE event */
    bool closing;       /* net_close() was called */
    struct send send;   /* the send in flight */
};

struct env_uring {
    struct host host;             /* first member: the seam, and what engines share */
    struct uring_ring ring;       /* submission and completion */
    struct ops ops;               /* operations in flight */
    struct uring_buffers buffers; /* receive buffers */
    struct uring_conn *conns;     /* connections_max slots */
    uint32_t connections_max;     /* slots in conns */
    uint32_t conn_free;           /* first free connection slot or OP_NONE */
};

static inline struct env_uring *uring_of(struct env *env)
{
    return (struct env_uring *)env;
}

/* --- uring_turn.c ----------------------------------------------------------------------------- */
/* Starts watching the bell. */
void uring_bell_start(struct env_uring *uring);

int uring_wait(struct env *env, struct env_event *events, uint32_t events_max,
               uint64_t deadline_ns);

/* A submission entry that carries the operation, or NULL after putting the operation into the ready
 * list with -EAGAIN: the kernel is out of memory. Fill it with an io_uring_prep_ call, which resets
 * the user_data, and give it the one of op_user_data() last. */
struct io_uring_sqe *uring_sqe_for(struct env_uring *uring, struct op *op);

/* Asks the kernel to end a STARTED operation; its last completion says how it went. */
void uring_cancel(struct env_uring *uring, struct op *op);

/* --- uring_file.c ----------------------------------------------------------------------------- */
void uring_file_write(struct env *env, env_file file, const void *data, uint32_t bytes,
                      uint64_t position, uint32_t flags, uint64_t token);
void uring_file_read(struct env *env, env_file file, void *data, uint32_t bytes, uint64_t position,
                     uint64_t token);
void uring_file_sync(struct env *env, env_file file, uint64_t token);

/* --- uring_net.c ------------------------------------------------------------------------------ */
void uring_net_init(struct env_uring *uring);
void uring_net_close_all(struct env_uring *uring);

void uring_net_accept(struct env *env, env_listener listener, uint64_t token);
void uring_net_accept_stop(struct env *env, env_listener listener);
void uring_net_recv(struct env *env, env_conn conn, uint64_t token);
void uring_net_recv_stop(struct env *env, env_conn conn);
void uring_buffer_release(struct env *env, uint16_t buffer);
uint32_t uring_buffers_free(struct env *env);
void uring_net_send(struct env *env, env_conn conn, const struct iovec *pieces,
                    uint32_t piece_count, uint64_t token);
void uring_net_close(struct env *env, env_conn conn, uint64_t token);
void uring_net_peer(struct env *env, env_conn conn, char *ret_address);
void uring_net_origin(struct env *env, env_conn conn, struct env_origin *ret_origin);

/* Completions. Each returns whether *ret_event was filled: a send that goes on has none. */
bool uring_accept_done(struct env_uring *uring, struct op *op, int32_t result, bool more,
                       struct env_event *ret_event);
bool uring_recv_done(struct env_uring *uring, struct op *op, int32_t result, uint32_t flags,
                     struct env_event *ret_event);
bool uring_send_done(struct env_uring *uring, struct op *op, int32_t result,
                     struct env_event *ret_event);
/* A connection's operation has been finished into an event: perhaps it was the last one before
 * CLOSE, or CLOSE itself. */
void uring_conn_settle(struct env_uring *uring, int32_t conn, enum env_op finished);

#endif
