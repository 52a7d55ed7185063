/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated network: listeners of the process, connections with two pipes, lent buffers.
 *
 * Normal path: what one end puts into a pipe travels as DELIVER tasks, in sequence, and counts as
 * arrived when the task is due; the other end takes it from the ring. A pipe holds at most a window
 * of bytes that were put and not taken: a slow reader stops the writer, as socket buffers do.
 * Failure paths: a reset drops what is on its way; a partition keeps it until it heals.
 *
 * sim_pipe.c: connections and pipes; sim_net.c and sim_stream.c: the process's end; sim_client.c:
 * the test's end.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_SIM_NET_H
#define CROSSDOCK_TESTS_SUPPORT_SIM_NET_H

#include "broker/base/list.h"
#include "broker/base/prng.h"
#include "broker/io/env.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_LISTENERS_MAX 16u
#define SIM_BUFFERS_MAX 4096u

#ifndef __has_feature
#define __has_feature(feature) 0 /* a question that only clang answers */
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define SIM_POISONS 1
#else
#define SIM_POISONS 0
#endif

struct sim;
struct sim_task;

enum sim_direction { SIM_TO_BROKER, SIM_TO_CLIENT, SIM_DIRECTION_COUNT };

/* One direction of a connection. Counters only grow: put >= arrived >= taken. */
struct sim_pipe {
    uint8_t *ring;         /* window_bytes */
    uint64_t put;          /* bytes the sender has put in */
    uint64_t arrived;      /* of these at the receiver */
    uint64_t taken;        /* of these taken by the receiver */
    uint64_t held_bytes;   /* due but held back by a partition */
    uint64_t last_ns;      /* when the newest delivery is due: none overtakes it */
    uint32_t window_bytes; /* ring size */
    uint32_t generation;   /* deliveries of an older one are lost */
    bool end_put;          /* the sender has ended */
    bool end_arrived;      /* the receiver knows */
    bool reset_arrived;    /* the receiver knows that the sender has reset */
    bool held;             /* partitioned */
    bool held_end;         /* due but held back */
    bool held_reset;       /* due but held back */
};

struct sim_conn {
    struct list_node node; /* in a backlog, or in the free list */
    struct sim_pipe pipes[SIM_DIRECTION_COUNT];
    struct env_origin origin; /* where the client is */
    uint32_t id;              /* the client's */
    uint32_t holders;         /* tasks, the client, the process */

    /* the process's end */
    int32_t handle;           /* env_conn; -1 = not accepted or closed */
    bool broker_gone;         /* closed, or the process is gone */
    bool closing;             /* net_close was called */
    bool recv_armed;          /* a receive waits for bytes */
    bool recv_task;           /* a RECV task is on its way */
    bool send_armed;          /* a send is not finished */
    bool send_task;           /* a SEND task is on its way */
    uint32_t recv_generation; /* raised at each arming */
    uint64_t recv_token;
    uint64_t send_token;
    uint64_t close_token;
    int32_t close_result;       /* that its event will tell */
    const struct iovec *pieces; /* of the send; the caller's */
    uint32_t piece_count;
    uint32_t piece_index; /* first piece not sent whole */
    size_t piece_sent;    /* bytes of that piece */
    uint64_t send_bytes;  /* of all pieces */
    uint64_t sent;        /* of these moved into the pipe */
    uint64_t send_hash;   /* of the pieces at the start */

    /* the client's end */
    bool client_closed; /* the client has ended its sending direction */
    bool client_reset;  /* the client has reset */
    bool client_freed;  /* closed for good: what arrives is answered with a reset */
};

struct sim_listener {
    char address[ENV_ADDRESS_BYTES_MAX];
    struct list backlog; /* struct sim_conn that have arrived */
    uint64_t token;      /* of the armed accept */
    bool open;
    bool armed;
};

struct sim_net {
    struct prng prng;        /* delays and rates */
    struct sim_conn **conns; /* by client id; NULL = the id is free */
    uint32_t conn_count;     /* ids below may be in use */
    uint32_t conn_hint;      /* no id below is free */
    uint32_t conn_capacity;  /* entries in conns */
    struct list free;        /* connections to be used again */
    uint32_t port_next;      /* given for port 0 */
    struct sim_listener listeners[SIM_LISTENERS_MAX];
    struct sim_conn **handles; /* by env_conn; NULL = free */
    uint32_t handle_max;       /* entries in handles */
    uint32_t handle_hint;      /* no handle below is free */
    uint8_t *buffers;          /* lent to the process */
    uint32_t buffer_bytes;     /* of each */
    uint32_t buffer_count;
    uint32_t buffer_free;                 /* entries of buffer_ids */
    uint16_t buffer_ids[SIM_BUFFERS_MAX]; /* free ones */
    bool buffer_lent[SIM_BUFFERS_MAX];    /* by id */
};

