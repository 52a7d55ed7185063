/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/lend.h under any sequence of events: connections that receive frames cut anywhere,
 * lend some, read others, stall, close and are reset, and frames that come back in any sequence.
 * What is lent stays readable and unchanged, and a model says of each buffer when it is back.
 *
 * net_fake.h frees a buffer when it is released, so that AddressSanitizer finds a lent byte that is
 * not there any more.
 */
#include "broker/net/lend.h"

#include "broker/base/prng.h"
#include "tests/support/net_bench.h"

#include <errno.h>

#include <criterion/criterion.h>

#define LENTS 24u
#define STREAM_BYTES (48u * 1024u)
#define STEPS 4000u

/* One frame that is lent: what it must hold, and where in its connection's stream it lies. */
struct loan {
    struct net_lent *lent;
    uint32_t length; /* of its payload */
    uint32_t seed;   /* of fake_frame */
    uint32_t life;   /* which use of a slot it came from */
    uint32_t begin;  /* of its payload in that stream */
};

/* One buffer: which part of which stream lies in it. */
struct held {
    uint32_t life;
    uint32_t begin;
    uint32_t end; /* 0 = not lent */
};

/* One use of a handle. */
struct stream {
    uint8_t data[STREAM_BYTES]; /* whole frames */
    uint32_t bytes;
    uint32_t at;   /* received so far */
    uint32_t read; /* stepped over so far */
    uint32_t life; /* number of this use */
    uint32_t seed; /* of its first frame not stepped over */
    bool dropped;  /* what it has not read is dropped */
};

struct model {
    struct bench *bench;
    struct prng prng;
    struct stream streams[BENCH_CONNS];
    struct loan loans[LENTS];
    struct held buffers[FAKE_BUFFERS_MAX];
    uint32_t loan_count;
    uint32_t lives; /* streams begun */
    uint32_t lent;  /* loans since start */
    bool exact;     /* enough buffers, so that nothing is spilled and the model knows each */
};

static uint32_t below(struct model *model, uint32_t bound)
{
    return (uint32_t)prng_below(&model->prng, bound);
}

static void stream_begin(struct model *model, env_conn handle)
{
    struct stream *stream = &model->streams[handle];
    uint32_t seed = 1;

    *stream = (struct stream){.life = ++model->lives, .seed = 1};
    while (stream->bytes < STREAM_BYTES - 4200) {
        uint32_t length = below(model, below(model, 4) == 0 ? 4000 : 60);
        stream->bytes += fake_frame(stream->data + stream->bytes, length, seed++);
    }
    struct conn *conn = bench_accept(model->bench, handle);
    conn_admit(&model->bench->conns, conn);
}

/* Whether the buffer must still be there. */
static bool wanted(const struct model *model, const struct held *held)
{
    for (uint32_t i = 0; i < model->loan_count; i++) {
        const struct loan *loan = &model->loans[i];
        if (loan->life == held->life && loan->length > 0 && loan->begin < held->end &&
            held->begin < loan->begin + loan->length)
            return true;
    }
    for (uint32_t i = 0; i < BENCH_CONNS; i++) {
        const struct stream *stream = &model->streams[i];
        if (stream->life == held->life)
            return !stream->dropped && held->end > stream->read;
    }
    return false;
}

static void check(struct model *model)
{
    conns_check(&model->bench->conns);
    for (uint32_t i = 0; model->exact && i < FAKE_BUFFERS_MAX; i++) {
        struct held *held = &model->buffers[i];
        bool lent = model->bench->fake.lent[i] != NULL;
        cr_assert_eq(lent, held->end > 0 && wanted(model, held), "buffer %u", i);
        if (!lent)
            held->end = 0;
    }
}

static void receive(struct model *model, env_conn handle)
{
    struct stream *stream = &model->streams[handle];
    struct fake *fake = &model->bench->fake;
    uint32_t most = below(model, 3) == 0 ? 3000 : 90;
    uint32_t bytes = 1 + below(model, most);
    uint32_t left = stream->bytes - stream->at;

    if (!fake->conns[handle].armed || left == 0)
        return;
    if (fake_free_count(&fake->env) == 0) {
        bench_recv_end(model->bench, handle, -ENOBUFS);
        return;
    }
    bytes = bytes < left ? bytes : left;
    struct env_event event = fake_received(fake, handle, stream->data + stream->at, bytes);
    model->buffers[event.buffer] =
        (struct held){.life = stream->life, .begin = stream->at, .end = stream->at + bytes};
    stream->at += bytes;
    struct conn *conn = conn_find(&model->bench->conns, env_token_value(event.token));
    conn_received(&model->bench->conns, conn, &event);
}

