/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker in a simulated world: started, turned, crashed and started again on the same disk. It
 * has options.log.shard_count shards, which live in one process and one thread (env_split.h).
 *
 * Normal path: sim_broker_open, sim_broker_start, sim_broker_turn with clients acting in between,
 * sim_broker_stop or sim_broker_crash, sim_broker_close. Failure paths come back as statuses: a
 * start that fails, a turn of a fenced log or of a process that has died (-ESHUTDOWN).
 *
 * Several shards: a shard that has taken its turn waits as its thread would, asleep, until an event
 * or its own deadline is due or another shard rings its bell; what nobody tells it, it does not
 * know. sim_broker.c is the lifecycle, sim_watch.c what the broker shows.
 */
#ifndef CROSSDOCK_TESTS_SIM_SIM_BROKER_H
#define CROSSDOCK_TESTS_SIM_SIM_BROKER_H

#include "broker/shard/shard.h"
#include "tests/support/env_sim.h"
#include "tests/support/env_split.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SIM_BROKER_LINES 64u

/* What only several shards do. */
struct sim_broker_totals {
    uint64_t forwarded;   /* frames lent to their owners */
    uint64_t relayed;     /* outputs of owners queued for their connections */
    uint64_t brought;     /* catalog entries that shards other than 0 have taken in */
    uint64_t behind;      /* joins on an old folder with a shard that lacked an entry */
    uint64_t join_deaths; /* starts that died before the shards had joined */
    uint64_t bells;       /* shards woken by others */
    uint64_t cut_lent;    /* turns that found a connection ending while frames of it were lent */
};

struct sim_broker {
    struct sim *sim;
    struct env *env; /* of the running process, NULL = none */
    union {
        struct shard *shard;                    /* shard 0, NULL = none */
        struct shard *shards[SPLIT_SHARDS_MAX]; /* all, by number */
    };
    struct split split; /* the env as one for each, when there are several */
    void *links;        /* memory of those between them, kept between processes; NULL = none */
    uint64_t deadlines[SPLIT_SHARDS_MAX]; /* when each turns though nothing happens, ns */
    struct shard_options options;         /* small ones; may be changed before a start */
    char addresses[SPLIT_SHARDS_MAX][ENV_ADDRESS_BYTES_MAX]; /* bound, by shard */
    char address[ENV_ADDRESS_BYTES_MAX];                     /* that of shard 0 */
    uint32_t join_turns;             /* the next start dies then, 0 = it may live */
    char why[XD_DETAIL_BYTES_MAX];   /* of a start that failed */
    uint64_t starts;                 /* that came to serving */
    uint64_t tail_cuts;              /* lines "log_tail_cut" seen */
    uint64_t checkpoints;            /* lines of finished checkpoints seen */
    uint64_t fallbacks;              /* starts from the older checkpoint */
    uint64_t rolls;                  /* segments that became active */
    uint64_t drops_by_size;          /* segments dropped by retention */
    uint64_t drops_by_age;           /* */
    uint64_t drops_wrong;            /* of these before there was too much */
    int64_t wall_max_us;             /* highest wall clock of this process */
    uint64_t corrupt;                /* lines "log_corrupt" of this process */
    struct sim_broker_totals totals; /* over all processes */
    uint64_t entries; /* of all catalogs but shard 0's when this process had recovered */
    uint32_t buffers; /* receive buffers of this process */
    struct shard_line lines[SIM_BROKER_LINES]; /* newest ones, number n at [n % SIM_BROKER_LINES] */
    uint64_t line_count;                       /* lines taken */
    bool leave_lines;                          /* lines are not taken from the shard */
    FILE *print;                               /* lines go there too, NULL = nowhere */
};

/* A world with an empty disk, and options for the smallest shard. */
void sim_broker_open(struct sim_broker *broker, const struct sim_options *world);
/* The same memory for another seed: an empty disk, no process. */
void sim_broker_reset(struct sim_broker *broker, const struct sim_options *world);
void sim_broker_close(struct sim_broker *broker);

/* A new process on the disk, up to serving. 0, or the status of the step that failed. The failed
 * process stays until sim_broker_crash. */
int sim_broker_start(struct sim_broker *broker);
/* The same process goes on with a start that has ended with -ETIMEDOUT, as its shards had not come
 * to one catalog in 20 s; again up to serving. */
int sim_broker_go_on(struct sim_broker *broker);
/* One turn of at most `ns`. The status of shard_turn; -ESHUTDOWN when the process has died. */
int sim_broker_turn(struct sim_broker *broker, uint64_t ns);
/* Ends the process and cuts the disk by the menu. */
enum sim_crash_menu sim_broker_crash(struct sim_broker *broker, enum sim_crash_menu menu);
/* Stops in order, within 60 s of simulated time. 0, or the status that came between. */
int sim_broker_stop(struct sim_broker *broker);

/* ---- sim_watch.c ----------------------------------------------------------------------------- */
/* The newest line of that event, or NULL. */
const struct shard_line *sim_broker_line(const struct sim_broker *broker, const char *event);
/* Takes a shard's lines. */
void sim_broker_take_lines(struct sim_broker *broker, uint32_t shard);
/* Hash of the fold states of all shards; everything appended must be durable and folded. */
uint64_t sim_broker_state_hash(struct sim_broker *broker);
/* What `name` on the disk is to the shard that it belongs to, whose number is in *ret_shard:
 * "s1/wal.00" is "wal.00" of shard 1. */
const char *sim_broker_file(const struct sim_broker *broker, const char *name, uint32_t *ret_shard);
/* The inverse; ret_name has ENV_NAME_BYTES_MAX. */
void sim_broker_name(const struct sim_broker *broker, uint32_t shard, const char *name,
                     char *ret_name);
/* Whether all shards have as many entries of the catalog as shard 0. */
bool sim_broker_one_catalog(const struct sim_broker *broker);
/* Whether an entry of the catalog is durable on shard 0 and on its way to another one. */
bool sim_broker_spreading(const struct sim_broker *broker);
/* Names what is held for connections though there are none: frames or output lent, places, receive
 * buffers. NULL = nothing. */
const char *sim_broker_held(const struct sim_broker *broker);
/* Adds what the shards of this process have counted to the totals, before it ends. */
void sim_broker_sum_up(struct sim_broker *broker);
/* Whether a connection is ending at this moment while frames of it are lent. */
bool sim_broker_cut_lent(const struct sim_broker *broker);
/* Entries in the catalogs of all shards but 0. */
uint64_t sim_broker_entries(const struct sim_broker *broker);

static inline uint32_t sim_broker_shards(const struct sim_broker *broker)
{
    return broker->options.log.shard_count;
}

#endif