/* ---- life ------------------------------------------------------------------------------------ */
void sim_net_init(struct sim_net *net);
void net_deinit(struct sim_net *net);
/* All connections and tasks are gone already (net_drop_all, clock). */
void net_reset(struct sim_net *net, uint64_t seed);
/* Gives a new process its buffers and handles. */
void net_process_begin(struct sim *sim);
/* The process is gone: its ends of all connections reset, its listeners closed. */
void net_process_end(struct sim *sim);
/* Forgets all clients; their tasks have been released. */
void net_drop_all(struct sim *sim);
/* A task of the network is due. Releases it. */
void net_task_due(struct sim *sim, struct sim_task *task);
/* Releases a task of the network without effect. */
void net_task_drop(struct sim *sim, struct sim_task *task);

/* ---- pipes and connections ------------------------------------------------------------------- */
/* A connection with a new client id, held by the client. */
struct sim_conn *conn_new(struct sim *sim);
struct sim_conn *conn_hold(struct sim_conn *conn);
void conn_drop(struct sim *sim, struct sim_conn *conn);
/* Starts a task of the connection after `delay_ns`. */
struct sim_task *conn_task(struct sim *sim, struct sim_conn *conn, int kind, uint64_t delay_ns);
/* A one-way delay. */
uint64_t net_delay(struct sim *sim);
/* Bytes that the pipe has room for. */
size_t pipe_room(const struct sim_pipe *pipe);
/* Puts bytes in and sends them on their way. There is room. */
void pipe_put(struct sim *sim, struct sim_conn *conn, enum sim_direction direction,
              const void *data, size_t bytes);
/* Takes arrived bytes out. */
void pipe_take(struct sim_pipe *pipe, void *data, size_t bytes);
static inline size_t pipe_readable(const struct sim_pipe *pipe)
{
    return (size_t)(pipe->arrived - pipe->taken);
}
/* Sends the end, behind all bytes; once. */
void pipe_end(struct sim *sim, struct sim_conn *conn, enum sim_direction direction);
/* Sends a reset; drop = what is on its way is lost. */
void pipe_reset(struct sim *sim, struct sim_conn *conn, enum sim_direction direction, bool drop);
/* Holds back, or lets go. */
void pipe_hold(struct sim *sim, struct sim_conn *conn, enum sim_direction direction, bool held);
/* A DELIVER task is due. */
void pipe_due(struct sim *sim, struct sim_task *task);

/* Memory of a buffer that the process must not, or may, touch; for AddressSanitizer. */
static inline void buffer_poison(void *data, size_t bytes)
{
#if SIM_POISONS
    ASAN_POISON_MEMORY_REGION(data, bytes);
#else
    (void)data;
    (void)bytes;
#endif
}
static inline void buffer_unpoison(void *data, size_t bytes)
{
#if SIM_POISONS
    ASAN_UNPOISON_MEMORY_REGION(data, bytes);
#else
    (void)data;
    (void)bytes;
#endif
}

/* ---- the process's end: sim_net.c, sim_stream.c
 * ------------------------------------------------------------ */
int env_sim_net_listen(struct env *env, const char *address, env_listener *ret_listener,
                       char *ret_address);
void env_sim_net_accept(struct env *env, env_listener listener, uint64_t token);
void env_sim_net_accept_stop(struct env *env, env_listener listener);
void env_sim_net_recv(struct env *env, env_conn conn, uint64_t token);
void env_sim_net_recv_stop(struct env *env, env_conn conn);
void env_sim_buffer_release(struct env *env, uint16_t buffer);
uint32_t env_sim_buffers_free(struct env *env);
void env_sim_net_send(struct env *env, env_conn conn, const struct iovec *pieces,
                      uint32_t piece_count, uint64_t token);
void env_sim_net_close(struct env *env, env_conn conn, uint64_t token);
void env_sim_net_peer(struct env *env, env_conn conn, char *ret_address);
void env_sim_net_origin(struct env *env, env_conn conn, struct env_origin *ret_origin);
/* Makes an event of the network. */
void net_event(struct sim *sim, enum env_op op, uint64_t token, int32_t result, bool more);
/* Whether a multishot operation ends here without being asked to. */
bool multishot_ends(struct sim *sim);
/* The connection of a handle, or NULL. */
struct sim_conn *net_conn(struct sim *sim, env_conn handle);
/* Gives what has arrived, as far as buffers and the armed receive reach. */
void conn_recv_pump(struct sim *sim, struct sim_conn *conn);
/* Ends the receive of that generation, behind what has arrived. */
void conn_recv_stop(struct sim *sim, struct sim_conn *conn, uint32_t generation);
/* Moves as much of the send as the window takes. */
void conn_send_pump(struct sim *sim, struct sim_conn *conn);
/* Ends what is outstanding, for a close. */
void conn_cancel(struct sim *sim, struct sim_conn *conn);
/* Something has arrived at the process's end. */
void conn_arrived(struct sim *sim, struct sim_conn *conn);
/* A send that waits may go on. */
void conn_send_kick(struct sim *sim, struct sim_conn *conn);

#endif