/* The next frame of any connection is lent, read or stalled. */
static void serve(struct model *model)
{
    struct conn *conn = conn_next(&model->bench->conns);
    uint32_t choice = below(model, 8);

    if (conn == NULL)
        return;
    struct stream *stream = &model->streams[conn->handle];
    uint32_t length = conn->inbox.head.length;
    struct net_lent *lent = NULL;
    cr_assert_eq(conn->inbox.head.correlation, stream->seed);
    if (choice < 6)
        lent = conn_lend(&model->bench->conns, conn);
    else if (choice == 6)
        conn_frame_done(&model->bench->conns, conn);
    if (lent == NULL && choice != 6) {
        conn_stall(&model->bench->conns, conn);
        return;
    }
    if (lent != NULL) {
        model->loans[model->loan_count++] =
            (struct loan){.lent = lent,
                          .length = length,
                          .seed = stream->seed,
                          .life = stream->life,
                          .begin = stream->read + XD_FRAME_HEADER_BYTES};
        model->lent++;
    }
    stream->read += XD_FRAME_HEADER_BYTES + length;
    stream->seed++;
}

static void give_back(struct model *model)
{
    if (model->loan_count == 0)
        return;
    uint32_t index = below(model, model->loan_count);
    struct loan loan = model->loans[index];

    model->loans[index] = model->loans[--model->loan_count];
    bench_expect_lent(loan.lent, loan.length, loan.seed);
    conns_lent_return(&model->bench->conns, loan.lent);
}

/* Ends a connection, in order or not; or lets the env finish one that ends. */
static void end(struct model *model, env_conn handle)
{
    struct bench *bench = model->bench;
    struct conn *conn = bench_conn(bench, handle);
    uint32_t choice = below(model, 3);

    if (conn != NULL && conn->state == CONN_CLOSING) {
        bench_finish(bench, handle);
        cr_assert(bench_told(bench, conn));
        return;
    }
    if (conn == NULL || conn->state != CONN_OPEN)
        return;
    model->streams[handle].dropped = true;
    if (choice == 0)
        conn_drain(&bench->conns, conn, NET_CLOSE_BROKER, false);
    else if (choice == 1 && bench->fake.conns[handle].armed)
        bench_recv_end(bench, handle, -ECONNRESET);
    else
        conn_abort(&bench->conns, conn, NET_CLOSE_ERROR, -EIO);
}

static void step(struct model *model)
{
    env_conn handle = (env_conn)below(model, BENCH_CONNS);
    struct conn *conn = bench_conn(model->bench, handle);
    uint32_t choice = below(model, 100);

    if (conn == NULL) {
        if (choice < 30)
            stream_begin(model, handle);
    } else if (choice < 40) {
        receive(model, handle);
    } else if (choice < 70) {
        serve(model);
    } else if (choice < 85) {
        give_back(model);
    } else if (choice < 90) {
        conns_unstall(&model->bench->conns);
    } else if (choice < 98) {
        bench_turn_end(model->bench);
        if (model->bench->fake.conns[handle].armed && model->bench->fake.conns[handle].stop_count)
            bench_recv_end(model->bench, handle, -ECANCELED);
    } else {
        end(model, handle);
    }
    check(model);
}

/* What happened in some runs, so that a test can show that it tests something. */
struct totals {
    uint64_t lent;    /* frames */
    uint64_t refused; /* frames */
    uint64_t spilled; /* bytes */
};

static void run(uint64_t seed, bool exact, struct totals *totals)
{
    struct net_options options = bench_options();
    struct model *model = calloc(1, sizeof(*model));

    options.lents_max = LENTS;
    options.spill_count = 4;
    model->exact = exact;
    model->bench = bench_open_with(&options, exact ? FAKE_BUFFERS_MAX : 12);
    prng_seed(&model->prng, seed);
    for (uint32_t i = 0; i < STEPS; i++)
        step(model);
    totals->lent += model->lent;
    totals->refused += model->bench->counters.v[COUNTER_frames_lend_refused];
    totals->spilled += model->bench->conns.assemble.spilled_bytes;
    while (model->loan_count > 0)
        give_back(model);
    check(model);
    bench_close(model->bench);
    free(model);
}

/* With buffers enough each of them is there exactly as long as unread or lent bytes lie in it. */
Test(net_lend_random, knows_of_each_buffer_when_it_is_back, .timeout = 300)
{
    struct totals totals = {0};

    for (uint64_t seed = 1; seed <= 20; seed++)
        run(seed, true, &totals);
    cr_assert_gt(totals.lent, 20 * STEPS / 20);
    cr_assert_gt(totals.refused, 0);
    cr_assert_eq(totals.spilled, 0);
}

/* With few buffers frames are spilled and connections shed; lent bytes are not touched by either.
 */
Test(net_lend_random, keeps_lent_bytes_when_memory_is_scarce, .timeout = 300)
{
    struct totals totals = {0};

    for (uint64_t seed = 1; seed <= 20; seed++)
        run(seed, false, &totals);
    cr_assert_gt(totals.lent, 20 * STEPS / 50);
    cr_assert_gt(totals.refused, 0);
    cr_assert_gt(totals.spilled, 0);
}
