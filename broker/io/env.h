/* SPDX-License-Identifier: Apache-2.0
 *
 * The seam: the only way out of the broker's core. Clock, randomness, memory, files and network are
 * reached through one `struct env`; production puts io_uring or epoll behind it, tests a simulator
 * that runs from one seed, so the whole broker can be crashed, starved and replayed without a
 * kernel.
 *
 * Normal path: the shard asks for operations (each with a token), calls env_wait() once per turn,
 * and hands every event to the module that the token names. Nothing happens behind its back: no
 * callback, no thread of the seam calls into the core.
 *
 * Rules that every implementation keeps and the conformance suite checks:
 * - One thread uses an env. Starting an operation never blocks on the device or the network; calls
 *   marked "blocking" are for start-up, roll of a segment and shutdown.
 * - A buffer given to an operation belongs to the env until the event with its token arrives.
 * - Events of different operations may arrive in any sequence. A sync covers only writes whose
 *   events have been delivered before the sync was started.
 * - A short write or read is reported as it happened; an error is a negative errno.
 * - An operation that cannot even be queued still answers with an event, never with a return value;
 *   on a handle that is not open with -EBADF.
 *
 * The core must not include any other header that reaches the operating system.
 */
#ifndef CROSSDOCK_BROKER_IO_ENV_H
#define CROSSDOCK_BROKER_IO_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "wire/xassert.h"

/* Whose operation it is; the shard hands events on by this. */
enum env_owner {
    ENV_OWNER_NONE = 0,
    ENV_OWNER_LOG = 1,  /* broker/log */
    ENV_OWNER_NET = 2,  /* broker/net */
    ENV_OWNER_BELL = 3, /* whoever waits: another thread of the broker has something for it */
    ENV_OWNER_TEST = 4, /* conformance suite */
    ENV_OWNER_COUNT
};

/* Token: owner in bits 63..56, the owner's own kind in bits 55..48, its value in bits 47..0. */
static inline uint64_t env_token(enum env_owner owner, uint8_t kind, uint64_t value)
{
    XD_ASSERT(value < (1ull << 48));
    return (uint64_t)owner << 56 | (uint64_t)kind << 48 | value;
}
static inline enum env_owner env_token_owner(uint64_t token)
{
    return (enum env_owner)(token >> 56);
}
static inline uint8_t env_token_kind(uint64_t token)
{
    return (uint8_t)(token >> 48);
}
static inline uint64_t env_token_value(uint64_t token)
{
    return token & ((1ull << 48) - 1);
}

enum env_op {
    ENV_OP_WRITE,
    ENV_OP_READ,
    ENV_OP_SYNC,
    ENV_OP_ACCEPT, /* result: handle of the new connection */
    ENV_OP_RECV,   /* result: bytes, 0 = the peer has finished sending */
    ENV_OP_SEND,   /* result: bytes; fewer than asked only together with a lost connection */
    ENV_OP_CLOSE,  /* the connection's last event */
    ENV_OP_BELL,   /* result 0; rings between two waits may be one event */
    ENV_OP_COUNT
};

#define ENV_BUFFER_NONE 0xffffu

/* One completion. */
struct env_event {
    uint64_t token;      /* as given when the operation was started */
    const uint8_t *data; /* RECV with result > 0: the bytes, lent until env_buffer_release() */
    int32_t result;      /* >= 0 success (see enum env_op), else -errno */
    uint16_t buffer;     /* RECV: id of the lent buffer, else ENV_BUFFER_NONE */
    uint8_t op;          /* enum env_op */
    uint8_t more;        /* ACCEPT, RECV: 1 = armed further; 0 = start again to get more */
};

/* Handles are small non-negative numbers of the env, one name space per kind. */
typedef int32_t env_file;
typedef int32_t env_listener;
typedef int32_t env_conn;

