/* SPDX-License-Identifier: Apache-2.0
 *
 * What the conformance cases share: one env with its events kept until a case asks for them, and
 * pairs of a peer and the connection that the env accepted for it. Failures are Criterion
 * assertions. Must not be used outside the suite.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_ENV_CONFORMANCE_RUN_H
#define CROSSDOCK_TESTS_SUPPORT_ENV_CONFORMANCE_RUN_H

#include "tests/support/env_conformance.h"

/* Events that a case leaves unasked; more fail it. */
#define RUN_EVENTS_MAX 1024u

/* Env time that any expected event may take. */
#define RUN_PATIENCE_NS (20ull * 1000 * 1000 * 1000)

struct run {
    const struct conformance_kit *kit;
    struct env *env;                         /* open from run_open to run_close */
    struct env_event events[RUN_EVENTS_MAX]; /* received, not asked for yet, oldest first */
    uint32_t count;                          /* events kept */
    env_listener listener;                   /* after run_listen */
    char address[ENV_ADDRESS_BYTES_MAX];     /* where it listens */
};

/* A connection with both of its ends. */
struct run_pair {
    int peer;      /* of the kit */
    env_conn conn; /* of the env */
};

/* Needs: 16 buffers of 4 KiB and 16 connections, unless the case says otherwise. */
void run_open(struct run *run, const struct conformance_kit *kit);
void run_open_with(struct run *run, const struct conformance_kit *kit,
                   const struct conformance_need *need);
void run_close(struct run *run);

/* Token of owner TEST. */
uint64_t run_token(uint8_t kind, uint64_t value);

/* One turn of at most `ns`; what arrives is kept. Returns how many events came. */
uint32_t run_turn(struct run *run, uint64_t ns);

/* The oldest event with this token, waited for; the case fails when none comes. */
struct env_event run_expect(struct run *run, uint64_t token);

/* Whether an event with this token is kept. */
bool run_has(const struct run *run, uint64_t token);

/* Waits and fails when any event arrives or is kept. */
void run_expect_silence(struct run *run);

/* Writes or reads and waits; returns the result. */
int32_t run_write(struct run *run, env_file file, const void *data, uint32_t bytes,
                  uint64_t position, uint32_t flags);
int32_t run_read(struct run *run, env_file file, void *data, uint32_t bytes, uint64_t position);
int32_t run_sync(struct run *run, env_file file);

/* Listens and arms accept with token kind RUN_ACCEPT. */
#define RUN_ACCEPT 200
void run_listen(struct run *run);
struct run_pair run_connect(struct run *run);

/* Starts the close of a connection, releases what it still receives, waits for CLOSE, frees the
 * peer. A receive that is armed has this token; 0 = none is. */
void run_disconnect(struct run *run, struct run_pair pair, uint64_t recv_token);

/* The peer sends all of it, with turns in between. */
void run_peer_send(struct run *run, int peer, const void *data, size_t bytes);
/* The peer receives exactly so many bytes, with turns in between. */
void run_peer_recv(struct run *run, int peer, void *data, size_t bytes);

/* Receives with `token` armed until exactly `bytes` have come, appends them to `data` and releases
 * the buffers. */
void run_recv(struct run *run, uint64_t token, void *data, size_t bytes);

/* Bytes that differ from place to place and from seed to seed. */
void run_fill(uint8_t *data, size_t bytes, uint64_t seed);

#endif
