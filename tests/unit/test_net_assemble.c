/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/assemble.h: frames come out as they went in however their bytes are cut, every lent
 * buffer goes back as soon as nothing unread lies in it, and spilling changes no byte.
 */
#include "broker/net/assemble.h"

#include "broker/base/prng.h"
#include "tests/support/net_fake.h"
#include "wire/limits.h"
#include "wire/status.h"

#include <errno.h>
#include <signal.h>

#include <criterion/criterion.h>

#define BUFFERS 200u
#define CHUNKS 64u

struct bench {
    struct fake fake;
    struct arena arena;
    struct assemble assemble;
    struct inbox inbox;
    uint8_t *memory;
};

static void bench_open(struct bench *bench)
{
    size_t bytes = assemble_bytes_needed(BUFFERS, CHUNKS);

    memset(bench, 0, sizeof(*bench));
    bench->memory = malloc(bytes);
    cr_assert_not_null(bench->memory);
    fake_open(&bench->fake, BUFFERS);
    arena_init(&bench->arena, bench->memory, bytes);
    cr_assert_eq(assemble_init(&bench->assemble, &bench->fake.env, &bench->arena, BUFFERS, CHUNKS),
                 0);
}

/* Everything is back where it belongs. */
static void bench_close(struct bench *bench)
{
    inbox_drop(&bench->assemble, &bench->inbox);
    cr_assert_eq(bench->fake.lent_count, 0);
    cr_assert_eq(bench->assemble.lent_count, 0);
    cr_assert_eq(pool_free_count(&bench->assemble.chunks), CHUNKS);
    cr_assert_eq(pool_free_count(&bench->assemble.pieces), CHUNKS + BUFFERS);
    pool_deinit(&bench->assemble.pieces);
    pool_deinit(&bench->assemble.chunks);
    free(bench->memory);
}

static void receive(struct bench *bench, const uint8_t *data, uint32_t bytes)
{
    struct env_event event = fake_lend(&bench->fake, data, bytes);

    inbox_append(&bench->assemble, &bench->inbox, event.data, bytes, event.buffer);
    inbox_check(&bench->inbox);
}

/* The first frame is whole and carries these payload bytes; steps over it. */
static void expect_frame(struct bench *bench, const uint8_t *frame, uint32_t bytes)
{
    const uint8_t *payload = frame + XD_FRAME_HEADER_BYTES;
    size_t at = 0;

    cr_assert_eq(inbox_head(&bench->inbox, XD_FRAME_BYTES_DEFAULT_MAX), INBOX_WHOLE);
    cr_assert_eq(bench->inbox.head.length, bytes - XD_FRAME_HEADER_BYTES);
    uint32_t count = inbox_pieces(&bench->assemble, &bench->inbox);
    for (uint32_t i = 0; i < count; i++) {
        const struct iovec *piece = &bench->assemble.iovecs[i];
        cr_assert_gt(piece->iov_len, 0);
        cr_assert_eq(memcmp(piece->iov_base, payload + at, piece->iov_len), 0);
        at += piece->iov_len;
    }
    cr_assert_eq(at, bytes - XD_FRAME_HEADER_BYTES);
    inbox_consume(&bench->assemble, &bench->inbox);
    inbox_check(&bench->inbox);
}

/* Three frames in two receives, cut at every byte: all three come out, whether the front part was
 * spilled in between or not, and the first is whole exactly when its last byte is there. */
Test(net_assemble, joins_frames_cut_at_every_byte)
{
    struct bench bench;
    uint8_t data[400];
    uint32_t first = fake_frame(data, 37, 1);
    uint32_t second = first + fake_frame(data + first, 0, 2);
    uint32_t total = second + fake_frame(data + second, 90, 3);

    for (uint32_t cut = 1; cut < total; cut++) {
        for (int spill = 0; spill < 2; spill++) {
            bench_open(&bench);
            receive(&bench, data, cut);
            cr_assert_eq(inbox_head(&bench.inbox, 4096) == INBOX_WHOLE, cut >= first);
            if (spill)
                cr_assert(inbox_spill(&bench.assemble, &bench.inbox, 0));
            inbox_check(&bench.inbox);
            receive(&bench, data + cut, total - cut);
            expect_frame(&bench, data, first);
            expect_frame(&bench, data + first, second - first);
            expect_frame(&bench, data + second, total - second);
            cr_assert_eq(bench.fake.lent_count, 0);
            cr_assert_eq(inbox_head(&bench.inbox, 4096), XD_PARTIAL);
            bench_close(&bench);
        }
    }
}