/* Where a connection comes from, for counting; texts for people are net_peer()'s. */
enum env_family {
    ENV_FAMILY_NONE, /* not known: the connection is gone */
    ENV_FAMILY_UNIX, /* this host, by a unix socket: no address */
    ENV_FAMILY_IPV4, /* the first 4 bytes; also for IPv4 that came to an IPv6 socket */
    ENV_FAMILY_IPV6, /* all 16 bytes */
};
struct env_origin {
    uint8_t family;      /* enum env_family */
    uint8_t address[16]; /* network sequence, unused bytes are 0 */
};

/* file_open flags */
#define ENV_OPEN_CREATE 0x1u    /* create when missing */
#define ENV_OPEN_READ_ONLY 0x2u /* no write may follow */
#define ENV_OPEN_EXCLUSIVE 0x4u /* with CREATE: fail with -EEXIST when it is there */
#define ENV_OPEN_BUFFERED 0x8u  /* through the page cache; without it O_DIRECT, 4 KiB aligned */

/* file_write flags */
#define ENV_WRITE_DSYNC 0x1u /* the event means: these bytes are on stable storage */

/* Names of files are relative to the data folder, with at most one '/' ("quarantine/x"), no "." or
 * ".." part; anything else is -EINVAL. Bytes include the terminator. */
#define ENV_NAME_BYTES_MAX 80u
/* "127.0.0.1:7700", "[::1]:0", "unix:/run/crossdock.sock"; bytes include the terminator. */
#define ENV_ADDRESS_BYTES_MAX 128u

/* Named places where a simulated process may die, and where buggify may bend the normal path.
 * Both lists live in io/faults.def; a name that no test reaches fails the suite. */
enum env_crash_point {
#define CRASH_POINT(name, text) ENV_CRASH_##name,
#define BUGGIFY(name, text)
#include "broker/io/faults.def"
#undef CRASH_POINT
#undef BUGGIFY
    ENV_CRASH_COUNT
};
enum env_buggify {
#define CRASH_POINT(name, text)
#define BUGGIFY(name, text) ENV_BUGGIFY_##name,
#include "broker/io/faults.def"
#undef CRASH_POINT
#undef BUGGIFY
    ENV_BUGGIFY_COUNT
};

struct env;

struct env_ops {
    /* --- clock and randomness ----------------------------------------------------------------- */
    uint64_t (*now_mono_ns)(struct env *env); /* never goes back */
    int64_t (*now_wall_us)(struct env *env);  /* us since 1970 UTC; may jump either way */
    uint64_t (*rand64)(struct env *env);

    /* --- memory ------------------------------------------------------------------------------- */
    /* Zeroed, touched, 4 KiB aligned when bytes >= 4096; NULL when there is none. Allowed until
     * mem_seal(), afterwards asserted. Freed as a whole by the env's owner. */
    void *(*mem_alloc)(struct env *env, size_t bytes);
    void (*mem_seal)(struct env *env);

    /* --- files, blocking (metadata only) ------------------------------------------------------ */
    int (*file_open)(struct env *env, const char *name, uint32_t flags, env_file *ret_file);
    /* No operation on the file may be in flight. */
    void (*file_close)(struct env *env, env_file file);
    int (*file_bytes)(struct env *env, env_file file, uint64_t *ret_bytes);
    /* Reserves space and sets the size; contents read as zero. The caller writes zeros over it. */
    int (*file_reserve)(struct env *env, env_file file, uint64_t bytes);
    int (*file_rename)(struct env *env, const char *from, const char *to);
    int (*file_unlink)(struct env *env, const char *name);
    int (*dir_make)(struct env *env, const char *name); /* 0 also when it exists */
    /* Entry number `index` of a folder ("" = the data folder) in name sequence; -ENOENT behind the
     * last. For start-up and inspection, not for large folders. */
    int (*dir_entry)(struct env *env, const char *name, uint32_t index, char *ret_name);
    /* Makes creations, renames and unlinks in the folder durable. Blocking. */
    int (*dir_sync)(struct env *env, const char *name);
    int (*disk_free)(struct env *env, uint64_t *ret_free_bytes, uint64_t *ret_total_bytes);

