/* SPDX-License-Identifier: Apache-2.0
 *
 * A table of connections over the env of net_fake.h, for tests of single files of broker/net: every
 * event is made by the test, every start is noted, and bench_close proves that all memory has come
 * back.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_NET_BENCH_H
#define CROSSDOCK_TESTS_SUPPORT_NET_BENCH_H

#include "broker/net/conn.h"
#include "broker/net/relief.h"
#include "tests/support/net_fake.h"

#include <errno.h>

#define BENCH_CONNS 8u

struct bench {
    struct fake fake;
    struct arena arena;
    struct counters counters;
    struct conns conns;
    uint8_t *memory;
};

static inline struct net_options bench_options(void)
{
    struct net_options options;

    net_options_init(&options);
    options.connections_max = BENCH_CONNS;
    options.frame_bytes_max = 64 * 1024;
    options.out_chunk_bytes = 1024;
    options.out_chunk_count = 32;
    options.out_chunks_per_conn = 4;
    options.large_count = 2;
    options.spill_count = 1;
    options.recv_buffers_max = FAKE_BUFFERS_MAX;
    return options;
}

static inline struct bench *bench_open_with(const struct net_options *options, uint32_t buffers)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    size_t bytes = conns_bytes_needed(options);

    cr_assert_not_null(bench);
    bench->memory = malloc(bytes);
    cr_assert_not_null(bench->memory);
    fake_open(&bench->fake, buffers);
    arena_init(&bench->arena, bench->memory, bytes);
    cr_assert_eq(
        conns_init(&bench->conns, &bench->fake.env, &bench->arena, &bench->counters, options), 0);
    return bench;
}

static inline struct bench *bench_open(void)
{
    struct net_options options = bench_options();

    return bench_open_with(&options, 64);
}

/* The table's entry of a socket behind a handle; handles are given in the sequence of slots. */
static inline struct conn *bench_conn(struct bench *bench, env_conn handle)
{
    for (uint32_t i = 0; i < bench->conns.options.connections_max; i++) {
        struct conn *conn = &bench->conns.table[i];
        if (conn->state != CONN_FREE && conn->state != CONN_ENDED && conn->handle == handle)
            return conn;
    }
    return NULL;
}

static inline struct conn *bench_accept(struct bench *bench, env_conn handle)
{
    cr_assert_eq(conn_open(&bench->conns, handle), NET_TAKEN);
    cr_assert(bench->fake.conns[handle].armed);
    return bench_conn(bench, handle);
}

static inline void bench_receive(struct bench *bench, env_conn handle, const void *data,
                                 uint32_t bytes)
{
    struct env_event event = fake_received(&bench->fake, handle, data, bytes);

    conn_received(&bench->conns, conn_find(&bench->conns, env_token_value(event.token)), &event);
    conns_check(&bench->conns);
}

/* Receives one whole frame of `length` payload bytes. */
static inline void bench_receive_frame(struct bench *bench, env_conn handle, uint32_t length)
{
    static uint8_t frame[128 * 1024];

    bench_receive(bench, handle, frame, fake_frame(frame, length, (uint32_t)handle));
}

static inline void bench_recv_end(struct bench *bench, env_conn handle, int32_t result)
{
    struct env_event event = fake_recv_end(&bench->fake, handle, result);

    conn_received(&bench->conns, conn_find(&bench->conns, env_token_value(event.token)), &event);
    conns_check(&bench->conns);
}

/* Queues `bytes` bytes of output. */
static inline void bench_put(struct bench *bench, struct conn *conn, uint32_t bytes)
{
    uint8_t *room = outbox_reserve(&bench->conns.output, &conn->outbox, bytes);

    cr_assert_not_null(room);
    memset(room, 1, bytes);
    outbox_commit(&conn->outbox, bytes);
    conn_touch(&bench->conns, conn);
}

/* The send in flight ends; INT32_MIN stands for all its bytes. */
static inline void bench_sent(struct bench *bench, env_conn handle, int32_t result)
{
    struct fake_conn *fake = &bench->fake.conns[handle];

    cr_assert_not_null(fake->pieces);
    if (result == INT32_MIN)
        result = (int32_t)fake_send_bytes(&bench->fake, handle);
    fake->pieces = NULL;
    conn_sent(&bench->conns, conn_find(&bench->conns, env_token_value(fake->send_token)), result);
    conns_check(&bench->conns);
}

static inline void bench_turn_end(struct bench *bench)
{
    conns_flush(&bench->conns);
    relief_turn(&bench->conns);
    conns_check(&bench->conns);
}