/* A frame that arrives byte by byte holds one buffer per byte, is whole with the last, and gives
 * all back when it is stepped over. */
Test(net_assemble, joins_a_frame_of_single_bytes)
{
    struct bench bench;
    uint8_t data[128];
    uint32_t bytes = fake_frame(data, 100, 9);

    bench_open(&bench);
    for (uint32_t i = 0; i < bytes; i++) {
        cr_assert_eq(inbox_head(&bench.inbox, 4096), XD_PARTIAL);
        receive(&bench, data + i, 1);
    }
    cr_assert_eq(bench.fake.lent_count, bytes);
    expect_frame(&bench, data, bytes);
    cr_assert_eq(bench.fake.lent_count, 0);
    bench_close(&bench);
}

/* Many frames share one buffer: each costs one piece and no copy, and the buffer goes back with the
 * last of them, not before. */
Test(net_assemble, lends_one_buffer_to_many_frames)
{
    struct bench bench;
    uint8_t data[100 * 24];
    uint32_t bytes = 0;

    bench_open(&bench);
    for (uint32_t i = 0; i < 100; i++)
        bytes += fake_frame(data + bytes, 8, i);
    receive(&bench, data, bytes);
    for (uint32_t i = 0; i < 100; i++) {
        cr_assert_eq(bench.fake.lent_count, 1);
        cr_assert_eq(inbox_head(&bench.inbox, 4096), INBOX_WHOLE);
        cr_assert_eq(inbox_pieces(&bench.assemble, &bench.inbox), 1);
        cr_assert_eq(bench.assemble.iovecs[0].iov_base,
                     bench.inbox.first->data + XD_FRAME_HEADER_BYTES);
        expect_frame(&bench, data + i * 24, 24);
    }
    cr_assert_eq(bench.fake.lent_count, 0);
    cr_assert_eq(bench.assemble.spilled_bytes, 0);
    bench_close(&bench);
}

/* A frame over many buffers is shown where it lies; those it ends before go back with it, the one
 * with the next frame's beginning stays. */
Test(net_assemble, shows_a_frame_over_many_buffers_in_place)
{
    struct bench bench;
    static uint8_t data[20 * 4096];
    uint32_t bytes = fake_frame(data, 17 * 4096 + 5, 4);
    uint32_t total = bytes + fake_frame(data + bytes, 40, 5);

    bench_open(&bench);
    for (uint32_t at = 0; at < total; at += 4096)
        receive(&bench, data + at, total - at < 4096 ? total - at : 4096);
    cr_assert_eq(inbox_head(&bench.inbox, XD_FRAME_BYTES_DEFAULT_MAX), INBOX_WHOLE);
    cr_assert_eq(inbox_pieces(&bench.assemble, &bench.inbox), 18);
    expect_frame(&bench, data, bytes);
    cr_assert_eq(bench.fake.lent_count, 1);
    expect_frame(&bench, data + bytes, total - bytes);
    cr_assert_eq(bench.assemble.spilled_bytes, 0);
    bench_close(&bench);
}

/* A length over the limit is refused from the header alone, and the limit is the caller's of that
 * moment. */
Test(net_assemble, refuses_a_length_over_the_limit)
{
    struct bench bench;
    uint8_t data[XD_FRAME_HEADER_BYTES + 4097];

    bench_open(&bench);
    fake_frame(data, 4097, 1);
    receive(&bench, data, XD_FRAME_HEADER_BYTES - 1);
    cr_assert_eq(inbox_head(&bench.inbox, 4096), XD_PARTIAL);
    receive(&bench, data + XD_FRAME_HEADER_BYTES - 1, 1);
    cr_assert_eq(inbox_head(&bench.inbox, 4096), XD_FRAME_TOO_LARGE);
    cr_assert_eq(inbox_head(&bench.inbox, 4097), XD_PARTIAL);
    bench_close(&bench);
}

/* A header that no frame has is malformed, also when two receives share it. */
Test(net_assemble, refuses_a_malformed_header)
{
    struct bench bench;
    uint8_t data[32];

    bench_open(&bench);
    fake_frame(data, 8, 1);
    data[7] = 0x80; /* an unknown flag */
    receive(&bench, data, 5);
    receive(&bench, data + 5, 27);
    cr_assert_eq(inbox_head(&bench.inbox, 4096), XD_FRAME_MALFORMED);
    bench_close(&bench);
}

