/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/output.h: what is committed leaves in its sequence and unchanged, in few pieces, all
 * memory comes back, and of each relay it is told once when it is done with.
 */
#include "broker/net/output.h"

#include "broker/base/prng.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#define CHUNK 256u
#define CHUNKS 12u
#define PER_CONN 4u
#define LARGE 5000u
#define LARGES 3u
#define RELAYS 4u

struct bench {
    struct arena arena;
    struct output output;
    struct outbox outbox;
    uint8_t *memory;
    uint8_t sent[64 * 1024]; /* bytes that have left */
    uint32_t sent_bytes;
};

static const struct output_sizes sizes = {.chunk_bytes = CHUNK,
                                          .chunk_count = CHUNKS,
                                          .chunks_per_conn = PER_CONN,
                                          .large_bytes = LARGE,
                                          .large_count = LARGES,
                                          .relay_count = RELAYS};

static struct bench *bench_open(void)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    size_t bytes = output_bytes_needed(&sizes);

    bench->memory = malloc(bytes);
    cr_assert_not_null(bench->memory);
    arena_init(&bench->arena, bench->memory, bytes);
    cr_assert_eq(output_init(&bench->output, &bench->arena, &sizes), 0);
    outbox_init(&bench->outbox);
    return bench;
}

static void bench_close(struct bench *bench)
{
    outbox_drop(&bench->output, &bench->outbox);
    cr_assert(outbox_empty(&bench->outbox));
    cr_assert_eq(pool_free_count(&bench->output.chunks), CHUNKS);
    cr_assert_eq(pool_free_count(&bench->output.larges), LARGES);
    cr_assert_eq(output_relay_count(&bench->output), 0);
    pool_deinit(&bench->output.relays);
    pool_deinit(&bench->output.chunks);
    pool_deinit(&bench->output.larges);
    free(bench->memory);
    free(bench);
}

/* Queues `bytes` of value `value`; false when there is no room. */
static bool put(struct bench *bench, uint32_t bytes, uint8_t value)
{
    uint8_t *room = outbox_reserve(&bench->output, &bench->outbox, bytes);

    if (room == NULL)
        return false;
    cr_assert_eq((uintptr_t)room % OUT_ALIGN, 0);
    memset(room, value, bytes);
    outbox_commit(&bench->outbox, bytes);
    return true;
}

/* Starts a send; returns its pieces. */
static uint32_t take(struct bench *bench)
{
    uint32_t count = outbox_take(&bench->output, &bench->outbox);

    for (uint32_t i = 0; i < count; i++) {
        const struct iovec *piece = &bench->outbox.pieces[i];
        cr_assert_leq(bench->sent_bytes + piece->iov_len, sizeof(bench->sent));
        memcpy(bench->sent + bench->sent_bytes, piece->iov_base, piece->iov_len);
        bench->sent_bytes += (uint32_t)piece->iov_len;
    }
    return count;
}

/* Pieces of another shard, all of `bytes` bytes of value `value`; a row of them per test. */
static const struct iovec *lent_pieces(struct iovec *pieces, uint32_t count, uint32_t bytes,
                                       uint8_t value)
{
    static uint8_t memory[256][8 * 1024];

    cr_assert_leq(bytes, sizeof(memory[0]));
    memset(memory[value], value, bytes);
    for (uint32_t i = 0; i < count; i++)
        pieces[i] = (struct iovec){.iov_base = memory[value], .iov_len = bytes};
    return pieces;
}

/* The next relay that is done with has this cookie; 0 = there is none. */
static void expect_relayed(struct bench *bench, uint64_t cookie)
{
    uint64_t got = 0;

    cr_assert_eq(output_relay_next(&bench->output, &got), cookie != 0);
    cr_assert_eq(got, cookie);
}

/* Frames of whole words become one piece, however many. */
Test(net_output, merges_aligned_frames_into_one_piece)
{
    struct bench *bench = bench_open();

    for (uint8_t i = 0; i < 10; i++)
        cr_assert(put(bench, 24, i));
    cr_assert_eq(take(bench), 1);
    cr_assert_eq(bench->sent_bytes, 240);
    for (uint32_t i = 0; i < 240; i++)
        cr_assert_eq(bench->sent[i], i / 24);
    outbox_sent(&bench->output, &bench->outbox);
    bench_close(bench);
}

