/* SPDX-License-Identifier: Apache-2.0
 *
 * One simulated run: a broker, sources that keep an outbox, a reader, faults, all from one seed.
 *
 * Files: sim_main.c the command line; sim_shrink.c the smallest failing run; sim_totals.c what must
 * have come up; sim_plan.c which faults a seed has; sim_run.c the process and the phases of a run;
 * sim_mischief.c faults from outside; sim_rot.c damage at rest; sim_source.c producing clients;
 * sim_batch.c their bytes; sim_ack.c their outcomes; sim_hostile.c what they should not send;
 * sim_crowd.c strangers; sim_reader.c reads and verbs; sim_note.c the history of it all;
 * sim_check.c the last reads; sim_judge.c the end.
 * The broker has one shard or several: clients connect to any of them, facilities are spread over
 * all. What is sent, answered and served goes into a history, and tests/support/history_check.h
 * judges it at the end. Beside the history only what it cannot tell is checked where it happens:
 * that replies decode, that each answer is one somebody waits for, statuses, the catalog, the fold
 * state. The first thing that is wrong ends the run with a text in `failure`.
 */
#ifndef CROSSDOCK_TESTS_SIM_SIM_RUN_H
#define CROSSDOCK_TESTS_SIM_SIM_RUN_H

#include "broker/base/prng.h"
#include "tests/sim/sim_broker.h"
#include "tests/sim/sim_plan.h"
#include "tests/support/batch_kit.h"
#include "tests/support/history_check.h"
#include "tests/support/wire_client.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define RUN_SOURCES 4u
#define RUN_LANES 3u                   /* partitions of topic "stock" in one facility */
#define RUN_SKUS 4u                    /* per lane */
#define RUN_PARTITIONS 64u             /* as the broker's limit */
#define RUN_TOPICS 40u                 /* topics that the reader tries to create */
#define RUN_ROTS 8u                    /* damaged places at a time */
#define RUN_STRANGERS 300u             /* at a time */
#define STRANGER_BYTES 256u            /* that one has to send */
#define RUN_FACILITIES 4u              /* at most, the global one with them */
#define RUN_WALL_US 1767225600000000ll /* wall clock at the start, when the world's time is 1 s */
#define RUN_BATCH_RECORDS 8u           /* of a batch, at most */
#define RUN_COPIES_REACH 64u   /* batches before the next one of which an answer may be owed */
#define RUN_OP_NONE UINT32_MAX /* no operation of the history */
#define RUN_GENERATION_LARGE 0x80000000u  /* this run's payloads are large */
#define RUN_GENERATION_FORGED 0x40000000u /* made to be refused */

/* What came up, over all seeds: a run that is too tame proves nothing. */
enum run_total {
#define TOTAL(name, text, faults) TOTAL_##name,
#include "tests/sim/sim_total.def"
#undef TOTAL
    TOTAL_COUNT
};
_Static_assert(TOTAL_COUNT <= 64, "a set of totals is one word");

enum sent_state {
    SENT_OPEN,  /* outcome not known; will be sent (again) */
    SENT_ACKED, /* durable; the history knows where */
    SENT_KNOWN, /* durable, offset not told */
    SENT_MAYBE, /* given up without knowing */
    SENT_NEVER  /* given up; the broker said that it has not got it */
};

/* A batch that a source has made up. Its bytes follow from these numbers. */
struct sent {
    uint64_t previous;      /* last sequence of the lane before it */
    uint64_t first;         /* sequences first..last, without gaps */
    uint64_t last;          /* */
    uint32_t generation;    /* memory of the source that made it; with a sequence unique in a run */
    uint32_t epoch;         /* producer epoch of its newest bytes */
    uint32_t op;            /* in the history, RUN_OP_NONE = not sent yet */
    uint32_t holder;        /* of the channel, when it was made */
    uint16_t channel_epoch; /* */
    uint8_t state;          /* enum sent_state */
    uint8_t copies;         /* answers that this connection owes */
    bool weak;              /* acknowledged below fsync */
    bool again;             /* sent again while its outcome was open */
};

