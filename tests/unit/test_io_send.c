/* SPDX-License-Identifier: Apache-2.0
 *
 * Progress of a send: whatever counts the kernel answers, each byte goes out once and in sequence.
 */
#include "broker/io/send.h"

#include <limits.h>
#include <signal.h>
#include <string.h>

#include <criterion/criterion.h>

#define BYTES_MAX 20000u
#define PIECES_MAX 3000u

static uint8_t source[BYTES_MAX];
static uint8_t target[BYTES_MAX];
static struct iovec pieces[PIECES_MAX];
static uint64_t state;

static uint32_t random_below(uint32_t bound)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 33) % bound;
}

/* Cuts the source into pieces of 0..largest bytes; returns how many bytes they have. */
static uint32_t cut(uint32_t count, uint32_t largest)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = random_below(largest + 1);
        bytes = bytes < BYTES_MAX - at ? bytes : BYTES_MAX - at;
        pieces[i] = (struct iovec){.iov_base = source + at, .iov_len = bytes};
        at += bytes;
    }
    return at;
}

/* A kernel that takes at most `most` bytes of each header. Returns how many calls it took. */
static uint32_t drive(struct send *send, uint32_t bytes, uint32_t most)
{
    uint32_t at = 0;
    uint32_t calls = 0;
    bool done = false;
    while (!done) {
        const struct msghdr *header = send_next(send);
        uint32_t offered = 0;
        uint32_t wanted = most == 0 ? UINT32_MAX : 1 + random_below(most);
        uint32_t taken = 0;
        cr_assert_leq(header->msg_iovlen, (size_t)IOV_MAX);
        for (size_t i = 0; i < header->msg_iovlen; i++) {
            const struct iovec *piece = &header->msg_iov[i];
            offered += (uint32_t)piece->iov_len;
            uint32_t step = (uint32_t)piece->iov_len;
            step = step < wanted - taken ? step : wanted - taken;
            cr_assert_leq(at + step, bytes, "more than there is");
            if (step > 0)
                memcpy(target + at, piece->iov_base, step);
            at += step;
            taken += step;
        }
        cr_assert_gt(offered, 0, "a header without bytes");
        done = send_advance(send, taken);
        cr_assert_eq(send->sent, at);
        calls++;
    }
    cr_assert_eq(at, bytes);
    return calls;
}

/* Random pieces and random short counts: what arrives is what was given. */
Test(io_send, short_counts_lose_and_double_nothing)
{
    for (uint32_t i = 0; i < BYTES_MAX; i++)
        source[i] = (uint8_t)(i * 31 + i / 256);
    for (state = 1; state < 300;) {
        uint64_t seed = state;
        uint32_t count = 1 + random_below(50);
        uint32_t bytes = cut(count, 1 + random_below(400));
        if (bytes > 0) {
            struct send send;
            memset(target, 0, sizeof(target));
            send_start(&send, pieces, count);
            cr_assert_eq(send.bytes, bytes);
            (void)drive(&send, bytes, 1 + random_below(600));
            cr_assert_arr_eq(target, source, bytes, "seed %llu", (unsigned long long)seed);
        }
        state = seed + 1;
    }
}

/* A kernel that takes everything needs one call, and one more per IOV_MAX pieces. */
Test(io_send, whole_pieces_go_out_together)
{
    struct send send;
    for (uint32_t i = 0; i < PIECES_MAX; i++)
        pieces[i] = (struct iovec){.iov_base = source + i, .iov_len = 1};
    send_start(&send, pieces, 7);
    cr_assert_eq(drive(&send, 7, 0), 1);
    send_start(&send, pieces, IOV_MAX);
    cr_assert_eq(drive(&send, IOV_MAX, 0), 1);
    send_start(&send, pieces, PIECES_MAX);
    cr_assert_eq(drive(&send, PIECES_MAX, 0), (PIECES_MAX + IOV_MAX - 1) / IOV_MAX);
}

/* Empty pieces at the start, between and at the end cost nothing. */
Test(io_send, empty_pieces_are_skipped)
{
    struct send send;
    memset(pieces, 0, sizeof(pieces));
    pieces[0] = (struct iovec){.iov_base = source, .iov_len = 2};
    pieces[2900] = (struct iovec){.iov_base = source + 2, .iov_len = 3};
    send_start(&send, pieces, PIECES_MAX);
    cr_assert_eq(drive(&send, 5, 0), 2);
    pieces[0].iov_len = 0;
    pieces[2900] = (struct iovec){.iov_base = source, .iov_len = 5};
    send_start(&send, pieces, PIECES_MAX);
    cr_assert_eq(drive(&send, 5, 0), 1);
}

/* A send of nothing is a mistake of the caller. */
Test(io_send, nothing_to_send_aborts, .signal = SIGABRT)
{
    struct send send;
    pieces[0] = (struct iovec){.iov_base = source, .iov_len = 0};
    send_start(&send, pieces, 1);
}

/* More bytes than were offered is no answer of a kernel. */
Test(io_send, too_large_a_count_aborts, .signal = SIGABRT)
{
    struct send send;
    pieces[0] = (struct iovec){.iov_base = source, .iov_len = 5};
    send_start(&send, pieces, 1);
    (void)send_advance(&send, 6);
}