/* A frame of odd length is followed by aligned room, and no byte of the gap is sent. */
Test(net_output, keeps_room_aligned_behind_odd_lengths)
{
    struct bench *bench = bench_open();

    cr_assert(put(bench, 13, 1));
    cr_assert(put(bench, 8, 2));
    cr_assert(put(bench, 3, 3));
    cr_assert_eq(take(bench), 2); /* the second is lengthened by the third */
    cr_assert_eq(bench->sent_bytes, 24);
    for (uint32_t i = 0; i < 24; i++)
        cr_assert_eq(bench->sent[i], i < 13 ? 1 : i < 21 ? 2 : 3);
    outbox_sent(&bench->output, &bench->outbox);
    cr_assert(outbox_empty(&bench->outbox));
    bench_close(bench);
}

/* Less may be committed than was reserved, a second reservation replaces the first, and one that is
 * not committed costs nothing once the turn is over. */
Test(net_output, forgets_what_is_not_committed)
{
    struct bench *bench = bench_open();

    cr_assert_not_null(outbox_reserve(&bench->output, &bench->outbox, CHUNK));
    outbox_commit(&bench->outbox, 0);
    cr_assert_eq(take(bench), 0);
    cr_assert_eq(pool_free_count(&bench->output.chunks), CHUNKS);

    memset(outbox_reserve(&bench->output, &bench->outbox, 64), 1, 64);
    memset(outbox_reserve(&bench->output, &bench->outbox, 32), 2, 32);
    outbox_commit(&bench->outbox, 16);
    cr_assert_eq(take(bench), 1);
    cr_assert_eq(bench->sent_bytes, 16);
    cr_assert_eq(bench->sent[0], 2);
    outbox_sent(&bench->output, &bench->outbox);
    bench_close(bench);
}

/* What is written while a send is in flight leaves with the next one and does not touch the bytes
 * in flight, though it lies in the same chunk. */
Test(net_output, writes_behind_a_send_in_flight)
{
    struct bench *bench = bench_open();

    cr_assert(put(bench, 16, 1));
    cr_assert_eq(take(bench), 1);
    cr_assert(put(bench, 16, 2));
    cr_assert_eq(pool_free_count(&bench->output.chunks), CHUNKS - 1);
    cr_assert_eq(bench->outbox.pieces[0].iov_len, 16);
    cr_assert_eq(((uint8_t *)bench->outbox.pieces[0].iov_base)[15], 1);
    outbox_sent(&bench->output, &bench->outbox);
    cr_assert_not(outbox_empty(&bench->outbox));
    cr_assert_eq(take(bench), 1);
    cr_assert_eq(bench->sent_bytes, 32);
    cr_assert_eq(bench->sent[16], 2);
    outbox_sent(&bench->output, &bench->outbox);
    bench_close(bench);
}

/* Large buffers keep their place between what was queued before and after them, are aligned, and
 * come back when they have left. */
Test(net_output, sends_large_buffers_in_sequence)
{
    struct bench *bench = bench_open();
    uint8_t *large = output_large_acquire(&bench->output);

    cr_assert_eq((uintptr_t)large % LARGE_ALIGN, 0);
    cr_assert(put(bench, 10, 1));
    memset(large, 2, LARGE);
    outbox_large_queue(&bench->output, &bench->outbox, large, LARGE);
    cr_assert(put(bench, 10, 3));
    cr_assert_eq(take(bench), 3);
    cr_assert_eq(bench->sent_bytes, LARGE + 20);
    cr_assert_eq(bench->sent[9], 1);
    cr_assert_eq(bench->sent[10], 2);
    cr_assert_eq(bench->sent[LARGE + 9], 2);
    cr_assert_eq(bench->sent[LARGE + 10], 3);
    cr_assert_eq(pool_free_count(&bench->output.larges), LARGES - 1);
    outbox_sent(&bench->output, &bench->outbox);
    cr_assert_eq(pool_free_count(&bench->output.larges), LARGES);
    bench_close(bench);
}

