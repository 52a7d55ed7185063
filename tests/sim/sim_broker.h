/* SPDX-License-Identifier: Apache-2.0
 *
 * One shard in a simulated world: started, turned, crashed and started again on the same disk.
 *
 * Normal path: sim_broker_open, sim_broker_start, sim_broker_turn with clients acting in between,
 * sim_broker_stop or sim_broker_crash, sim_broker_close. Failure paths come back as statuses: a
 * start that fails, a turn of a fenced log or of a process that has died (-ESHUTDOWN).
 */
#ifndef CROSSDOCK_TESTS_SIM_SIM_BROKER_H
#define CROSSDOCK_TESTS_SIM_SIM_BROKER_H

#include "broker/shard/shard.h"
#include "tests/support/env_sim.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SIM_BROKER_LINES 64u

struct sim_broker {
    struct sim *sim;
    struct env *env;                           /* of the running process, NULL = none */
    struct shard *shard;                       /* NULL = none */
    struct shard_options options;              /* small ones; may be changed before a start */
    char address[ENV_ADDRESS_BYTES_MAX];       /* bound */
    char why[XD_DETAIL_BYTES_MAX];             /* of a start that failed */
    uint64_t starts;                           /* that came to serving */
    uint64_t tail_cuts;                        /* lines "log_tail_cut" seen */
    uint64_t checkpoints;                      /* lines of finished checkpoints seen */
    uint64_t fallbacks;                        /* starts from the older checkpoint */
    uint64_t rolls;                            /* segments that became active */
    uint64_t drops_by_size;                    /* segments dropped by retention */
    uint64_t drops_by_age;                     /* */
    uint64_t drops_wrong;                      /* of these before there was too much */
    int64_t wall_max_us;                       /* highest wall clock of this process */
    uint64_t corrupt;                          /* lines "log_corrupt" of this process */
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
/* One turn of at most `ns`. The status of shard_turn; -ESHUTDOWN when the process has died. */
int sim_broker_turn(struct sim_broker *broker, uint64_t ns);
/* Ends the process and cuts the disk by the menu. */
enum sim_crash_menu sim_broker_crash(struct sim_broker *broker, enum sim_crash_menu menu);
/* Stops in order, within 60 s of simulated time. 0, or the status that came between. */
int sim_broker_stop(struct sim_broker *broker);
/* The newest line of that event, or NULL. */
const struct shard_line *sim_broker_line(const struct sim_broker *broker, const char *event);
/* Hash of the fold state; everything appended must be durable and folded. */
uint64_t sim_broker_state_hash(struct sim_broker *broker);

#endif
