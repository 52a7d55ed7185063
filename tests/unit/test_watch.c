/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/watch.c: numbers of the shards that can give them, at once for those that cannot.
 */
#include "broker/watch.h"

#include "tests/support/worker_kit.h"

/* Large; one test of this program runs at a time. */
static struct kit kit;

static uint32_t count(const char *text, const char *words)
{
    uint32_t found = 0;
    for (; (text = strstr(text, words)) != NULL; text++)
        found++;
    return found;
}

/* Workers that do not run are described and left out of the numbers, without waiting for them. */
Test(watch, does_not_wait_for_workers_that_do_not_run)
{
    const struct pages_shard *shards;
    const char *text;
    kit_init(&kit);
    kit_make(&kit, 3);
    struct watch *watch = watch_open(kit.workers, 3);
    uint64_t begun = kit_now_ns();
    cr_assert_eq(watch_shards(watch, &shards), 3);
    cr_assert_gt(watch_metrics(watch, METRICS_PLAIN, &text), 0);
    cr_assert_lt(kit_now_ns() - begun, WATCH_WAIT_MS * 1000000ull);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(shards[i].shard, i);
        cr_assert_str_eq(shards[i].stage, "idle");
        cr_assert_not(shards[i].alive);
        cr_assert_not(shards[i].serving);
    }
    watch_close(watch);
    kit_end(&kit);
}

/* All shards give their numbers; they are new ones each time. */
Test(watch, has_the_numbers_of_all_shards)
{
    const struct pages_shard *shards;
    const char *text;
    kit_init(&kit);
    kit_make(&kit, 2);
    struct watch *watch = watch_open(kit.workers, 2);
    kit_serve(&kit);
    cr_assert_eq(watch_shards(watch, &shards), 2);
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert(shards[i].serving && shards[i].alive, "%u", i);
        cr_assert_eq(shards[i].state, ADMIN_STATE_RUNNING);
    }
    uint64_t first = kit.workers[0].sample_count;
    uint64_t bytes = watch_metrics(watch, METRICS_OPEN, &text);
    cr_assert_eq(bytes, strlen(text));
    cr_assert_gt(kit.workers[0].sample_count, first);
    cr_assert_geq(count(text, "shard=\"0\""), 10, "%s", text);
    cr_assert_geq(count(text, "shard=\"1\""), 10);
    cr_assert_str_eq(text + bytes - 6, "# EOF\n");
    kit_wish(&kit, WORKER_WISH_STOP);
    kit_await_all(&kit, WORKER_ENDED);
    watch_shards(watch, &shards);
    cr_assert_str_eq(shards[1].stage, "ended");
    cr_assert_not(shards[1].alive);
    kit_join(&kit);
    watch_close(watch);
    kit_end(&kit);
}

/* A shard that does not answer costs the wait once, however many there are, and the others are
 * there. */
Test(watch, leaves_out_a_shard_that_does_not_answer)
{
    const char *text;
    kit_init(&kit);
    kit_make(&kit, 2);
    struct watch *watch = watch_open(kit.workers, 2);
    kit_serve(&kit);
    /* The lines are held: the shard that prints its status stands still. */
    pthread_mutex_lock(&kit.lines.lock);
    worker_wish(&kit.workers[1], WORKER_WISH_STATUS);
    sleep_ms(100);
    uint64_t begun = kit_now_ns();
    watch_metrics(watch, METRICS_PLAIN, &text);
    uint64_t took = kit_now_ns() - begun;
    pthread_mutex_unlock(&kit.lines.lock);
    cr_assert_geq(took, WATCH_WAIT_MS * 1000000ull / 2);
    cr_assert_lt(took, 10 * WATCH_WAIT_MS * 1000000ull);
    cr_assert_geq(count(text, "shard=\"0\""), 10);
    cr_assert_eq(count(text, "shard=\"1\""), 0);
    watch_metrics(watch, METRICS_PLAIN, &text);
    cr_assert_geq(count(text, "shard=\"1\""), 10);
    kit_wish(&kit, WORKER_WISH_STOP);
    kit_await_all(&kit, WORKER_ENDED);
    kit_join(&kit);
    watch_close(watch);
    kit_end(&kit);
}