/* Two large buffers, or more chunks than allowed, make an outbox full; at twice the chunks it takes
 * nothing further; sending makes room. */
Test(net_output, limits_what_a_connection_queues)
{
    struct bench *bench = bench_open();

    for (uint32_t i = 0; i < PER_CONN; i++)
        cr_assert(put(bench, CHUNK, 1));
    cr_assert_not(outbox_full(&bench->output, &bench->outbox));
    cr_assert(put(bench, CHUNK, 1));
    cr_assert(outbox_full(&bench->output, &bench->outbox));
    for (uint32_t i = PER_CONN + 1; i < 2 * PER_CONN; i++)
        cr_assert(put(bench, CHUNK, 1));
    cr_assert_not(put(bench, 1, 1));
    cr_assert_eq(take(bench), 2 * PER_CONN);
    outbox_sent(&bench->output, &bench->outbox);
    cr_assert_not(outbox_full(&bench->output, &bench->outbox));

    for (uint32_t i = 0; i < LARGE_PER_CONN_MAX; i++) {
        cr_assert_not(outbox_full(&bench->output, &bench->outbox));
        outbox_large_queue(&bench->output, &bench->outbox, output_large_acquire(&bench->output), 1);
    }
    cr_assert(outbox_full(&bench->output, &bench->outbox));
    bench_close(bench);
}

/* When others hold all chunks there is no room, and there is again once one came back. */
Test(net_output, gives_null_when_no_chunk_is_free)
{
    struct bench *bench = bench_open();
    struct outbox others[2];

    for (int i = 0; i < 2; i++) {
        outbox_init(&others[i]);
        while (outbox_reserve(&bench->output, &others[i], CHUNK) != NULL)
            outbox_commit(&others[i], CHUNK);
    }
    cr_assert_eq(pool_free_count(&bench->output.chunks), 0);
    cr_assert_not(put(bench, 8, 1));
    outbox_drop(&bench->output, &others[0]);
    cr_assert(put(bench, 8, 1));
    outbox_drop(&bench->output, &others[1]);
    bench_close(bench);
}

/* More segments than one send takes leave with the next one. */
Test(net_output, splits_many_segments_over_sends)
{
    struct bench *bench = bench_open();

    for (uint8_t i = 0; i < SEND_PIECES_MAX + 3; i++)
        cr_assert(put(bench, 9, i));
    cr_assert_eq(take(bench), SEND_PIECES_MAX);
    outbox_sent(&bench->output, &bench->outbox);
    cr_assert_eq(take(bench), 3);
    outbox_sent(&bench->output, &bench->outbox);
    cr_assert_eq(bench->sent_bytes, 9 * (SEND_PIECES_MAX + 3));
    for (uint32_t i = 0; i < bench->sent_bytes; i++)
        cr_assert_eq(bench->sent[i], i / 9);
    bench_close(bench);
}

/* A relay keeps its place between what was queued before and after it, and is told of once, when
 * its bytes have left and not before. */
Test(net_output, relays_in_sequence)
{
    struct bench *bench = bench_open();
    struct iovec pieces[2];

    cr_assert(put(bench, 10, 1));
    outbox_relay_queue(&bench->output, &bench->outbox, lent_pieces(pieces, 2, 100, 2), 2, 77);
    cr_assert(put(bench, 10, 3));
    cr_assert_eq(take(bench), 4);
    cr_assert_eq(bench->sent_bytes, 220);
    for (uint32_t i = 0; i < 220; i++)
        cr_assert_eq(bench->sent[i], i < 10 ? 1 : i < 210 ? 2 : 3);
    expect_relayed(bench, 0);
    cr_assert(put(bench, 10, 4));
    outbox_sent(&bench->output, &bench->outbox);
    cr_assert_eq(output_relay_count(&bench->output), 1, "not told of yet");
    expect_relayed(bench, 77);
    expect_relayed(bench, 0);
    bench_close(bench);
}