    /* --- files, started here, answered by an event -------------------------------------------- */
    void (*file_write)(struct env *env, env_file file, const void *data, uint32_t bytes,
                       uint64_t position, uint32_t flags, uint64_t token);
    void (*file_read)(struct env *env, env_file file, void *data, uint32_t bytes, uint64_t position,
                      uint64_t token);
    void (*file_sync)(struct env *env, env_file file, uint64_t token); /* data, as fdatasync */

    /* --- network ------------------------------------------------------------------------------ */
    /* At a time: one accept per listener, one receive and one send per connection (asserted). */

    /* Binds and listens; writes the bound address (port 0 resolved). Blocking, start-up only. */
    int (*net_listen)(struct env *env, const char *address, env_listener *ret_listener,
                      char *ret_address);
    /* Multishot. A connection for which the env has no slot is closed and reported as -EMFILE with
     * more = 1. */
    void (*net_accept)(struct env *env, env_listener listener, uint64_t token);
    /* The accept's last event follows: -ECANCELED, more = 0. */
    void (*net_accept_stop)(struct env *env, env_listener listener);
    /* Multishot receive into lent buffers. -ENOBUFS with more = 0 when all are lent out. */
    void (*net_recv)(struct env *env, env_conn conn, uint64_t token);
    /* Asks an armed receive to end; its last event (-ECANCELED, more = 0) follows unless one with
     * more = 0 was on its way. Bytes that arrived before it are still delivered. */
    void (*net_recv_stop)(struct env *env, env_conn conn);
    void (*buffer_release)(struct env *env, uint16_t buffer);
    uint32_t (*buffers_free)(struct env *env);
    /* Sends all pieces in sequence; one send per connection at a time. Pieces and the iovec array
     * belong to the env until the event. */
    void (*net_send)(struct env *env, env_conn conn, const struct iovec *pieces,
                     uint32_t piece_count, uint64_t token);
    /* Ends the connection: outstanding operations finish with events, then comes CLOSE. Nothing may
     * be started on the connection after this call. Bytes of a send that is not finished may be
     * lost. */
    void (*net_close)(struct env *env, env_conn conn, uint64_t token);
    /* Text of the peer's address, for people. */
    void (*net_peer)(struct env *env, env_conn conn, char *ret_address);
    /* The peer's address, without its port. */
    void (*net_origin)(struct env *env, env_conn conn, struct env_origin *ret_origin);

    /* --- the turn ----------------------------------------------------------------------------- */
    /* Submits what was started and waits until at least one event is there or now_mono_ns() has
     * reached deadline_ns (0 = do not wait, UINT64_MAX = no deadline). Returns events written,
     * 0..events_max; 0 before the deadline only when the machine is out of memory, so that the next
     * call may succeed. -errno only when the engine itself is broken. */
    int (*wait)(struct env *env, struct env_event *events, uint32_t events_max,
                uint64_t deadline_ns);

    /* --- other shards ------------------------------------------------------------------------- */
    /* Ends the wait of the env of shard `to` of the same broker, now or the next one, with an event
     * BELL of owner BELL. Only where several shards run. */
    void (*bell)(struct env *env, uint32_t to);

    /* --- faults: production does nothing and answers false ------------------------------------ */
    void (*crash_point)(struct env *env, enum env_crash_point point);
    bool (*buggify)(struct env *env, enum env_buggify site);
};

/* Implementations embed this as their first member. */
struct env {
    const struct env_ops *ops;
    const char *engine;        /* "io_uring", "epoll", "simulator": for status and metrics */
    const char *engine_reason; /* why this one, and how to get a better one; never NULL */
};

