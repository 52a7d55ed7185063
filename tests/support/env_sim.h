/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulator behind broker/io/env.h: one thread, a virtual clock, a disk and a network that
 * misbehave on demand, everything drawn from one seed. The same seed and the same calls give the
 * same sim_trace_hash().
 *
 * Normal path: a test opens a world (struct sim), starts one broker process in it, and runs turns;
 * between turns it plays the clients:
 *
 *     struct sim_options options;
 *     sim_options_init(&options, seed);
 *     struct sim *sim = sim_open(&options);
 *     struct env *env = env_sim_process(sim, NULL);
 *     ... the code under test uses env ...
 *     sim_crash(sim, SIM_CRASH_ANY);            the process and its memory are gone, the disk is
 * cut env = env_sim_process(sim, NULL);         a new process on the same disk sim_close(sim);
 *
 * Time moves only inside env_wait: by a small cost per turn, and to the next event or deadline.
 * Effects happen when the event is delivered: a write is visible then, a sync is durable then, so
 * "completed before the sync was started" and "delivered before" are the same thing.
 *
 * Failure paths: rates draw faults at random, sim_inject() places one exactly, sim_plan_crash()
 * kills the process at a named point. A process that has died answers -ESHUTDOWN to everything
 * until sim_crash() clears it away. Misuse of the simulator itself is an assertion.
 *
 * Must not be used by more than one thread per world, and models one broker process per world.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_ENV_SIM_H
#define CROSSDOCK_TESTS_SUPPORT_ENV_SIM_H

#include "broker/io/env.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct sim; /* the world: clock, disk, network, faults; outlives its processes */

/* ---- options --------------------------------------------------------------------------------- */

/* A latency, drawn uniformly from min_ns..max_ns. */
struct sim_range {
    uint64_t min_ns;
    uint64_t max_ns;
};

/* Probabilities per 65536 operations; all 0 by default. */
struct sim_rates {
    uint32_t write_error; /* EIO; a random prefix of the sectors may have been written */
    uint32_t read_error;  /* EIO */
    uint32_t sync_error;  /* EIO; the data is lost although the next sync succeeds */
    uint32_t sync_lie;    /* success without making anything durable */
    uint32_t write_short; /* fewer bytes, a multiple of 512 */
    uint32_t read_short;  /* fewer bytes, a multiple of 512 */
    uint32_t spike;       /* a disk operation takes spike_ns longer */

    uint32_t write_flip;      /* silent: one bit of the data is stored wrongly */
    uint32_t write_misdirect; /* silent: the data lands at another page or in another file */
    uint32_t write_drop;      /* silent: nothing is stored, old data stays */
    uint32_t write_zero;      /* silent: one page of the data is stored as zeros */
    uint32_t read_flip;       /* silent, transient: one bit of the answer is wrong */
    uint32_t read_misdirect;  /* silent, transient: the answer comes from another place */

    uint32_t net_fragment; /* bytes arrive in two parts, and a receive gives fewer than it could */
    uint32_t net_reset;    /* a delivery to the broker is cut at a random byte, then reset */
    uint32_t net_stall;    /* a delivery is late by stall_ns */

    uint32_t crash_point;     /* the process dies at a crash point it reaches */
    uint32_t buggify_enabled; /* a site is live in this world; drawn once per site */
    uint32_t buggify_fires;   /* a live site answers true */
};

struct sim_options {
    uint64_t seed;
    uint64_t disk_bytes;    /* capacity, default 16 GiB */
    int64_t wall_us;        /* wall clock at the start, us since 1970 */
    struct sim_range turn;  /* cost of one env_wait, default 0.5..10 us */
    struct sim_range write; /* default 20..400 us */
    struct sim_range read;  /* default 20..200 us */
    struct sim_range sync;  /* default 50..1500 us */
    struct sim_range net;   /* one way, default 10..300 us */
    uint64_t spike_ns;      /* default 500 ms */
    uint64_t stall_ns;      /* default 2 s */
    uint32_t window_bytes;  /* in flight per direction of a connection, default 256 KiB */
    bool failed_sync_shows; /* reads keep showing what a failed sync lost until the crash, as a page
                               cache does; else only files opened with ENV_OPEN_BUFFERED do */
    struct sim_rates rates;
};

void sim_options_init(struct sim_options *options, uint64_t seed);

/* ---- the world ------------------------------------------------------------------------------- */

/* Never NULL: without memory the test aborts. */
struct sim *sim_open(const struct sim_options *options);
void sim_close(struct sim *sim); /* accepts NULL */

/* Back to an empty disk and time zero with new options, keeping the memory: cheaper than close and
 * open for many seeds. */
void sim_reset(struct sim *sim, const struct sim_options *options);

/* The rates in force; may be changed at any time. */
struct sim_rates *sim_rates(struct sim *sim);

/* ---- the broker process ---------------------------------------------------------------------- */