/* Spilling fills a chunk before it takes the next, so small receives do not use up the chunks. */
Test(net_assemble, fills_spill_chunks)
{
    struct bench bench;
    static uint8_t data[3 * SPILL_CHUNK_BYTES];
    uint32_t bytes = fake_frame(data, 2 * SPILL_CHUNK_BYTES, 6);

    bench_open(&bench);
    for (uint32_t at = 0; at < bytes; at += 100) {
        receive(&bench, data + at, bytes - at < 100 ? bytes - at : 100);
        cr_assert(inbox_spill(&bench.assemble, &bench.inbox, 0));
        inbox_check(&bench.inbox);
        cr_assert_eq(bench.fake.lent_count, 0);
    }
    cr_assert_eq(pool_free_count(&bench.assemble.chunks), CHUNKS - 3);
    cr_assert_eq(bench.assemble.spilled_bytes, bytes);
    expect_frame(&bench, data, bytes);
    bench_close(&bench);
}

/* Without chunks spilling stops and says so; what was copied and what was not stay one stream. */
Test(net_assemble, stops_spilling_when_chunks_run_out)
{
    struct bench bench;
    static uint8_t data[8 * SPILL_CHUNK_BYTES];
    uint32_t bytes = fake_frame(data, 6 * SPILL_CHUNK_BYTES, 7);

    bench_open(&bench);
    receive(&bench, data, 5000);
    receive(&bench, data + 5000, bytes - 5000);
    cr_assert_not(inbox_spill(&bench.assemble, &bench.inbox, CHUNKS - 2));
    inbox_check(&bench.inbox);
    cr_assert_eq(pool_free_count(&bench.assemble.chunks), CHUNKS - 2);
    cr_assert_eq(bench.fake.lent_count, 1);
    expect_frame(&bench, data, bytes);
    bench_close(&bench);
}

/* An arena that is one piece short is refused. */
Test(net_assemble, says_when_the_arena_is_too_small)
{
    struct bench bench;
    struct assemble assemble;

    bench_open(&bench);
    arena_init(&bench.arena, bench.memory, assemble_bytes_needed(BUFFERS, CHUNKS) / 2);
    cr_assert_eq(assemble_init(&assemble, &bench.fake.env, &bench.arena, BUFFERS, CHUNKS), -ENOMEM);
    bench_close(&bench);
}

/* Stepping over a frame that is not whole is a bug of the caller and aborts. */
Test(net_assemble, aborts_when_a_partial_frame_is_consumed, .signal = SIGABRT)
{
    struct bench bench;
    uint8_t data[64];
    uint32_t bytes = fake_frame(data, 40, 1);

    bench_open(&bench);
    receive(&bench, data, bytes - 1);
    (void)inbox_head(&bench.inbox, 4096);
    inbox_consume(&bench.assemble, &bench.inbox);
}

/* One run of the property below. */
static void random_stream(uint64_t seed)
{
    static uint8_t data[256 * 1024];
    struct prng prng;
    struct bench bench;
    uint32_t starts[64];
    uint32_t count = 0;
    uint32_t total = 0;
    uint32_t at = 0;
    uint32_t next = 0;

    prng_seed(&prng, seed);
    bench_open(&bench);
    while (count < 63) {
        uint32_t length = (uint32_t)prng_below(&prng, prng_chance(&prng, 9000) ? 9000 : 200);
        starts[count++] = total;
        total += fake_frame(data + total, length, (uint32_t)seed + count);
    }
    starts[count] = total;
    while (next < count) {
        uint32_t bytes = 1 + (uint32_t)prng_below(&prng, prng_chance(&prng, 20000) ? 6000 : 90);
        bytes = bytes < total - at ? bytes : total - at;
        if (bytes > 0 && bench.fake.lent_count < BUFFERS)
            receive(&bench, data + at, bytes);
        else
            bytes = 0;
        at += bytes;
        if (prng_chance(&prng, 10000))
            (void)inbox_spill(&bench.assemble, &bench.inbox, (uint32_t)prng_below(&prng, CHUNKS));
        inbox_check(&bench.inbox);
        while (next < count && inbox_head(&bench.inbox, 9000) == INBOX_WHOLE &&
               !prng_chance(&prng, 20000)) {
            expect_frame(&bench, data + starts[next], starts[next + 1] - starts[next]);
            next++;
        }
    }
    cr_assert_eq(bench.inbox.bytes, 0);
    bench_close(&bench);
}

/* Any stream, cut anywhere, spilled at any moment, comes out frame by frame as it went in. */
Test(net_assemble, keeps_any_stream)
{
    for (uint64_t seed = 1; seed <= 200; seed++)
        random_stream(seed);
}