/* A batch that must be refused: its number is used, its epoch is over, or its sender is. */
struct forgery {
    uint64_t first;     /* sequences */
    uint64_t last;      /* */
    uint32_t partition; /* */
    uint32_t op;        /* in the history, RUN_OP_NONE = nothing is under way */
};

/* What a source does in one partition. */
struct lane {
    uint32_t partition;      /* */
    char skus[RUN_SKUS][16]; /* names that route there */
    struct sent *sent;       /* sent_count of them, oldest first */
    uint32_t sent_count;     /* */
    uint32_t sent_max;       /* room */
    uint64_t chain_last;     /* previous of the next one made */
    uint32_t settled;        /* of these the outcome is known, or nobody waits for it */
    uint32_t next;           /* next one to be sent on this connection */
    uint32_t outstanding;    /* answers that this connection owes, also to the forgery */
    struct forgery forgery;  /* the one under way on this connection */
    bool refused;            /* go back to `settled` when nothing is outstanding */
    bool careful;            /* was refused for want of room: one batch at a time until a success */
    bool fresh;              /* has made a batch after the last fault */
    uint64_t not_before_ns;  /* told to wait until then */
};

enum source_state { SOURCE_DOWN, SOURCE_HELLO, SOURCE_OPENING, SOURCE_READY };

struct source {
    struct wire_client wire;
    struct wire_client stale; /* former connection left open; what it is told is ignored */
    struct zombie {
        uint32_t producer_epoch; /* 0 = it was not open */
        uint16_t channel_epoch;  /* */
        uint32_t holder;         /* as below */
        struct forgery forgery;  /* */
    } zombie;                    /* who goes on sending there */
    char name[16];               /* channel */
    char facility[16];           /* "" = global */
    uint32_t number;             /* index of this source */
    uint64_t producer_id;        /* 0 = never opened */
    uint32_t producer_epoch;     /* 0 = must open anew */
    uint16_t channel_epoch;      /* */
    uint32_t facility_number;    /* */
    uint32_t generation;         /* raised when memory is lost */
    uint64_t assigned;           /* highest sequence made up in this generation */
    uint64_t acked;              /* highest one acknowledged */
    uint32_t holders;            /* opens so far, each gives the channel to another holder */
    uint32_t holder;             /* of these, the one that holds it */
    uint32_t open_op;            /* in the history: from losing the channel to holding it again */
    uint64_t correlation;        /* of the request in flight */
    uint64_t not_before_ns;      /* told to come back later than this */
    bool channel_epoch_durable;  /* an open of channel_epoch was answered */
    bool open_left;              /* an open that nobody waits for may come later than the next */
    bool opening_attach;         /* */
    bool opening_blank;          /* without memory */
    uint8_t state;               /* enum source_state */
    struct lane lanes[RUN_LANES];
};

struct reader {
    struct wire_client wire;
    bool greeted;                  /* HELLO has been answered */
    uint64_t correlation;          /* of the READ or verb in flight, 0 = none */
    uint32_t partition;            /* of the READ */
    uint64_t asked_ns;             /* when the READ was sent */
    uint64_t position;             /* of the READ */
    uint8_t seek;                  /* of the READ, enum xd_seek */
    int32_t topic;                 /* being created, -1 = none */
    uint64_t catalog;              /* of the CATALOG sent behind it, 0 = none */
    uint8_t topics[RUN_TOPICS];    /* set of shards that must show it: creation was acknowledged,
                                    * or it was shown */
    uint32_t home;                 /* shard that it is connected to */
    uint64_t ends[RUN_PARTITIONS]; /* highest end_offset told */
};

enum stranger_kind {
    STRANGER_IDLE,         /* HELLO and nothing else */
    STRANGER_STORM,        /* a part of something, then gone */
    STRANGER_DRIP_HELLO,   /* byte by byte */
    STRANGER_CUT_HELLO,    /* stops inside */
    STRANGER_DRIP_PRODUCE, /* */
    STRANGER_CUT_PRODUCE,  /* */
    STRANGER_MUTE,         /* asks and never reads */
    STRANGER_KINDS
};