/* A relay whose pieces do not fit one send leaves with two, and is told of behind the second. */
Test(net_output, splits_a_relay_over_sends)
{
    struct bench *bench = bench_open();
    struct iovec pieces[SEND_PIECES_MAX];

    for (uint32_t i = 0; i < 3; i++)
        cr_assert(put(bench, 9, 1));
    outbox_relay_queue(&bench->output, &bench->outbox, lent_pieces(pieces, SEND_PIECES_MAX, 5, 2),
                       SEND_PIECES_MAX, 1);
    cr_assert_eq(take(bench), SEND_PIECES_MAX);
    outbox_sent(&bench->output, &bench->outbox);
    expect_relayed(bench, 0);
    cr_assert_eq(take(bench), 3);
    outbox_sent(&bench->output, &bench->outbox);
    expect_relayed(bench, 1);
    cr_assert_eq(bench->sent_bytes, 27 + 5 * SEND_PIECES_MAX);
    for (uint32_t i = 0; i < bench->sent_bytes; i++)
        cr_assert_eq(bench->sent[i], i < 27 ? 1 : 2);
    bench_close(bench);
}

/* What is dropped before it left is told of as well, in sequence, and each once. */
Test(net_output, tells_of_relays_that_are_dropped)
{
    struct bench *bench = bench_open();
    struct iovec pieces[3];

    for (uint64_t cookie = 1; cookie <= 3; cookie++)
        outbox_relay_queue(&bench->output, &bench->outbox,
                           lent_pieces(&pieces[cookie - 1], 1, 10, (uint8_t)cookie), 1, cookie);
    cr_assert_eq(take(bench), 3);
    outbox_sent(&bench->output, &bench->outbox);
    outbox_relay_queue(&bench->output, &bench->outbox, lent_pieces(pieces, 1, 10, 9), 1, 4);
    outbox_drop(&bench->output, &bench->outbox);
    for (uint64_t cookie = 1; cookie <= 4; cookie++)
        expect_relayed(bench, cookie);
    expect_relayed(bench, 0);
    bench_close(bench);
}

/* Relays make an outbox full as their bytes would in chunks, or as large buffers when their pieces
 * are longer than a chunk, together with the outbox's own. */
Test(net_output, counts_relays_in_what_is_queued)
{
    struct bench *bench = bench_open();
    struct iovec small[PER_CONN];
    struct iovec large[2];

    cr_assert(put(bench, CHUNK, 1));
    lent_pieces(small, PER_CONN, CHUNK, 2);
    outbox_relay_queue(&bench->output, &bench->outbox, small, PER_CONN - 1, 1);
    cr_assert_not(outbox_full(&bench->output, &bench->outbox));
    outbox_relay_queue(&bench->output, &bench->outbox, small, 1, 2);
    cr_assert(outbox_full(&bench->output, &bench->outbox));
    take(bench);
    outbox_sent(&bench->output, &bench->outbox);
    cr_assert_not(outbox_full(&bench->output, &bench->outbox));

    lent_pieces(large, 2, CHUNK + 1, 3);
    outbox_relay_queue(&bench->output, &bench->outbox, large, 1, 3);
    cr_assert_not(outbox_full(&bench->output, &bench->outbox));
    uint8_t *own = output_large_acquire(&bench->output);
    memset(own, 1, LARGE);
    outbox_large_queue(&bench->output, &bench->outbox, own, LARGE);
    cr_assert(outbox_full(&bench->output, &bench->outbox));
    outbox_drop(&bench->output, &bench->outbox);
    cr_assert_not(outbox_full(&bench->output, &bench->outbox));
    outbox_relay_queue(&bench->output, &bench->outbox, large, 2, 4);
    cr_assert(outbox_full(&bench->output, &bench->outbox));
    outbox_drop(&bench->output, &bench->outbox);
    for (uint64_t cookie = 1; cookie <= 4; cookie++)
        expect_relayed(bench, cookie);
    bench_close(bench);
}

/* More relays than there are elements is a bug of the caller, also when the first have left but
 * have not been asked for. */