/* ---- calls, spelled as functions ------------------------------------------------------------- */
static inline uint64_t env_now_mono_ns(struct env *env)
{
    return env->ops->now_mono_ns(env);
}
static inline int64_t env_now_wall_us(struct env *env)
{
    return env->ops->now_wall_us(env);
}
static inline uint64_t env_rand64(struct env *env)
{
    return env->ops->rand64(env);
}
static inline void *env_mem_alloc(struct env *env, size_t bytes)
{
    return env->ops->mem_alloc(env, bytes);
}
static inline void env_mem_seal(struct env *env)
{
    env->ops->mem_seal(env);
}
static inline int env_file_open(struct env *env, const char *name, uint32_t flags, env_file *ret)
{
    return env->ops->file_open(env, name, flags, ret);
}
static inline void env_file_close(struct env *env, env_file file)
{
    env->ops->file_close(env, file);
}
static inline int env_file_bytes(struct env *env, env_file file, uint64_t *ret_bytes)
{
    return env->ops->file_bytes(env, file, ret_bytes);
}
static inline int env_file_reserve(struct env *env, env_file file, uint64_t bytes)
{
    return env->ops->file_reserve(env, file, bytes);
}
static inline int env_file_rename(struct env *env, const char *from, const char *to)
{
    return env->ops->file_rename(env, from, to);
}
static inline int env_file_unlink(struct env *env, const char *name)
{
    return env->ops->file_unlink(env, name);
}
static inline int env_dir_make(struct env *env, const char *name)
{
    return env->ops->dir_make(env, name);
}
static inline int env_dir_entry(struct env *env, const char *name, uint32_t index, char *ret_name)
{
    return env->ops->dir_entry(env, name, index, ret_name);
}
static inline int env_dir_sync(struct env *env, const char *name)
{
    return env->ops->dir_sync(env, name);
}
static inline int env_disk_free(struct env *env, uint64_t *ret_free, uint64_t *ret_total)
{
    return env->ops->disk_free(env, ret_free, ret_total);
}
static inline void env_file_write(struct env *env, env_file file, const void *data, uint32_t bytes,
                                  uint64_t position, uint32_t flags, uint64_t token)
{
    env->ops->file_write(env, file, data, bytes, position, flags, token);
}
static inline void env_file_read(struct env *env, env_file file, void *data, uint32_t bytes,
                                 uint64_t position, uint64_t token)
{
    env->ops->file_read(env, file, data, bytes, position, token);
}
static inline void env_file_sync(struct env *env, env_file file, uint64_t token)
{
    env->ops->file_sync(env, file, token);
}
static inline int env_net_listen(struct env *env, const char *address, env_listener *ret,
                                 char *ret_address)
{
    return env->ops->net_listen(env, address, ret, ret_address);
}
static inline void env_net_accept(struct env *env, env_listener listener, uint64_t token)
{
    env->ops->net_accept(env, listener, token);
}
static inline void env_net_accept_stop(struct env *env, env_listener listener)
{
    env->ops->net_accept_stop(env, listener);
}
static inline void env_net_recv(struct env *env, env_conn conn, uint64_t token)
{
    env->ops->net_recv(env, conn, token);
}
static inline void env_net_recv_stop(struct env *env, env_conn conn)
{
    env->ops->net_recv_stop(env, conn);
}
static inline void env_buffer_release(struct env *env, uint16_t buffer)
{
    env->ops->buffer_release(env, buffer);
}
static inline uint32_t env_buffers_free(struct env *env)
{
    return env->ops->buffers_free(env);
}
static inline void env_net_send(struct env *env, env_conn conn, const struct iovec *pieces,
                                uint32_t piece_count, uint64_t token)
{
    env->ops->net_send(env, conn, pieces, piece_count, token);
}
static inline void env_net_close(struct env *env, env_conn conn, uint64_t token)
{
    env->ops->net_close(env, conn, token);
}
static inline void env_net_peer(struct env *env, env_conn conn, char *ret_address)
{
    env->ops->net_peer(env, conn, ret_address);
}
static inline void env_net_origin(struct env *env, env_conn conn, struct env_origin *ret_origin)
{
    env->ops->net_origin(env, conn, ret_origin);
}
static inline int env_wait(struct env *env, struct env_event *events, uint32_t events_max,
                           uint64_t deadline_ns)
{
    return env->ops->wait(env, events, events_max, deadline_ns);
}
static inline void env_bell(struct env *env, uint32_t to)
{
    env->ops->bell(env, to);
}
static inline void env_crash_point(struct env *env, enum env_crash_point point)
{
    env->ops->crash_point(env, point);
}
static inline bool env_buggify(struct env *env, enum env_buggify site)
{
    return env->ops->buggify(env, site);
}

#endif