/* What the process may use; NULL instead of it gives the defaults. */
struct env_sim_options {
    uint64_t mem_bytes_max; /* mem_alloc beyond it gives NULL; default 1 GiB, taken lazily */
    uint32_t buffer_count;  /* receive buffers lent to the process, default 128 */
    uint32_t buffer_bytes;  /* size of each, default 64 KiB */
    uint32_t conns_max;     /* connections open at once, default 1024 */
};
void env_sim_options_init(struct env_sim_options *options);

/* Starts the process; none may be running. The env and all memory it gave live until sim_crash,
 * sim_reset or sim_close. */
struct env *env_sim_process(struct sim *sim, const struct env_sim_options *options);

/* What a crash leaves of everything started but not synced. Sizes and names without sync follow the
 * data unless said otherwise: lost with NONE, kept with ALL, at random with the others (names as a
 * prefix of what was done). */
enum sim_crash_menu {
    SIM_CRASH_KEEP_ALL,    /* everything started has reached the disk: a killed process */
    SIM_CRASH_KEEP_NONE,   /* only what was synced */
    SIM_CRASH_KEEP_SUBSET, /* each write whole or not at all, at random */
    SIM_CRASH_KEEP_PREFIX, /* writes up to a random moment, whole */
    SIM_CRASH_TORN_SECTOR, /* writes lost, whole or in part, by 512 B; the newest one in part */
    SIM_CRASH_TORN_PAGE,   /* the same by 4 KiB */
    SIM_CRASH_GARBAGE,    /* as TORN_SECTOR; the sector at the tear of the newest is random bytes */
    SIM_CRASH_SIZE_LOST,  /* data and names kept, sizes without sync lost */
    SIM_CRASH_NAMES_LOST, /* data and sizes kept, names without dir_sync lost */
    SIM_CRASH_MENU_COUNT,
    SIM_CRASH_ANY = SIM_CRASH_MENU_COUNT /* one of the above at random */
};

/* Ends the process, if one runs: operations vanish, connections are reset, its memory is gone, and
 * the disk keeps what the menu says. Returns the menu used (ANY is resolved). */
enum sim_crash_menu sim_crash(struct sim *sim, enum sim_crash_menu menu);

/* Whether a process is started and has not died. */
bool sim_alive(const struct sim *sim);
/* Whether a process is started but dead: every call on its env fails until sim_crash. */
bool sim_dead(const struct sim *sim);
/* Makes the process dead where it stands. */
void sim_kill(struct sim *sim);

/* The process dies when it reaches `point` for the `nth` time from now, counted from 1; 0 = no
 * plan. */
void sim_plan_crash(struct sim *sim, enum env_crash_point point, uint32_t nth);
/* The process dies instead of starting its `nth` operation from now, counted from 1 over all kinds;
 * 0 = no plan. */
void sim_plan_crash_op(struct sim *sim, uint64_t nth);

uint64_t sim_crash_point_hits(const struct sim *sim, enum env_crash_point point);
uint64_t sim_buggify_hits(const struct sim *sim, enum env_buggify site);  /* times asked */
uint64_t sim_buggify_fires(const struct sim *sim, enum env_buggify site); /* times true */

/* ---- time ------------------------------------------------------------------------------------ */
uint64_t sim_now_ns(const struct sim *sim);
/* Moves the wall clock by `us`, either way; the monotonic one is not affected. */
void sim_wall_jump(struct sim *sim, int64_t us);
/* Lets time pass. A process sees no turn for this long and then finds events due together; while
 * none is started, what is on its way to clients arrives. */
void sim_pause(struct sim *sim, uint64_t ns);
/* env_wait returns (0 events) at this time at the latest, so that a client can act then;
 * UINT64_MAX = no limit, the default. It also returns early when something arrives at a client. */
void sim_wake_at(struct sim *sim, uint64_t ns);
/* Times that env_wait was called without limit while nothing could ever happen: a deadlock unless a
 * client acts. */
uint64_t sim_stuck_count(const struct sim *sim);

/* ---- operations, counted and failed exactly -------------------------------------------------- */
enum sim_op {
    SIM_OP_WRITE,
    SIM_OP_READ,
    SIM_OP_SYNC,
    SIM_OP_ACCEPT,
    SIM_OP_RECV,
    SIM_OP_SEND,
    SIM_OP_CLOSE,
    SIM_OP_LISTEN,
    SIM_OP_FILE_OPEN,
    SIM_OP_FILE_RESERVE,
    SIM_OP_FILE_RENAME,
    SIM_OP_FILE_UNLINK,
    SIM_OP_DIR_MAKE,
    SIM_OP_DIR_SYNC,
    SIM_OP_DISK_FREE,
    SIM_OP_MEM_ALLOC,
    SIM_OP_COUNT
};

/* Operations of a kind started since sim_open or sim_reset. */
uint64_t sim_op_count(const struct sim *sim, enum sim_op op);

/* The `nth` operation of the kind from now (counted from 1) on a file whose name starts with
 * `name_prefix` (NULL = any file; must be NULL for other kinds) gives `result`: -errno, or for
 * WRITE and READ a count >= 0 that is less than asked. Up to SIM_INJECTIONS_MAX wait at a time. */