Test(net_output, aborts_when_too_many_relays_are_out, .signal = SIGABRT)
{
    struct bench *bench = bench_open();
    struct iovec piece;

    lent_pieces(&piece, 1, 10, 1);
    for (uint64_t cookie = 0; cookie < RELAYS; cookie++)
        outbox_relay_queue(&bench->output, &bench->outbox, &piece, 1, cookie);
    take(bench);
    outbox_sent(&bench->output, &bench->outbox);
    cr_assert(outbox_empty(&bench->outbox));
    outbox_relay_queue(&bench->output, &bench->outbox, &piece, 1, RELAYS);
}

/* An arena that is too small is refused. */
Test(net_output, says_when_the_arena_is_too_small)
{
    struct bench *bench = bench_open();
    struct output output;

    arena_init(&bench->arena, bench->memory, output_bytes_needed(&sizes) / 2);
    cr_assert_eq(output_init(&output, &bench->arena, &sizes), -ENOMEM);
    bench_close(bench);
}

/* A large buffer that is queued belongs to the outbox; releasing it is a bug and aborts. */
Test(net_output, aborts_when_a_queued_large_buffer_is_released, .signal = SIGABRT)
{
    struct bench *bench = bench_open();
    uint8_t *large = output_large_acquire(&bench->output);

    outbox_large_queue(&bench->output, &bench->outbox, large, 8);
    output_large_release(&bench->output, large);
}

/* Queues a relay of one to three pieces when one more may be out; returns its bytes. */
static uint32_t put_relay(struct bench *bench, struct prng *prng, uint8_t value)
{
    static struct iovec pieces[RELAYS][3];
    static uint64_t cookie;
    uint64_t left;

    while (output_relay_next(&bench->output, &left))
        ;
    if (output_relay_count(&bench->output) > 0)
        return 0; /* its pieces are still being read */
    uint32_t count = 1 + (uint32_t)prng_below(prng, 3);
    uint32_t bytes = 1 + (uint32_t)prng_below(prng, 300);
    cookie++;
    lent_pieces(pieces[cookie % RELAYS], count, bytes, value);
    outbox_relay_queue(&bench->output, &bench->outbox, pieces[cookie % RELAYS], count, cookie);
    return count * bytes;
}

/* What leaves equals what was committed, for any sequence of lengths, sends, large buffers and
 * relays. */
Test(net_output, keeps_any_stream)
{
    static uint8_t expected[64 * 1024];
    struct prng prng;

    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct bench *bench = bench_open();
        uint32_t total = 0;

        prng_seed(&prng, seed);
        while (total < sizeof(expected) - LARGE - CHUNK - 900) {
            uint8_t value = (uint8_t)prng_next(&prng);
            bool large = prng_chance(&prng, 4000);
            uint32_t bytes = 1 + (uint32_t)prng_below(&prng, large ? LARGE : CHUNK);
            uint8_t *data = large ? output_large_acquire(&bench->output) : NULL;

            if (data != NULL) {
                memset(data, value, bytes);
                outbox_large_queue(&bench->output, &bench->outbox, data, bytes);
            }
            if (large ? data != NULL : put(bench, bytes, value)) {
                memset(expected + total, value, bytes);
                total += bytes;
            }
            if (prng_chance(&prng, 8000)) {
                uint32_t relayed = put_relay(bench, &prng, value);
                memset(expected + total, value, relayed);
                total += relayed;
            }
            if (outbox_flying(&bench->outbox) && prng_chance(&prng, 20000))
                outbox_sent(&bench->output, &bench->outbox);
            if (!outbox_flying(&bench->outbox) && prng_chance(&prng, 20000))
                take(bench);
        }
        do {
            if (outbox_flying(&bench->outbox))
                outbox_sent(&bench->output, &bench->outbox);
        } while (take(bench) > 0);
        cr_assert_eq(bench->sent_bytes, total, "seed %llu", (unsigned long long)seed);
        cr_assert_eq(memcmp(bench->sent, expected, total), 0, "seed %llu",
                     (unsigned long long)seed);
        for (uint64_t left; output_relay_next(&bench->output, &left);)
            ;
        bench_close(bench);
    }
}
