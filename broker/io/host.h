/* SPDX-License-Identifier: Apache-2.0
 *
 * What the production engines share: everything that is a plain system call and not a turn. Clock,
 * randomness, memory, the data folder with its lock, names, open files, listening sockets, the
 * bell.
 *
 * Life cycle: an engine embeds `struct host` as its first member, host_init(), host_open(), then
 * its own parts; host_close() takes back any
 * prefix of it. The rows of struct env_ops below go into the engine's table as they are.
 *
 * Must not know which engine it serves, and must not be used outside env_*.c, uring_*.c and
 * epoll_*.c.
 */
#ifndef CROSSDOCK_BROKER_IO_HOST_H
#define CROSSDOCK_BROKER_IO_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "broker/io/bells.h"
#include "broker/io/env.h"
#include "broker/io/memory.h"
#include "broker/io/probe.h"

/* Room for the text that explains a failed open, terminator included. */
#define HOST_WHY_BYTES PROBE_WHY_BYTES
/* Room for env.engine_reason: such a text, and what the engine and the folder add. */
#define HOST_REASON_BYTES (PROBE_WHY_BYTES + 384u)

/* What to do when memory cannot be had. */
#define HOST_NO_MEMORY_HINT                                                                        \
    "raise the memory limit of the service, or lower net.connections_max and log.retention_bytes"

#define HOST_LISTENERS_MAX 8u
/* The lock of the data folder; no module can name or see it. */
#define HOST_LOCK_NAME "lock"
/* Folder entries are read through a buffer of this size. */
#define HOST_ENTRIES_BYTES (16u * 1024u)

/* Ranges of the sizes that every engine has. */
#define HOST_BUFFERS_MAX 32768u
#define HOST_BUFFER_BYTES_MIN 4096u
#define HOST_BUFFER_BYTES_MAX (1024u * 1024u)
#define HOST_CONNECTIONS_MAX 65536u
#define HOST_FILES_MAX 4096u
#define HOST_FILE_OPS_MAX 16384u

/* The options that every engine has; meanings as in env_uring.h. */
struct host_options {
    const char *folder;        /* data folder, borrowed during open */
    uint64_t memory_bytes_max; /* budget of memory in bytes, 0 = no limit */
    const struct bells *bells; /* borrowed, NULL = nobody rings */
    uint32_t bell;             /* of this env */
    bool shared;               /* other processes or shards may listen on the same ports */
    uint32_t buffer_count;     /* receive buffers, power of two */
    uint32_t buffer_bytes;     /* bytes of one, multiple of 4096 */
    uint32_t connections_max;  /* open connections at once */
    uint32_t files_max;        /* open files at once */
    uint32_t file_ops_max;     /* file operations in flight at once */
};

struct host_file {
    int fd;               /* -1 = the slot is free */
    uint32_t outstanding; /* operations without their event */
    bool aligned;         /* opened without ENV_OPEN_BUFFERED: 4 KiB alignment is asserted */
};

struct host_listener {
    int fd;                                                 /* -1 = the slot is free */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* socket file to remove, "" = none */
};

struct host {
    struct env env;          /* first member: the seam */
    struct memory memory;    /* behind env_mem_alloc() */
    struct host_file *files; /* files_max slots */
    struct host_listener listeners[HOST_LISTENERS_MAX];
    uint32_t files_max;             /* slots in files */
    int folder_fd;                  /* data folder, -1 = not open */
    int lock_fd;                    /* lock file, -1 = not open */
    const struct bells *bells;      /* borrowed, NULL = nobody rings */
    uint32_t bell;                  /* of this env */
    bool shared;                    /* as in the options */
    bool sealed;                    /* mem_seal() was called */
    bool direct_refused;            /* the folder's file system has no O_DIRECT */
    uint64_t random[4];             /* xoshiro256** */
    char reason[HOST_REASON_BYTES]; /* env.engine_reason */
    /* dir_entry() walks a folder name by name: the last answer is where the next call starts.
     * Any change of names forgets it. */
    char entry_folder[ENV_NAME_BYTES_MAX];
    char entry_name[ENV_NAME_BYTES_MAX];             /* "" = nothing remembered */
    uint32_t entry_index;                            /* index of entry_name */
    _Alignas(8) uint8_t entries[HOST_ENTRIES_BYTES]; /* struct dirent64 records of the kernel */
};

