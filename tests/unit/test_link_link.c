/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/link/link.h in one thread: messages arrive whole, once, in sequence, and only when they
 * were published; who sleeps is named once. tests/threads/links.c is about several threads.
 */
#include <criterion/criterion.h>

#include "broker/base/prng.h"
#include "broker/link/link.h"

#include <signal.h>
#include <stdlib.h>

#define SHARDS 4u

struct kit {
    void *memory;
    struct links *links;
    struct link_end ends[SHARDS];
};

static struct kit make(uint32_t messages_max)
{
    struct kit kit;
    uint64_t bytes = links_bytes_needed(SHARDS, messages_max);
    kit.memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    kit.links = links_init(kit.memory, bytes, SHARDS, messages_max);
    for (uint32_t i = 0; i < SHARDS; i++)
        link_open(kit.links, i, &kit.ends[i]);
    return kit;
}

static void post(struct kit *kit, uint32_t from, uint32_t to, uint64_t value)
{
    struct link_message message = {.kind = 7, .conn = from, .remote = to, .value = value};
    link_post(&kit->ends[from], to, &message);
}

/* A message is not there before it is published, and comes with all its fields. */
Test(link_link, gives_what_was_published)
{
    struct kit kit = make(8);
    struct link_message sent = {1, 2, 3, 4, 5, 6, 7, &kit}, got;
    uint32_t from = 99;
    link_post(&kit.ends[2], 1, &sent);
    cr_assert_not(link_take(&kit.ends[1], &from, &got));
    cr_assert_eq(link_publish(&kit.ends[2]), 0); /* nobody sleeps */
    cr_assert(link_take(&kit.ends[1], &from, &got));
    cr_assert_eq(from, 2);
    cr_assert_arr_eq(&got, &sent, sizeof sent);
    cr_assert_not(link_take(&kit.ends[1], &from, &got));
    cr_assert_not(link_take(&kit.ends[0], &from, &got));
    free(kit.memory);
}

/* Every pair keeps its sequence under random posts, publications and takes, at any fill. */
Test(link_link, keeps_the_sequence_of_every_pair)
{
    struct kit kit = make(5); /* eight slots */
    uint64_t posted[SHARDS][SHARDS] = {{0}}, taken[SHARDS][SHARDS] = {{0}}, total = 0;
    struct prng prng;
    prng_seed(&prng, 3);
    for (uint32_t step = 0; step < 200000; step++) {
        uint32_t me = (uint32_t)prng_below(&prng, SHARDS);
        uint32_t other = (uint32_t)prng_below(&prng, SHARDS);
        struct link_message got;
        uint32_t from;
        switch (prng_below(&prng, 4)) {
        case 0:
            if (me != other && posted[me][other] - taken[me][other] < 8)
                post(&kit, me, other, posted[me][other]++);
            break;
        case 1:
            (void)link_publish(&kit.ends[me]);
            break;
        default:
            if (!link_take(&kit.ends[me], &from, &got))
                break;
            cr_assert_eq(got.value, taken[from][me]++);
            cr_assert(got.conn == from && got.remote == me && got.kind == 7);
            total++;
        }
    }
    cr_assert_gt(total, 20000);
    free(kit.memory);
}

/* One shard that sends a lot does not keep the others waiting. */
Test(link_link, takes_from_one_shard_after_the_other)
{
    struct kit kit = make(8);
    struct link_message got;
    uint32_t from;
    for (uint32_t i = 0; i < 8; i++)
        post(&kit, 1, 0, i);
    post(&kit, 3, 0, 0);
    (void)link_publish(&kit.ends[1]);
    (void)link_publish(&kit.ends[3]);
    cr_assert(link_take(&kit.ends[0], &from, &got) && from == 1);
    cr_assert(link_take(&kit.ends[0], &from, &got) && from == 3);
    cr_assert(link_take(&kit.ends[0], &from, &got) && from == 1);
    free(kit.memory);
}

/* A shard with something to take may not sleep; one that sleeps is named to the first that has
 * something for it, and to nobody else until it sleeps again. */
Test(link_link, names_a_sleeper_once)
{
    struct kit kit = make(8);
    struct link_message got;
    uint32_t from;
    post(&kit, 1, 0, 0);
    cr_assert_eq(link_publish(&kit.ends[1]), 0);
    cr_assert_not(link_sleep(&kit.ends[0]));
    cr_assert(link_take(&kit.ends[0], &from, &got));
    cr_assert(link_sleep(&kit.ends[0]));
    cr_assert(link_sleep(&kit.ends[2]));
    post(&kit, 1, 0, 1);
    post(&kit, 1, 2, 1);
    post(&kit, 1, 3, 1);
    cr_assert_eq(link_publish(&kit.ends[1]), 1u << 0 | 1u << 2);
    post(&kit, 3, 0, 0);
    cr_assert_eq(link_publish(&kit.ends[3]), 0);
    link_wake(&kit.ends[0]);
    post(&kit, 1, 0, 2);
    cr_assert_eq(link_publish(&kit.ends[1]), 0);
    free(kit.memory);
}

/* More than was agreed on is a bug of the sender, not a message that gets lost. */
Test(link_link, aborts_on_a_full_ring, .signal = SIGABRT)
{
    struct kit kit = make(8);
    for (uint32_t i = 0; i < 9; i++)
        post(&kit, 0, 1, i);
}