/* A connection that takes no part in the history. */
struct stranger {
    uint64_t came_ns;            /* when it connected */
    int id;                      /* of the simulator; -1 = away */
    uint16_t bytes;              /* of its script */
    uint16_t at;                 /* of these sent */
    uint16_t now;                /* of these that it sends at once */
    uint8_t kind;                /* enum stranger_kind */
    bool heard;                  /* something was sent to it */
    uint8_t out[STRANGER_BYTES]; /* its script */
};

/* One damaged place of the disk. */
struct rot {
    char name[ENV_NAME_BYTES_MAX]; /* file; "" = none */
    uint64_t at;                   /* byte in it, of a page */
    bool proven;                   /* only a later block says that it was durable */
    uint8_t before[4096];          /* what was there */
    uint8_t after[4096];           /* what was put there */
};

struct run {
    struct sim_broker broker;
    struct sim_broker copy;           /* for starts on a damaged copy of the disk */
    struct plan plan;                 /* of this seed */
    struct prng prng;                 /* what clients do */
    struct prng streams[FAULT_COUNT]; /* what faults do */
    struct sim_rates rates;           /* of the plan, for the world */
    bool serving;                     /* the broker takes turns */
    bool healing;                     /* no further mischief */
    bool short_of_space;              /* the disk is full or the volume dry, on purpose */
    bool read_only;                   /* a producer was told READ_ONLY, none was served since */
    bool damaged;            /* reads of this process may find what is not on the disk any more */
    uint64_t silent_before;  /* silent faults when the newest start began */
    uint32_t step;           /* turns of the unhealthy part so far */
    int64_t jumped_us;       /* sum of the clock's jumps */
    bool crashed;            /* the newest process has not been stopped */
    uint32_t facility_count; /* the global one with them */
    char facilities[RUN_FACILITIES][16]; /* names; [0] is "", the global one. With several shards
                                          * number i lives on shard i. */
    struct source sources[RUN_SOURCES];
    struct reader reader;
    struct stranger strangers[RUN_STRANGERS];
    uint32_t mutes; /* of these that never read */
    struct rot rots[RUN_ROTS];
    uint32_t forgeries;         /* made so far */
    struct history history;     /* of this seed */
    struct history_totals told; /* over all seeds */
    uint64_t totals[TOTAL_COUNT];
    uint64_t points[ENV_CRASH_COUNT];  /* times each crash point was reached */
    uint64_t sites[ENV_BUGGIFY_COUNT]; /* times each buggify site fired */
    uint64_t fail_on;                  /* set of 1 << enum run_total that count as a failure */
    FILE *trace;                       /* told step by step, NULL = not */
    char failure[1024];                /* "" = none */
};

/* The first failure stays. */
#define RUN_FAIL(run, ...)                                                                         \
    ((void)((run)->failure[0] == '\0' &&                                                           \
            snprintf((run)->failure, sizeof((run)->failure), __VA_ARGS__) > 0))

/* Tells what happens to the world, between the operations of a trace. */
#define RUN_TELL(run, ...) ((void)((run)->trace != NULL && fprintf((run)->trace, __VA_ARGS__) > 0))

static inline bool run_failed(const struct run *run)
{
    return run->failure[0] != '\0';
}

static inline bool run_chance(struct run *run, uint32_t per_65536)
{
    return prng_chance(&run->prng, per_65536);
}

static inline uint32_t run_below(struct run *run, uint32_t limit)
{
    return (uint32_t)prng_below(&run->prng, limit);
}

/* One draw of a fault's stream: true at its rate, never while the run heals. */
static inline bool run_fault(struct run *run, enum run_fault fault)
{
    return plan_has(&run->plan, fault) && !run->healing &&
           prng_chance(&run->streams[fault], run->plan.rates[fault]);
}

static inline uint64_t run_fault_below(struct run *run, enum run_fault fault, uint64_t limit)
{
    return prng_below(&run->streams[fault], limit);
}