static inline struct host *host_of(struct env *env)
{
    return (struct host *)env;
}

/* --- host.c ----------------------------------------------------------------------------------- */
/* Name of the first option outside its range, or NULL. */
const char *host_options_check(const struct host_options *options);

/* A zeroed host becomes one that host_close() accepts. `engine` and `ops` are static. */
void host_init(struct host *host, const char *engine, const struct env_ops *ops);

/* Room for descriptors, the folder and its lock, memory, the table of files, random numbers. Fills
 * ret_why (HOST_WHY_BYTES) on failure. Blocking. */
int host_open(struct host *host, const struct host_options *options, char *ret_why);

/* The event of the bell, when it has been rung. */
bool host_bell_take(struct host *host, struct env_event *ret_event);

/* Closes everything; only memory stays. No operation may be in flight. May be called again. */
void host_stop(struct host *host);
/* The same, and frees the memory of env_mem_alloc(). */
void host_close(struct host *host);

/* Words ret_why (HOST_WHY_BYTES) with what to do about it, and hands the status on. */
int host_fail(int status, const char *what, const char *hint, char *ret_why);

uint64_t host_now_mono_ns(struct env *env);
int64_t host_now_wall_us(struct env *env);
uint64_t host_rand64(struct env *env);
void *host_mem_alloc(struct env *env, size_t bytes);
void host_mem_seal(struct env *env);
void host_crash_point(struct env *env, enum env_crash_point point);
bool host_buggify(struct env *env, enum env_buggify site);
void host_bell(struct env *env, uint32_t to);

/* --- host_file.c ------------------------------------------------------------------------------ */
/* Opens the folder and takes its lock; `folder` as in the options. Fills ret_why on failure. */
int host_folder_open(struct host *host, const char *folder, char *ret_why);
void host_files_close(struct host *host);

/* Whether the handle is one of an open file. */
bool host_file_is_open(const struct host *host, env_file file);
/* Asserts what O_DIRECT demands of a read or write of this file. */
void host_file_assert_aligned(const struct host *host, env_file file, const void *data,
                              uint32_t bytes, uint64_t position);
/* An operation's event is about to be delivered; file = -1 was no open one. */
void host_file_done(struct host *host, env_file file);

int host_file_open(struct env *env, const char *name, uint32_t flags, env_file *ret_file);
void host_file_close(struct env *env, env_file file);
int host_file_bytes(struct env *env, env_file file, uint64_t *ret_bytes);
int host_file_reserve(struct env *env, env_file file, uint64_t bytes);

/* --- host_folder.c ---------------------------------------------------------------------------- */
/* 0, or -EINVAL: empty, too long, more than one '/', a "." or "..", or the lock's name. */
int host_name_check(const char *name);

int host_file_rename(struct env *env, const char *from, const char *to);
int host_file_unlink(struct env *env, const char *name);
int host_dir_make(struct env *env, const char *name);
int host_dir_entry(struct env *env, const char *name, uint32_t index, char *ret_name);
int host_dir_sync(struct env *env, const char *name);
int host_disk_free(struct env *env, uint64_t *ret_free_bytes, uint64_t *ret_total_bytes);

/* --- host_listen.c ---------------------------------------------------------------------------- */
int host_net_listen(struct env *env, const char *address, env_listener *ret_listener,
                    char *ret_address);
/* Whether the handle is one of an open listener. */
bool host_listener_is_open(const struct host *host, env_listener listener);
void host_listener_close(struct host *host, env_listener listener);
void host_listeners_close(struct host *host);
/* Text of a socket's peer for people; fd < 0 is a connection that is gone. ENV_ADDRESS_BYTES_MAX.
 */
void host_peer_text(int fd, char *ret_address);
/* Its address for counting; ENV_FAMILY_NONE for a connection that is gone. */
void host_peer_origin(int fd, struct env_origin *ret_origin);

#endif
