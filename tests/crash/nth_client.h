/* SPDX-License-Identifier: Apache-2.0
 *
 * The clients of the scenario in nth_run.h: a source that sends the same batches until each is
 * durable, and a reader that reads everything and waits for more. One step at a time; whatever
 * stops a step is told apart, and the same step can be tried again.
 *
 * Normal path: nth_client_begin, then nth_attach, nth_produce, nth_read_all, nth_poll_start and
 * nth_poll_end in turns of the broker. Failure paths: NTH_LOST and the others below; NTH_WRONG is
 * the only one that is the broker's fault, and `why` says what it broke.
 *
 * Record i of the channel has sequence i and must stand at offset i - 1 of one partition.
 */
#ifndef CROSSDOCK_TESTS_CRASH_NTH_CLIENT_H
#define CROSSDOCK_TESTS_CRASH_NTH_CLIENT_H

#include "tests/sim/sim_broker.h"
#include "tests/support/batch_kit.h"
#include "tests/support/wire_client.h"

#include <stdbool.h>
#include <stdint.h>

#define NTH_RECORDS 2u     /* in each batch */
#define NTH_WHY_BYTES 320u /* */
#define NTH_TURN_NS 1000000ull
#define NTH_ANSWER_NS 5000000000ull /* an answer comes by then, simulated */

/* How a step ended. */
enum nth_end {
    NTH_DONE,
    NTH_LOST,    /* the connection has ended */
    NTH_DOWN,    /* the broker has failed */
    NTH_REFUSED, /* answered, but not with success */
    NTH_SLOW,    /* no answer in time */
    NTH_WRONG    /* the broker broke a promise */
};

struct nth_client {
    struct sim_broker *broker;  /* the scenario's */
    struct wire_client source;  /* */
    struct wire_client reader;  /* */
    struct batch_target target; /* of the channel, once it is open */
    bool opened;                /* the channel was opened */
    bool source_on;             /* connected and attached */
    bool reader_on;             /* connected */
    uint64_t acked;             /* highest sequence acknowledged as durable */
    uint64_t sent;              /* highest sequence sent */
    uint64_t unanswered;        /* records sent and not answered yet */
    uint64_t end_offset;        /* as last read */
    uint64_t poll;              /* correlation of the read that waits, 0 = none */
    int status;                 /* of the broker, or of the newest reply */
    char why[NTH_WHY_BYTES];    /* */
};

/* Takes memory; without it the test aborts. */
void nth_client_init(struct nth_client *client, struct sim_broker *broker);
void nth_client_deinit(struct nth_client *client);
/* A new scenario in a world that was reset: nothing sent, nothing known. */
void nth_client_begin(struct nth_client *client);
/* Both connections are reset. */
void nth_leave(struct nth_client *client);

/* One turn of the broker, then bytes move. NTH_DONE or NTH_DOWN. */
enum nth_end nth_turn(struct nth_client *client);
/* Connects and attaches whoever is not. */
enum nth_end nth_attach(struct nth_client *client);
/* Sends until everything up to sequence `to` is durable. */
enum nth_end nth_produce(struct nth_client *client, uint64_t to);
/* Sends `batches` batches more and waits for nothing but bytes on their way to the disk: the broker
 * is to die now. */
void nth_send_ahead(struct nth_client *client, uint32_t batches);
/* Reads the partition from its oldest offset to its end and looks at every batch. */
enum nth_end nth_read_all(struct nth_client *client);
/* A read that waits at the end, and its reply. */
void nth_poll_start(struct nth_client *client);
enum nth_end nth_poll_end(struct nth_client *client);

#endif
