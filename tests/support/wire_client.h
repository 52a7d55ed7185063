/* SPDX-License-Identifier: Apache-2.0
 *
 * A client of the simulated network that speaks frames and nothing more: it keeps what the window
 * does not take yet, and cuts what arrives into whole frames. Meaning is the caller's.
 *
 * Normal path: wire_client_connect, wire_client_send any number of frames, wire_client_pump between
 * turns, wire_client_next until it gives nothing. Failure path: after the connection has ended,
 * sends are dropped and `ended` is set; connect again.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_WIRE_CLIENT_H
#define CROSSDOCK_TESTS_SUPPORT_WIRE_CLIENT_H

#include "tests/support/env_sim.h"
#include "wire/frame.h"
#include "wire/limits.h"
#include "wire/request.h"
#include "wire/batch.h"

#include <stdbool.h>
#include <stdint.h>

#define WIRE_CLIENT_OUT_BYTES (4u * 1024u * 1024u)
#define WIRE_CLIENT_IN_BYTES (2u * 1024u * 1024u)

struct wire_client {
    struct sim *sim;
    int id;               /* of the simulator; -1 = not connected */
    bool ended;           /* the broker closed or reset */
    uint64_t correlation; /* of the newest request */
    uint8_t *out;         /* WIRE_CLIENT_OUT_BYTES */
    uint32_t out_bytes;   /* waiting for the window */
    uint8_t *in;          /* WIRE_CLIENT_IN_BYTES, 8-byte aligned */
    uint32_t in_bytes;    /* received, not given yet */
    uint32_t in_taken;    /* of the frame given last; removed by the next call */
};

/* A received frame. */
struct wire_frame {
    struct xd_frame head;
    const uint8_t *payload; /* head.length bytes, 8-byte aligned; until the next call */
};

/* Takes memory; without it the test aborts. */
void wire_client_init(struct wire_client *client, struct sim *sim);
void wire_client_deinit(struct wire_client *client);

/* 0, or the status of sim_client_connect. A former connection is given up. */
int wire_client_connect(struct wire_client *client, const char *address);
/* Gives the connection up: closed, or reset. */
void wire_client_leave(struct wire_client *client, bool reset);

/* Queues one frame. Returns its correlation. */
uint64_t wire_client_send(struct wire_client *client, uint16_t op, const void *payload,
                          uint32_t bytes);
/* Queues raw bytes. */
void wire_client_send_raw(struct wire_client *client, const void *data, uint32_t bytes);
/* Moves bytes both ways. True when something arrived or left. */
bool wire_client_pump(struct wire_client *client);
/* True and the next whole frame. A malformed one, which only the broker can have sent, aborts. */
bool wire_client_next(struct wire_client *client, struct wire_frame *ret_frame);

/* Requests in their encoding. Names are zero-terminated; return the correlation. */
uint64_t wire_client_hello(struct wire_client *client);
uint64_t wire_client_open(struct wire_client *client, const struct xd_open *open,
                          const char *source, const char *channel, const char *facility);
uint64_t wire_client_admin(struct wire_client *client, const char *verb, const char *json);
uint64_t wire_client_read(struct wire_client *client, uint32_t partition, enum xd_seek seek,
                          uint64_t position, uint32_t bytes_max, uint32_t wait_ms);
/* One PRODUCE frame of ready batches, given as pointers to their headers. */
void wire_client_produce(struct wire_client *client, const struct xd_batch_header *const *batches,
                         uint32_t count, enum xd_durability durability);

#endif
