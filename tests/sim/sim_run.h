/* SPDX-License-Identifier: Apache-2.0
 *
 * One simulated run: a broker, sources that keep an outbox, a reader, faults, all from one seed.
 *
 * Files: sim_main.c seeds and totals; sim_run.c faults, crashes and the end of a run; sim_source.c
 * producing clients; sim_ack.c their outcomes; sim_reader.c reads and verbs; sim_check.c the log
 * against what was sent. The first thing that is wrong ends the run with a text in `failure`.
 */
#ifndef CROSSDOCK_TESTS_SIM_SIM_RUN_H
#define CROSSDOCK_TESTS_SIM_SIM_RUN_H

#include "broker/base/prng.h"
#include "tests/sim/sim_broker.h"
#include "tests/support/batch_kit.h"
#include "tests/support/wire_client.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define RUN_SOURCES 4u
#define RUN_LANES 3u       /* partitions of topic "stock" in one facility */
#define RUN_SKUS 4u        /* per lane */
#define RUN_PARTITIONS 64u /* as the broker's limit */
#define RUN_TOPICS 40u     /* topics that the reader tries to create */

/* What came up, over all seeds: a run that is too tame proves nothing. */
enum run_total {
    TOTAL_CRASHES,
    TOTAL_FENCES,          /* turns that ended with a storage error */
    TOTAL_STARTS_FAILED,   /* starts that a fault or a crash point ended */
    TOTAL_TAIL_CUTS,       /* torn tails cut at a start */
    TOTAL_CHECKPOINTS,     /* */
    TOTAL_FALLBACKS,       /* starts from the older checkpoint */
    TOTAL_STOPS,           /* orderly ones */
    TOTAL_ACKED,           /* batches acknowledged as durable */
    TOTAL_EARLY,           /* weaker acknowledgements before that */
    TOTAL_DUPLICATES,      /* recognised resends */
    TOTAL_OUT_OF_SEQUENCE, /* refusals of the chain */
    TOTAL_BACKOFF,         /* refusals for want of room */
    TOTAL_CHECKSUMS,       /* damaged batches refused */
    TOTAL_REUSED,          /* forged batches refused */
    TOTAL_CHAIN_KNOWN,     /* unknown outcomes settled by an open's reply */
    TOTAL_ATTACHES,        /* */
    TOTAL_OPENS,           /* new producer epochs */
    TOTAL_EPOCHS,          /* new channel epochs */
    TOTAL_FENCED,          /* stale holders told so */
    TOTAL_READS,           /* replies with batches */
    TOTAL_TOPICS,          /* created by verb */
    TOTAL_COUNT
};

enum sent_state {
    SENT_OPEN,  /* outcome not known; will be sent (again) */
    SENT_ACKED, /* durable at `offset` */
    SENT_KNOWN, /* durable, offset not told */
    SENT_MAYBE, /* given up without knowing */
    SENT_NEVER  /* given up; the broker said that it has not got it */
};

/* A batch that a source has made up. Its bytes follow from these numbers. */
struct sent {
    uint64_t previous;      /* last sequence of the lane before it */
    uint64_t first;         /* sequences first..last, without gaps */
    uint64_t last;          /* */
    uint64_t offset;        /* ACKED */
    uint32_t generation;    /* memory of the source that made it */
    uint32_t epoch;         /* producer epoch of its newest bytes */
    uint16_t channel_epoch; /* */
    uint8_t state;          /* enum sent_state */
    bool found;             /* sim_check.c has met it */
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
    uint32_t outstanding;    /* answers that this connection owes */
    uint32_t resent;         /* of these deliberate resends of settled ones */
    uint32_t forged;         /* of these forgeries */
    bool refused;            /* go back to `settled` when nothing is outstanding */
};

enum source_state { SOURCE_DOWN, SOURCE_HELLO, SOURCE_OPENING, SOURCE_READY };

