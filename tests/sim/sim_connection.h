/* SPDX-License-Identifier: Apache-2.0
 *
 * Scripts of what clients may do to a live connection, well-behaved or not, against a whole shard
 * in the simulator. The fuzzer finds scripts, connection_scripts draws them from seeds; both run
 * them here.
 *
 * A script is bytes: one for options, then steps of four: what (enum script_step), who (connection,
 * what happens behind it, how the frame is mangled), and two arguments; some take further bytes.
 * Bytes that are missing are zeros, so every input is a script.
 *
 * After each step what connection_world_check asks must hold, and every frame that has arrived must
 * be one that the connection could have earned: a reply to a request that waits, with a status that
 * sim_connection_answer.def knows for it; an outcome of a batch that was sent. At the end no
 * request of an orderly connection may be left unanswered; another client reads everything back,
 * and what was acknowledged to anybody must be there once, at its offset, in sequence, and nothing
 * that was never sent or only refused; then all places and buffers must have come back. Each of
 * these is an assertion.
 *
 * Files: sim_connection_world.c the shard and its disk; sim_connection_script.c steps and their
 * frames; sim_connection_request.c bodies of requests; sim_connection_produce.c batches, right and
 * wrong; sim_connection_answer.c what arrives; sim_connection_judge.c the end;
 * sim_connection_totals.c what came up; sim_connection_main.c seeds.
 */
#ifndef CROSSDOCK_TESTS_SIM_SIM_CONNECTION_H
#define CROSSDOCK_TESTS_SIM_SIM_CONNECTION_H

#include "tests/sim/sim_connection_world.h"
#include "tests/support/batch_kit.h"
#include "tests/support/wire_client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRIPT_CONNECTIONS 4u
#define SCRIPT_CHANNELS 4u   /* of the prepared disk: c0 to c2 feed the global facility, c3 DC1 */
#define SCRIPT_STEPS_MAX 64u /* further ones are not played */
#define SCRIPT_BYTES_MAX 1024u
#define SCRIPT_SENT_MAX 512u  /* batches; produce steps beyond do nothing */
#define SCRIPT_ACKED_MAX 512u /* outcomes kept for the end */
#define SCRIPT_PENDING_MAX 128u
#define SCRIPT_NO_CHANNEL UINT32_MAX

enum script_step {
    STEP_HELLO,
    STEP_PING,
    STEP_CATALOG,
    STEP_OPEN,
    STEP_PRODUCE,
    STEP_CLOSE,
    STEP_READ,
    STEP_ADMIN,
    STEP_STRANGE, /* an op that is a push or not known */
    STEP_RAW,     /* bytes that follow in the script */
    STEP_CONNECT, /* a new connection; the old one is reset */
    STEP_LEAVE,   /* half-closed, closed or reset */
    STEP_DEAF,    /* takes nothing further from the broker, or begins to again */
    STEP_TIME,    /* passes, from 1 us to 33 s */
    STEP_SPACE,   /* the disk is nearly full, or is not any more */
    STEP_COUNT
};

/* How a frame is mangled; a position follows in two bytes of the script. */
enum script_mangle {
    MANGLE_NOT,       /* the first five values */
    MANGLE_SPLIT = 5, /* a turn passes within the frame */
    MANGLE_CUT,       /* the rest of the frame is missing */
    MANGLE_FLIP,      /* one byte is another */
};

/* What is wrong with a batch: second argument of STEP_PRODUCE. */
enum script_fault {
    FAULT_NONE = 10, /* and below: right */
    FAULT_AGAIN,     /* the channel's newest batch once more */
    FAULT_GAP,
    FAULT_OVERLAP,
    FAULT_REUSED,
    FAULT_PRODUCER_EPOCH,
    FAULT_CHANNEL_EPOCH_OLD,
    FAULT_CHANNEL_EPOCH_NEW,
    FAULT_PRODUCER,
    FAULT_FACILITY,
    FAULT_PARTITION,
    FAULT_ROUTE,
    FAULT_CHECKSUM,
    FAULT_RECORD,
    FAULT_RECORD_SIZE,
    FAULT_CODEC,
    FAULT_LZ4,
    FAULT_FORMAT,
    FAULT_HEADER,
    FAULT_RAW_BYTES,
    FAULT_COUNT_HIGH, /* structure: the connection is closed */
    FAULT_TRAILING,
    FAULT_DURABILITY,
    FAULT_CUT_HEADER,
    FAULT_LARGE, /* right, of several chunks and windows */
    FAULT_TRAIN, /* right, many in one frame */
    FAULT_COUNT
};

/* A request that waits for its reply. */
struct script_pending {
    uint64_t correlation;
    uint64_t offset;  /* READ: that it asks for + 1, 0 = another seek */
    uint32_t channel; /* OPEN: channel of the script, or SCRIPT_NO_CHANNEL */
    uint16_t op;
};