#define SIM_INJECTIONS_MAX 32u
void sim_inject(struct sim *sim, enum sim_op op, const char *name_prefix, uint64_t nth,
                int32_t result);
/* Removes all injections. */
void sim_inject_clear(struct sim *sim);
/* Injections that have not happened yet. */
uint32_t sim_inject_pending(const struct sim *sim);

/* From now on only `bytes` more can be written by file_write and file_reserve together (rounded
 * down to a sector for the write that meets the limit), then everything is -ENOSPC, also
 * overwrites: a thin volume that has run dry. UINT64_MAX = no limit. */
void sim_space_limit(struct sim *sim, uint64_t bytes);

/* Bytes that files take, and the capacity of the disk, which may be changed at any time: below what
 * files take, nothing can grow and overwriting goes on. */
uint64_t sim_disk_used(const struct sim *sim);
void sim_disk_capacity(struct sim *sim, uint64_t bytes);

/* Silent faults that rates have caused so far. */
uint64_t sim_silent_count(const struct sim *sim);
/* The next read that covers this byte of the file gives it with one bit wrong. */
void sim_read_flip(struct sim *sim, const char *name, uint64_t position);
/* From now on rates cause at most so many more; UINT64_MAX = no limit, as after sim_reset. */
void sim_silent_limit(struct sim *sim, uint64_t count);

/* ---- the disk, looked at and patched by the test --------------------------------------------- */
/* Names as in env.h. Reads and patches see what a crash with KEEP_NONE would leave; a patch also
 * changes what the process reads. Offsets in bytes. -ENOENT, or the bytes read (less at the end).
 */
int64_t sim_disk_durable_bytes(const struct sim *sim, const char *name);
int64_t sim_disk_peek(const struct sim *sim, const char *name, uint64_t position, void *data,
                      size_t bytes);
int sim_disk_patch(struct sim *sim, const char *name, uint64_t position, const void *data,
                   size_t bytes);
int sim_disk_flip(struct sim *sim, const char *name, uint64_t position, unsigned bit);
/* Name of durable file number `index` in name sequence, over all folders; -ENOENT behind the last.
 * ret_name has room for ENV_NAME_BYTES_MAX. */
int sim_disk_name(const struct sim *sim, uint32_t index, char *ret_name);
/* Hash over names, sizes and contents of everything durable. */
uint64_t sim_disk_hash(const struct sim *sim);
/* Bytes written but not durable, in flight or completed. */
uint64_t sim_disk_unsynced_bytes(const struct sim *sim);
/* Makes the disk of `to` (without a process) equal to that of `from`, un-synced writes and those in
 * flight included, so that many crashes of one moment can be tried: copy, sim_crash(to), run. */
void sim_disk_copy(struct sim *to, const struct sim *from);

/* ---- clients --------------------------------------------------------------------------------- */
/* Ends of connections that the test plays. All calls act at once and never block; bytes travel with
 * the delays of the options. Ids are small numbers, used again after sim_client_free. */

/* The id, or -ECONNREFUSED when no process listens at the address. The client is on this host, or
 * where it is told to be. */
int sim_client_connect(struct sim *sim, const char *address);
int sim_client_connect_from(struct sim *sim, const char *address, const struct env_origin *origin);
/* Bytes taken (fewer when the window is full), -EAGAIN when it is full, -EPIPE after the client
 * closed, -ECONNRESET after a reset. */
int64_t sim_client_send(struct sim *sim, int client, const void *data, size_t bytes);
/* Bytes given, -EAGAIN when there are none now, 0 when the broker has closed, -ECONNRESET. */
int64_t sim_client_recv(struct sim *sim, int client, void *data, size_t bytes);
/* Ends the sending direction: the broker receives 0 behind all bytes sent. */
void sim_client_close(struct sim *sim, int client);
/* Resets the connection; bytes still on their way to the broker are lost. */
void sim_client_reset(struct sim *sim, int client);
/* Holds back everything in one or both directions until called with false; both for ever = half
 * open. */
void sim_client_partition(struct sim *sim, int client, bool to_broker, bool to_client);
/* Bytes that a recv would find now. */
size_t sim_client_readable(const struct sim *sim, int client);
/* Bytes that a send would take now. */
size_t sim_client_writable(const struct sim *sim, int client);
/* Whether the broker has closed or reset and nothing is left to receive. */
bool sim_client_ended(const struct sim *sim, int client);
/* Closes as close(2) does: ends the sending direction, or resets when bytes were left unread; what
 * arrives later is answered with a reset. The id is given back. */
void sim_client_free(struct sim *sim, int client);

/* ---- trace ----------------------------------------------------------------------------------- */
/* Rolling hash over every operation, event and client call with its time, its arguments and the
 * bytes that enter the world: those written and sent, by the process or a client. */
uint64_t sim_trace_hash(const struct sim *sim);
/* Prints a line for each of them to `file`; NULL = stop. */
void sim_trace_to(struct sim *sim, FILE *file);
/* Prints the newest operations and events (up to 256), oldest first. */
void sim_trace_dump(const struct sim *sim, FILE *file);

#endif