const char *total_name(enum run_total total);

/* Counts what came up. */
static inline void run_count(struct run *run, enum run_total total, uint64_t count)
{
    run->totals[total] += count;
    if (count > 0 && (run->fail_on >> total & 1) != 0)
        RUN_FAIL(run, "%s came up", total_name(total));
}

/* When a client that was told to wait for 100 ms tries again. While there is mischief it comes much
 * earlier, because runs are short. */
static inline uint64_t run_retry_ns(const struct run *run)
{
    return sim_now_ns(run->broker.sim) + (run->healing ? 100000000u : 2000000u);
}

/* Wall clock of the world, in us since 1970. */
static inline int64_t run_wall_us(const struct run *run)
{
    return RUN_WALL_US + run->jumped_us + (int64_t)(sim_now_ns(run->broker.sim) / 1000) - 1000000;
}

/* ---- sim_run.c ------------------------------------------------------------------------------- */
/* Memory for runs; the world is used again for every seed. */
void run_init(struct run *run);
void run_deinit(struct run *run);
/* One plan from beginning to end. False: run->failure says what was wrong. `trace` may be NULL. */
bool run_plan(struct run *run, const struct plan *plan, FILE *trace);
/* Ends the process by a crash; all connections are lost. */
void run_crash(struct run *run);
/* Starts, and again when a fault ends the start. */
void run_start(struct run *run);
/* Turns for `ms` without any client doing anything. */
void run_rest(struct run *run, uint64_t ms);
/* All clients lose their connections. */
void run_cut(struct run *run);
/* Where a client connects to: the address of any shard, whose number is in *ret_shard. */
const char *run_address(struct run *run, uint32_t *ret_shard);

/* ---- sim_mischief.c -------------------------------------------------------------------------- */
/* Rates and options of the plan, before the first start. */
void mischief_begin(struct run *run);
/* Before a turn. */
void mischief_turn(struct run *run);
/* Before a start and behind it. */
void mischief_start(struct run *run);
void mischief_started(struct run *run);
/* A start or a turn failed: whether for lack of space that was taken on purpose, which is then
 * given back. */
bool mischief_space(struct run *run, int status);
/* Everything is well from here on, but for what is damaged on disk. */
void mischief_end(struct run *run);

/* ---- sim_rot.c ------------------------------------------------------------------------------- */
/* Damages one place that the fault model lets one replica survive. */
void rot_add(struct run *run);
/* Damaged places that are still there. */
uint32_t rot_count(struct run *run);
/* Whether one is still there of which only a later block says that it was durable. */
bool rot_proven(struct run *run);
/* Puts back what was there; no process may run. What was told as damaged is due again. */
void rot_repair(struct run *run);
void rot_reset(struct run *run);

/* ---- sim_totals.c; total_name above ---------------------------------------------------------- */
/* False when there is none of that name. */
bool total_find(const char *name, enum run_total *ret_total);
void totals_print(const struct run *run, FILE *file);
/* Names to standard error what should have come up in so many seeds within the limits, at least a
 * hundred, and did not. True when there is such a thing. */
bool totals_tame(const struct run *run, const struct plan_limits *limits, uint64_t seeds);

/* ---- sim_batch.c ----------------------------------------------------------------------------- */
/* Fills ret_build with the bytes of a batch under the source's epoch, and ret_records with what the
 * history is told of its records, unless that is NULL. */
void batch_make(const struct source *source, const struct lane *lane, const struct sent *sent,
                struct batch_build *ret_build, struct history_record *ret_records);
/* Tells the history of the records of a batch that was served. */
void batch_read(struct run *run, const struct xd_batch_header *batch);

/* ---- sim_note.c ------------------------------------------------------------------------------ */
void note_begin(struct run *run);
void note_mark(struct run *run, enum history_mark mark);
/* A batch is sent for the first time. Returns its operation. */
uint32_t note_send(struct run *run, const struct source *source, const struct lane *lane,
                   const struct sent *sent, const struct history_record *records, bool hostile);