/* The env finishes the close as it must: what is outstanding ends, CLOSE comes last. */
static inline void bench_finish(struct bench *bench, env_conn handle)
{
    struct fake_conn *fake = &bench->fake.conns[handle];

    cr_assert(fake->closing);
    struct conn *conn = conn_find(&bench->conns, env_token_value(fake->close_token));
    if (fake->armed)
        bench_recv_end(bench, handle, -ECANCELED);
    if (fake->pieces != NULL)
        bench_sent(bench, handle, -ECANCELED);
    *fake = (struct fake_conn){0};
    conn_ended(&bench->conns, conn);
    conns_check(&bench->conns);
}

/* Takes all news of a connection as net_news_next does; returns whether CLOSED was among them. */
static inline bool bench_told(struct bench *bench, struct conn *conn)
{
    bool closed = conn->news & CONN_NEWS_CLOSED;

    if (conn->news != 0) {
        list_remove(&conn->news_node);
        conn->news = 0;
        conn_told(&bench->conns, conn);
    }
    conns_check(&bench->conns);
    return closed;
}

/* Lends the frame that is next, which must be there and not be refused. */
static inline struct net_lent *bench_lend(struct bench *bench)
{
    struct conn *conn = conn_next(&bench->conns);

    cr_assert_not_null(conn);
    struct net_lent *lent = conn_lend(&bench->conns, conn);
    cr_assert_not_null(lent);
    conns_check(&bench->conns);
    return lent;
}

static inline void bench_lent_return(struct bench *bench, struct net_lent *lent)
{
    conns_lent_return(&bench->conns, lent);
    conns_check(&bench->conns);
}

/* The payload is that of fake_frame(length, seed), byte by byte. */
static inline void bench_expect_lent(const struct net_lent *lent, uint32_t length, uint32_t seed)
{
    static uint8_t expected[128 * 1024];
    const struct net_lent_piece *piece = &lent->first;
    uint32_t at = XD_FRAME_HEADER_BYTES;

    fake_frame(expected, length, seed);
    cr_assert_eq(lent->head.length, length);
    cr_assert_eq(lent->head.correlation, seed);
    for (uint32_t i = 0; i < lent->piece_count; i++, piece = piece->next) {
        cr_assert_gt(piece->bytes, 0);
        cr_assert_eq(memcmp(piece->data, expected + at, piece->bytes), 0, "at %u", at);
        at += piece->bytes;
    }
    cr_assert_eq(at, XD_FRAME_HEADER_BYTES + length);
    cr_assert(lent->piece_count == 0 || piece == NULL);
}

/* Closes whatever is open and frees; every buffer, chunk and slot must be back. What is lent and
 * what a relay borrows has been given back before. */
static inline void bench_close(struct bench *bench)
{
    struct conns *conns = &bench->conns;
    uint64_t cookie;

    for (uint32_t i = 0; i < conns->slot_count; i++) {
        struct conn *conn = &conns->table[i];
        if (conn->state == CONN_OPEN || conn->state == CONN_DRAINING)
            conn_abort(conns, conn, NET_CLOSE_BROKER, 0);
        if (conn->state == CONN_CLOSING && conn->remote)
            remote_sent(conns, conn);
        else if (conn->state == CONN_CLOSING)
            bench_finish(bench, conn->handle);
        (void)bench_told(bench, conn); /* Only the slot matters here. */
        cr_assert_eq(conn->state, CONN_FREE);
    }
    while (output_relay_next(&conns->output, &cookie))
        ;
    cr_assert_eq(conns->count, 0);
    cr_assert_eq(conns->remotes.count, 0);
    cr_assert_eq(lend_count(&conns->lend), 0);
    cr_assert_eq(output_relay_count(&conns->output), 0);
    cr_assert_eq(pool_free_count(&conns->lend.pieces), conns->lend.pieces.element_count);
    cr_assert_eq(bench->fake.lent_count, 0);
    cr_assert_eq(pool_free_count(&conns->assemble.chunks), conns->assemble.chunks.element_count);
    cr_assert_eq(pool_free_count(&conns->assemble.pieces), conns->assemble.pieces.element_count);
    cr_assert_eq(pool_free_count(&conns->output.chunks), conns->output.chunks.element_count);
    cr_assert_eq(pool_free_count(&conns->output.larges), conns->output.larges.element_count);
    cr_assert_eq(hashmap_count(&conns->origins.map), 0);
    pool_deinit(&conns->origins.table);
    pool_deinit(&conns->assemble.chunks);
    pool_deinit(&conns->assemble.pieces);
    pool_deinit(&conns->output.chunks);
    pool_deinit(&conns->output.larges);
    pool_deinit(&conns->output.relays);
    pool_deinit(&conns->lend.frames);
    pool_deinit(&conns->lend.pieces);
    free(bench->memory);
    free(bench);
}

#endif