struct source {
    struct wire_client wire;
    struct wire_client stale;   /* former connection left open, to be ignored */
    char name[16];              /* channel */
    char facility[16];          /* "" = global */
    uint32_t number;            /* index of this source */
    uint64_t producer_id;       /* 0 = never opened */
    uint32_t producer_epoch;    /* 0 = must open anew */
    uint16_t channel_epoch;     /* */
    uint32_t facility_number;   /* */
    uint32_t generation;        /* raised when memory is lost */
    uint64_t assigned;          /* highest sequence made up in this generation */
    uint64_t acked;             /* highest one acknowledged */
    uint64_t correlation;       /* of the request in flight */
    bool channel_epoch_durable; /* an open of channel_epoch was answered */
    bool opening_attach;        /* */
    bool opening_blank;         /* without memory */
    uint8_t state;              /* enum source_state */
    struct lane lanes[RUN_LANES];
};

struct reader {
    struct wire_client wire;
    bool greeted;            /* HELLO has been answered */
    uint64_t correlation;    /* of the READ or verb in flight, 0 = none */
    uint32_t partition;      /* of the READ */
    int32_t topic;           /* being created, -1 = none */
    bool topics[RUN_TOPICS]; /* creation was acknowledged */
    struct seen {
        uint64_t *hash; /* batch_xxh3 by base offset, 0 = not seen */
        uint64_t max;   /* entries */
    } seen[RUN_PARTITIONS];
};

struct run {
    struct sim_broker broker;
    struct sim_broker copy; /* for starts on a damaged copy of the disk */
    struct prng prng;
    struct sim_rates rates; /* of this seed */
    uint64_t seed;
    uint32_t crash_rate; /* per 65536 turns */
    bool serving;        /* the broker takes turns */
    bool large;          /* payloads are large in this run */
    bool healing;        /* no further mischief */
    uint32_t steps;      /* turns of the unhealthy part */
    struct source sources[RUN_SOURCES];
    struct reader reader;
    uint64_t totals[TOTAL_COUNT];
    uint64_t points[ENV_CRASH_COUNT];  /* times each crash point was reached */
    uint64_t sites[ENV_BUGGIFY_COUNT]; /* times each buggify site fired */
    char failure[1024];                /* "" = none */
};

/* The first failure stays. */
#define RUN_FAIL(run, ...)                                                                         \
    ((void)((run)->failure[0] == '\0' &&                                                           \
            snprintf((run)->failure, sizeof((run)->failure), __VA_ARGS__) > 0))

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

/* ---- sim_run.c ------------------------------------------------------------------------------- */
/* Memory for runs; the world is used again for every seed. */
void run_init(struct run *run);
void run_deinit(struct run *run);
/* One seed from beginning to end. False: run->failure says what was wrong. `trace` may be NULL. */
bool run_seed(struct run *run, uint64_t seed, uint32_t steps, FILE *trace);

/* ---- sim_source.c ---------------------------------------------------------------------------- */
void source_reset(struct run *run, struct source *source, uint32_t number);
/* Takes what has arrived and does something. */
void source_act(struct run *run, struct source *source);
/* Leaves the connection: in order, by a reset, or open behind its back. */
void source_leave(struct run *run, struct source *source);
/* The broker has died: the connection is lost. */
void source_cut(struct source *source);
/* An ACK frame (sim_ack.c). The source may have left its connection afterwards. */
void source_take_acks(struct run *run, struct source *source, const struct wire_frame *frame);
/* Whether every batch has its outcome. */
bool source_settled(const struct source *source);
/* Fills build with the bytes of a batch under the source's epoch. */
void source_build(const struct source *source, const struct lane *lane, const struct sent *sent,
                  struct batch_build *ret_build);
/* Whether a record's payload is what that source made for it; its generation in *ret_generation. */
bool source_payload_ok(uint64_t sequence, const uint8_t *payload, uint32_t bytes,
                       uint32_t *ret_generation);

/* ---- sim_reader.c ---------------------------------------------------------------------------- */
void reader_act(struct run *run);
void reader_cut(struct run *run);

/* ---- sim_check.c ----------------------------------------------------------------------------- */
/* Reads every partition whole and compares with what was sent, acknowledged and seen. */
void run_check_log(struct run *run);

#endif