struct script_connection {
    struct wire_client wire;
    bool orderly;  /* only whole frames of known structure have been sent */
    bool hello;    /* a good HELLO has been sent */
    bool greeted;  /* it was answered with success */
    bool half;     /* the sending direction is closed */
    bool deaf;     /* takes nothing */
    bool finished; /* a FATAL status was received: nothing follows but the end */
    bool fatal;    /* something was sent that ends the connection */
    uint32_t pending_count;
    struct script_pending pending[SCRIPT_PENDING_MAX]; /* by sending */
    uint32_t unanswered_count;
    uint16_t unanswered[SCRIPT_PENDING_MAX]; /* batches in `sent` without outcome, by sending */
    uint64_t produced_bytes;                 /* strides of all batches sent */
    uint64_t acked_bytes;                    /* as of the newest ACK */
};

/* What the clients believe of a channel; they share it, as two processes of one source would. */
struct script_channel {
    struct batch_target target;     /* as of the newest open that was answered */
    uint64_t sequence;              /* newest one used */
    uint64_t previous[WORLD_WIDTH]; /* by bucket */
    uint16_t newest;                /* batch in `sent` + 1, 0 = none */
};

/* A batch that was sent, whatever is wrong with it. */
struct script_sent {
    struct xd_batch_header header;
    uint32_t sends;    /* times that it was sent */
    uint32_t refusals; /* times that it was refused */
    uint32_t found;    /* times in the log */
};

/* A success that must be true at the end. */
struct script_acked {
    uint64_t producer_id;
    uint64_t first_sequence;
    uint64_t last_sequence;
    uint64_t base_offset;
    uint32_t record_count;
    uint32_t partition;
};

struct script {
    struct connection_world world;
    const uint8_t *data; /* of the script, borrowed while it runs */
    size_t bytes;        /* left */
    bool low_space;      /* the disk has been nearly full */
    bool rough;          /* some connection was deaf or not orderly: memory may have run low */
    struct script_connection connections[SCRIPT_CONNECTIONS];
    struct script_channel channels[SCRIPT_CHANNELS];
    struct script_sent sent[SCRIPT_SENT_MAX];
    uint32_t sent_count;
    struct script_acked acked[SCRIPT_ACKED_MAX];
    uint32_t acked_count;
    struct batch_build newest[SCRIPT_CHANNELS]; /* bytes of the batches to be sent again */
    struct batch_build build;                   /* scratch */
    struct wire_client judge;                   /* the client that reads back */
    uint64_t trace_hash;                        /* of the run that ended last */
    char sku[WORLD_WIDTH][4];                   /* one that goes to each bucket */
};

/* ---- sim_connection_script.c ----------------------------------------------------------------- */
/* Makes the world and the clients, once per process. */
void script_open(struct script *script);
/* Plays one script. Everything that is wrong is an assertion. */
void script_run(struct script *script, const uint8_t *data, size_t bytes);
/* The next byte, 0 behind the last. */
uint8_t script_byte(struct script *script);
/* One turn of at most `ns`, then bytes move and what has arrived is looked at. */
void script_turn(struct script *script, uint64_t ns);

/* ---- sim_connection_request.c, sim_connection_produce.c ---------------------------------------
 */
/* Each queues one frame whose body the arguments choose, and what is expected of it. */
void script_request(struct script *script, struct script_connection *connection,
                    enum script_step step, uint8_t a, uint8_t b);
void script_produce(struct script *script, struct script_connection *connection, uint8_t a,
                    uint8_t b);
/* A reply to that request is expected. Before HELLO it is a refusal that ends the connection. */
void script_expect(struct script_connection *connection, uint16_t op, uint64_t correlation,
                   uint32_t channel);

/* ---- sim_connection_answer.c ------------------------------------------------------------------
 */
/* Takes everything that has arrived. */
void script_take(struct script *script, struct script_connection *connection);
/* A stored batch that a reader was given is one that was sent, or stood on the prepared disk. */
struct script_sent *script_sent_of(struct script *script, const struct xd_batch_header *batch);

/* ---- sim_connection_judge.c -------------------------------------------------------------------
 */
/* No orderly connection is left with a request unanswered. */
void script_settle(struct script *script);
/* All clients leave; another one reads back. With `stop` the shard is stopped in order. */
void script_judge(struct script *script, bool stop);

/* ---- sim_connection_totals.c ------------------------------------------------------------------
 */
void totals_sent(uint16_t op);
/* An answer that sim_connection_answer.def does not know is an assertion. */
void totals_answer(uint16_t op, int status);
void totals_step(enum script_step step);
/* Prints what came up; false and a line for each thing that never did. */
bool totals_report(const struct connection_world *world);

#endif
