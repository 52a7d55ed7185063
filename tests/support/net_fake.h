/* SPDX-License-Identifier: Apache-2.0
 *
 * An env for tests of single files of broker/net: it starts nothing, notes what it was asked to do,
 * and lets the test make every event itself, in any sequence.
 *
 * Each lent buffer is an allocation of exactly its bytes, freed when it is released, so that under
 * AddressSanitizer a read outside of it or after its release is found. The clock moves only when
 * the test moves it. For whole runs see env_sim.h.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_NET_FAKE_H
#define CROSSDOCK_TESTS_SUPPORT_NET_FAKE_H

#include <criterion/criterion.h>

#include "broker/io/env.h"
#include "wire/frame.h"

#include <stdlib.h>
#include <string.h>

#define FAKE_BUFFERS_MAX 256u
#define FAKE_HANDLES_MAX 64u

/* What was asked for on one handle. */
struct fake_conn {
    struct env_origin origin;   /* where it comes from; all zero = not known */
    uint64_t recv_token;        /* of the armed receive */
    uint64_t send_token;        /* of the send in flight */
    uint64_t close_token;       /* of the close */
    const struct iovec *pieces; /* of the send in flight, NULL = none */
    uint32_t piece_count;
    uint32_t arm_count;  /* receives started so far */
    uint32_t stop_count; /* receives asked to stop so far */
    bool armed;          /* a receive is outstanding */
    bool closing;        /* the close is outstanding */
};

struct fake {
    struct env env;
    struct env_ops ops;
    uint64_t now_ns;
    uint32_t buffer_count;
    uint32_t lent_count;
    uint8_t *lent[FAKE_BUFFERS_MAX]; /* by id, NULL = not lent */
    struct fake_conn conns[FAKE_HANDLES_MAX];
};

static inline struct fake *fake_of(struct env *env)
{
    return (struct fake *)(void *)env;
}

static inline struct fake_conn *fake_conn(struct env *env, env_conn handle)
{
    cr_assert(handle >= 0 && (uint32_t)handle < FAKE_HANDLES_MAX);
    return &fake_of(env)->conns[handle];
}

static inline uint64_t fake_now(struct env *env)
{
    return fake_of(env)->now_ns;
}

static inline void fake_release(struct env *env, uint16_t buffer)
{
    struct fake *fake = fake_of(env);

    cr_assert_lt(buffer, fake->buffer_count);
    cr_assert_not_null(fake->lent[buffer], "buffer %u released twice", buffer);
    free(fake->lent[buffer]);
    fake->lent[buffer] = NULL;
    fake->lent_count--;
}

static inline uint32_t fake_free_count(struct env *env)
{
    return fake_of(env)->buffer_count - fake_of(env)->lent_count;
}

static inline void fake_recv(struct env *env, env_conn handle, uint64_t token)
{
    struct fake_conn *conn = fake_conn(env, handle);

    cr_assert(!conn->armed && !conn->closing);
    conn->armed = true;
    conn->arm_count++;
    conn->recv_token = token;
}

static inline void fake_recv_stop(struct env *env, env_conn handle)
{
    cr_assert(fake_conn(env, handle)->armed);
    fake_conn(env, handle)->stop_count++;
}

static inline void fake_send(struct env *env, env_conn handle, const struct iovec *pieces,
                             uint32_t piece_count, uint64_t token)
{
    struct fake_conn *conn = fake_conn(env, handle);

    cr_assert(conn->pieces == NULL && !conn->closing);
    conn->pieces = pieces;
    conn->piece_count = piece_count;
    conn->send_token = token;
}

static inline void fake_close(struct env *env, env_conn handle, uint64_t token)
{
    cr_assert(!fake_conn(env, handle)->closing);
    fake_conn(env, handle)->closing = true;
    fake_conn(env, handle)->close_token = token;
}

static inline void fake_origin(struct env *env, env_conn handle, struct env_origin *ret_origin)
{
    *ret_origin = fake_conn(env, handle)->origin;
}

static inline void fake_open(struct fake *fake, uint32_t buffer_count)
{
    cr_assert(buffer_count > 0 && buffer_count <= FAKE_BUFFERS_MAX);
    *fake = (struct fake){.buffer_count = buffer_count, .now_ns = 1000000000};
    fake->ops = (struct env_ops){.now_mono_ns = fake_now,
                                 .buffer_release = fake_release,
                                 .buffers_free = fake_free_count,
                                 .net_recv = fake_recv,
                                 .net_recv_stop = fake_recv_stop,
                                 .net_send = fake_send,
                                 .net_close = fake_close,
                                 .net_origin = fake_origin};
    fake->env = (struct env){.ops = &fake->ops, .engine = "fake", .engine_reason = "test"};
}

/* Lends a buffer that holds a copy of the bytes; the event has no token. */
static inline struct env_event fake_lend(struct fake *fake, const void *data, uint32_t bytes)
{
    uint16_t id = 0;

    while (id < fake->buffer_count && fake->lent[id] != NULL)
        id++;
    cr_assert_lt(id, fake->buffer_count, "no buffer left to lend");
    fake->lent[id] = malloc(bytes);
    cr_assert_not_null(fake->lent[id]);
    memcpy(fake->lent[id], data, bytes);
    fake->lent_count++;
    return (struct env_event){.data = fake->lent[id],
                              .result = (int32_t)bytes,
                              .buffer = id,
                              .op = ENV_OP_RECV,
                              .more = 1};
}

/* A receive of the bytes on a handle with an armed receive. */
static inline struct env_event fake_received(struct fake *fake, env_conn handle, const void *data,
                                             uint32_t bytes)
{
    struct env_event event = fake_lend(fake, data, bytes);

    cr_assert(fake->conns[handle].armed);
    event.token = fake->conns[handle].recv_token;
    return event;
}

/* The last event of an armed receive: 0 or -errno. */
static inline struct env_event fake_recv_end(struct fake *fake, env_conn handle, int32_t result)
{
    struct fake_conn *conn = &fake->conns[handle];

    cr_assert(conn->armed);
    conn->armed = false;
    return (struct env_event){
        .token = conn->recv_token, .result = result, .buffer = ENV_BUFFER_NONE, .op = ENV_OP_RECV};
}

/* Bytes of the send in flight. */
static inline uint32_t fake_send_bytes(const struct fake *fake, env_conn handle)
{
    const struct fake_conn *conn = &fake->conns[handle];
    size_t bytes = 0;

    for (uint32_t i = 0; i < conn->piece_count && conn->pieces != NULL; i++)
        bytes += conn->pieces[i].iov_len;
    return (uint32_t)bytes;
}

/* Writes a frame whose payload is `length` bytes that follow from `seed`; returns all bytes. */
static inline uint32_t fake_frame(uint8_t *ret_data, uint32_t length, uint32_t seed)
{
    struct xd_frame head = {.length = length, .op = 1, .version = 1, .correlation = seed};

    xd_frame_encode(&head, ret_data);
    for (uint32_t i = 0; i < length; i++)
        ret_data[XD_FRAME_HEADER_BYTES + i] = (uint8_t)(seed * 31u + i * 7u + (i >> 8));
    return XD_FRAME_HEADER_BYTES + length;
}

#endif
