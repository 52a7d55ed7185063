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
#include <sys/un.h>

#include "broker/io/env_uring.h"
#include "broker/io/uring_buffers.h"
#include "broker/io/uring_memory.h"
#include "broker/io/uring_op.h"
#include "broker/io/uring_ring.h"
#include "broker/io/uring_send.h"

#define URING_LISTENERS_MAX 8u
#define URING_REASON_BYTES 256u
/* The lock of the data folder; no module can name or see it. */
#define URING_LOCK_NAME "lock"
/* Folder entries are read through a buffer of this size. */
#define URING_ENTRIES_BYTES (16u * 1024u)

/* Fixed operation objects, behind the pooled ones: the signal watch, one accept per listener, then
 * three per connection. */
#define URING_FIXED_SIGNAL 0u
#define URING_FIXED_ACCEPT 1u
#define URING_FIXED_CONN (URING_FIXED_ACCEPT + URING_LISTENERS_MAX)
enum uring_conn_op { URING_CONN_RECV, URING_CONN_SEND, URING_CONN_CLOSE, URING_CONN_OPS };

struct uring_file {
    int fd;               /* -1 = the slot is free */
    uint32_t outstanding; /* operations without their event */
    bool aligned;         /* opened without ENV_OPEN_BUFFERED: 4 KiB alignment is asserted */
};

struct uring_listener {
    int fd;                                                 /* -1 = the slot is free */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* socket file to remove, "" = none */
};

struct uring_conn {
    int fd;                 /* -1 = the slot is free or only its CLOSE event is left */
    uint32_t next_free;     /* next free slot, URING_OP_NONE at the end */
    bool in_use;            /* from ACCEPT event to CLOSE event */
    bool closing;           /* net_close() was called */
    struct uring_send send; /* the send in flight */
};

struct env_uring {
    struct env env;               /* first member: the seam */
    struct uring_ring ring;       /* submission and completion */
    struct uring_ops ops;         /* operations in flight */
    struct uring_buffers buffers; /* receive buffers */
    struct uring_memory memory;   /* behind env_mem_alloc() */
    struct uring_file *files;     /* files_max slots */
    struct uring_conn *conns;     /* connections_max slots */
    struct uring_listener listeners[URING_LISTENERS_MAX];
    uint32_t files_max;              /* slots in files */
    uint32_t connections_max;        /* slots in conns */
    uint32_t conn_free;              /* first free connection slot or URING_OP_NONE */
    int folder_fd;                   /* data folder, -1 = not open */
    int lock_fd;                     /* lock file, -1 = not open */
    int signal_fd;                   /* signalfd, -1 = no signals wanted */
    bool sealed;                     /* mem_seal() was called */
    bool direct_refused;             /* the folder's file system has no O_DIRECT */
    uint64_t random[4];              /* xoshiro256** */
    char reason[URING_REASON_BYTES]; /* env.engine_reason */
    /* dir_entry() walks a folder name by name: the last answer is where the next call starts.
     * Any change of names forgets it. */
    char entry_folder[ENV_NAME_BYTES_MAX];
    char entry_name[ENV_NAME_BYTES_MAX];              /* "" = nothing remembered */
    uint32_t entry_index;                             /* index of entry_name */
    _Alignas(8) uint8_t entries[URING_ENTRIES_BYTES]; /* struct dirent64 records of the kernel */
};

static inline struct env_uring *uring_of(struct env *env)
{
    return (struct env_uring *)env;
}

/* --- uring_turn.c ----------------------------------------------------------------------------- */
/* Starts watching signal_fd. */
void uring_signal_start(struct env_uring *uring);

int uring_wait(struct env *env, struct env_event *events, uint32_t events_max,
               uint64_t deadline_ns);

/* A submission entry that carries the operation, or NULL after putting the operation into the ready
 * list with -EAGAIN: the kernel is out of memory. Fill it with an io_uring_prep_ call, which resets
 * the user_data, and give it the one of uring_op_user_data() last. */
struct io_uring_sqe *uring_sqe_for(struct env_uring *uring, struct uring_op *op);

/* Asks the kernel to end a STARTED operation; its last completion says how it went. */
void uring_cancel(struct env_uring *uring, struct uring_op *op);

/* --- uring_file.c ----------------------------------------------------------------------------- */
/* Opens the folder and takes its lock; `folder` as in the options. Fills ret_why on failure. */
int uring_folder_open(struct env_uring *uring, const char *folder, char *ret_why);
void uring_files_close(struct env_uring *uring);

int uring_file_open(struct env *env, const char *name, uint32_t flags, env_file *ret_file);
void uring_file_close(struct env *env, env_file file);
int uring_file_bytes(struct env *env, env_file file, uint64_t *ret_bytes);
int uring_file_reserve(struct env *env, env_file file, uint64_t bytes);
void uring_file_write(struct env *env, env_file file, const void *data, uint32_t bytes,
                      uint64_t position, uint32_t flags, uint64_t token);
void uring_file_read(struct env *env, env_file file, void *data, uint32_t bytes, uint64_t position,
                     uint64_t token);
void uring_file_sync(struct env *env, env_file file, uint64_t token);
/* A file operation's event is about to be delivered. */
void uring_file_done(struct env_uring *uring, const struct uring_op *op);

/* --- uring_folder.c --------------------------------------------------------------------------- */
/* 0, or -EINVAL: empty, too long, more than one '/', a "." or "..", or the lock's name. */
int uring_name_check(const char *name);

int uring_file_rename(struct env *env, const char *from, const char *to);
int uring_file_unlink(struct env *env, const char *name);
int uring_dir_make(struct env *env, const char *name);
int uring_dir_entry(struct env *env, const char *name, uint32_t index, char *ret_name);
int uring_dir_sync(struct env *env, const char *name);
int uring_disk_free(struct env *env, uint64_t *ret_free_bytes, uint64_t *ret_total_bytes);

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

/* Completions. Each returns whether *ret_event was filled: a send that goes on has none. */
bool uring_accept_done(struct env_uring *uring, struct uring_op *op, int32_t result, bool more,
                       struct env_event *ret_event);
bool uring_recv_done(struct env_uring *uring, struct uring_op *op, int32_t result, uint32_t flags,
                     struct env_event *ret_event);
bool uring_send_done(struct env_uring *uring, struct uring_op *op, int32_t result,
                     struct env_event *ret_event);
/* A connection's operation has been finished into an event: perhaps it was the last one before
 * CLOSE, or CLOSE itself. */
void uring_conn_settle(struct env_uring *uring, int32_t conn, enum env_op finished);

/* --- uring_listen.c --------------------------------------------------------------------------- */
int uring_net_listen(struct env *env, const char *address, env_listener *ret_listener,
                     char *ret_address);

#endif