/* An answer to it: a success for its records from `offset` on. */
void note_success(struct run *run, uint32_t op, const struct xd_ack *ack, uint64_t offset);
/* A batch has got its outcome, in sent->state, by other means than an answer. */
void note_settled(struct run *run, const struct sent *sent);
/* A forgery was answered, or `ack` is NULL and it never will be. It is over then, but for an answer
 * below fsync. */
void note_forgery(struct run *run, struct forgery *forgery, const struct xd_ack *ack);
/* The source has lost the channel and comes back; it holds it again. */
void note_opening(struct run *run, struct source *source);
void note_opened(struct run *run, struct source *source);
/* A reply to a READ with its batches, after both have been decoded. */
void note_reply(struct run *run, uint32_t reader, uint64_t asked_ns, uint64_t requested,
                const struct xd_read_reply *reply, const uint8_t *batches);
/* Offsets first..last are refused as damaged. */
void note_damage(struct run *run, uint32_t partition, uint64_t first, uint64_t last);
/* The verdict on the history so far; a violation ends the run. `damaged`: what is reported as
 * damaged may be missing. */
void note_judge(struct run *run, bool damaged);

/* ---- sim_hostile.c --------------------------------------------------------------------------- */
/* A lane sends what is settled or pending once more, or something that must be refused. */
void hostile_lane(struct run *run, struct source *source, struct lane *lane);
/* A former holder goes on sending on the connection that it was left. */
void hostile_zombie(struct run *run, struct source *source);
/* What was sent there is not answered any more. */
void hostile_cut(struct run *run, struct source *source);

/* ---- sim_source.c ---------------------------------------------------------------------------- */
void source_reset(struct run *run, struct source *source, uint32_t number);
/* Takes what has arrived and does something. */
void source_act(struct run *run, struct source *source);
/* Leaves the connection: in order, by a reset, or open behind its back. */
void source_leave(struct run *run, struct source *source);
/* The broker has died: the connection is lost. */
void source_cut(struct run *run, struct source *source);
/* An ACK frame (sim_ack.c). The source may have left its connection afterwards. */
void source_take_acks(struct run *run, struct source *source, const struct wire_frame *frame);
/* Whether every batch has its outcome, and each lane has made one after the last fault. */
bool source_settled(const struct source *source);

/* ---- sim_crowd.c ----------------------------------------------------------------------------- */
/* Nobody is there: a new world. */
void crowd_reset(struct run *run);
/* Places and time-outs that strangers meet. */
void crowd_begin(struct run *run, struct shard_options *options);
/* Some come, the others do something. */
void crowd_act(struct run *run);
/* All lose their connections. */
void crowd_cut(struct run *run);

/* ---- sim_reader.c ---------------------------------------------------------------------------- */
void reader_act(struct run *run);
void reader_cut(struct run *run);

/* ---- sim_check.c ----------------------------------------------------------------------------- */
/* The catalog of a shard holds every topic that was created before, or shown there. */
void check_topics(struct run *run, uint32_t shard, const struct xd_catalog_view *view);
/* The broker has started: all shards have the same catalog, so what one has shown all have now. */
void check_started(struct run *run);
/* Reads every partition whole, for the history. `damaged`: ranges may be refused as quarantined.
 * Returns how many are. */
uint32_t check_log(struct run *run, bool damaged);

/* ---- sim_shrink.c ---------------------------------------------------------------------------- */
#define SHRINK_TEXT_BYTES 512u
/* Runs the plan in a process of its own. True when it fails, also by an assertion; then ret_text of
 * SHRINK_TEXT_BYTES says why. */
bool shrink_fails(struct run *run, const struct plan *plan, char *ret_text);
/* Runs the plan that failed with ever fewer faults and steps, each time in a process of its own,
 * and changes it into the smallest one that still fails in the same way. Returns the attempts made.
 */
uint32_t shrink(struct run *run, struct plan *plan);

/* ---- sim_judge.c ----------------------------------------------------------------------------- */
/* The verdict at the end of a run. `settled`: every batch has its outcome. */
void judge(struct run *run, bool settled);

#endif
